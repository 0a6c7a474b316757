"""Requests to and answers of the ``extractor`` model: the one place that knows its tensors."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distillex_client.entity import Entity, Extraction

Lexicon = Mapping[str, "str | None"]
"""Words for this request alone: word → type, or None to hide a word of the server's lexicons."""


def encode_texts(texts: Sequence[str | bytes]) -> NDArray[np.object_]:
    """Return the TEXT tensor. *Shape:* [B, 1].

    A ``str`` that holds a lone surrogate cannot be UTF-8; it is sent as it is, for the server to refuse by name.
    """
    rows = [text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass") for text in texts]
    return np.array(rows, dtype=np.object_).reshape(len(rows), 1)


def encode_lexicon(lexicon: Lexicon) -> bytes:
    """Return the JSON of a request's own lexicon."""
    return json.dumps(dict(lexicon), ensure_ascii=False).encode("utf-8", "surrogatepass")


def request_tensors(
    texts: Sequence[str | bytes], lexicon: Lexicon | None, lexicon_name: str | None
) -> dict[str, NDArray[np.object_]]:
    """Return the request's tensors by name; optional ones only where they are used. *Shape:* [B, 1] each."""
    tensors = {"TEXT": encode_texts(texts)}
    if lexicon:
        tensors["LEXICON"] = np.full((len(texts), 1), encode_lexicon(lexicon), dtype=np.object_)
    if lexicon_name:
        tensors["LEXICON_NAME"] = np.full((len(texts), 1), lexicon_name.encode(), dtype=np.object_)
    return tensors


def parse_answer(entities: NDArray[np.object_], versions: NDArray[np.object_]) -> list[Extraction]:
    """Turn the ENTITIES and LEXICON_VERSION tensors into one extraction a row."""
    return [
        parse_row(content, version.decode())
        for content, version in zip(entities.reshape(-1), versions.reshape(-1), strict=True)
    ]


def parse_row(content: bytes, version: str) -> Extraction:
    """Parse one row: a list of entities, or an object with the error of this row."""
    value: Any = json.loads(content)
    if isinstance(value, dict):
        return Extraction((), version, str(value["error"]))
    return Extraction(tuple(Entity(**fields) for fields in value), version)
