"""The lexicon layers of a text: the base, a named lexicon, and the request's words.

The base lexicon and the named ones are looked up in their directory whenever texts come, so that a version which was
installed meanwhile is used from then on. Whatever is wrong with a new version, the old one answers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from distillex_matcher import FeatureLayout, Featurizer, Lexicon, LexiconError, Refusal, parse_trust
from distillex_matcher.errors import LexiconNameError, UnknownLexiconError
from distillex_matcher.lexicon_store import BASE_NAME, InstalledLexicon, LexiconStore, check_name

from distillex.errors import RefusedError
from distillex.lexicon_rights import LexiconRights
from distillex.request_lexicons import Limits, RequestLexicons

LOG = logging.getLogger("distillex.lexicons")
REQUEST_LABEL = "request"
"""Of the words that came with a text."""
LONGEST_TRUST = 256
"""Bytes; no level and no number needs as many."""


@dataclass(frozen=True)
class Layer:
    """A lexicon laid over the base one, and the label by which answers name it."""

    lexicon: Lexicon
    label: str


@dataclass(frozen=True)
class Layers:
    """What lies over the base lexicon, for each of several texts."""

    overlays: list[list[Lexicon]] | None
    """None: nothing, for all of them."""
    labels: list[str]
    """What answered each text, such as ``base@1+finance@3``."""
    refused: list[Refusal | None]
    """Why a text's lexicons, or their trust, cannot be used."""
    trusts: list[str | float | None] | None = None
    """How far the words of each text's lexicons are obeyed that have no trust of their own; None: nobody says."""
    request_words: list[int] = field(default_factory=list)
    """How many words came with each text that brought some."""


