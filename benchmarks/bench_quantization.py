"""int8 variants of a student in ONNX Runtime on the CPU: time, bytes and F1 of each.

    python benchmarks/bench_quantization.py models/student-cluener cluener/dev.jsonl cnews.txt
        [--base lexicons/base/1.lex] [--rounds 15] [--threads 0] [--json FILE]

The second file is labelled (F1), the third raw text (calibration). Rounds alternate between the variants; medians of
milliseconds a batch are printed, and how many times as fast a variant is as the network with int8 tables and its
convolutions as they are (what was shipped first): the median of the rounds' ratios, so that work beside the benchmark
counts less.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from alternating import alternate, seconds_of
from distillex_matcher import FeatureLayout, Features, Lexicon
from distillex_matcher.cores import usable_cores
from distillex_training.data.labelled import read_labelled
from distillex_training.data.raw import read_raw
from distillex_training.evaluate import predict_and_score
from distillex_training.export.int8 import (
    Int8,
    calibration_batches,
    export_quantized,
    quantize_products,
    quantize_with_calibration,
)
from distillex_training.export.onnx import INPUT_NAMES, export_onnx, onnx_emissions, open_session, random_inputs
from distillex_training.export.quantize import quantize_tables
from distillex_training.models import Student, load_model
from numpy.typing import NDArray
from onnxruntime import InferenceSession

SHAPES = ((1, 32), (32, 32), (32, 64))
REFERENCE = "tables, convolutions as they are"


def write_variants(
    student: Student, layout: FeatureLayout, calibration: list[Features], folder: Path
) -> dict[str, Path]:
    """Export all variants."""
    tables = quantize_tables(student)
    writers: dict[str, Callable[[Path], object]] = {
        REFERENCE: lambda path: export_onnx(tables, layout, path),
        "none": lambda path: export_quantized(student, layout, path, Int8.NONE),
        "tables": lambda path: export_quantized(student, layout, path, Int8.TABLES),
        "dynamic, convolutions as they are": lambda path: quantize_products(folder / f"{REFERENCE}.onnx", path),
        "dynamic": lambda path: export_quantized(student, layout, path, Int8.DYNAMIC),
        "static, convolutions as products": lambda path: quantize_with_calibration(
            folder / "tables.onnx", path, calibration
        ),
        "static": lambda path: export_quantized(student, layout, path, Int8.STATIC, calibration),
    }
    for name, write in writers.items():
        write(folder / f"{name}.onnx")
    return {name: folder / f"{name}.onnx" for name in writers}


def milliseconds(session: InferenceSession, feeds: dict[str, NDArray[Any]], repeats: int) -> float:
    """Return how long a batch takes, after one that does not count."""
    run = partial(session.run, None, feeds)
    run()
    return seconds_of(run, repeats) / repeats * 1e3


def measure(
    variants: dict[str, Path], layout: FeatureLayout, threads: int, rounds: int
) -> dict[str, list[tuple[float, float]]]:
    """Return (median milliseconds, ratio to the reference) of each variant at each shape."""
    sessions = {name: open_session(path, threads) for name, path in variants.items()}
    result: dict[str, list[tuple[float, float]]] = {name: [] for name in variants}
    for batch, tokens in SHAPES:
        inputs = random_inputs(layout, batch, tokens)
        feeds = {name: tensor.numpy() for name, tensor in zip(INPUT_NAMES, inputs, strict=True)}
        repeats = 20 if batch == 1 else 3

        turns = [partial(milliseconds, session, feeds, repeats) for session in sessions.values()]
        times = dict(zip(sessions, alternate(turns, rounds), strict=True))
        for name, taken in times.items():
            ratios = [theirs / ours for theirs, ours in zip(times[REFERENCE], taken, strict=True)]
            result[name].append((statistics.median(taken), statistics.median(ratios)))
    return result


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("labelled", type=Path)
    parser.add_argument("raw", type=Path)
    parser.add_argument("--base", type=Path, default=Path("lexicons/base/1.lex"))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=0, help="0: one a core")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    student, crf, layout = load_model(arguments.model)
    if not isinstance(student, Student):
        raise SystemExit(f"{arguments.model} is a teacher; a student is expected")
    base = Lexicon.load(arguments.base)
    calibration = calibration_batches(layout, base, read_raw([arguments.raw], max_length=510)[0])
    sentences, _ = read_labelled(arguments.labelled)
    featurizer, decoder = layout.featurizer(base), crf.decoder()
    with tempfile.TemporaryDirectory() as folder:
        variants = write_variants(student, layout, calibration, Path(folder))
        times = measure(variants, layout, arguments.threads, arguments.rounds)
        rows = []
        for name, path in variants.items():
            f1 = predict_and_score(featurizer, onnx_emissions(path), decoder, sentences).micro.f1
            rows.append({"int8": name, "bytes": path.stat().st_size, "f1": f1, "times": times[name]})
    print(f"{usable_cores()} cores, {arguments.rounds} rounds; ms (times as fast as {REFERENCE!r})\n")
    print("| int8 | " + " | ".join(f"{batch} × {tokens}" for batch, tokens in SHAPES) + " | MB | F1 |")
    print("|---|" + "---|" * (len(SHAPES) + 2))
    for row in rows:
        cells = " | ".join(f"{milliseconds:.2f} ({ratio:.2f})" for milliseconds, ratio in row["times"])
        print(f"| {row['int8']} | {cells} | {row['bytes'] / 1e6:.2f} | {row['f1']:.4f} |")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
