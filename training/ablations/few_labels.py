"""What is it worth to begin with the shipped student? Students from scratch and begun with it, from few labels.

    python training/ablations/few_labels.py TRAIN DEV [--sentences 100 300 1000 0] [--seed 1] [--output runs/few-labels]

The settings are those of training/configs/student-own-data.yaml; students from scratch have sizes and a learning rate
of their own (FROM_SCRATCH). Both make the same number of steps. 0 sentences: all. A run that is complete is not
repeated; an interrupted one goes on.
"""

from __future__ import annotations

import argparse
import logging
import random
from pathlib import Path

from distillex_training.config import StudentRun, read_config
from distillex_training.distill import distill

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "training" / "configs" / "student-own-data.yaml"
FROM_SCRATCH = {
    "initial": "null",
    "learning_rate": "2e-3",
    "student.width": "192",
    "student.head": "192",
    "student.bigram_hash_size": "131072",
    "student.owned_bigrams": "true",
}
FEWEST_STEPS, FEWEST_EPOCHS = 400, 12


def draw(source: Path, count: int, seed: int, folder: Path) -> Path:
    """Write so many lines of a labelled file, drawn at random; 0 takes the file itself."""
    if not count:
        return source.resolve()
    lines = source.read_text(encoding="utf-8").splitlines()
    if count > len(lines):
        raise SystemExit(f"{source}: {len(lines)} sentences; {count} were asked for")
    drawn = folder / f"train-{count}-seed{seed}.jsonl"
    drawn.parent.mkdir(parents=True, exist_ok=True)
    picked = random.Random(seed).sample(lines, count)
    drawn.write_text("".join(line + "\n" for line in picked), encoding="utf-8")
    return drawn.resolve()


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
    batch_size = read_config(CONFIG, StudentRun).loop.batch_size
    rows = []
    for count in asked.sentences:
        file = draw(asked.train, count, asked.seed, asked.output)
        sentences = len(file.read_text(encoding="utf-8").splitlines())
        epochs = max(FEWEST_EPOCHS, -(-FEWEST_STEPS * batch_size // sentences))
        found = []
        for name, settings in (("from-scratch", FROM_SCRATCH), ("begun", {})):
            keys = {
                "data.train": str(file),
                "data.dev": str(asked.dev.resolve()),
                "loop.epochs": str(epochs),
                "loop.seed": str(asked.seed),
            }
            run = read_config(CONFIG, StudentRun, settings | keys)
            found.append(distill(run, asked.output / f"{name}-{count or 'all'}-seed{asked.seed}")["f1"])
        rows.append((sentences, epochs, *found))
    print("| sentences | epochs | F1, from scratch | F1, begun with the shipped student |\n|---|---|---|---|")
    for sentences, epochs, scratch, begun in rows:
        print(f"| {sentences:,} | {epochs} | {scratch:.4f} | {begun:.4f} |")


if __name__ == "__main__":
    main()
