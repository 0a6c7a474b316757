"""What the gate costs: the same requests through it and to the server itself, in turns.

    python benchmarks/bench_gate.py [--sentences 1000] [--singles 300] [--rounds 9] [--json FILE]

Two embedded servers run side by side on 127.0.0.1, one of them behind the gate; only the one whose turn it is works.
Prints medians over the rounds: p50 of single requests, and sentences a second in batches of 32, four in flight.
"""

from __future__ import annotations

import argparse
import contextlib
import json
from pathlib import Path
from statistics import median

from alternating import alternate, seconds_of
from bench_serving import ROOT, SINGLE, percentile, read_sentences
from distillex_client import Extractor
from distillex_serving.embedded import EmbeddedServer, ServerOptions
from distillex_serving.gate import put_gate_before
from served_rate import BATCH


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sentences", type=int, default=1000)
    parser.add_argument("--singles", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    sentences = read_sentences(ROOT / "examples" / "news.txt", arguments.sentences)
    options = ServerOptions(grpc_port=0, http_port=0, metrics_port=0)
    with contextlib.ExitStack() as stack:
        gate, behind = put_gate_before(options)
        stack.callback(gate.close)
        stack.enter_context(EmbeddedServer(behind))
        gate.start()
        plain = stack.enter_context(EmbeddedServer(options))
        extractors = [stack.enter_context(Extractor(url, batch_size=BATCH)) for url in (gate.grpc_url, plain.grpc_url)]
        for extractor in extractors:
            extractor.extract_batch(sentences[:128])

        def single_ms(extractor: Extractor) -> float:
            times = [seconds_of(lambda: extractor.extract(SINGLE)) for _ in range(arguments.singles)]
            return percentile(times, 50) * 1000

        def rate(extractor: Extractor) -> float:
            return len(sentences) / seconds_of(lambda: extractor.extract_batch(sentences))

        single = alternate([lambda e=e: single_ms(e) for e in extractors], arguments.rounds)
        batches = alternate([lambda e=e: rate(e) for e in extractors], arguments.rounds)
    ours = {"single_p50_ms": median(single[0]), "sentences_per_s": median(batches[0])}
    peer = {"single_p50_ms": median(single[1]), "sentences_per_s": median(batches[1])}
    ratios = {name: ours[name] / peer[name] for name in ours}
    print(
        f"single requests of {len(SINGLE)} characters, p50: through the gate {ours['single_p50_ms']:.2f} ms, ", end=""
    )
    print(f"without {peer['single_p50_ms']:.2f} ms, ratio {ratios['single_p50_ms']:.2f} (at most 1.25 wanted)")
    print(f"batches of 32: through the gate {ours['sentences_per_s']:,.0f} sentences/s, ", end="")
    print(f"without {peer['sentences_per_s']:,.0f}, ratio {ratios['sentences_per_s']:.2f} (at least 0.95 wanted)")
    if arguments.json:
        content = {"ours": ours, "peers": {"without-the-gate": peer}, "ratios": {"without-the-gate": ratios}}
        arguments.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
