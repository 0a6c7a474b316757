"""The files of a model's feature layout and CRF: written by training, read by serving."""

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
from distillex_matcher.errors import LayoutError

FORMAT = 1
TEXT_FORMAT = 2
"""Of a features.json with other text rules than those of all models before: who does not know them must not read it."""
FEATURES_FILE = "features.json"
VOCABULARY_FILE = "vocabulary.txt"
MOST_IDS = 2**31 - 1
"""Ids are int32."""
MOST_TRUST = 1000
MOST_WORD_IDS = 2**24
"""Of a layout with distinct words: of the base lexicon's 337,061 words, one in fifty shares its id."""


def write_atomically(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Write beside ``path``, then rename: a reader sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = write_durably(path.parent, f".{path.name}.", text.encode(), mode=mode)
    try:
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_durably(folder: Path, prefix: str, content: bytes, *, mode: int = 0o644) -> Path:
    """Write a file under a name of its own that begins with ``prefix``; it is on the disk when this returns."""
    descriptor, name = tempfile.mkstemp(dir=folder, prefix=prefix)
    path = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), mode)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise LayoutError(f"{path}: missing; 'distillex export' writes it") from None
    except UnicodeDecodeError as error:
        raise LayoutError(f"{path}: not UTF-8: {error}") from None
    except OSError as error:
        raise LayoutError(f"{path}: cannot be read: {error.strerror}") from None


def _read_json(path: Path, fields: tuple[str, ...], formats: tuple[int, ...] = (FORMAT,)) -> dict[str, Any]:
    text = _read_text(path)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise LayoutError(f"{path}: not JSON: {error}") from None
    if not isinstance(content, dict) or content.get("format") not in formats:
        found = content.get("format") if isinstance(content, dict) else type(content).__name__
        reads = " and ".join(map(str, formats))
        raise LayoutError(f"{path}: format {found!r}; this version of distillex reads format {reads}")
    for field in fields:
        if field not in content:
            raise LayoutError(f"{path}: the field {field!r} is missing")
    return content


def _list_of(kind: type | tuple[type, ...], value: object, what: str) -> tuple[Any, ...]:
    """Return a JSON list as a tuple; ValueError where it is none, or holds another kind (true is no number)."""
    if not isinstance(value, list):
        raise ValueError(f"{what} is {_shortened(value)}; a list is expected")
    for item in value:
        if not isinstance(item, kind) or isinstance(item, bool):
            names = " or ".join(k.__name__ for k in (kind if isinstance(kind, tuple) else (kind,)))
            raise ValueError(f"{what} holds {_shortened(item)}; only {names} is accepted")
    return tuple(value)


def _names(value: object, what: str) -> tuple[str, ...]:
    names = _list_of(str, value, what)
    for name in names:
        name.encode()  # a lone surrogate is no character: UnicodeEncodeError is a ValueError
    return names


def _prefer(value: object) -> float | None:
    """``trust`` of a ``crf.json``: ``{"prefer": number}``, or nothing."""
    if value is None:
        return None
    prefer = value.get("prefer") if isinstance(value, dict) and set(value) == {"prefer"} else None
    if isinstance(prefer, bool) or not isinstance(prefer, (int, float)):
        raise LayoutError(f'trust is {_shortened(value)}; {{"prefer": number}} is accepted')
    return float(prefer)


def _scores(value: object, what: str) -> tuple[float, ...]:
    return tuple(float(score) for score in _list_of((int, float), value, what))


