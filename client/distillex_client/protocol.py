"""Requests to and answers of the ``extractor`` model: the one place that knows its tensors."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distillex_client.entity import Entity, Extraction
from distillex_client.errors import InvalidRequest

Lexicon = Mapping[str, "str | None"]
"""Words for this request alone: word → type, or None to hide a word of the server's lexicons."""

LONGEST_TEXT = 510
"""Code points that the server accepts in one text."""


def encode_texts(texts: Sequence[str | bytes]) -> NDArray[np.object_]:
    """Return the TEXT tensor. *Shape:* [B, 1].

    A ``str`` that holds a lone surrogate cannot be UTF-8; it is sent as it is, for the server to refuse by name.
    """
    rows = np.empty((len(texts), 1), dtype=np.object_)
    for row, text in enumerate(texts):
        if isinstance(text, str):
            rows[row, 0] = text.encode("utf-8", "surrogatepass")
        elif isinstance(text, bytes):
            rows[row, 0] = text
        else:
            raise not_a_text(text)
    return rows


def not_a_text(value: object) -> TypeError:
    """Return the error for what is given as a text and is none."""
    return TypeError(f"text {reprlib.repr(value)} is {type(value).__name__}; str or UTF-8 bytes are accepted")


def check_lexicon(lexicon: object) -> None:
    """Refuse what is no mapping of words to types: a set or a string would be read letter by letter, or not at all.

    Raises
    ------
    TypeError
        Shows the right form.
    """
    form = 'give a mapping of words to types, such as {"张伟": "name"}; the type None hides a word'
    if not isinstance(lexicon, Mapping):
        raise TypeError(f"lexicon is a {type(lexicon).__name__}; {form}")
    for word, kind in lexicon.items():
        if not isinstance(word, str):
            raise TypeError(f"lexicon holds the word {word!r}, which is {type(word).__name__} and not str; {form}")
        if kind is not None and not isinstance(kind, str):
            raise TypeError(f"lexicon gives {word!r} the type {kind!r}, which is {type(kind).__name__}; {form}")


def encode_lexicon(lexicon: Lexicon | None) -> bytes:
    """Return the JSON of a request's own lexicon; empty where there are no words.

    Raises
    ------
    TypeError
        As :func:`check_lexicon`.
    """
    if lexicon is None:
        return b""
    check_lexicon(lexicon)
    return json.dumps(dict(lexicon), ensure_ascii=False).encode("utf-8", "surrogatepass") if lexicon else b""


def encode_lexicon_name(name: str | None) -> bytes:
    """Return the name of a lexicon on the server, as it is sent; empty where there is none.

    Raises
    ------
    TypeError
        For what is no text.
    """
    if name is not None and not isinstance(name, str):
        raise TypeError(f"lexicon_name is {name!r}, a {type(name).__name__}; give a name such as 'finance'")
    return (name or "").encode("utf-8", "surrogatepass")


def request_tensors(
    texts: Sequence[str | bytes], lexicon: bytes, lexicon_name: bytes
) -> dict[str, NDArray[np.object_]]:
    """Return the request's tensors by name; optional ones only where they are not empty. *Shape:* [B, 1] each."""
    tensors = {"TEXT": encode_texts(texts)}
    if lexicon:
        tensors["LEXICON"] = np.full((len(texts), 1), lexicon, dtype=np.object_)
    if lexicon_name:
        tensors["LEXICON_NAME"] = np.full((len(texts), 1), lexicon_name, dtype=np.object_)
    return tensors


def parse_answer(
    entities: NDArray[np.object_], versions: NDArray[np.object_], request_id: str = ""
) -> list[Extraction]:
    """Turn the ENTITIES and LEXICON_VERSION tensors into one extraction a row.

    Raises
    ------
    InvalidRequest
        When a row was refused because of its lexicon: all rows of a request share that.
    """
    found = []
    for content, version in zip(entities.reshape(-1), versions.reshape(-1), strict=True):
        value: Any = json.loads(content)
        if isinstance(value, dict):
            reason = str(value["error"])
            if reason.startswith("LEXICON"):
                raise InvalidRequest(reason)
            found.append(Extraction((), version.decode(), reason, request_id))
        else:
            found.append(Extraction(tuple(Entity(**fields) for fields in value), version.decode(), None, request_id))
    return found
