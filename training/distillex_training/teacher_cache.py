"""A teacher's predictions on raw text: computed once, kept on disk, memory-mapped.

A cache folder is named by a hash of teacher, text and lexicon and holds *parts*, each computed only when a loss asks
for it: ``spans`` (best spans with posteriors, and posterior marginals), ``emissions``, ``hidden``, ``pathsK``. One
process at a time writes to it. A file grows as ``NAME.partial``, is renamed when it is whole, and from then on stays as
it is; ``meta.json`` names the parts that are there.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from distillex_client.durations import duration
from distillex_matcher.layout import write_atomically
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from torch import Tensor

from distillex_training.ensemble import Ensemble
from distillex_training.progress import Meter, Pace
from distillex_training.run_record import content_checksum
from distillex_training.tagging import TaggingData
from distillex_training.task import BatchSize
from distillex_training.teacher_outputs import cut, files_of, finished, is_whole, paths_file, rows_of

LOG = logging.getLogger("distillex.training")
T = TypeVar("T")
BATCH_SIZE = 32
FORMAT = 2
"""Of a cache folder; part of its name."""
META = "meta.json"
LOCK = ".lock"


@dataclass(frozen=True)
class CachedOutputs:
    """Which parts of the cache a run's losses read, besides the spans and marginals that are always there."""

    emissions: bool = False
    hidden: bool = False
    paths: int = 0
    """Best paths a sentence; 0: none."""

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts."""
        chosen = (
            ("spans", True),
            ("emissions", self.emissions),
            ("hidden", self.hidden),
            (f"paths{self.paths}", self.paths > 0),
        )
        return tuple(name for name, wanted in chosen if wanted)


SPANS_ALONE = CachedOutputs()


class TeacherCache:
    """Best spans, their posteriors, posterior marginals (float16) of raw sentences, and the wanted parts."""

    def __init__(self, directory: Path, wanted: CachedOutputs = SPANS_ALONE) -> None:
        records = (directory / "spans.jsonl").read_text(encoding="utf-8").splitlines()
        self._records = [json.loads(line) for line in records]
        lengths = np.array([len(record["text"]) for record in self._records], dtype=np.int64)
        self._offsets = np.concatenate([[0], np.cumsum(lengths)])
        meta = _read_meta(directory)
        characters, labels = int(self._offsets[-1]), meta["labels"]

        def mapped(name: str, dtype: Any, shape: tuple[int, ...]) -> NDArray[Any]:
            return np.memmap(directory / name, dtype=dtype, mode="r", shape=shape)

        self._marginals = mapped("marginals.f16", np.float16, (characters, labels))
        if wanted.emissions:
            self._emissions = mapped("emissions.f16", np.float16, (characters, labels))
        if wanted.hidden:
            self.hidden_width = int(meta["hidden_width"])
            self._hidden = mapped("hidden.f16", np.float16, (characters, self.hidden_width))
        if wanted.paths:
            name = f"paths{wanted.paths}"
            self._paths = mapped(*paths_file(name, labels), (characters, wanted.paths))
            self._path_scores = mapped(f"{name}-scores.f32", np.float32, (len(self), wanted.paths))

    def __len__(self) -> int:
        return len(self._records)

    def text(self, row: int) -> str:
        """Return the raw sentence."""
        text: str = self._records[row]["text"]
        return text

    def spans(self, row: int, minimum: float = 0.0) -> list[tuple[int, int, str]]:
        """Return the teacher's best spans, those with a posterior below ``minimum`` left out."""
        return [(start, end, kind) for start, end, kind, score in self.scored_spans(row) if score >= minimum]

    def scored_spans(self, row: int) -> list[tuple[int, int, str, float]]:
        """Return the teacher's best spans with their posteriors."""
        return [(start, end, kind, score) for start, end, kind, score in self._records[row]["spans"]]

    def confident(self, minimum: float) -> list[int]:
        """Rows whose least certain span has at least this posterior."""
        return [row for row, record in enumerate(self._records) if all(span[3] >= minimum for span in record["spans"])]

    def marginals(self, rows: Sequence[int], characters: int) -> Tensor:
        """Posterior marginals, zero on padding. *Shape:* [len(rows), characters, L], float32."""
        return self._padded(self._marginals, rows, characters, np.float32)

    def emissions(self, rows: Sequence[int], characters: int) -> Tensor:
        """Emission scores, zero on padding. *Shape:* [len(rows), characters, L], float32."""
        return self._padded(self._emissions, rows, characters, np.float32)

    def hidden(self, rows: Sequence[int], characters: int) -> Tensor:
        """Return the encoder's output, zero on padding. *Shape:* [len(rows), characters, hidden_width], float32."""
        return self._padded(self._hidden, rows, characters, np.float32)

    def paths(self, rows: Sequence[int], characters: int) -> tuple[Tensor, Tensor]:
        """Best label sequences and their scores. *Shape:* [len(rows), K, characters] int64, [len(rows), K] float32."""
        paths = self._padded(self._paths, rows, characters, np.int64).transpose(1, 2).contiguous()
        return paths, torch.from_numpy(self._path_scores[list(rows)])

    def _padded(self, flat: NDArray[Any], rows: Sequence[int], characters: int, dtype: Any) -> Tensor:
        padded = np.zeros((len(rows), characters, flat.shape[1]), dtype=dtype)
        for i, row in enumerate(rows):
            begin, end = self._offsets[row], self._offsets[row + 1]
            padded[i, : end - begin] = flat[begin:end]
        return torch.from_numpy(padded)


