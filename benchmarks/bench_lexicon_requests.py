"""What the dynamic vocabulary costs a request, end to end through the embedded server.

    python benchmarks/bench_lexicon_requests.py [--rounds 7] [--requests 300] [--json FILE]

The peer is the same server without LEXICON, LEXICON_NAME and TRUST, inputs that its configuration lacks. Against it,
requests
that carry no words; then requests with the same 100 words each time, and with 100 other words each time. They are
single, of 29 characters; servers and cases alternate; medians over the rounds of each round's median.

At last what a hostile caller can do: a text of 510 characters whose every substring of up to 64 is a word of the
request, of all types in turn and insisted on, against the same text without words.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from alternating import alternate
from distillex.models import DEFAULT_MODEL, find_model
from distillex_client import Extractor
from distillex_matcher import CrfParameters
from distillex_matcher.exported import CRF_FILE
from distillex_serving.embedded import EmbeddedServer, ServerOptions
from distillex_serving.locations import shipped_configurations
from distillex_serving.repository import CONFIGURATIONS, EXTRACTOR, Layout

TEXT = "华为技术有限公司昨天与复旦大学在上海签署了一份合作协议书。"
WORD_COUNT = 100
HOSTILE_TEXT = "长" * 510

Words = dict[str, Any]


def without_lexicon_inputs(folder: Path) -> Path:
    """Copy the models' configurations into ``folder`` and take the inputs of lexicons out of the extractor's."""
    configurations = shutil.copytree(shipped_configurations(), folder / "model_repository")
    path = configurations / EXTRACTOR / CONFIGURATIONS[Layout.FUSED][EXTRACTOR]
    lines = path.read_text(encoding="utf-8").split("\n")
    kept = [line for line in lines if not re.search(r'"(LEXICON|LEXICON_NAME|TRUST)"', line)]
    if len(kept) == len(lines):
        raise SystemExit(f"{path}: no line names LEXICON")
    # A list must not end in a comma once its last items are gone.
    path.write_text(re.sub(r",(\s*(#[^\n]*\n\s*)*\])", r"\1", "\n".join(kept)), encoding="utf-8")
    return configurations


def load_crf() -> CrfParameters:
    """Return the CRF of the served model."""
    return CrfParameters.load(find_model(DEFAULT_MODEL) / CRF_FILE)


def words_of(number: int) -> Words:
    """Return a hundred words that no other number gives."""
    return {f"虚构{number}公司{i}号": "company" for i in range(WORD_COUNT)}


def median_ms(extractor: Extractor, requests: int, words: Callable[[], Words | None], text: str = TEXT) -> float:
    """Median milliseconds of single requests."""
    taken = []
    for _ in range(requests):
        lexicon = words()
        began = time.perf_counter()
        extractor.extract(text, lexicon=lexicon)
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    numbers = iter(range(10**9))
    same = words_of(next(numbers))
    types = load_crf().entity_types
    nested: Words = {"长" * length: {"type": types[length % len(types)], "trust": "insist"} for length in range(1, 65)}
    few = max(10, arguments.requests // 10)
    with tempfile.TemporaryDirectory() as folder:
        repository = without_lexicon_inputs(Path(folder))
        plain_options = ServerOptions(repository=repository, grpc_port=0, http_port=0, metrics_port=0)
        options = ServerOptions(grpc_port=0, http_port=0, metrics_port=0)
        with (
            EmbeddedServer(plain_options) as plain_server,
            EmbeddedServer(options) as server,
            Extractor(plain_server.grpc_url) as plain,
            Extractor(server.grpc_url) as extractor,
        ):
            runs: dict[str, Callable[[], float]] = {
                "no lexicon inputs": lambda: median_ms(plain, arguments.requests, lambda: None),
                "no words": lambda: median_ms(extractor, arguments.requests, lambda: None),
                "same words": lambda: median_ms(extractor, arguments.requests, lambda: same),
                "new words": lambda: median_ms(extractor, arguments.requests, lambda: words_of(next(numbers))),
                "long text": lambda: median_ms(extractor, few, lambda: None, HOSTILE_TEXT),
                "hostile nested words": lambda: median_ms(extractor, few, lambda: nested, HOSTILE_TEXT),
            }
            for run in runs.values():
                run()
            figures = alternate(list(runs.values()), arguments.rounds)
    medians = {name: statistics.median(values) for name, values in zip(runs, figures, strict=True)}
    ratio = medians["no lexicon inputs"] / medians["no words"]
    extra = {name: medians[name] - medians["no words"] for name in ("same words", "new words")}
    print(f"server without lexicon inputs: p50 {medians['no lexicon inputs']:.3f} ms")
    print(f"no words in the request:       p50 {medians['no words']:.3f} ms (speed ratio {ratio:.3f})")
    print(f"the same {WORD_COUNT} words each time: p50 {medians['same words']:.3f} ms ({extra['same words']:+.3f} ms)")
    print(f"{WORD_COUNT} new words each time:      p50 {medians['new words']:.3f} ms ({extra['new words']:+.3f} ms)")
    hostile_ratio = medians["hostile nested words"] / medians["long text"]
    print(
        f"hostile nested words: plain p50 {medians['long text']:.3f} ms, hostile p50 "
        f"{medians['hostile nested words']:.3f} ms (ratio {hostile_ratio:.2f})"
    )
    if arguments.json:
        content = {
            "ours": {name: value for name, value in medians.items() if name != "no lexicon inputs"},
            "peers": {"no lexicon inputs": medians["no lexicon inputs"]},
            "ratios": {"no lexicon inputs": ratio, "hostile nested words": hostile_ratio},
            "extra_ms": extra,
        }
        arguments.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
