"""What each part of the lexicon augmentation is worth: one small student a setting, from gold labels alone.

    python training/ablations/lexicon_augmentation.py [--output runs/ablation-augmentation] [--seed 1] [--json FILE]

Every setting changes ``augmentation`` of training/configs/ablation-augmentation.yaml and nothing else. A run that is
complete is not repeated; an interrupted one goes on. Prints a Markdown table: F1 under each lexicon condition of
``distillex evaluate``, recall on unseen entities, and what wrong entries cost.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
from pathlib import Path

from distillex_matcher import Lexicon
from distillex_training.config import AugmentationConfig, StudentRun, read_config
from distillex_training.data.labelled import read_labelled
from distillex_training.distill import distill
from distillex_training.evaluate import torch_emissions
from distillex_training.lexicon_evaluation import ConditionResult, evaluate_conditions
from distillex_training.models import load_model

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "training" / "configs" / "ablation-augmentation.yaml"

SHIPPED = AugmentationConfig()
SETTINGS: dict[str, AugmentationConfig] = {
    "none": AugmentationConfig((0.0,), 0.0, (0,), 0.0),
    "p: right entries": dataclasses.replace(SHIPPED, highest_deletion=0.0, wrong_spans=(0,)),
    "p, q: right entries, deletion": dataclasses.replace(SHIPPED, wrong_spans=(0,)),
    "p, r: right and wrong entries": dataclasses.replace(SHIPPED, highest_deletion=0.0),
    "p, q, r (shipped)": SHIPPED,
    "p, q, twice r": dataclasses.replace(SHIPPED, wrong_spans=(0, 1, 2, 4)),
}


def train_and_evaluate(run: StudentRun, directory: Path) -> list[ConditionResult]:
    """Train one student (or go on, or take the one that is there) and score it under each lexicon condition."""
    if not (directory / "complete").exists():
        distill(run, directory)
        (directory / "complete").touch()
    student, crf, layout = load_model(directory / "best")
    sentences, _ = read_labelled(run.data.dev[0].path, entity_types=crf.scheme.entity_types)
    known = {s.text[e.start : e.end] for s in read_labelled(run.data.train[0].path)[0] for e in s.spans}
    base = Lexicon.load(run.data.lexicon)
    return evaluate_conditions(layout, torch_emissions(student), crf.decoder(layout), sentences, known, base)


def row(name: str, results: list[ConditionResult]) -> str:
    """One line of the table."""
    empty, base, right, wrong, mixed = results
    lift = mixed.unseen.recall - base.unseen.recall
    return (
        f"| {name} | {empty.report.micro.f1:.4f} | {base.report.micro.f1:.4f} | {base.unseen.recall:.4f} "
        f"| {right.unseen.recall:.4f} | {mixed.unseen.recall:.4f} ({lift:+.3f}) "
        f"| {mixed.report.micro.precision - base.report.micro.precision:+.4f} "
        f"| {wrong.report.micro.f1 - base.report.micro.f1:+.4f} |"
    )


def main() -> None:
    """Run all settings and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("runs/ablation-augmentation"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    figures = {}
    lines = []
    for number, (name, augmentation) in enumerate(SETTINGS.items()):
        run = read_config(CONFIG, StudentRun, {"loop.seed": str(arguments.seed)})
        run = dataclasses.replace(run, augmentation=augmentation)
        results = train_and_evaluate(run, arguments.output / f"{number}-seed{arguments.seed}")
        lines.append(row(name, results))
        figures[name] = {
            result.condition: {
                "f1": result.report.micro.f1,
                "precision": result.report.micro.precision,
                "recall_unseen": result.unseen.recall,
            }
            for result in results
        }
        logging.info("%s", lines[-1])
    print("| augmentation | F1, empty | F1, base | unseen recall, base | + right | + right and wrong 1:1 |", end="")
    print(" its precision | F1, wrong alone |\n|---|---|---|---|---|---|---|---|")
    print("\n".join(lines))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