class JoinedCaches:
    """Several caches as one: the rows of the second follow those of the first."""

    def __init__(self, caches: Sequence[TeacherCache]) -> None:
        self._places = [(cache, row) for cache in caches for row in range(len(cache))]
        self._caches = tuple(caches)

    def __len__(self) -> int:
        return len(self._places)

    @property
    def hidden_width(self) -> int:
        """Of the teacher."""
        return self._caches[0].hidden_width

    def text(self, row: int) -> str:
        """Return the raw sentence."""
        cache, own = self._places[row]
        return cache.text(own)

    def spans(self, row: int, minimum: float = 0.0) -> list[tuple[int, int, str]]:
        """As :meth:`TeacherCache.spans`."""
        cache, own = self._places[row]
        return cache.spans(own, minimum)

    def confident(self, minimum: float) -> list[int]:
        """Rows whose least certain span has at least this posterior."""
        rows, begin = [], 0
        for cache in self._caches:
            rows += [begin + row for row in cache.confident(minimum)]
            begin += len(cache)
        return rows

    def marginals(self, rows: Sequence[int], characters: int) -> Tensor:
        """As :meth:`TeacherCache.marginals`."""
        return torch.cat(self._each(TeacherCache.marginals, rows, characters))

    def emissions(self, rows: Sequence[int], characters: int) -> Tensor:
        """As :meth:`TeacherCache.emissions`."""
        return torch.cat(self._each(TeacherCache.emissions, rows, characters))

    def hidden(self, rows: Sequence[int], characters: int) -> Tensor:
        """As :meth:`TeacherCache.hidden`."""
        return torch.cat(self._each(TeacherCache.hidden, rows, characters))

    def paths(self, rows: Sequence[int], characters: int) -> tuple[Tensor, Tensor]:
        """As :meth:`TeacherCache.paths`."""
        paths, scores = zip(*self._each(TeacherCache.paths, rows, characters), strict=True)
        return torch.cat(paths), torch.cat(scores)

    def _each(
        self, read: Callable[[TeacherCache, Sequence[int], int], T], rows: Sequence[int], characters: int
    ) -> list[T]:
        """Read one part of each row from the cache that holds it."""
        return [read(cache, [own], characters) for cache, own in (self._places[row] for row in rows)]


def cache_key(teachers: Sequence[Path], data: TaggingData) -> str:
    """Hash of all that the outputs follow from: models (their labels, vocabularies, layouts), raw text, base lexicon.

    What a run makes of the outputs, such as the temperature, is not in it; how many paths, a part's name says.
    """
    digest = hashlib.sha256(f"{FORMAT} {data.base.checksum}\n".encode())
    for teacher in teachers:
        digest.update(f"{content_checksum(teacher)}\n".encode())
    for text in data.raw:
        encoded = text.encode()
        digest.update(b"%d " % len(encoded) + encoded)
    return digest.hexdigest()[:16]


