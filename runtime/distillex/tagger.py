"""Extract in this process: no server, no network, no deep-learning framework."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distillex_client.core import check_texts, entities_of
from distillex_client.documents import DEFAULT_WINDOW, Document, decoded
from distillex_client.entity import Entity, Extraction
from distillex_client.errors import InvalidRequest, InvalidText
from distillex_client.protocol import Lexicon as Words
from distillex_client.protocol import (
    Trust,
    encode_lexicon,
    encode_lexicon_name,
    encode_text,
    encode_trust,
    parse_entities,
    plain_lexicon,
    plain_trust,
    raise_for_lexicon,
)
from distillex_client.render import Page, render
from distillex_client.selection import Selection
from distillex_matcher import Lexicon, LexiconError
from distillex_matcher.cores import usable_cores
from distillex_matcher.exported import FILES_BESIDE, GPU_NETWORK_FILE, NETWORK_FILE
from distillex_matcher.lexicon_store import NAME_PATTERN, LexiconStore

from distillex.device import CPU, Device
from distillex.lexicon_files import open_lexicon, with_trust
from distillex.locations import shipped_lexicons
from distillex.models import DEFAULT_MODEL, files_read, find_model

if TYPE_CHECKING:
    from distillex.lexicon_layers import Layer
    from distillex.pipeline import Pipeline

TEXTS_AT_ONCE = 64
"""Of each thread: what :meth:`Tagger.extract_stream` reads ahead."""


def load(
    name_or_path: str | os.PathLike[str] = DEFAULT_MODEL,
    *,
    lexicon_directory: str | os.PathLike[str] | None = None,
    lexicon_versions: Mapping[str, int] | None = None,
    threads: int | None = None,
    min_score: float = 0.0,
    types: Iterable[str] | None = None,
    device: str | Device = CPU,
) -> Tagger:
    """Open a student (or a teacher) to extract with.

    Parameters
    ----------
    name_or_path
        ``"cluener"``, ``"msra"`` or another student in ``models/student-NAME``; a folder written by ``distillex
        export``; or a training directory such as ``runs/mine/best``, to try a model out (needs the extra ``train``, and
        is slower, as PyTorch runs it).
    lexicon_directory
        Directory with one folder per lexicon, including ``base``; default: the shipped ones. The next call uses what
        ``distillex lexicon push`` installs there.
    lexicon_versions
        Lexicon → version to use, even if others are installed meanwhile; for work that needs fixed lexicons.
    threads
        Cores that one call with many texts may use; default: all usable ones. One text uses one core.
    min_score
        Leave out entities with a lower score, 0 to 1.
    types
        Keep only entities of these types.
    device
        ``"cpu"``, ``"gpu"`` (the first one), ``"gpu:1"``, or a :class:`distillex.Device`, which also sets the provider
        and a memory limit. A GPU needs ``model.gpu.onnx`` (``distillex export --target gpu``) and a provider
        (docs/how-to/gpu.md).

    Raises
    ------
    DeviceError
        Without a GPU, a driver or a provider, or with too little memory; the message says what is missing.
    ModelNotFound
        For a name that is not known, or a folder that lacks a file.
    distillex_matcher.LayoutError
        For files that are wrong or of two models.
    distillex_matcher.LexiconError
        Where the base lexicon is missing or cannot be used.
    ValueError, TypeError
        For ``threads``, ``min_score``, ``types`` or ``device`` that cannot be used.
    """
    device = Device.of(device)
    network = NETWORK_FILE
    if device.gpu is not None:
        from distillex.gpu.network import find_device

        # Before its file is missed: who has no GPU need not export one.
        find_device(device)
        network = GPU_NETWORK_FILE
    folder = find_model(name_or_path, network, or_trained=device.gpu is None).resolve()
    read = files_read(folder) if device.gpu is None else (network, *FILES_BESIDE)
    source = _Source(
        str(folder),
        str(Path(lexicon_directory or shipped_lexicons()).resolve()),
        tuple(sorted((lexicon_versions or {}).items())),
        usable_cores() if threads is None else threads,
        _stamps_of(folder, read),
        device,
    )
    tagger = Tagger(source, Selection(min_score, types))
    unknown = sorted(set(tagger._selection.types or ()) - set(tagger.types))
    if unknown:
        raise ValueError(f"types {', '.join(unknown)}: the model finds none; its types: {', '.join(tagger.types)}")
    return tagger


class Tagger:
    """A student, opened by :func:`load`. Safe to use from several threads.

    It can be pickled for :mod:`multiprocessing`, Ray and Spark: each process that unpickles it opens the files again. A
    forked process can use it directly.

    Examples
    --------
    >>> import distillex
    >>> tagger = distillex.load("cluener")  # doctest: +SKIP
    >>> tagger.extract("青石云科发布了新产品。", lexicon={"青石云科": "company"})  # doctest: +SKIP
    [Entity(start=0, end=4, type='company', text='青石云科', score=1.0)]
    """

    def __init__(self, source: _Source, selection: Selection, attached: tuple[_Attached, ...] = ()) -> None:
        self._source = source
        self._selection = selection
        self._attached = attached
        self._opened = (os.getpid(), _opened(source))

    def __reduce__(self) -> tuple[Any, ...]:
        return Tagger, (
            self._source,
            self._selection,
            tuple(replace(each, layer=None, trusted=None) for each in self._attached),
        )

    def __repr__(self) -> str:
        with_lexicons = "".join(
            f".with_lexicon({each.given!r}{'' if each.trust is None else f', trust={each.trust!r}'})"
            for each in self._attached
        )
        return f"distillex.load({self._source.folder!r}){with_lexicons}"

    @property
    def path(self) -> Path:
        """Folder of the model."""
        return Path(self._source.folder)

    @property
    def where(self) -> str:
        """Description of what runs the network: an ONNX Runtime provider, on the CPU or on a GPU."""
        return self._pipeline.where

    @property
    def types(self) -> tuple[str, ...]:
        """Types of the entities that the model finds."""
        return self._pipeline.entity_types

    def extract(
        self,
        text: str | bytes,
        *,
        lexicon: Words | None = None,
        lexicon_name: str | None = None,
        trust: Trust | None = None,
    ) -> list[Entity]:
        """Return the entities of one text of at most 510 characters.

        Parameters
        ----------
        text
            ``str``, or UTF-8 bytes.
        lexicon
            Words for this call only: word → type, ``{"type": …, "trust": …}``, or None to hide a word.
        lexicon_name
            Name of a lexicon in the lexicon directory, used on top of the base one.
        trust
            Trust in words, of the call's lexicons and those of :meth:`with_lexicon`, that have none of their own:
            ``"hint"``, ``"prefer"``, ``"insist"``, or a number from 0 to 1000; default: their lexicon's trust, else
            ``"prefer"``.

        Raises
        ------
        InvalidText
            For a text that is empty, too long, not UTF-8, or holds a NUL.
        InvalidRequest
            For a lexicon or a trust that cannot be used.
        """
        extraction = self._extractions([text], _Laid.of(lexicon, lexicon_name, trust))[0]
        if extraction.error is not None:
            raise InvalidText(extraction.error)
        return self._selection.of(extraction.entities)

    def extract_batch(
        self,
        texts: Iterable[str | bytes],
        *,
        lexicon: Words | None = None,
        lexicon_name: str | None = None,
        trust: Trust | None = None,
    ) -> list[list[Entity]]:
        """Return the entities of each text, in order; texts of similar length are computed together.

        Parameters are those of :meth:`extract`.

        Raises
        ------
        InvalidText
            For the first bad text (``row`` is its index); :meth:`extract_stream` continues after one.
        InvalidRequest
            For a lexicon or a trust that cannot be used.
        """
        stream = self.extract_stream(texts, lexicon=lexicon, lexicon_name=lexicon_name, trust=trust)
        return [entities_of(extraction, row) for row, extraction in enumerate(stream)]

    def extract_stream(
        self,
        texts: Iterable[str | bytes],
        *,
        lexicon: Words | None = None,
        lexicon_name: str | None = None,
        trust: Trust | None = None,
    ) -> Iterator[Extraction]:
        """Yield one extraction per text, in order, reading ``texts`` as needed.

        A bad text yields an extraction with ``error``; the others are not affected. Parameters as in :meth:`extract`.
        """
        check_texts(texts)
        laid = _Laid.of(lexicon, lexicon_name, trust)
        return map(self._selection.of_extraction, self._stream(texts, laid))

    def extract_document(
        self,
        document: str | bytes,
        *,
        lexicon: Words | None = None,
        lexicon_name: str | None = None,
        trust: Trust | None = None,
        window: int = DEFAULT_WINDOW,
        overlap: int | None = None,
    ) -> list[Entity]:
        """Return the entities of a document of any length, with offsets in it.

        The document is split into sentences, and sentences longer than ``window`` (at most 510 characters) into
        overlapping windows (:func:`distillex.split_document`). The model's layout sets whether periods end sentences.
        Other parameters as in :meth:`extract`.
        """
        laid = _Laid.of(lexicon, lexicon_name, trust)
        periods = self._pipeline.text_rules.sentence_periods
        cut = Document(document, window, overlap, periods=periods)
        return self._selection.of(cut.merge(list(self._stream(cut.pieces, laid))))

    def render(
        self,
        document: str | bytes,
        *,
        lexicon: Words | None = None,
        lexicon_name: str | None = None,
        trust: Trust | None = None,
        title: str = "Distillex",
    ) -> Page:
        """Return an HTML page of a document with its entities highlighted; notebooks display it.

        Parameters as in :meth:`extract_document` and :func:`distillex.render`.
        """
        document = decoded(document)
        entities = self.extract_document(document, lexicon=lexicon, lexicon_name=lexicon_name, trust=trust)
        return render(document, entities, title=title)

    def with_lexicon(self, lexicon: str | os.PathLike[str] | Words, *, trust: Trust | None = None) -> Tagger:
        """Return a tagger that also uses this lexicon, on top of those of this tagger.

        Parameters
        ----------
        lexicon
            The name of a lexicon in the lexicon directory (each call looks up its current version); a file, compiled
            (``.lex``) or with lines of ``WORD<TAB>TYPE[<TAB>WEIGHT[<TAB>TRUST]]`` (``finance`` is a name,
            ``./finance`` a file); or a mapping as in :meth:`extract`.
        trust
            Trust in its words that have none of their own, if the call sets none; default: that of its file.

        Raises
        ------
        InvalidRequest
            For a lexicon that is missing, unreadable, or has a type that the model lacks, and for an invalid trust.
        """
        trust = plain_trust(trust)
        given: str | Path | dict[str, Any]
        if isinstance(lexicon, Mapping):
            given = plain_lexicon(lexicon)
        elif isinstance(lexicon, str) and NAME_PATTERN.fullmatch(lexicon):
            # Whatever lies where the process works: a worker process of the same tagger works elsewhere.
            given = lexicon
        elif isinstance(lexicon, (str, os.PathLike)):
            given = Path(lexicon).absolute()
        else:
            raise TypeError(f"lexicon {lexicon!r} is {type(lexicon).__name__}; a name, a file or a mapping is accepted")
        attached = _Attached(given, trust)
        attached.layer_of(self._pipeline)
        return Tagger(self._source, self._selection, (*self._attached, attached))

    @property
    def _pipeline(self) -> Pipeline:
        process, pipeline = self._opened
        if process != os.getpid():
            # Locks of a forked process are as they happened to be: what holds any is made anew.
            self._opened = (os.getpid(), pipeline := _opened(self._source))
        return pipeline

    def _stream(self, texts: Iterable[str | bytes], laid: _Laid) -> Iterator[Extraction]:
        remaining = iter(texts)
        while batch := list(islice(remaining, TEXTS_AT_ONCE * self._source.threads)):
            yield from self._extractions(batch, laid)

    def _extractions(self, texts: list[str | bytes], laid: _Laid) -> list[Extraction]:
        pipeline = self._pipeline
        rows = len(texts)
        answers = pipeline.answer(
            [encode_text(text) for text in texts],
            names=[laid.name] * rows if laid.name else None,
            words=[laid.words] * rows if laid.words else None,
            trusts=[laid.trust] * rows if laid.trust else None,
            first=[layer for each in self._attached if (layer := each.layer_of(pipeline)) is not None],
        )
        found = []
        for content, label, refusal in zip(answers.entities, answers.labels, answers.refused, strict=True):
            message = refusal.message if refusal is not None else None
            if message is not None:
                raise_for_lexicon(message)
            found.append(Extraction(parse_entities(content), label, message))
        return found


@dataclass(frozen=True)
class _Laid:
    """What a call lays over the lexicons, as a request would bring it; empty: nothing."""

    words: bytes
    name: bytes
    trust: bytes

    @staticmethod
    def of(lexicon: Words | None, lexicon_name: str | None, trust: Trust | None) -> _Laid:
        return _Laid(encode_lexicon(lexicon), encode_lexicon_name(lexicon_name), encode_trust(trust))


@dataclass(frozen=True)
class _Source:
    """What a pipeline is opened from."""

    folder: str
    lexicon_directory: str
    lexicon_versions: tuple[tuple[str, int], ...]
    threads: int
    stamps: tuple[tuple[int, int, int], ...]
    """Of the model's files: exported again, it is another model."""
    device: Device


