"""Write what is seen of each character, as tables: for the C++ core, for the Python reference and for the client.

Usage, from anywhere: pip install opencc-python-reimplemented==0.1.7 && python3.11 generate_fold_tables.py

Input: the tables TSCharacters, TWVariants, HKVariants and STCharacters of OpenCC (Apache-2.0) as the PyPI package
opencc-python-reimplemented holds them, equivalent_unified_ideographs.txt beside this script, and the Unicode database
of the Python that runs it (3.11 has 14.0.0; the files say which one made them). The same input gives the same bytes.

Output: src/fold_table.inc has every code point that changes and what it becomes in the end. ideographs.txt, for the
reference and for the client, has single steps from ideograph to ideograph; they follow them to the end themselves.
"""

from __future__ import annotations

import importlib.util
import unicodedata
from collections.abc import Iterator
from pathlib import Path

TOOLS = Path(__file__).resolve().parent
ROOT = TOOLS.parents[1]
OPENCC_VERSION = "0.1.7"
LAST_OF_THE_PLANE = 0xFFFF

# Simplified text is left alone: a character of GB 2312 is simplified text's own, whatever else it stands for in
# traditional text (著 is 着 there, 著名 is written here; 乾 is 干 there 384 times, 乾隆 here 958 times), unless it
# stands in this table. In brackets: how often it occurs in 56 million characters of simplified news, social media, law,
# fiction, …, and in 3.8 million characters of traditional text.
FOLDED_ALTHOUGH_IN_GB_2312 = {
    "於": "于",  # (139, 9576) here but for a rare surname a slip of the input method
    "後": "后",  # (278, 12316)
    "徵": "征",  # (40, 652) its own reading is a note of the scale: 宫商角徵羽
    "夥": "伙",  # (107, 163) nearly all of the 107 are 伙 in novels of old
    "菸": "烟",  # (6, 76)
    "醣": "糖",  # (1, 31)
    "摺": "折",  # (3, 17)
    "麽": "么",  # (220, 17) all that were looked at are 什么, 多么, 怎么
}
# Characters outside GB 2312 that OpenCC leaves or changes, and that are seen otherwise here.
OTHERWISE = {
    "濛": "濛",  # (137, 5) names: 王濛, 凌濛初
    "衹": "只",  # (5, 19) OpenCC lists itself first
    "妳": "你",  # (15, 57) OpenCC keeps the feminine form
}
# Not to be seen, and found in copied text: soft hyphen, joiners, marks and controls of writing direction, invisible
# operators, the byte order mark. Variation selectors are none of them: they belong to the character before.
INVISIBLE = [0x00AD, 0x061C, 0x180E, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2065)]
INVISIBLE += [*range(0x2066, 0x2070), 0xFEFF]


def opencc_table(name: str) -> dict[str, list[str]]:
    """Return character → its counterparts, the most frequent first."""
    spec = importlib.util.find_spec("opencc")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"pip install opencc-python-reimplemented=={OPENCC_VERSION}")
    path = Path(spec.submodule_search_locations[0]) / "dictionary" / f"{name}.txt"
    rows = (line.split("\t") for line in path.read_text(encoding="utf-8").splitlines())
    return {source: targets.split(" ") for source, targets in rows}


def radicals() -> dict[str, str]:
    """Return radical → ideograph."""
    lines = (TOOLS / "equivalent_unified_ideographs.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.split() for line in lines if not line.startswith("#"))
    found = {chr(int(radical, 16)): chr(int(ideograph, 16)) for radical, ideograph in pairs}
    # Unicode gives the two that have a compatibility decomposition no other equivalent.
    return found | {radical: unicodedata.normalize("NFKC", radical) for radical in "\u2e9f\u2ef3"}


def is_in_gb_2312(character: str) -> bool:
    """Whether the older standard of simplified text holds this character."""
    try:
        character.encode("gb2312")
    except UnicodeEncodeError:
        return False
    return True


def simplified() -> dict[str, str]:
    """Return traditional character → simplified one, in single steps."""
    table = {source: targets[0] for source, targets in opencc_table("TSCharacters").items()}
    # Forms of Taiwan and Hong Kong, and forms that simplified text merged, which that table leaves out.
    own = set(table.values())
    for name in ("TWVariants", "HKVariants", "STCharacters"):
        for common, variants in opencc_table(name).items():
            for variant in variants:
                if variant not in own:
                    table.setdefault(variant, common)
    table = {source: target for source, target in table.items() if not is_in_gb_2312(source)}
    table |= FOLDED_ALTHOUGH_IN_GB_2312 | OTHERWISE
    # Simplified by analogy alone and encoded late: simplified text itself writes the traditional form of these (263
    # times against 10 in the texts above), so that both are seen as that one.
    for source, target in list(table.items()):
        if ord(target) > LAST_OF_THE_PLANE >= ord(source):
            del table[source]
            table.setdefault(target, source)
    return {source: target for source, target in table.items() if source != target}


def end_of(step: dict[str, str], character: str) -> str:
    """Follow single steps until there is none."""
    seen = [character]
    while (character := step.get(character, character)) != seen[-1]:
        if character in seen:
            raise SystemExit(f"a circle: {' '.join(seen)}")
        seen.append(character)
    return character


def characters() -> Iterator[str]:
    """Yield all but the surrogates."""
    for point in range(0x110000):
        if not 0xD800 <= point < 0xE000:
            yield chr(point)


def fold_table(ideographs: dict[str, str]) -> dict[str, str]:
    """Return every character that changes → what it becomes in the end."""
    step = dict(ideographs)
    for character in characters():
        if character.isspace() or ord(character) in INVISIBLE:
            step[character] = " "
        elif "！" <= character <= "～":
            step[character] = chr(ord(character) - 0xFEE0)
        elif unicodedata.name(character, "").startswith("CJK COMPATIBILITY IDEOGRAPH"):
            step.setdefault(character, unicodedata.normalize("NFC", character))
        elif len(character.lower()) == 1:
            step.setdefault(character, character.lower())
    ends = ((character, end_of(step, character)) for character in step)
    return {character: end for character, end in sorted(ends) if character != end}


def files() -> dict[Path, str]:
    """Return the content of each file that is written."""
    ideographs = radicals() | simplified()
    sources = [
        "Traditional to simplified: OpenCC (https://github.com/BYVoid/OpenCC, Apache-2.0), from",
        f"opencc-python-reimplemented {OPENCC_VERSION}. Radicals and the rest: Unicode {unicodedata.unidata_version}",
        "(https://www.unicode.org/license.txt). Written by matcher_cpp/tools/generate_fold_tables.py; do not edit.",
    ]
    ends = "".join(f"{{0x{ord(source):X}, 0x{ord(end):X}}},\n" for source, end in fold_table(ideographs).items())
    steps = "".join(f"{source} {target}\n" for source, target in sorted(ideographs.items()))
    steps = "".join(f"# {line}\n" for line in sources) + steps
    return {
        ROOT / "matcher_cpp/src/fold_table.inc": "".join(f"// {line}\n" for line in sources) + ends,
        ROOT / "matcher_cpp/distillex_matcher/reference/ideographs.txt": steps,
        ROOT / "client/distillex_client/batch/ideographs.txt": steps,
    }


def main() -> None:
    """Write the files."""
    for path, content in files().items():
        path.write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