def label_raw_text(
    teachers: Sequence[Path],
    data: TaggingData,
    cache: Path,
    wanted: CachedOutputs = SPANS_ALONE,
    *,
    max_batches: int | None = None,
) -> TeacherCache | None:
    """Label ``data.raw`` with a teacher, or open what was labelled before; resumes after an interruption.

    Where another process labels the same, this one waits for it. What is damaged is labelled anew.

    Parameters
    ----------
    teachers
        Model directories, at least one; several label together, as an
        :class:`~distillex_training.ensemble.Ensemble`.
    data
        The raw sentences, the base lexicon.
    cache
        Folder of caches.
    wanted
        Parts beyond spans and marginals; those that are there already are not computed again.
    max_batches
        Stop after so many batches of this call and return None; for tests and time limits.
    """
    directory = cache / cache_key(teachers, data)
    texts = sorted(data.raw, key=len)
    if missing_parts(directory, wanted, texts)[0]:
        directory.mkdir(parents=True, exist_ok=True)
        with _locked(directory):
            missing, damage = missing_parts(directory, wanted, texts)  # others may have labelled meanwhile
            for line in damage:
                LOG.warning("%s", line)
            if missing and not _label(directory, missing, texts, Ensemble(teachers, data.base), max_batches):
                return None
    return TeacherCache(directory, wanted)


def missing_parts(directory: Path, wanted: CachedOutputs, texts: Sequence[str]) -> tuple[list[str], list[str]]:
    """Look which wanted parts a cache folder does not hold whole.

    Returns
    -------
    tuple
        Their names, and a line for each damaged file.
    """
    try:
        meta = _read_meta(directory)
        known, labels, width = set(meta["parts"]), int(meta["labels"]), int(meta["hidden_width"])
    except FileNotFoundError:
        return list(wanted.parts), []
    except (ValueError, KeyError, TypeError):
        return list(wanted.parts), [f"{directory / META} is damaged: the teacher's outputs are computed anew"]
    missing, damage = [], []
    for part in wanted.parts:
        files = files_of(part, labels, width) if part in known else []
        broken = [directory / file.name for file in files if not is_whole(directory / file.name, file, texts)]
        damage += [f"{path} is damaged: {part} is computed anew" for path in broken]
        if broken or part not in known:
            missing.append(part)
    return missing, damage


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    lock = FileLock(directory / LOCK)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        LOG.info("another process labels in %s: waiting for it", directory)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _label(
    directory: Path, missing: Sequence[str], texts: Sequence[str], ensemble: Ensemble, max_batches: int | None
) -> bool:
    """Compute parts and say whether they were computed to the end."""
    files = [file for part in missing for file in files_of(part, ensemble.labels, ensemble.hidden_width)]
    partial = {file.name: directory / f"{file.name}.partial" for file in files}
    done = min(finished(partial[file.name], file, texts) for file in files) // BATCH_SIZE * BATCH_SIZE
    for file in files:
        cut(partial[file.name], file, texts[:done])
    LOG.info("labelling %d raw sentences with the teacher: %s (%d done before)", len(texts), ", ".join(missing), done)
    left = sum(map(len, texts[done:]))  # in characters: the texts become longer and longer
    pace = Pace()
    with Meter("labelling", len(texts), "sentences", done) as meter:
        for count, begin in enumerate(range(done, len(texts), BATCH_SIZE)):
            if max_batches is not None and count == max_batches:
                return False
            batch = list(texts[begin : begin + BATCH_SIZE])
            outputs = ensemble.outputs(batch)
            for part in missing:
                for name, rows in rows_of(part, outputs, ensemble.decoder, ensemble.entity_types).items():
                    with partial[name].open("ab") as file_of_part:
                        file_of_part.write(b"".join(rows))
            size = BatchSize(len(batch), sum(map(len, batch)))
            pace.done(size)
            left -= size.characters
            rest, rate = pace.seconds_for(left) or 0.0, pace.sentences_per_second
            meter.show(begin + len(batch), f"{duration(rest)} left", f"{rate:,.0f} sentences/s")
    for file in files:
        with partial[file.name].open("rb") as written:
            os.fsync(written.fileno())
        partial[file.name].replace(directory / file.name)
    try:
        known = set(_read_meta(directory)["parts"])
    except (OSError, ValueError, KeyError, TypeError):
        known = set()
    meta = {"labels": ensemble.labels, "hidden_width": ensemble.hidden_width, "parts": sorted(known | set(missing))}
    write_atomically(directory / META, json.dumps(meta) + "\n")
    return True


def _read_meta(directory: Path) -> dict[str, Any]:
    meta: dict[str, Any] = json.loads((directory / META).read_text(encoding="utf-8"))
    return meta
