"""The whole pipeline with a network on a GPU: texts in, entities out; which part binds, and what is found."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import distillex
import numpy as np
import torch
from alternating import seconds_of
from distillex.device import Device
from distillex.gpu.buckets import Bucket
from distillex.gpu.network import GpuNetwork, padded
from distillex_client import Extractor
from distillex_client.protocol import parse_entities
from distillex_matcher.cores import usable_cores
from distillex_serving.embedded import EmbeddedServer, ServerOptions
from distillex_serving.errors import PreconditionError, ServerError
from distillex_serving.repository import Layout
from distillex_training.models import Student, Teacher
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
WRITTEN = ROOT / "training" / "annotation" / "labels" / "written.txt"
ENTITY = re.compile(r"\[([^\[\]|]+)\|[a-z]+\]")
PARTS = ("featurise", "copy in", "network", "copy out", "decode", "entities")
ON_GPU = PARTS[1:4]
Spans = set[tuple[int, int, int, str]]


def sentences(count: int, file: Path | None = None) -> list[str]:
    """Return different sentences: a file's lines, else those written for the guidelines of annotation."""
    lines = (file or WRITTEN).read_text(encoding="utf-8").split("\n")
    if file is None:
        lines = [ENTITY.sub(r"\1", line.partition("\t")[2]) for line in lines]
    texts = list(dict.fromkeys(line.strip() for line in lines if 0 < len(line.strip()) <= 510))
    if len(texts) < count:
        raise SystemExit(f"{file or WRITTEN}: {len(texts)} different sentences; {count} are needed")
    return texts[:count]


def spans_of(found: Sequence[Sequence[Any]]) -> Spans:
    """Return what was found, by row."""
    return {(row, e.start, e.end, e.type) for row, entities in enumerate(found) for e in entities}


def agreement(found: Spans, expected: Spans) -> dict[str, float]:
    """Return how many spans there are, and the share that both found."""
    both = len(found & expected)
    return {
        "spans": len(expected),
        "found": len(found),
        "agreement": 2 * both / (len(found) + len(expected)) if found or expected else 1.0,
    }


def float32_spans(tagger: distillex.Tagger, model: Student | Teacher, texts: list[str]) -> Spans:
    """Return what the float32 network finds in PyTorch on the CPU, with the features and the decoder of a tagger.

    The CPU's own file has 8-bit numbers, which change a span in a hundred: what they find is no measure of a GPU.
    """
    pipeline: Any = tagger._pipeline
    featurizer = pipeline.lexicons.featurizer()[0]
    given = [text.encode() for text in texts]
    found: list[Any] = [[]] * len(texts)
    for group in pipeline._groups(given):
        rows = [given[row] for row in group.rows]
        features = featurizer.featurize(rows)
        arrays = (features.input_ids, features.lexicon_types, features.lexicon_words, features.lexicon_weights)
        emissions = model(*map(torch.from_numpy, arrays)).numpy()
        decoded = pipeline._decoder.entities_json(emissions, features.lengths, rows, features.trusted)
        for row, entities in zip(group.rows, decoded, strict=True):
            found[row] = parse_entities(entities)
    return spans_of(found)


