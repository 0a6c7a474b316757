"""A teacher's predictions on raw text: computed once, kept on disk, memory-mapped."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from distillex_training.models import load_model
from distillex_training.tagging import TaggingData

LOG = logging.getLogger("distillex.training")
BATCH_SIZE = 32


class TeacherCache:
    """Best spans, their posteriors, and posterior marginals (float16) of raw sentences."""

    def __init__(self, directory: Path) -> None:
        records = (directory / "spans.jsonl").read_text(encoding="utf-8").splitlines()
        self._records = [json.loads(line) for line in records]
        lengths = np.array([len(record["text"]) for record in self._records], dtype=np.int64)
        self._offsets = np.concatenate([[0], np.cumsum(lengths)])
        labels = json.loads((directory / "meta.json").read_text(encoding="utf-8"))["labels"]
        shape = (int(self._offsets[-1]), labels)
        self._marginals = np.memmap(directory / "marginals.f16", dtype=np.float16, mode="r", shape=shape)

    def __len__(self) -> int:
        return len(self._records)

    def text(self, row: int) -> str:
        """Return the raw sentence."""
        text: str = self._records[row]["text"]
        return text

    def spans(self, row: int) -> list[tuple[int, int, str]]:
        """Return the teacher's best spans."""
        return [(start, end, kind) for start, end, kind, _ in self._records[row]["spans"]]

    def confident(self, minimum: float) -> list[int]:
        """Rows whose least certain span has at least this posterior."""
        return [row for row, record in enumerate(self._records) if all(span[3] >= minimum for span in record["spans"])]

    def marginals(self, rows: Sequence[int], characters: int) -> Tensor:
        """Posterior marginals, zero on padding. *Shape:* [len(rows), characters, L], float32."""
        padded = np.zeros((len(rows), characters, self._marginals.shape[1]), dtype=np.float32)
        for i, row in enumerate(rows):
            begin, end = self._offsets[row], self._offsets[row + 1]
            padded[i, : end - begin] = self._marginals[begin:end]
        return torch.from_numpy(padded)


def cache_key(teacher: Path, data: TaggingData) -> str:
    """Hash of the teacher's weights, the raw text and the base lexicon."""
    digest = hashlib.sha256((teacher / "model.safetensors").read_bytes())
    digest.update(data.base.checksum.encode())
    for text in data.raw:
        digest.update(text.encode() + b"\n")
    return digest.hexdigest()[:16]


def label_raw_text(teacher: Path, data: TaggingData, cache: Path) -> TeacherCache:
    """Label ``data.raw`` with a teacher, or open what was labelled before; resumes after an interruption."""
    directory = cache / cache_key(teacher, data)
    if (directory / "complete").exists():
        return TeacherCache(directory)
    directory.mkdir(parents=True, exist_ok=True)
    model, crf, layout = load_model(teacher)
    featurizer = layout.featurizer(data.base)
    decoder = crf.decoder()
    types = crf.scheme.entity_types
    order = sorted(range(len(data.raw)), key=lambda i: len(data.raw[i]))
    spans_path, marginals_path = directory / "spans.jsonl", directory / "marginals.f16"
    done = _finished_rows(spans_path, marginals_path, len(crf.scheme))
    LOG.info("labelling %d raw sentences with the teacher (%d done before)", len(order), done)
    with spans_path.open("a", encoding="utf-8") as spans_file, marginals_path.open("ab") as marginals_file:
        for begin in range(done, len(order), BATCH_SIZE):
            texts = [data.raw[i] for i in order[begin : begin + BATCH_SIZE]]
            features = featurizer.featurize(texts)
            inputs = (features.input_ids, features.lexicon_types, features.lexicon_words, features.lexicon_weights)
            longest = int(features.lengths.max())
            with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
                emissions = model(*(torch.from_numpy(array[:, :longest]) for array in inputs)).float().numpy()
            marginals = decoder.marginals(emissions, features.lengths)
            found: list[list[tuple[int, int, str, float]]] = [[] for _ in texts]
            spans = decoder.decode(emissions, features.lengths)
            for row, start, end, kind, posterior in zip(*(column.tolist() for column in spans), strict=True):
                found[row].append((start, end, types[kind], round(posterior, 4)))
            for row, text in enumerate(texts):
                marginals_file.write(marginals[row, 1 : 1 + len(text)].astype(np.float16).tobytes())
            marginals_file.flush()
            for row, text in enumerate(texts):
                spans_file.write(json.dumps({"text": text, "spans": found[row]}, ensure_ascii=False) + "\n")
            spans_file.flush()
            if begin // BATCH_SIZE % 100 == 99:
                LOG.info("labelled %d of %d", begin + len(texts), len(order))
    (directory / "meta.json").write_text(json.dumps({"labels": len(crf.scheme)}), encoding="utf-8")
    (directory / "complete").touch()
    return TeacherCache(directory)


def _finished_rows(spans_path: Path, marginals_path: Path, labels: int) -> int:
    """Cut both files back to whole batches that both hold; return their number of rows."""
    if not spans_path.exists() or not marginals_path.exists():
        return 0
    lines = spans_path.read_text(encoding="utf-8").split("\n")[:-1]
    rows = len(lines) // BATCH_SIZE * BATCH_SIZE
    kept = lines[:rows]
    spans_path.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
    characters = sum(len(json.loads(line)["text"]) for line in kept)
    os.truncate(marginals_path, characters * labels * 2)
    return rows
