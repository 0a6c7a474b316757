"""The files that tell a model's feature layout and CRF: written by training, read by serving."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from distillex_matcher._core import CrfDecoder, Featurizer, LabelScheme, Lexicon

FORMAT = 1
FEATURES_FILE = "features.json"
VOCABULARY_FILE = "vocabulary.txt"
MOST_WORD_IDS = 2**24
"""Of a layout with distinct words: of the base lexicon's 337,461 words, one in fifty shares its id."""


class LayoutError(ValueError):
    """A model's features.json, vocabulary.txt or crf.json is missing or wrong; the message names the file."""


def write_atomically(path: Path, text: str) -> None:
    """Write beside ``path``, then rename: a reader sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    Path(temporary).chmod(0o644)
    Path(temporary).replace(path)


def _read_json(path: Path, fields: tuple[str, ...]) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise LayoutError(f"{path}: missing; 'distillex export' writes it") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise LayoutError(f"{path}: not JSON: {error}") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        found = content.get("format") if isinstance(content, dict) else type(content).__name__
        raise LayoutError(f"{path}: format {found!r}; this version of distillex reads format {FORMAT}")
    for field in fields:
        if field not in content:
            raise LayoutError(f"{path}: the field {field!r} is missing")
    return content


@dataclass(frozen=True)
class FeatureLayout:
    """What a model was trained to see: vocabulary, lexicon types and tensor sizes."""

    vocabulary: tuple[str, ...]
    """Tokens by id."""
    types: tuple[str, ...]
    """Lexicon type names; the type id is 1 + the index."""
    word_hash_size: int = 32768
    words_per_slot: int = 4
    buckets: tuple[int, ...] = (16, 32, 64, 128, 256, 512)

    @staticmethod
    def load(directory: str | os.PathLike[str]) -> FeatureLayout:
        """Read ``features.json`` and ``vocabulary.txt`` of a directory.

        Raises
        ------
        LayoutError
            For a missing file, another format or a missing field.
        """
        folder = Path(directory)
        content = _read_json(folder / FEATURES_FILE, ("types", "word_hash_size", "words_per_slot", "buckets"))
        vocabulary_path = folder / VOCABULARY_FILE
        if not vocabulary_path.exists():
            raise LayoutError(f"{vocabulary_path}: missing; 'distillex export' writes it")
        return FeatureLayout(
            vocabulary=tuple(vocabulary_path.read_text(encoding="utf-8").split("\n")[:-1]),
            types=tuple(content["types"]),
            word_hash_size=int(content["word_hash_size"]),
            words_per_slot=int(content["words_per_slot"]),
            buckets=tuple(int(bucket) for bucket in content["buckets"]),
        )

    def save(self, directory: str | os.PathLike[str]) -> None:
        """Write ``features.json`` and ``vocabulary.txt``, each atomically."""
        folder = Path(directory)
        content = {
            "format": FORMAT,
            "types": list(self.types),
            "word_hash_size": self.word_hash_size,
            "words_per_slot": self.words_per_slot,
            "buckets": list(self.buckets),
        }
        write_atomically(folder / FEATURES_FILE, json.dumps(content, ensure_ascii=False, indent=1) + "\n")
        write_atomically(folder / VOCABULARY_FILE, "".join(token + "\n" for token in self.vocabulary))

    def with_distinct_words(self) -> FeatureLayout:
        """Return this layout with word ids that hardly two words share.

        This layout's word ids can be told from them: ``1 + (id - 1) % (word_hash_size - 1)``.
        """
        hashes = self.word_hash_size - 1
        return dataclasses.replace(self, word_hash_size=1 + hashes * max(1, MOST_WORD_IDS // hashes))

    def tells_words_of(self, other: FeatureLayout) -> bool:
        """Say whether this layout's word ids can be told from those of another."""
        return (other.word_hash_size - 1) % (self.word_hash_size - 1) == 0

    def featurizer(self, base: Lexicon | None = None) -> Featurizer:
        """Return the featurizer of this layout over a base lexicon.

        Raises
        ------
        LexiconError
            For a base lexicon with a type that this layout does not know.
        """
        return Featurizer(
            self.vocabulary,
            self.types,
            word_hash_size=self.word_hash_size,
            words_per_slot=self.words_per_slot,
            buckets=self.buckets,
            base=base,
        )


@dataclass(frozen=True)
class CrfParameters:
    """A trained CRF as plain numbers: entity types, transitions [L][L], start [L], end [L]."""

    entity_types: tuple[str, ...]
    transitions: tuple[tuple[float, ...], ...]
    start: tuple[float, ...]
    end: tuple[float, ...]

    def __post_init__(self) -> None:
        labels = 1 + 4 * len(self.entity_types)
        shapes = (len(self.start), len(self.end), len(self.transitions), *(len(row) for row in self.transitions))
        if any(size != labels for size in shapes):
            raise LayoutError(
                f"a CRF over {len(self.entity_types)} entity types needs {labels} start, end and transition scores"
            )
        numbers = (*self.start, *self.end, *(score for row in self.transitions for score in row))
        if not all(math.isfinite(number) for number in numbers):
            raise LayoutError("a CRF score is not finite")

    @staticmethod
    def load(path: str | os.PathLike[str]) -> CrfParameters:
        """Read a ``crf.json``.

        Raises
        ------
        LayoutError
            For a missing file, another format, wrong sizes or a score that is not finite.
        """
        content = _read_json(Path(path), ("entity_types", "transitions", "start", "end"))
        try:
            return CrfParameters(
                entity_types=tuple(content["entity_types"]),
                transitions=tuple(tuple(float(score) for score in row) for row in content["transitions"]),
                start=tuple(float(score) for score in content["start"]),
                end=tuple(float(score) for score in content["end"]),
            )
        except (TypeError, ValueError) as error:
            raise LayoutError(f"{path}: {error}") from None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a ``crf.json``, atomically."""
        content = {
            "format": FORMAT,
            "entity_types": list(self.entity_types),
            "start": list(self.start),
            "end": list(self.end),
            "transitions": [list(row) for row in self.transitions],
        }
        write_atomically(Path(path), json.dumps(content, ensure_ascii=False) + "\n")

    def decoder(self) -> CrfDecoder:
        """Return the decoder of this CRF."""
        return CrfDecoder(
            LabelScheme(self.entity_types),
            np.array(self.transitions, dtype=np.float32),
            np.array(self.start, dtype=np.float32),
            np.array(self.end, dtype=np.float32),
        )
