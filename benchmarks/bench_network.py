"""Where a student's network spends its time on a CPU, and what its form for CPUs saves.

    python benchmarks/bench_network.py models/student-cluener cnews.txt [--base lexicons/base/1.lex]
        [--network FILE ...] [--rounds 31]

The second file is raw text: for calibration and, cut into pieces of equal length, as input (how many slots of the
lexicon features are filled decides what they cost). Four networks take turns, and the files of ``--network``: the
student as PyTorch has it, and in its form for CPUs, each in float32 and in static int8. Printed are medians of CPU
milliseconds a run on one thread, and how many times as fast a network is as the first of its kind: the median of the
rounds' ratios. Then what ONNX Runtime's profiler says of the last network: operators, their number, microseconds.
The profiler's own cost is in them, a microsecond or two an operator.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any

import onnxruntime
from alternating import alternate
from distillex_matcher import FeatureLayout, Features, Lexicon
from distillex_training.data.raw import read_raw
from distillex_training.export.int8 import calibration_batches, export_quantized, quantize_with_calibration
from distillex_training.export.onnx import INPUT_NAMES, export_onnx
from distillex_training.export.options import Int8
from distillex_training.export.quantize import quantize_tables
from distillex_training.models import Student, load_model
from numpy.typing import NDArray

SHAPES = ((1, 32), (32, 32), (32, 64))
PROFILED_RUNS = 50
Feeds = dict[str, NDArray[Any]]


def write_networks(student: Student, layout: FeatureLayout, batches: list[Features], folder: Path) -> dict[str, Path]:
    """Export the student in both forms, in float32 and in static int8."""
    names = ("float32, as in PyTorch", "float32, for CPUs", "int8, as in PyTorch", "int8, for CPUs")
    paths = {name: folder / f"{number}.onnx" for number, name in enumerate(names)}
    export_onnx(student, layout, paths[names[0]])
    export_quantized(student, layout, paths[names[1]], Int8.NONE)
    export_onnx(quantize_tables(student), layout, folder / "tables.onnx")
    quantize_with_calibration(folder / "tables.onnx", paths[names[2]], batches)
    export_quantized(student, layout, paths[names[3]], Int8.STATIC, batches)
    return paths


def feeds_of(layout: FeatureLayout, base: Lexicon, texts: list[str], batch: int, tokens: int) -> Feeds:
    """Featurise pieces of the texts that fill a batch without padding."""
    joined, length = "".join(texts), tokens - 2
    if len(joined) < batch * length:
        raise SystemExit(f"the text has {len(joined)} characters; at least {batch * length} are needed")
    pieces = [joined[row * length : (row + 1) * length] for row in range(batch)]
    features = layout.featurizer(base).featurize(pieces)
    arrays = (features.input_ids, features.lexicon_types, features.lexicon_words, features.lexicon_weights)
    return {name: array[:, :tokens].copy() for name, array in zip(INPUT_NAMES, arrays, strict=True)}


def open_as_served(path: Path, profile: Path | None = None) -> onnxruntime.InferenceSession:
    """Open a network on one thread, without the fusion that slows older files down; profiled where it has a folder."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile / "profile")
    return onnxruntime.InferenceSession(
        path, options, providers=["CPUExecutionProvider"], disabled_optimizers=["SkipLayerNormFusion"]
    )


def milliseconds(session: onnxruntime.InferenceSession, feeds: Feeds, repeats: int) -> float:
    """Return the CPU time of a run, after one that does not count."""
    session.run(None, feeds)
    began = time.process_time()
    for _ in range(repeats):
        session.run(None, feeds)
    return (time.process_time() - began) / repeats * 1e3


def operator_times(path: Path, feeds: Feeds) -> dict[str, tuple[int, float]]:
    """Return (number, microseconds a run) of each kind of operator, by the profiler; the dearest first."""
    with tempfile.TemporaryDirectory() as folder:
        session = open_as_served(path, Path(folder))
        for _ in range(PROFILED_RUNS):
            session.run(None, feeds)
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    durations: dict[tuple[str, str], list[int]] = defaultdict(list)
    for event in events:
        if event["name"].endswith("_kernel_time"):
            durations[event["args"]["op_name"], event["name"]].append(event["dur"])
    times: dict[str, tuple[int, float]] = {}
    for (operator, _), taken in durations.items():
        number, total = times.get(operator, (0, 0.0))
        # Whole microseconds are recorded: of many runs the mean says more than the median, without the slowest.
        times[operator] = number + 1, total + statistics.mean(sorted(taken)[: -PROFILED_RUNS // 10])
    return dict(sorted(times.items(), key=lambda item: -item[1][1]))


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("raw", type=Path)
    parser.add_argument("--base", type=Path, default=Path("lexicons/base/1.lex"))
    parser.add_argument("--network", type=Path, action="append", default=[], help="a file to compare, of that layout")
    parser.add_argument("--rounds", type=int, default=31)
    arguments = parser.parse_args()
    student, _, layout = load_model(arguments.model)
    if not isinstance(student, Student):
        raise SystemExit(f"{arguments.model} is a teacher; a student is expected")
    base = Lexicon.load(arguments.base)
    texts = read_raw([arguments.raw], max_length=510)[0]
    with tempfile.TemporaryDirectory() as folder:
        networks = write_networks(student, layout, calibration_batches(layout, base, texts), Path(folder))
        last = networks["int8, for CPUs"]
        networks |= {str(path): path for path in arguments.network}
        sessions = {name: open_as_served(path) for name, path in networks.items()}
        feeds = {shape: feeds_of(layout, base, texts, *shape) for shape in SHAPES}
        cells: dict[str, list[str]] = {name: [] for name in networks}
        for shape, its in feeds.items():
            repeats = 20 if shape[0] == 1 else 2
            turns = [partial(milliseconds, session, its, repeats) for session in sessions.values()]
            times = dict(zip(sessions, alternate(turns, arguments.rounds), strict=True))
            for name, taken in times.items():
                reference = "float32, as in PyTorch" if name.startswith("float32") else "int8, as in PyTorch"
                ratios = [theirs / ours for theirs, ours in zip(times[reference], taken, strict=True)]
                cells[name].append(f"{statistics.median(taken):.3f} ({statistics.median(ratios):.2f})")
        print(
            "| CPU ms a run (times as fast) | " + " | ".join(f"{batch} × {tokens}" for batch, tokens in SHAPES) + " |"
        )
        print("|---|" + "---|" * len(SHAPES))
        for name, row in cells.items():
            print(f"| {name} | {' | '.join(row)} |")
        profiled = [operator_times(last, feeds[shape]) for shape in SHAPES[:2]]
    print("\n| operator | number | " + " | ".join(f"µs, {batch} × {tokens}" for batch, tokens in SHAPES[:2]) + " |")
    print("|---|---|---|---|")
    for operator, (number, _) in profiled[1].items():
        print(f"| {operator} | {number} | " + " | ".join(f"{times[operator][1]:.0f}" for times in profiled) + " |")
    totals = [(sum(n for n, _ in times.values()), sum(t for _, t in times.values())) for times in profiled]
    print(f"| all | {totals[0][0]} | " + " | ".join(f"{total:.0f}" for _, total in totals) + " |")


if __name__ == "__main__":
    main()
