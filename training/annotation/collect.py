"""Check what an annotator wrote, and turn it into labelled JSON Lines.

An annotation file has a line for each sentence of its text file: the number, a tab, then ``surface=type`` for each
entity, with `` ; `` between them, and nothing where there is none. Each occurrence of a surface is labelled, longer
surfaces first; ``surface#2=type`` means its second occurrence alone.

    python training/annotation/collect.py runs/annotation/000.txt runs/annotation/000.tsv           # check
    python training/annotation/collect.py runs/annotation/[0-9]*.txt -o runs/annotation/all.jsonl   # all with a .tsv
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

TYPES = (
    *("name", "company", "organization", "government", "address", "scene"),
    *("position", "book", "movie", "game", "product", "time"),
)
OCCURRENCE = re.compile(r"^(.+)#(\d+)$")


class AnnotationError(ValueError):
    """A line that cannot be read; the message says what is wrong with it."""


def read_texts(path: Path) -> dict[int, str]:
    """Return the sentences of a text file by number."""
    pairs = (line.split("\t", 1) for line in path.read_text(encoding="utf-8").split("\n") if line)
    return {int(number): text for number, text in pairs}


def align(text: str, written: str) -> list[dict[str, Any]]:
    """Find the entities that an annotation names.

    Raises
    ------
    AnnotationError
        For a surface that is not in the text, an unknown type, or something that is not ``surface=type``.
    """
    wanted: list[tuple[str, int | None, str]] = []
    for item in filter(None, (part.strip() for part in written.split(" ; "))):
        surface, equals, kind = item.rpartition("=")
        if not equals or not surface:
            raise AnnotationError(f"{item!r} is not surface=type")
        if kind not in TYPES:
            raise AnnotationError(f"{item!r}: {kind!r} is no type; types: {', '.join(TYPES)}")
        place = OCCURRENCE.match(surface)
        if surface not in text and place:
            wanted.append((place[1], int(place[2]), kind))
        else:
            wanted.append((surface, None, kind))
    for surface, _, _ in wanted:
        if surface not in text:
            raise AnnotationError(f"{surface!r} is not in {text!r}")
    taken = [False] * len(text)
    found = []
    # An occurrence that is named by its number comes before all occurrences of the same surface.
    for surface, occurrence, kind in sorted(wanted, key=lambda each: (-len(each[0]), each[1] is None)):
        starts = [match.start() for match in re.finditer(f"(?={re.escape(surface)})", text)]
        if occurrence is not None:
            if not 1 <= occurrence <= len(starts):
                raise AnnotationError(f"{surface!r} occurs {len(starts)} times in {text!r}, not {occurrence}")
            starts = [starts[occurrence - 1]]
        for start in starts:
            end = start + len(surface)
            if not any(taken[start:end]):
                taken[start:end] = [True] * len(surface)
                found.append({"start": start, "end": end, "type": kind})
    return sorted(found, key=lambda entity: int(entity["start"]))


def read_annotations(texts: dict[int, str], path: Path) -> tuple[dict[int, list[dict[str, Any]]], list[str]]:
    """Return entities by number, and what is wrong."""
    entities: dict[int, list[dict[str, Any]]] = {}
    problems = []
    for place, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
        if not line.strip():
            continue
        number, _, written = line.partition("\t")
        if not number.strip().isdigit() or int(number) not in texts:
            problems.append(f"{path}:{place}: {number[:20]!r} is no number of a sentence")
            continue
        if int(number) in entities:
            problems.append(f"{path}:{place}: sentence {number} stands twice")
        try:
            entities[int(number)] = align(texts[int(number)], written)
        except AnnotationError as error:
            problems.append(f"{path}:{place}: {error}")
    problems += [f"{path}: sentence {number} is missing" for number in texts if number not in entities]
    return entities, problems


def main() -> int:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+", help="text files; FILE.tsv holds the annotation of FILE.txt")
    parser.add_argument(
        "-o", "--output", type=Path, help="write labelled JSON Lines; lines with a problem are left out"
    )
    arguments = parser.parse_args()
    records, bad = [], 0
    for text_file in (path for path in arguments.files if path.suffix == ".txt"):
        annotations = text_file.with_suffix(".tsv")
        if not annotations.exists():
            print(f"{annotations}: not there", file=sys.stderr)
            continue
        texts = read_texts(text_file)
        entities, problems = read_annotations(texts, annotations)
        for problem in problems:
            print(problem, file=sys.stderr)
        bad += len(problems)
        records += [{"text": texts[number], "entities": found, "id": number} for number, found in entities.items()]
    print(f"{len(records)} sentences, {sum(len(r['entities']) for r in records)} entities, {bad} problems")
    if arguments.output is not None:
        lines = (json.dumps(record, ensure_ascii=False) + "\n" for record in records)
        arguments.output.write_text("".join(lines), encoding="utf-8")
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