class Stopwatch:
    """Adds up how long the parts of a pipeline take."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(PARTS, 0.0)

    def timed(self, part: str, call: Callable[..., Any], *arguments: Any) -> Any:
        """Call, and add the time to a part."""
        began = time.perf_counter()
        result = call(*arguments)
        self.seconds[part] += time.perf_counter() - began
        return result


def parts_row(tagger: distillex.Tagger, texts: list[str], batch: int, rounds: int) -> dict[str, Any]:
    """Time the parts of a batch one after the other, microseconds a sentence, and say which one binds.

    The batch is divided into runs as the pipeline divides it.
    """
    given = [text.encode() for text in texts[:batch]]
    taken: dict[str, list[float]] = {part: [] for part in PARTS}
    for number in range(rounds + 1):
        watch = Stopwatch()
        _pass(tagger, given, watch)
        for part, seconds in watch.seconds.items():
            # The first round warms up.
            taken[part] += [seconds / len(given) * 1e6] if number else []
    per_sentence = {part: statistics.median(each) for part, each in taken.items()}
    return {"batch": len(given), "microseconds_per_sentence": per_sentence, **limits(per_sentence, usable_cores())}


def _pass(tagger: distillex.Tagger, given: list[bytes], watch: Stopwatch) -> None:
    pipeline: Any = tagger._pipeline
    network = pipeline._network
    featurizer = pipeline.lexicons.featurizer()[0]
    for group in pipeline._groups(given):
        rows = [given[row] for row in group.rows]
        features = watch.timed("featurise", featurizer.featurize, rows)
        arrays = (features.input_ids, features.lexicon_types, features.lexicon_words, features.lexicon_weights)
        # By the thread that recorded the graphs.
        emissions = network._thread.submit(_on_gpu, network, arrays, watch).result()
        found = watch.timed(
            "decode", pipeline._decoder.entities_json, emissions, features.lengths, rows, features.trusted
        )
        watch.timed("entities", lambda each=found: [parse_entities(row) for row in each])


def _on_gpu(network: GpuNetwork, arrays: Sequence[NDArray[Any]], watch: Stopwatch) -> NDArray[np.float32]:
    rows, tokens = arrays[0].shape
    parts, begin = [], 0
    for bucket in network._buckets.cover(rows, tokens):
        end = min(rows, begin + bucket.rows)
        bound = network._bound[bucket]
        watch.timed("copy in", _padded_in, bound, bucket, [array[begin:end] for array in arrays])
        watch.timed("network", bound.compute)
        parts.append(watch.timed("copy out", bound.copy_out)[: end - begin, :tokens])
        begin = end
    return np.concatenate(parts)


def _padded_in(bound: Any, bucket: Bucket, arrays: Sequence[NDArray[Any]]) -> None:
    bound.copy_in([padded(array, bucket) for array in arrays])


def limits(microseconds: dict[str, float], cores: int) -> dict[str, Any]:
    """Return how many sentences a second each part allows, and which allows the fewest.

    Featurising and decoding go on all cores; the GPU takes one run at a time, its copies included; entities are made in
    Python, on one core at a time.
    """
    rates = {
        "featurise": cores / microseconds["featurise"],
        "copies": 1 / (microseconds["copy in"] + microseconds["copy out"]),
        "network": 1 / microseconds["network"],
        "copies and network": 1 / sum(microseconds[part] for part in ON_GPU),
        "decode": cores / microseconds["decode"],
        "entities": 1 / microseconds["entities"],
    }
    allowed = {part: rate * 1e6 for part, rate in rates.items()}
    alone = {part: rate for part, rate in allowed.items() if part != "copies and network"}
    return {"allowed_sentences_per_second": allowed, "binds": min(alone, key=alone.__getitem__)}


def whole_rate(tagger: distillex.Tagger, texts: list[str], rounds: int) -> float:
    """Return the sentences a second of one call of many texts, the best of the rounds."""
    tagger.extract_batch(texts[:256])
    return max(len(texts) / seconds_of(lambda: tagger.extract_batch(texts)) for _ in range(rounds))


def served(folder: Path, device: Device, texts: list[str], lexicons: Path, batch: int = 256) -> dict[str, Any]:
    """Start ``distillex serve --device gpu``'s server, send it the texts, and return their spans and the rate."""
    options = ServerOptions(
        student=folder, layout=Layout.GPU, device=device, lexicon_directory=lexicons,
        grpc_port=0, http_port=0, metrics_port=0, start_timeout_s=300.0,
    )  # fmt: skip
    try:
        with EmbeddedServer(options) as server, Extractor(server.grpc_url, batch_size=batch) as extractor:
            found = extractor.extract_batch(texts)
            rate = len(texts) / seconds_of(lambda: extractor.extract_batch(texts))
            return {"spans": spans_of(found), "rate": rate, "provider": server.device.provider.value}
    except (PreconditionError, ServerError) as error:
        return {"not_measured": str(error)}