def _whole_number(value: object, what: str, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise ValueError(f"{what} is {_shortened(value)}; a whole number from 1 to {most} is expected")
    return value


def _text_rules(value: object) -> TextRules:
    names = [each.name for each in dataclasses.fields(TextRules)]
    if not isinstance(value, dict):
        raise ValueError(f"text is {_shortened(value)}; an object of {', '.join(names)} is expected")
    for name, says in value.items():
        if name not in names:
            raise ValueError(f"text has the key {_shortened(name)}; {', '.join(names)} are accepted")
        if not isinstance(says, bool):
            raise ValueError(f"text.{name} is {_shortened(says)}; true or false is expected")
    return TextRules(**value)


def _shortened(value: object) -> str:
    """Return a value for a message, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 60 else text[:60] + "…"


@dataclass(frozen=True)
class TextRules:
    """What counts as a word, a sentence and a letter. The defaults are the rules of layouts that say none."""

    word_boundaries: bool = False
    """A lexicon word that holds letters of a script with spaces (Latin, Greek, Cyrillic, …) matches only where it is
    no part of a longer word or number: ``cat`` not in ``concatenate``, but ``iPhone`` in ``买iPhone15了``."""
    sentence_periods: bool = False
    """Documents are cut after a period that ends a sentence of such a script too, not only after ``。！？``."""
    lowercase: bool = True
    """The model sees capital letters as small ones. Lexicons compare without regard to case either way."""


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
    text: TextRules = TextRules()

    @staticmethod
    def load(directory: str | os.PathLike[str]) -> FeatureLayout:
        """Read ``features.json`` and ``vocabulary.txt`` of a directory.

        Raises
        ------
        LayoutError
            For a missing file, another format, a missing or wrong field.
        """
        folder = Path(directory)
        fields = ("types", "word_hash_size", "words_per_slot", "buckets")
        content = _read_json(folder / FEATURES_FILE, fields, (FORMAT, TEXT_FORMAT))
        tokens = _read_text(folder / VOCABULARY_FILE).removesuffix("\n").split("\n")
        try:
            buckets = _list_of(int, content["buckets"], "buckets")
            layout = FeatureLayout(
                vocabulary=tuple(tokens),
                types=_names(content["types"], "types"),
                word_hash_size=_whole_number(content["word_hash_size"], "word_hash_size", MOST_IDS),
                words_per_slot=_whole_number(content["words_per_slot"], "words_per_slot", MOST_IDS),
                buckets=tuple(_whole_number(bucket, "a bucket", MOST_IDS) for bucket in buckets),
                text=_text_rules(content.get("text", {})),
            )
            layout.featurizer()  # knows what else is wrong: a token twice, falling buckets
        except ValueError as error:
            raise LayoutError(f"{folder / FEATURES_FILE}, {VOCABULARY_FILE}: {error}") from None
        return layout

    def save(self, directory: str | os.PathLike[str]) -> None:
        """Write ``features.json`` and ``vocabulary.txt``, each atomically."""
        folder = Path(directory)
        content: dict[str, Any] = {
            "format": FORMAT,
            "types": list(self.types),
            "word_hash_size": self.word_hash_size,
            "words_per_slot": self.words_per_slot,
            "buckets": list(self.buckets),
        }
        if self.text != TextRules():
            content |= {"format": TEXT_FORMAT, "text": dataclasses.asdict(self.text)}
        write_atomically(folder / FEATURES_FILE, json.dumps(content, ensure_ascii=False, indent=1) + "\n")
        write_atomically(folder / VOCABULARY_FILE, "".join(token + "\n" for token in self.vocabulary))

    def with_distinct_words(self) -> FeatureLayout:
        """Return this layout with word ids that hardly two words share.

        This layout's word ids can be told from them: ``1 + (id - 1) % (word_hash_size - 1)``.
        """
        hashes = self.word_hash_size - 1
        return dataclasses.replace(self, word_hash_size=1 + hashes * max(1, MOST_WORD_IDS // hashes))

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
            word_boundaries=self.text.word_boundaries,
            lowercase=self.text.lowercase,
        )


@dataclass(frozen=True)
class CrfParameters:
    """A trained CRF as plain numbers: entity types, transitions (L, L), start (L), end (L)."""

    entity_types: tuple[str, ...]
    transitions: tuple[tuple[float, ...], ...]
    start: tuple[float, ...]
    end: tuple[float, ...]
    prefer: float | None = None
    """What trust ``prefer`` adds to the score of a path that tags a word as its type, chosen on development data; None:
    the decoder's usual number."""

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
        if self.prefer is not None and not 0 <= self.prefer <= MOST_TRUST:
            raise LayoutError(f"the trust of 'prefer' is {self.prefer}; a number from 0 to {MOST_TRUST} is accepted")

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
            parameters = CrfParameters(
                entity_types=_names(content["entity_types"], "entity_types"),
                transitions=tuple(
                    _scores(row, "a row of transitions")
                    for row in _list_of(list, content["transitions"], "transitions")
                ),
                start=_scores(content["start"], "start"),
                end=_scores(content["end"], "end"),
                prefer=_prefer(content.get("trust")),
            )
            parameters.decoder()  # knows what else is wrong: an entity type twice, a score beyond what it can add
        except (ValueError, OverflowError) as error:
            raise LayoutError(f"{path}: {error}") from None
        return parameters

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a ``crf.json``, atomically."""
        content: dict[str, Any] = {
            "format": FORMAT,
            "entity_types": list(self.entity_types),
            "start": list(self.start),
            "end": list(self.end),
            "transitions": [list(row) for row in self.transitions],
        }
        if self.prefer is not None:
            content["trust"] = {"prefer": self.prefer}
        write_atomically(Path(path), json.dumps(content, ensure_ascii=False) + "\n")

    def decoder(self, layout: FeatureLayout | None = None) -> CrfDecoder:
        """Return the decoder of this CRF.

        Parameters
        ----------
        layout
            The layout whose featurizer finds the trusted words; without it none can be given.

        Raises
        ------
        ValueError
            For an entity type given twice, or a score beyond ±1e6.
        """
        with np.errstate(over="ignore"):  # refused by the decoder, as infinite
            scores = [np.array(part, dtype=np.float32) for part in (self.transitions, self.start, self.end)]
        scheme, types = LabelScheme(self.entity_types), () if layout is None else layout.types
        if self.prefer is None:
            return CrfDecoder(scheme, *scores, lexicon_types=types)
        return CrfDecoder(scheme, *scores, lexicon_types=types, prefer=self.prefer)
