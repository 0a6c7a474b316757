"""Write src/span_edge_table.inc: what no entity begins or ends with, and the pairs of brackets and quotes.

Usage: python generate_span_edge_table.py > ../src/span_edge_table.inc

Needs PyPI's `regex`, which carries Unicode's properties: categories, Emoji, Quotation_Mark and
Default_Ignorable_Code_Point of one version of Unicode. Python's own tables give the compatibility forms.
"""

import importlib.metadata
import re
import sys
import unicodedata
from collections.abc import Iterable

import regex


def having(properties: str) -> set[int]:
    """Code points that match a set of properties, written as in a pattern's brackets."""
    pattern = regex.compile(rf"[{properties}]", regex.VERSION1)
    return {point for point in range(0x110000) if pattern.fullmatch(chr(point))}


def points(text: str) -> set[int]:
    """Code points of a text."""
    return {ord(character) for character in text}


def ranges(found: Iterable[int]) -> list[tuple[int, int]]:
    """Return runs of consecutive numbers, both ends included."""
    runs: list[tuple[int, int]] = []
    for point in sorted(found):
        if runs and runs[-1][1] == point - 1:
            runs[-1] = (runs[-1][0], point)
        else:
            runs.append((point, point))
    return runs


EMOJI = having(r"\p{Extended_Pictographic}\p{Emoji_Presentation}\p{Regional_Indicator}\p{Emoji_Modifier}")
# Read as text: marks of rights, and what stands for "!!", "!?" and "i".
EMOJI -= points("©®™‼⁉ℹ")
# Symbols beside the emoji, drawn like them: arrows, stars, hearts, ticks; not the accidentals of music (C♯).
SYMBOLS = having(r"\p{So}\p{Sm}") & {*range(0x2190, 0x2200), *range(0x2600, 0x27C0)} - points("♭♮♯")
# The blocks of pictographs, with what is not assigned yet.
PICTOGRAPHS = {*range(0x1F000, 0x1F100), *range(0x1F300, 0x1FB00)}
# A blank of Braille and the place of an embedded object are symbols by category; both are seen as nothing.
INVISIBLE = having(r"\p{Cc}\p{Cf}\p{Cs}\p{White_Space}\p{Default_Ignorable_Code_Point}") | {0x2800, 0xFFFC}
KEYCAP = {0x20E3}
# The full stops with a dot belong to names (Inc.), as "!" and "?" do (Yahoo!).
SENTENCE = points("，。、；：,;:︐︑︒︓︔﹐﹑﹔﹕｡､")

QUOTE_PAIRS = ["“”", "‘’", "「」", "『』", "«»", "‹›", "〝〞", "〝〟", "﹁﹂", "﹃﹄", "｢｣", '""', "＂＂"]
# Signs that open no pair in running text, accents and primes that stand for a quote.
QUOTES = (having(r"\p{Quotation_Mark}") | points("`´′″‴‵‶‷｀＇❛❜❝❞❟❠")) - points("".join(QUOTE_PAIRS))


def bracket_pairs() -> list[str]:
    """Pair each opening bracket with its closing one.

    Unicode has them in order, except for those with ticks and the Arabic ones.
    """
    quotes = having(r"\p{Quotation_Mark}")
    closing = having(r"\p{Pe}") - quotes
    irregular = {0x298D: 0x2990, 0x298F: 0x298E, 0xFD3F: 0xFD3E}
    openings = sorted(having(r"\p{Ps}") - quotes)
    pairs = [chr(point) + chr(irregular.get(point) or min(c for c in closing if c > point)) for point in openings]
    return [*pairs, "<>", "＜＞", "﹤﹥"]


def main() -> None:
    """Write the two tables of the C++ core."""
    never = EMOJI | SYMBOLS | PICTOGRAPHS | INVISIBLE | KEYCAP | SENTENCE | QUOTES
    brackets = bracket_pairs()
    # A full-width bracket closes a half-width one: one kind is one compatibility form.
    kinds: dict[str, int] = {}
    lines = []
    for pair in QUOTE_PAIRS + brackets:
        kind = kinds.setdefault(unicodedata.normalize("NFKC", pair[0]), len(kinds))
        quotes = "true" if pair in QUOTE_PAIRS else "false"
        lines.append(f"{{0x{ord(pair[0]):X}, 0x{ord(pair[1]):X}, {kind}, {quotes}}},")
    metadata = importlib.metadata.metadata("regex")
    unicode_version = re.findall(r"Unicode (\d+\.\d+\.\d+)", str(metadata.get_payload()))[0]
    out = sys.stdout
    out.write(f"// Written by tools/generate_span_edge_table.py from regex {metadata['Version']} (Unicode ")
    out.write(f"{unicode_version}).\nconstexpr Range kNeverEdges[] = {{\n")
    out.writelines(f"{{0x{first:X}, 0x{last:X}}},\n" for first, last in ranges(never - points("".join(brackets))))
    out.write("};\nconstexpr Pair kPairs[] = {\n" + "\n".join(lines) + "\n};\n")


if __name__ == "__main__":
    main()
