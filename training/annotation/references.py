"""Labels of raw text without the text: file, line and place of each sentence, its checksum, its entities.

The raw text is not ours to publish; the labels are. ``pack`` makes the references that are kept here, ``unpack`` makes
labelled JSON Lines of them wherever the raw text is.

    python training/annotation/references.py pack runs/annotation/all.jsonl runs/annotation/sentences.jsonl \
        -o training/annotation/labels/everyday.jsonl
    python training/annotation/references.py unpack training/annotation/labels/everyday.jsonl ../shared/data/raw \
        -o runs/everyday.jsonl
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

CHECK_DIGITS = 8


def checksum(text: str) -> str:
    """Return the first digits of a text's SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:CHECK_DIGITS]


def read(path: Path) -> list[dict[str, Any]]:
    """Read JSON Lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def pack(labelled: Path, drawn: Path) -> list[dict[str, Any]]:
    """Return references to labelled sentences that were drawn from raw text."""
    places = {record["text"]: record for record in read(drawn)}
    return [
        {
            "file": places[record["text"]]["file"],
            "line": places[record["text"]]["line"],
            "start": places[record["text"]]["start"],
            "length": len(record["text"]),
            "check": checksum(record["text"]),
            "entities": [[e["start"], e["end"], e["type"]] for e in record["entities"]],
        }
        for record in read(labelled)
        if record["text"] in places
    ]


def unpack(references: Path, raw: Path, without: Collection[str] = ()) -> tuple[list[dict[str, Any]], int]:
    """Return labelled records, and how many references found another text than they were made of.

    ``without``: files of raw text whose sentences are left out.
    """
    lines: dict[str, list[str]] = {}
    records, missed = [], 0
    for reference in read(references):
        name = reference["file"]
        if name in without:
            continue
        if name not in lines:
            lines[name] = (raw / name).read_text(encoding="utf-8").splitlines()
        line = lines[name][reference["line"] - 1] if reference["line"] <= len(lines[name]) else ""
        text = line[reference["start"] : reference["start"] + reference["length"]]
        if checksum(text) != reference["check"]:
            missed += 1
            continue
        entities = [{"start": start, "end": end, "type": kind} for start, end, kind in reference["entities"]]
        records.append({"text": text, "entities": entities})
    return records, missed


def main() -> int:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("pack", "unpack"))
    parser.add_argument("labels", type=Path, help="pack: labelled JSON Lines; unpack: references")
    parser.add_argument("source", type=Path, help="pack: sentences.jsonl of draw.py; unpack: folder of raw text")
    parser.add_argument("--without", nargs="*", default=(), metavar="FILE", help="unpack: raw text to leave out")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    missed = 0
    if arguments.what == "pack":
        records = pack(arguments.labels, arguments.source)
    else:
        records, missed = unpack(arguments.labels, arguments.source, arguments.without)
    lines = (json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n" for record in records)
    arguments.output.write_text("".join(lines), encoding="utf-8")
    print(f"{arguments.output}: {len(records):,} sentences")
    if missed:
        print(f"{missed:,} sentences are not in {arguments.source} as they were", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
