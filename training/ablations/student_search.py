"""Which encoder, at which size? F1 and speed of three kinds of student at about 1, 2 and 4 MB.

    python training/ablations/student_search.py CALIBRATION_TEXT [--output runs/student-search] [--seed 1] [--json FILE]

Each student is trained from gold labels alone (training/configs/student-search.yaml), exported with static int8 and
timed in ONNX Runtime with all others in alternating rounds. A run that is complete is not repeated; an interrupted one
goes on. The rule: of the students with at least 3,500 sentences a second on two cores (what being three times as fast
as LAC takes, served), the highest F1 of the int8 file; of those within 0.3 points of it, the fastest.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distillex_matcher import FeatureLayout, Lexicon
from distillex_training.config import StudentRun, StudentSizes, read_config
from distillex_training.data.labelled import read_labelled
from distillex_training.data.raw import read_raw
from distillex_training.distill import distill
from distillex_training.evaluate import predict_and_score
from distillex_training.export.int8 import Int8, calibration_batches, export_quantized
from distillex_training.export.onnx import INPUT_NAMES, onnx_emissions, open_session, random_inputs
from distillex_training.models import load_model

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "training" / "configs" / "student-search.yaml"
BATCH, TOKENS = 32, 40
ROUNDS = 15
FAST_ENOUGH = 3500.0
SAME_F1 = 0.003

TABLES: dict[int, dict[str, Any]] = {
    1: {"character_embedding": 48, "bigram_hash_size": 8192, "bigram_embedding": 24, "word_hash_size": 8192,
        "lexicon_embedding": 16},
    2: {"character_embedding": 64, "bigram_hash_size": 16384, "bigram_embedding": 32, "word_hash_size": 16384,
        "lexicon_embedding": 24},
    4: {"character_embedding": 96, "bigram_hash_size": 32768, "bigram_embedding": 32, "word_hash_size": 32768,
        "lexicon_embedding": 32},
}  # fmt: skip
"""MB → the tables' sizes: most of a file's bytes."""
ENCODERS: dict[str, dict[int, dict[str, Any]]] = {
    "gated_cnn": {1: {"width": 80}, 2: {"width": 128}, 4: {"width": 160}},
    "separable_cnn": {
        1: {"width": 128, "dilations": (1, 2, 4, 1)},
        2: {"width": 192, "dilations": (1, 2, 4, 1)},
        4: {"width": 256, "dilations": (1, 2, 4, 8, 1)},
    },
    "transformer": {
        1: {"width": 80, "dilations": (1, 1)},
        2: {"width": 128, "dilations": (1, 1)},
        4: {"width": 160, "dilations": (1, 1, 1)},
    },
}


@dataclass
class Candidate:
    """One student of the search."""

    name: str
    sizes: StudentSizes
    bytes: int = 0
    f1: float = 0.0
    f1_int8: float = 0.0
    sentences_per_second: float = 0.0


def candidates() -> list[Candidate]:
    """All students, to be trained."""
    return [
        Candidate(
            f"{encoder}, {megabytes} MB",
            StudentSizes(encoder=encoder, head=128, **TABLES[megabytes], **by_size[megabytes]),
        )
        for encoder, by_size in ENCODERS.items()
        for megabytes in TABLES
    ]


def train_and_export(candidate: Candidate, run: StudentRun, directory: Path, calibration: list[str]) -> None:
    """Train (or go on, or take what is there), export, score both."""
    candidate.f1 = distill(dataclasses.replace(run, student=candidate.sizes), directory)["f1"]
    student, crf, layout = load_model(directory / "best")
    base = Lexicon.load(run.data.lexicon)
    file = directory / "model.onnx"
    if not file.exists():
        export_quantized(student, layout, file, Int8.STATIC, calibration_batches(layout, base, calibration))
    candidate.bytes = file.stat().st_size
    sentences, _ = read_labelled(run.data.dev, entity_types=crf.scheme.entity_types)
    report = predict_and_score(layout.featurizer(base), onnx_emissions(file), crf.decoder(), sentences)
    candidate.f1_int8 = report.micro.f1


def time_all(found: list[Candidate], folders: list[Path]) -> None:
    """Time all exported students in alternating rounds."""
    sessions, feeds = [], []
    for folder in folders:
        sessions.append(open_session(folder / "model.onnx"))
        inputs = random_inputs(FeatureLayout.load(folder / "best"), BATCH, TOKENS)
        feeds.append({name: tensor.numpy() for name, tensor in zip(INPUT_NAMES, inputs, strict=True)})
    taken: list[list[float]] = [[] for _ in found]
    for _ in range(ROUNDS):
        for number, session in enumerate(sessions):
            session.run(None, feeds[number])
            began = time.perf_counter()
            for _ in range(3):
                session.run(None, feeds[number])
            taken[number].append(3 * BATCH / (time.perf_counter() - began))
    for candidate, rates in zip(found, taken, strict=True):
        candidate.sentences_per_second = statistics.median(rates)


def pick(found: list[Candidate]) -> Candidate | None:
    """Apply the rule."""
    fast = [candidate for candidate in found if candidate.sentences_per_second >= FAST_ENOUGH]
    if not fast:
        return None
    best = max(candidate.f1_int8 for candidate in fast)
    return max((c for c in fast if c.f1_int8 >= best - SAME_F1), key=lambda c: c.sentences_per_second)


def main() -> None:
    """Run all and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("calibration", type=Path, help="raw text for static int8")
    parser.add_argument("--output", type=Path, default=Path("runs/student-search"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    run = read_config(CONFIG, StudentRun, {"loop.seed": str(arguments.seed)})
    calibration = read_raw([arguments.calibration], max_length=510)[0]
    found = candidates()
    folders = [arguments.output / f"{c.name.replace(', ', '-').replace(' ', '')}-seed{arguments.seed}" for c in found]
    for candidate, folder in zip(found, folders, strict=True):
        train_and_export(candidate, run, folder, calibration)
        logging.info("%s: F1 %.4f, int8 %.4f", candidate.name, candidate.f1, candidate.f1_int8)
    time_all(found, folders)
    picked = pick(found)
    print(f"{BATCH} x {TOKENS} tokens a batch\n")
    print("| student | width, layers | MB | F1 | F1, int8 | sentences/s | |\n|---|---|---|---|---|---|---|")
    for candidate in found:
        sizes = candidate.sizes
        print(
            f"| {candidate.name} | {sizes.width}, {len(sizes.dilations)} | {candidate.bytes / 1e6:.2f} "
            f"| {candidate.f1:.4f} | {candidate.f1_int8:.4f} | {candidate.sentences_per_second:.0f} "
            f"| {'picked' if candidate is picked else ''} |"
        )
    if arguments.json:
        rows = [dataclasses.asdict(candidate) for candidate in found]
        arguments.json.write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
