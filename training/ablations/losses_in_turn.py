"""Measure what each distillation loss is worth.

Rows: gold labels alone; with the teacher's best sequence; and with each other loss added. Further rows measure other
ways to keep a student from memorising its sentences.

    python training/ablations/losses_in_turn.py --teacher models/teacher-cluener [--seeds 1 2 3] [--rows 1 2 8]
        [--output runs/losses] [--results docs/notebook/results.json]
    python training/ablations/losses_in_turn.py --teacher models/teacher-resume --set resume
        --config training/configs/student-losses-resume.yaml --output runs/losses-resume
    python training/ablations/losses_in_turn.py --teacher models/teacher-msra --set msra
        --config training/configs/student-losses-msra.yaml --output runs/losses-msra --seeds 1

All students see the gold sentences and the same raw ones as often; there are twice as many raw ones as gold ones
(20,000 in training/configs/student-losses.yaml), on MSRA as many. Gold alone sees no raw text, and the gold sentences
so much more often. Each run goes into the results as it ends; a run that is complete is not repeated, an interrupted
one goes on. Then training/evidence/write_results.py.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from distillex_training.config import StudentRun, read_config
from distillex_training.data.labelled import read_labelled
from distillex_training.distill import distill

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "training" / "evidence"))
from record_run import record  # noqa: E402
from results_file import RESULTS  # noqa: E402

BEST_SEQUENCE = {"distillation.losses.viterbi": "1.0"}
WITH_MARGINALS = BEST_SEQUENCE | {"distillation.losses.token_kl": "0.5"}
MORE_BIGRAMS = WITH_MARGINALS | {"student.bigram_hash_size": "131072"}
OWNED_BIGRAMS = MORE_BIGRAMS | {"student.collision_free_bigrams": "true"}
GOLD_ALONE = "gold alone"
SETTINGS: dict[str, dict[str, str]] = {
    GOLD_ALONE: {},
    "gold, best sequence": BEST_SEQUENCE,
    "gold, best sequence, marginals": WITH_MARGINALS,
    "gold, best sequence, marginals at temperature 2": WITH_MARGINALS | {"distillation.temperature": "2.0"},
    "gold, best sequence, CRF posteriors": BEST_SEQUENCE | {"distillation.losses.crf_marginal_kl": "0.5"},
    "gold, five best sequences": {"distillation.losses.k_best": "1.0"},
    "gold, best sequence, squared error of emissions": BEST_SEQUENCE | {"distillation.losses.logit_mse": "0.1"},
    "gold, best sequence, divergence of emissions": BEST_SEQUENCE | {"distillation.losses.logit_kl": "0.5"},
    "gold, best sequence, hidden states": BEST_SEQUENCE | {"distillation.losses.hidden_mse": "0.5"},
    "gold, best sequence, marginals, hidden states": WITH_MARGINALS | {"distillation.losses.hidden_mse": "0.5"},
    "gold, best sequence, marginals; hidden characters": WITH_MARGINALS | {"student.character_dropout": "0.1"},
    "gold, best sequence, marginals; exchanged entities": WITH_MARGINALS | {"augmentation.exchanged": "0.5"},
    "gold, best sequence, marginals; twice the bigrams": MORE_BIGRAMS,
    "gold, best sequence, marginals; twice the bigrams, owned": OWNED_BIGRAMS,
    "gold, best sequence, marginals; twice the bigrams, owned; more hidden characters": OWNED_BIGRAMS
    | {"student.character_dropout": "0.2"},
    "gold, best sequence, marginals; twice the bigrams, owned; more hidden characters; owned words": OWNED_BIGRAMS
    | {"student.character_dropout": "0.2", "student.collision_free_words": "true"},
}
"""Row of the table → keys of the configuration; rows are counted from 0."""


def gold_repeats(gold: int, raw: int) -> int:
    """Return how often gold alone sees its sentences, to see as many as the others see of both kinds."""
    return round((gold + raw) / gold)


def main() -> None:
    """Run all that is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("--config", type=Path, default=Path("training/configs/student-losses.yaml"))
    parser.add_argument("--set", default="cluener", help="of the results' rows: the label set of the configuration")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--output", type=Path, default=Path("runs/losses"))
    parser.add_argument("--cache", type=Path, default=Path("runs/teacher-cache"))
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument(
        "--rows",
        type=int,
        nargs="+",
        choices=range(len(SETTINGS)),
        default=list(range(len(SETTINGS))),
        metavar="ROW",
        help="only these: " + "; ".join(f"{number} {name}" for number, name in enumerate(SETTINGS)),
    )
    asked = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    rows = list(SETTINGS.items())
    data = read_config(ROOT / asked.config, StudentRun).data
    gold, _ = read_labelled(data.train[0].path)
    repeats = gold_repeats(len(gold), data.raw_limit)
    for seed in asked.seeds:
        for number in asked.rows:
            name, keys = rows[number]
            folder = asked.output / f"{number}-seed{seed}"
            settings = dict(keys)
            if name == GOLD_ALONE:
                settings["distillation.gold_repeats"] = str(repeats)
            else:
                settings["distillation.teacher"] = str(asked.teacher)
            settings["loop.seed"] = str(seed)
            command = " ".join(
                ["distillex distill", str(asked.config), *(f"--set {k}={v}" for k, v in settings.items())]
            )
            settings["distillation.cache"] = str(asked.cache)
            distill(read_config(ROOT / asked.config, StudentRun, settings), folder)
            record(folder, asked.set, f"{data.raw_limit:,} raw sentences: {name}", seed, command, results=asked.results)


if __name__ == "__main__":
    main()