class LexiconLayers:
    """The lexicons of a directory, as a model sees them.

    Parameters
    ----------
    layout
        The model's; its types are those that words may bear.
    store
        The lexicons of a directory, ``base`` among them.
    limits
        Of the words that come with a text.

    Raises
    ------
    LexiconError
        Where there is no base lexicon, or it cannot be used; names the directory.
    """

    def __init__(self, layout: FeatureLayout, store: LexiconStore, limits: Limits | None = None) -> None:
        self._store = store
        self._stays: dict[str, str] = {}
        self._checked: dict[str, Layer] = {}
        try:
            base = self._store.current(BASE_NAME)
            self._base: tuple[InstalledLexicon, Featurizer] = (base, layout.featurizer(base.lexicon))
        except (LexiconError, OSError) as error:
            raise LexiconError(f"{error} (lexicons of {store.directory})") from None
        self.check_types = self._base[1].check_types
        self._request_lexicon = RequestLexicons(limits or Limits(), self.check_types)

    def featurizer(self) -> tuple[Featurizer, str]:
        """Return the featurizer over the base lexicon in use now, and that lexicon's label."""
        held, featurizer = self._base
        try:
            base = self._store.current(BASE_NAME)
            if base is not held:
                held, featurizer = self._base = (base, featurizer.with_base(base.lexicon))
            self._stays.pop(BASE_NAME, None)
        except Exception as error:  # whatever is wrong with a new base lexicon, the old one answers
            self._say_what_stays(BASE_NAME, held.label, error)
        return featurizer, held.label

    def over(
        self,
        label: str,
        rows: int,
        names: Sequence[bytes] | None,
        words: Sequence[bytes] | None,
        trusts: Sequence[bytes] | None = None,
        first: Sequence[Layer] = (),
        rights: Sequence[LexiconRights | None] | None = None,
    ) -> Layers:
        """Return what lies over the base lexicon for each of the texts of some requests.

        Parameters
        ----------
        label
            Of the base lexicon.
        rows
            How many texts there are.
        names
            LEXICON_NAME of each; empty: none.
        words
            LEXICON of each; empty: none.
        trusts
            TRUST of each; empty: not said.
        first
            What lies under these, for every text.
        rights
            Which named lexicons each of the texts may use; None: all.
        """
        label = "+".join([label, *(layer.label for layer in first)])
        labels = [label] * rows
        refused: list[Refusal | None] = [None] * rows
        if names is None and words is None and trusts is None and not first:
            return Layers(None, labels, refused)
        overlays: list[list[Lexicon]] = []
        found: dict[tuple[bytes, LexiconRights | None], Layer | RefusedError] = {}
        listed = lru_cache(1)(self._store.names)
        layers = Layers(overlays, labels, refused, None if trusts is None else [None] * rows)
        for row in range(rows):
            overlays.append([layer.lexicon for layer in first])
            try:
                if layers.trusts is not None and trusts is not None and trusts[row]:
                    layers.trusts[row] = _trust_of(trusts[row][: LONGEST_TRUST + 1])
                name, own = names[row] if names is not None else b"", words[row] if words is not None else b""
                for layer in self._layers(name, own, rights[row] if rights is not None else None, found, listed):
                    overlays[row].append(layer.lexicon)
                    labels[row] += f"+{layer.label}"
                    if layer.label == REQUEST_LABEL:
                        layers.request_words.append(len(layer.lexicon))
            except RefusedError as error:
                overlays[row].clear()
                layers.refused[row] = error.as_refusal()
        return layers

    def named(
        self, name: str, rights: LexiconRights | None = None, listed: Callable[[], list[str]] | None = None
    ) -> Layer | None:
        """Return a named lexicon's version in use; None for ``base``, which is under every text anyway.

        A lexicon that ``rights`` do not allow is answered like one that does not exist. ``listed`` tells
        which names there are, where the directory is not to be listed for each name anew.

        Raises
        ------
        RefusedError
            Where there is none of that name, it cannot be read, or it has a type that the model does not know; begins
            with LEXICON_NAME.
        """
        if name == BASE_NAME:
            # Laid over itself its words would lose their embeddings.
            return None
        if rights is not None and not rights.allow(name):
            # Before the directory is looked at: not even the time taken shows what it contains.
            try:
                raise self._not_there(check_name(name), rights, listed)
            except LexiconNameError as error:
                raise _name_refused(f"LEXICON_NAME: {error}") from None
        try:
            installed = self._store.current(name)
            self._stays.pop(name, None)
        except (LexiconNameError, UnknownLexiconError) as error:
            self._checked.pop(name, None)
            if rights is not None and isinstance(error, UnknownLexiconError):
                raise self._not_there(name, rights, listed) from None
            raise _name_refused(f"LEXICON_NAME: {error}") from None
        except (LexiconError, OSError) as error:
            held = self._store.fallback(name)
            self._say_what_stays(name, held.label if held else "nothing", error)
            if held is None:
                raise _name_refused(f"LEXICON_NAME: the lexicon {name!r} cannot be read; the log says why") from None
            installed = held
        checked = self._checked.get(name)
        if checked is None or checked.lexicon is not installed.lexicon:
            try:
                self.check_types(installed.lexicon)
            except LexiconError as error:
                raise _name_refused(f"LEXICON_NAME: {installed.label}: {error}") from None
            checked = self._checked[name] = Layer(installed.lexicon, installed.label)
            self._keep_what_the_store_holds(name)
        return checked

    def let_go_of_removed(self) -> None:
        """Hold no lexicon that was removed; without this, one stays held until somebody asks for it."""
        self._store.let_go_of_removed()
        self._keep_what_the_store_holds()

    def _keep_what_the_store_holds(self, *asked_for: str) -> None:
        for gone in set(self._checked) - {*asked_for, *self._store.held()}:
            self._checked.pop(gone, None)

    def _not_there(self, name: str, rights: LexiconRights, listed: Callable[[], list[str]] | None) -> RefusedError:
        own = ", ".join(each for each in (listed or self._store.names)() if rights.allow(each)) or "none"
        return _name_refused(f"LEXICON_NAME: no lexicon {name!r} is there for this caller; there are: {own}")

    def _layers(
        self,
        name: bytes,
        words: bytes,
        rights: LexiconRights | None,
        found: dict[tuple[bytes, LexiconRights | None], Layer | RefusedError],
        listed: Callable[[], list[str]],
    ) -> list[Layer]:
        layers = []
        if name and name != BASE_NAME.encode():
            # One look at the directory a batch, name and caller: all of a batch's rows see the same version.
            if (name, rights) not in found:
                try:
                    layer = self.named(name.decode("utf-8", "replace"), rights, listed)
                except RefusedError as error:
                    found[name, rights] = error
                else:
                    assert layer is not None
                    found[name, rights] = layer
            if isinstance(known := found[name, rights], RefusedError):
                raise known
            layers.append(known)
        if words and len(own := self._request_lexicon(words)):
            layers.append(Layer(own, REQUEST_LABEL))
        return layers

    def _say_what_stays(self, name: str, label: str, error: Exception) -> None:
        """Log why an older version answers: once, not with every batch."""
        message = f"the lexicon {name} stays at {label}: {error}"
        if self._stays.get(name) != message:
            self._stays[name] = message
            LOG.error(message)


def _name_refused(message: str) -> RefusedError:
    return RefusedError(message, "lexicon_name")


@lru_cache(64)
def _trust_of(content: bytes) -> str | float:
    """Return what a text's TRUST says.

    Raises
    ------
    RefusedError
        Where it says nothing that is known; begins with TRUST.
    """
    try:
        # What was cut may be a number still.
        cut = "…" if len(content) > LONGEST_TRUST else ""
        return parse_trust(content.decode("utf-8", "replace") + cut)
    except LexiconError as error:
        raise RefusedError(f"TRUST: {error}", "trust") from None
