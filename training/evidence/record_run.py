"""Put the outcome of a training run into docs/notebook/results.json.

    python training/evidence/record_run.py runs/student-cluener --set cluener --model "student, distilled" --seed 1
        --command "distillex distill training/configs/student-cluener.yaml" [--note "stopped after epoch 3"]

    python training/evidence/record_run.py models/student-cluener --set cluener --model "student, mean of three"
        --command "distillex average …" --development ../shared/data/labelled/cluener/dev.jsonl

Reads metrics.jsonl and best/ of the run directory, or measures a model directory on a development file; the commit is
the one that is checked out. Then training/evidence/write_results.py.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

from results_file import RESULTS, RUNS, current_commit, put_row
from safetensors import safe_open

FLOATS = ("F32", "F16", "BF16", "F64")
BASE = Path("lexicons/base/1.lex")


def count_parameters(model: Path) -> int:
    """Return the number of weights in a model directory; whole numbers, such as the owners of bigrams, are none."""
    with safe_open(model / "model.safetensors", framework="numpy") as tensors:
        slices = [tensors.get_slice(name) for name in tensors.keys() if not name.endswith(".scales")]  # noqa: SIM118
        return sum(math.prod(each.get_shape()) for each in slices if each.get_dtype() in (*FLOATS, "I8"))


def row_of_run(run: Path) -> dict[str, Any]:
    """Return what a run directory says of itself."""
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    curve = [json.loads(line) for line in lines]
    best = max(curve, key=lambda each: float(each["f1"]))
    return {
        "f1": best["f1"],
        "precision": best["precision"],
        "recall": best["recall"],
        "best_epoch": best["epoch"],
        "parameters": count_parameters(run / "best"),
        "curve": [{key: each[key] for key in ("epoch", "f1", "loss", "seconds")} for each in curve],
    }


def row_of_model(directory: Path, development: Path, base: Path) -> dict[str, Any]:
    """Measure a model that no run wrote, such as a mean of several."""
    from distillex_matcher import Lexicon
    from distillex_training.data.labelled import read_labelled
    from distillex_training.evaluate import predict_and_score, torch_emissions
    from distillex_training.models import load_model

    tagger, crf, layout = load_model(directory)
    sentences, _ = read_labelled(development, entity_types=crf.scheme.entity_types)
    featurizer = layout.featurizer(Lexicon.load(base))
    scores = predict_and_score(featurizer, torch_emissions(tagger), crf.decoder(), sentences).micro
    return {
        "f1": scores.f1,
        "precision": scores.precision,
        "recall": scores.recall,
        "parameters": count_parameters(directory),
        "curve": [],
    }


def record(
    run: Path,
    of_set: str,
    model: str,
    seed: int,
    command: str,
    *,
    note: str = "",
    results: Path = RESULTS,
    development: Path | None = None,
    base: Path = BASE,
) -> dict[str, Any]:
    """Put the row of a run directory into the results and return it; with ``development``, of a model directory."""
    named = {"set": of_set, "model": model, "seed": seed}
    measured = row_of_run(run) if development is None else row_of_model(run, development, base)
    row = named | measured | {"command": command, "commit": current_commit(), "note": note}
    put_row(RUNS, row, results)
    return row


def main() -> None:
    """Record one run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--set", required=True, help="cluener, resume, msra")
    parser.add_argument("--model", required=True, help="the row of the table")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--command", required=True)
    parser.add_argument("--note", default="")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--development", type=Path, help="RUN is a model directory, to be measured on this file")
    parser.add_argument("--base", type=Path, default=BASE)
    asked = parser.parse_args()
    row = record(
        *(asked.run, asked.set, asked.model, asked.seed, asked.command),
        note=asked.note,
        results=asked.results,
        development=asked.development,
        base=asked.base,
    )
    print(f"{asked.set}, {asked.model}, seed {asked.seed}: F1 {row['f1']:.4f}, {row['parameters']:,} parameters")


if __name__ == "__main__":
    main()
