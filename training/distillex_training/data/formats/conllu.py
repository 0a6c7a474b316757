"""CoNLL-U: ten columns a token; the tag is in the last one (MISC), as it is or as ``NER=B-name``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from distillex_matcher.layout import write_atomically

from distillex_training.data.formats.reading import Reading, Source
from distillex_training.data.formats.tags import OUTSIDE, Tagged, Token, is_tag, no_tag, parse_tag, tags_of, take
from distillex_training.data.formats.writing import Output
from distillex_training.data.records import Record, lines_of
from distillex_training.errors import DataError

COLUMNS = 10
TAG_KEYS = ("NER", "NE", "ner", "ne")
TEXT_COMMENT = "# text = "


def is_conllu(line: str) -> bool:
    """Tell whether a line is a token's."""
    columns = line.split("\t")
    return len(columns) == COLUMNS and columns[0].split("-")[0].split(".")[0].isdecimal()


@dataclass
class _Block:
    """The lines of a sentence."""

    line: int = 0
    text: str | None = None
    rows: list[tuple[int, list[str]]] = field(default_factory=list)


def read_conllu(source: Source) -> Reading:
    """Read a file; the text is that of ``# text``, or the words as ``SpaceAfter`` or the joiner say.

    A word without a tag is outside any entity. Empty nodes (``1.1``) are passed over.

    Raises
    ------
    DataError
        For a file without any tag.
    """
    reading = Reading(source.path, source.options)
    blocks = list(_blocks(source.text))
    misc = [columns[-1] for block in blocks for _, columns in block.rows if len(columns) == COLUMNS]
    if misc and all(_tag_of(each) is None for each in misc):
        raise DataError(
            f"{source.path}: no word has a tag in the last column (MISC): expected B-TYPE, I-TYPE, …, or NER=B-TYPE"
        )
    spaces = any("SpaceAfter=No" in each.split("|") for each in misc)
    return take(reading, [_sentence(block, spaces, source.options.joiner) for block in blocks])


def write_conllu(records: Sequence[Record], output: Output) -> None:
    """Write one character a word, the tag as ``NER=…``; white space is in ``# text`` alone."""
    sentences = []
    for number, record in enumerate(records, start=1):
        tags = tags_of(len(record.text), record.spans, output.scheme)
        lines = [f"# sent_id = {number}", f"{TEXT_COMMENT}{record.text}"]
        words = [(i, character) for i, character in enumerate(record.text) if not character.isspace()]
        for identity, (i, character) in enumerate(words, start=1):
            misc = [f"NER={tags[i]}", *([] if record.text[i + 1 : i + 2].isspace() else ["SpaceAfter=No"])]
            columns = [str(identity), character, *["_"] * (COLUMNS - 3), "|".join(misc)]
            lines.append("\t".join(columns))
        sentences.append("\n".join(lines) + "\n\n")
    write_atomically(output.path, "".join(sentences))


def _blocks(content: str) -> Iterator[_Block]:
    block = _Block()
    for number, line in [*lines_of(content), (0, "")]:
        if line.startswith(TEXT_COMMENT) and not block.rows:
            block.text = line[len(TEXT_COMMENT) :]
        elif line.startswith("#") and "\t" not in line:
            continue
        elif line.strip():
            block.line = block.line or number
            block.rows.append((number, line.split("\t")))
        else:
            if block.rows:
                yield block
            block = _Block()


def is_no_type(kind: str, _: str) -> bool:
    """Tell whether the last column, which ``|`` parts, cannot hold a type."""
    return "|" in kind


def _tag_of(misc: str) -> str | None:
    """Return the tag of a word; None where it has none."""
    if is_tag(misc):
        return misc
    attributes = dict(each.split("=", 1) for each in misc.split("|") if "=" in each)
    return next((attributes[key] for key in TAG_KEYS if key in attributes), None)


def _sentence(block: _Block, spaces: bool, joiner: str) -> Tagged:
    sentence = Tagged(block.line)
    space_after: list[bool] = []
    for number, columns in block.rows:
        if len(columns) != COLUMNS:
            sentence.reasons.append((number, f"{len(columns)} columns; CoNLL-U has {COLUMNS}, separated by tabs"))
            continue
        identity, form, misc = columns[0], columns[1], columns[-1]
        if "." in identity:
            continue
        if "-" in identity:
            sentence.reasons.append((number, f"{identity} {form!r}: a word that stands for several is not read"))
            continue
        tag = _tag_of(misc) or OUTSIDE
        parsed = parse_tag(tag)
        if parsed is None:
            sentence.reasons.append((number, no_tag(tag)))
        elif misc != "_" and "=" not in misc and not is_tag(misc):
            sentence.reasons.append((number, no_tag(misc)))
        else:
            sentence.tokens.append(Token(number, form, *parsed))
            space_after.append("SpaceAfter=No" not in misc.split("|"))
    if sentence.reasons:
        return sentence
    if block.text is None and not spaces:
        sentence.join(joiner)
    elif block.text is None:
        parts = [token.text + " " * after for token, after in zip(sentence.tokens, space_after, strict=True)]
        _align(sentence, "".join(parts).rstrip(" "))
    else:
        _align(sentence, block.text)
    return sentence


def _align(sentence: Tagged, text: str) -> None:
    position = 0
    for token in sentence.tokens:
        while not text.startswith(token.text, position) and text[position : position + 1].isspace():
            position += 1
        if not text.startswith(token.text, position):
            reason = f"{token.text!r} does not follow in the sentence's text at character {position}: {text!r}"
            sentence.reasons.append((token.line, reason))
            return
        sentence.starts.append(position)
        position += len(token.text)
    sentence.text = text
