"""What are an LLM's labels worth beside people's? Students of a file's labels, and of the same as an LLM gives them.

    python training/ablations/noisy_labels.py TRAIN DEV [--sentences 0] [--noise 0.2] [--threshold 0.3] [--seed 1]
                                              [--output runs/noisy-labels]

The labels are given by text alone, with scores; a share of them is wrong (another type, other bounds, not in the text,
or left out), with lower scores on the whole. Both students are those of training/configs/student-own-data.yaml, with as
many epochs. The scores of the last epoch are those of a run without a development file. A run that is complete is not
repeated; an interrupted one goes on.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from distillex_training.config import StudentRun, read_config
from distillex_training.data.records import Record, read_records
from distillex_training.distill import distill
from labelled_parts import draw, lines_of

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "evidence"))
from own_data import CONFIG, epochs_of

FEWEST_STEPS, FEWEST_EPOCHS = 400, 12


def by_text(record: Record, types: Sequence[str], noise: float, generator: random.Random) -> dict[str, Any]:
    """Return a record as an LLM labels it."""
    entities = []
    for span in record.spans:
        surface, kind = record.text[span.start : span.end], span.type
        score = generator.betavariate(8, 2)
        if generator.random() < noise:
            score = generator.betavariate(4, 4)
            slip = generator.choice(("type", "bounds", "invented", "missed"))
            if slip == "missed":
                continue
            if slip == "type":
                kind = generator.choice([each for each in types if each != kind] or [kind])
            elif slip == "bounds":
                surface = record.text[max(0, span.start - 1) : span.end] if span.start else surface[:-1] or surface
            else:
                surface = surface[::-1] + surface[:1]
        entities.append({"text": surface, "type": kind, "score": round(score, 2)})
    return {"text": record.text, "entities": entities}


def main() -> None:
    """Train both and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", type=Path, help="labelled training file (.jsonl)")
    parser.add_argument("dev", type=Path, help="labelled development file (.jsonl)")
    parser.add_argument("--sentences", type=int, default=0, help="so many of them; 0: all")
    parser.add_argument("--noise", type=float, default=0.2, help="share of the entities that are labelled wrongly")
    parser.add_argument("--threshold", type=float, default=0.3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("runs/noisy-labels"))
    parser.add_argument("--set", action="append", default=[], help="KEY=VALUE over the configuration file")
    asked = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    name = f"{asked.sentences or 'all'}-seed{asked.seed}"
    gold = draw(asked.train, asked.sentences, asked.seed, asked.output / f"gold-{name}.jsonl")
    records = read_records(gold).records
    types = sorted({span.type for record in records for span in record.spans})
    generator = random.Random(asked.seed)
    noisy = asked.output / f"noisy-{asked.noise}-{name}.jsonl"
    made = (by_text(record, types, asked.noise, generator) for record in records)
    noisy.parent.mkdir(parents=True, exist_ok=True)
    noisy.write_text("".join(json.dumps(each, ensure_ascii=False) + "\n" for each in made), encoding="utf-8")
    count = len(lines_of(gold))
    epochs = epochs_of(count, fewest_steps=FEWEST_STEPS, fewest_epochs=FEWEST_EPOCHS)
    common = {
        "data.dev": str(asked.dev.resolve()),
        "loop.epochs": str(epochs),
        "loop.seed": str(asked.seed),
        "data.types": json.dumps(types, ensure_ascii=False),
    } | dict(each.split("=", 1) for each in asked.set)
    labels = {"path": str(noisy.resolve()), "threshold": asked.threshold, "types": types}
    kinds = {
        "people's": {"data.train": str(gold.resolve())},
        f"an LLM's, {asked.noise:.0%} wrong": {
            "data.train": "[]",
            "distillation.labels": json.dumps([labels], ensure_ascii=False),
        },
    }
    print("| labels | sentences | epochs | F1, best epoch | F1, last epoch |\n|---|---|---|---|---|")
    for place, (kind, settings) in enumerate(kinds.items()):
        directory = asked.output / f"{('gold', f'noisy-{asked.noise}')[place]}-{name}"
        run = read_config(CONFIG, StudentRun, common | settings)
        best = distill(run, directory)["f1"]
        last = json.loads((directory / "metrics.jsonl").read_text(encoding="utf-8").splitlines()[-1])["f1"]
        print(f"| {kind} | {count:,} | {run.loop.epochs} | {best:.4f} | {last:.4f} |")


if __name__ == "__main__":
    main()
