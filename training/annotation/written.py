"""Turn sentences written with their entities marked in place into labelled JSON Lines.

A line is a domain, a tab, and a sentence with ``[surface|type]`` where an entity is.

    python training/annotation/written.py training/annotation/labels/written.txt -o runs/written.jsonl
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

ENTITY = re.compile(r"\[([^\[\]|]+)\|([a-z]+)\]")


def read_line(line: str) -> dict[str, Any]:
    """Return a record with the keys text, entities, domain."""
    domain, _, marked = line.partition("\t")
    text, end = "", 0
    entities = []
    for match in ENTITY.finditer(marked):
        text += marked[end : match.start()]
        entities.append({"start": len(text), "end": len(text) + len(match[1]), "type": match[2]})
        text += match[1]
        end = match.end()
    return {"text": text + marked[end:], "entities": entities, "domain": domain}


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    lines = [line for path in arguments.files for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
    records = [read_line(line) for line in lines]
    text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    arguments.output.write_text(text, encoding="utf-8")
    print(f"{arguments.output}: {len(records):,} sentences")


if __name__ == "__main__":
    main()
