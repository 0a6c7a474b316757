"""Which head makes the better teacher on the same encoder: the CRF, or one that scores spans (EfficientGlobalPointer)?

    python training/ablations/span_heads.py [--config training/configs/teacher-cluener.yaml] [--sentences 2000]
        [--seeds 1 2 3] [--set loop.epochs=4] [--set span_learning_rate=5e-3] [--output runs/span-heads]

Both read the same sentences with the same lexicon overlays, in the same batches, and begin with the same weights but
for the last layer; dropout and all learning rates are those of the configuration, but for the CRF's and the span
head's. Settings are those of ``distillex finetune`` and of ``SpanHeadRun``. 0 sentences: all. Prints a Markdown table:
span F1, precision and recall on the development file after each epoch. A run that is complete is not repeated; an
interrupted one goes on.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from distillex_training.config import TeacherRun, read_config
from distillex_training.finetune import finetune
from distillex_training.run_state import METRICS
from distillex_training.span_head import SpanHeadRun, finetune_spans
from few_labels import draw

ROOT = Path(__file__).resolve().parents[2]
OF_SPAN_HEAD = ("span_width", "span_learning_rate", "loss_by_type")


def overrides(settings: list[str]) -> dict[str, str]:
    """Read ``KEY=VALUE`` settings."""
    keys = {}
    for item in settings:
        key, equals, value = item.partition("=")
        if not equals:
            raise SystemExit(f"--set: {item!r} is not KEY=VALUE")
        keys[key] = value
    return keys


def epochs_of(directory: Path) -> list[dict[str, Any]]:
    """Return what a run measured after each epoch."""
    return [json.loads(line) for line in (directory / METRICS).read_text(encoding="utf-8").splitlines()]


def table(measured: dict[tuple[str, int], list[dict[str, Any]]]) -> list[str]:
    """Return the lines of the table, the best epoch of each run marked."""
    lines = ["| head | seed | epoch | F1 | precision | recall | s |", "|---|---|---|---|---|---|---|"]
    for (head, seed), rows in measured.items():
        best = max(row["f1"] for row in rows)
        for row in rows:
            f1 = f"{row['f1']:.4f}"
            lines.append(
                f"| {head} | {seed} | {row['epoch']:g} | {f'**{f1}**' if row['f1'] == best else f1} "
                f"| {row['precision']:.4f} | {row['recall']:.4f} | {row['seconds']:.0f} |"
            )
    return lines


def main() -> None:
    """Train all that is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=ROOT / "training" / "configs" / "teacher-cluener.yaml")
    parser.add_argument("--sentences", type=int, default=0, help="of the training file, drawn at random; 0: all")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--output", type=Path, default=Path("runs/span-heads"))
    parser.add_argument("--max-steps", type=int, help="stop each run after so many steps; it goes on when called again")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    asked = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    keys = overrides(asked.settings)
    for_both = {key: value for key, value in keys.items() if key not in OF_SPAN_HEAD}
    variant = "".join(f"-{key}={keys[key]}" for key in OF_SPAN_HEAD if key in keys)
    heads: dict[str, tuple[type[TeacherRun], dict[str, str], Callable[..., dict[str, float]]]] = {
        "crf": (TeacherRun, for_both, finetune),
        f"spans{variant}": (SpanHeadRun, keys, finetune_spans),
    }
    measured = {}
    for seed in asked.seeds:
        for head, (kind, settings, train) in heads.items():
            run_settings = settings | {"loop.seed": str(seed)}
            source = read_config(asked.config, kind, run_settings).data.train[0].path
            file = draw(source, asked.sentences, seed, asked.output)
            run = read_config(asked.config, kind, run_settings | {"data.train": str(file)})
            directory = asked.output / f"{head}-{asked.sentences or 'all'}-seed{seed}"
            train(run, directory, max_steps=asked.max_steps)
            measured[head, seed] = epochs_of(directory)
    print("\n".join(table(measured)))


if __name__ == "__main__":
    main()
