"""What is it worth to begin with the shipped student? Students from scratch and started from it, from few labels.

    python training/ablations/few_labels.py TRAIN DEV [--sentences 100 300 1000 0] [--seed 1] [--output runs/few-labels]

The settings are those of training/configs/student-own-data.yaml; students from scratch have sizes and a learning rate
of their own. Both make the same number of steps. 0 sentences: all. A run that is complete is not
repeated; an interrupted one goes on.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from distillex_training.config import StudentRun, read_config
from distillex_training.distill import distill
from labelled_parts import draw, lines_of

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "evidence"))
from own_data import CONFIG, epochs_of, from_scratch

FEWEST_STEPS, FEWEST_EPOCHS = 400, 12
WIDTH = 192
"""Of the students from scratch in docs/notebook/2026-11.md."""


def main() -> None:
    """Train all that is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", type=Path, help="labelled training file (.jsonl)")
    parser.add_argument("dev", type=Path, help="labelled development file (.jsonl)")
    parser.add_argument("--sentences", type=int, nargs="+", default=[100, 300, 1000, 0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("runs/few-labels"))
    asked = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    rows = []
    for count in asked.sentences:
        part = asked.output / f"train-{count or 'all'}-seed{asked.seed}.jsonl"
        file = draw(asked.train, count, asked.seed, part)
        sentences = len(lines_of(file))
        epochs = epochs_of(sentences, fewest_steps=FEWEST_STEPS, fewest_epochs=FEWEST_EPOCHS)
        found = []
        for name, settings in (("from-scratch", from_scratch(width=WIDTH, head=WIDTH)), ("begun", {})):
            keys = {
                "data.train": str(file),
                "data.dev": str(asked.dev.resolve()),
                "loop.epochs": str(epochs),
                "loop.seed": str(asked.seed),
            }
            run = read_config(CONFIG, StudentRun, settings | keys)
            found.append(distill(run, asked.output / f"{name}-{count or 'all'}-seed{asked.seed}")["f1"])
        rows.append((sentences, epochs, *found))
    print("| sentences | epochs | F1, from scratch | F1, started from the shipped student |\n|---|---|---|---|")
    for sentences, epochs, scratch, begun in rows:
        print(f"| {sentences:,} | {epochs} | {scratch:.4f} | {begun:.4f} |")


if __name__ == "__main__":
    main()