def _stamps_of(folder: Path, files: Iterable[str]) -> tuple[tuple[int, int, int], ...]:
    found = [(folder / name).stat() for name in files]
    return tuple((status.st_ino, status.st_size, status.st_mtime_ns) for status in found)


@dataclass
class _Attached:
    """A lexicon of :meth:`Tagger.with_lexicon`: what was given, and what it was opened as."""

    given: str | Path | dict[str, Any]
    trust: Trust | None
    layer: Layer | None = None
    """None: not opened yet, or a name, which is looked up at each call."""
    trusted: tuple[Lexicon, Layer] | None = None
    """Of a name with a trust: the version that was found last, and what was made of it."""

    def layer_of(self, pipeline: Pipeline) -> Layer | None:
        from distillex.errors import RefusedError
        from distillex.lexicon_layers import Layer

        try:
            if isinstance(self.given, str):
                return self._named(pipeline.lexicons.named(self.given))
            if self.layer is None:
                lexicon, label = _read(self.given, self.trust)
                pipeline.lexicons.check_types(lexicon)
                self.layer = Layer(lexicon, label)
        except RefusedError as error:
            raise InvalidRequest(str(error)) from None
        except LexiconError as error:
            raise InvalidRequest(f"lexicon: {error}") from None
        return self.layer

    def _named(self, installed: Layer | None) -> Layer | None:
        if installed is None or self.trust is None:
            return installed
        made = self.trusted
        if made is None or made[0] is not installed.lexicon:
            layer = replace(installed, lexicon=with_trust(installed.lexicon, self.trust))
            made = self.trusted = (installed.lexicon, layer)
        return made[1]


def _read(given: Path | dict[str, Any], trust: Trust | None) -> tuple[Lexicon, str]:
    if isinstance(given, dict):
        return Lexicon.from_words(given, trust=trust), "words"
    lexicon = open_lexicon(given, given.stem, trust)
    return lexicon, f"{lexicon.name or given.stem}@{lexicon.version}" if lexicon.version else lexicon.name or given.stem


_pipelines: weakref.WeakValueDictionary[tuple[int, _Source], Pipeline] = weakref.WeakValueDictionary()
_lock = threading.Lock()


def _renew_lock() -> None:
    global _lock  # noqa: PLW0603
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock)


def _opened(source: _Source) -> Pipeline:
    """Return the pipeline of a source; taggers of one process share it."""
    from distillex.pipeline import Pipeline, PipelineOptions
    from distillex.request_lexicons import UNLIMITED

    with _lock:
        pipeline = _pipelines.get((os.getpid(), source))
        if pipeline is None:
            options = PipelineOptions.of(source.device, source.threads)
            lexicons = LexiconStore(source.lexicon_directory, dict(source.lexicon_versions))
            pipeline = Pipeline(source.folder, lexicons, options, UNLIMITED, source.device)
            _pipelines[os.getpid(), source] = pipeline
        return pipeline
