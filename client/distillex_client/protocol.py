"""Requests to and answers of the ``extractor`` model: the one place that knows its tensors."""

from __future__ import annotations

import json
import reprlib
import struct
from collections.abc import Mapping, Sequence
from typing import Any

from distillex_client.entity import Entity, Extraction
from distillex_client.errors import InvalidRequest, ServerError

Lexicon = Mapping[str, "str | None"]
"""Words for this request alone: word → type, or None to hide a word of the server's lexicons."""

LONGEST_TEXT = 510
"""Code points that the server accepts in one text."""
_LENGTH = struct.Struct("<I")


def encode_text(text: str | bytes) -> bytes:
    """Return a text as it is sent.

    A ``str`` that holds a lone surrogate cannot be UTF-8; it is sent as it is, for the server to refuse by name.

    Raises
    ------
    TypeError
        For what is no text.
    """
    if isinstance(text, str):
        return text.encode("utf-8", "surrogatepass")
    if isinstance(text, bytes):
        return text
    raise not_a_text(text)


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


def infer_request(
    texts: Sequence[str | bytes], lexicon: bytes, lexicon_name: bytes, *, with_versions: bool, **fields: str
) -> Any:
    """Return gRPC's message of a request, a row a text; optional tensors only where they are not empty.

    Parameters
    ----------
    texts, lexicon, lexicon_name
        What the tensors hold; the words and the name are those of each row.
    with_versions
        Ask which lexicons answer, too.
    fields
        Others of ``ModelInferRequest``, such as ``model_name``.
    """
    rows = len(texts)
    contents = {"TEXT": b"".join([element(encode_text(text)) for text in texts])}
    if lexicon:
        contents["LEXICON"] = element(lexicon) * rows
    if lexicon_name:
        contents["LEXICON_NAME"] = element(lexicon_name) * rows
    # Where none is named the server sends all.
    return bytes_request(contents, (rows, 1), outputs=() if with_versions else ("ENTITIES",), **fields)


def bytes_request(
    contents: Mapping[str, bytes], shape: Sequence[int], *, outputs: Sequence[str] = (), **fields: str
) -> Any:
    """Return gRPC's message of a request of tensors of bytes, all of one shape, made of :func:`element`."""
    from tritonclient.grpc import service_pb2

    tensor = service_pb2.ModelInferRequest.InferInputTensor
    wanted = service_pb2.ModelInferRequest.InferRequestedOutputTensor
    return service_pb2.ModelInferRequest(
        inputs=[tensor(name=name, datatype="BYTES", shape=shape) for name in contents],
        raw_input_contents=contents.values(),
        outputs=[wanted(name=name) for name in outputs],
        **fields,
    )


def parse_answer(answer: Any, texts: int) -> list[Extraction]:
    """Turn gRPC's message of an answer into one extraction a row.

    Parameters
    ----------
    answer
        What the server sent.
    texts
        How many rows the request had.

    Raises
    ------
    InvalidRequest
        When a row was refused because of its lexicon: all rows of a request share that.
    ServerError
        When a tensor is missing, has another number of rows, or cannot be read: another model answered.
    """
    try:
        return _parsed(answer, texts)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise ServerError(f"the answer of model {answer.model_name!r} cannot be read ({reason})") from error


def _parsed(answer: Any, texts: int) -> list[Extraction]:
    request_id = answer.id
    rows = rows_of(answer, "ENTITIES")
    if rows is None:
        raise ServerError(f"the answer of model {answer.model_name!r} holds no ENTITIES")
    # Not asked for where nobody wants to know.
    versions = rows_of(answer, "LEXICON_VERSION") or [b""] * len(rows)
    if not len(rows) == len(versions) == texts:
        raise ValueError(f"{len(rows)} rows, and {len(versions)} lexicon versions, for {texts} texts")
    found = []
    for content, version in zip(rows, versions, strict=True):
        if content.startswith(b"{"):
            reason = str(json.loads(content)["error"])
            raise_for_lexicon(reason)
            found.append(Extraction((), version.decode(), reason, request_id))
        else:
            found.append(Extraction(parse_entities(content), version.decode(), None, request_id))
    return found


def parse_entities(content: bytes) -> tuple[Entity, ...]:
    """Return the entities of a JSON list of ``{"start", "end", "type", "text", "score"}``."""
    return tuple([Entity(**fields) for fields in json.loads(content.decode())])


def raise_for_lexicon(reason: str) -> None:
    """Raise InvalidRequest where a row was refused because of its lexicon: all rows of a call share that."""
    if reason.startswith("LEXICON"):
        raise InvalidRequest(reason)


def element(content: bytes) -> bytes:
    """Return an element of a tensor of bytes: it stands behind its length."""
    return _LENGTH.pack(len(content)) + content


def rows_of(answer: Any, name: str) -> list[bytes] | None:
    """Return the elements of a tensor of bytes; None where it is missing.

    Raises
    ------
    ValueError
        Where it ends within an element.
    """
    place = next((place for place, tensor in enumerate(answer.outputs) if tensor.name == name), None)
    if place is None or place >= len(answer.raw_output_contents):
        return None
    content = answer.raw_output_contents[place]
    rows: list[bytes] = []
    position = 0
    while position < len(content):
        begin = position + _LENGTH.size
        length = int.from_bytes(content[position:begin], "little")
        position = begin + length
        if position > len(content):
            raise ValueError(f"{name} ends within element {len(rows)}")
        rows.append(content[begin:position])
    return rows
