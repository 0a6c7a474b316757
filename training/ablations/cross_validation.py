"""Choose settings of a student or teacher on its training file alone, by cross-validation.

    python training/ablations/cross_validation.py training/configs/student-resume-refined.yaml --folds 5 \
        --try loop.epochs=6 --try "loop.epochs=6 learning_rate=1e-3" [--output runs/cross-validation]

The training file is cut into folds, equal sentences never apart; each fold is the development file of a run that trains
on the others. For each of the settings tried it prints the F1 of all folds and their mean. The development file of the
configuration is not read, so that it can report what was chosen. A run that is complete is not repeated; an interrupted
one goes on. ``--last`` counts each run's last epoch in place of its best one, which was picked on the fold itself.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
from pathlib import Path
from statistics import mean

from distillex_training.config import Corpus, StudentRun, TeacherRun, read_config
from distillex_training.data.convert import text_key
from distillex_training.distill import distill
from distillex_training.finetune import finetune
from distillex_training.run_state import METRICS
from labelled_parts import as_setting, lines_of, write_lines


def write_folds(train: Path, folds: int, folder: Path) -> list[tuple[Path, Path]]:
    """Cut a labelled file into training and development files, a pair a fold; the same file gives the same folds."""
    lines = lines_of(train)
    keys = [text_key(json.loads(line)["text"]) for line in lines]
    fold_of = {key: place % folds for place, key in enumerate(sorted(set(keys)))}
    pairs = []
    for fold in range(folds):
        parts = [
            [line for line, key in zip(lines, keys, strict=True) if (fold_of[key] == fold) is wanted]
            for wanted in (False, True)
        ]
        names = f"train-{fold}.jsonl", f"dev-{fold}.jsonl"
        train_part, dev_part = (write_lines(part, folder / name) for part, name in zip(parts, names, strict=True))
        pairs.append((train_part, dev_part))
    return pairs


def main() -> None:
    """Train all that is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, help="of a student (student-*.yaml) or a teacher (teacher-*.yaml)")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--try", dest="tried", action="append", default=[], metavar="KEY=VALUE ...")
    parser.add_argument("--last", action="store_true", help="count the last epoch of each run")
    parser.add_argument("--output", type=Path, default=Path("runs/cross-validation"))
    asked = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    is_teacher = asked.config.name.startswith("teacher")
    run: TeacherRun | StudentRun
    run = read_config(asked.config, TeacherRun) if is_teacher else read_config(asked.config, StudentRun)
    train = run.data.train
    if len(train) != 1:
        raise SystemExit(f"{asked.config}: {len(train)} training files; one is cut into folds")
    folder = asked.output / asked.config.stem
    pairs = write_folds(train[0].path, asked.folds, folder / f"{asked.folds}-folds")
    rows = []
    for tried in asked.tried or [""]:
        settings = dict(item.split("=", 1) for item in tried.split())
        found = []
        for fold, (fold_train, fold_dev) in enumerate(pairs):
            part = dataclasses.replace(train[0], path=fold_train)
            files = {
                "data.train": as_setting([part]),
                "data.dev": as_setting([Corpus(fold_dev, part.declaration)]),
            }
            name = tried.replace(" ", "_").replace("/", "-") or "as-it-is"
            run_directory = folder / f"{name}-{asked.folds}-{fold}"
            if is_teacher:
                best = finetune(read_config(asked.config, TeacherRun, settings | files), run_directory)
            else:
                best = distill(read_config(asked.config, StudentRun, settings | files), run_directory)
            last = json.loads((run_directory / METRICS).read_text(encoding="utf-8").splitlines()[-1])
            found.append(last["f1"] if asked.last else best["f1"])
        rows.append((tried or "as it is", found))
    print(f"| settings | mean F1 of {asked.folds} folds | lowest | highest |\n|---|---|---|---|")
    for name, found in sorted(rows, key=lambda row: -mean(row[1])):
        print(f"| {name} | {mean(found):.4f} | {min(found):.4f} | {max(found):.4f} |")


if __name__ == "__main__":
    main()
