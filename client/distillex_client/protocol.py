"""Requests to and answers of the ``extractor`` model: the one place that knows its tensors."""

from __future__ import annotations

import json
import numbers
import reprlib
import struct
from collections.abc import Mapping, Sequence
from typing import Any

from distillex_client.entity import Entity, Extraction
from distillex_client.errors import InvalidRequest, ServerError

Trust = str | float
"""Trust in words: ``"hint"``, ``"prefer"``, ``"insist"``, or a number from 0 to 1000."""
Lexicon = Mapping[str, "str | Mapping[str, Trust] | None"]
"""Words for this request alone: word → type, ``{"type": …, "trust": …}``, or None to hide a word of the server's
lexicons."""

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

    Whether the model knows the types, and what a trust may be, is for whoever matches the words to say.

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
        if isinstance(kind, Mapping):
            _check_fields(word, kind)
        elif kind is not None and not isinstance(kind, str):
            raise TypeError(f"lexicon gives {word!r} the type {kind!r}, which is {type(kind).__name__}; {form}")


def _check_fields(word: str, fields: Mapping[Any, Any]) -> None:
    form = 'give {"type": "name", "trust": "insist"}, or the type alone'
    for field in fields:
        if field not in ("type", "trust"):
            raise TypeError(f"lexicon gives {word!r} the field {field!r}; {form}")
    kind = fields.get("type")
    if not isinstance(kind, str):
        raise TypeError(f"lexicon gives {word!r} the type {kind!r}, which is {type(kind).__name__}; {form}")
    try:
        check_trust(fields.get("trust"))
    except TypeError as error:
        raise TypeError(f"lexicon gives {word!r} a trust that is not accepted: {error}") from None


def check_trust(trust: object) -> None:
    """Refuse what is neither a level nor a number; None, which says nothing, is let pass.

    Raises
    ------
    TypeError
        Shows the right form.
    """
    is_number = isinstance(trust, numbers.Real) and not isinstance(trust, bool)
    if trust is not None and not is_number and not isinstance(trust, str):
        raise TypeError(
            f"trust is {reprlib.repr(trust)}, a {type(trust).__name__}; "
            'give "hint", "prefer", "insist" or a number from 0 to 1000'
        )


def encode_lexicon(lexicon: Lexicon | None) -> bytes:
    """Return the JSON of a request's own lexicon; empty where there are no words.

    Raises
    ------
    TypeError
        As :func:`check_lexicon`.
    """
    words = {} if lexicon is None else plain_lexicon(lexicon)
    return json.dumps(words, ensure_ascii=False).encode("utf-8", "surrogatepass") if words else b""


def plain_lexicon(lexicon: Lexicon) -> dict[str, Any]:
    """Return words as dictionaries, texts and numbers, whatever mappings and kinds of numbers were given.

    Raises
    ------
    TypeError
        As :func:`check_lexicon`.
    """
    check_lexicon(lexicon)
    return {word: _plain(kind) if isinstance(kind, Mapping) else kind for word, kind in lexicon.items()}


def _plain(fields: Mapping[str, Any]) -> dict[str, Any]:
    trust = plain_trust(fields.get("trust"))
    return {"type": fields["type"], **({} if trust is None else {"trust": trust})}


def plain_trust(trust: Trust | None) -> Trust | None:
    """Return a trust as a text or a float, whatever kind of number was given.

    Raises
    ------
    TypeError
        As :func:`check_trust`.
    """
    check_trust(trust)
    if trust is None or isinstance(trust, str):
        return trust
    try:
        return float(trust)
    except OverflowError:
        # Refused like any other number that is too large, by whoever knows the largest.
        return 1e308 if trust > 0 else -1e308


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


def encode_trust(trust: Trust | None) -> bytes:
    """Return how far words without a trust of their own are obeyed, as it is sent; empty where it is not said.

    Raises
    ------
    TypeError
        As :func:`check_trust`.
    """
    plain = plain_trust(trust)
    if plain is None:
        return b""
    return (plain if isinstance(plain, str) else repr(plain)).encode("utf-8", "surrogatepass")


def infer_request(
    texts: Sequence[str | bytes],
    lexicon: bytes = b"",
    lexicon_name: bytes = b"",
    trust: bytes = b"",
    *,
    with_versions: bool,
    **fields: str,
) -> Any:
    """Return gRPC's message of a request, a row a text; optional tensors only where they are not empty.

    Parameters
    ----------
    texts, lexicon, lexicon_name, trust
        What the tensors hold; words, name and trust are those of each row.
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
    if trust:
        contents["TRUST"] = element(trust) * rows
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
    """Raise InvalidRequest where a row was refused because of its lexicons or their trust: a call's rows share them."""
    if reason.startswith(("LEXICON", "TRUST")):
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
