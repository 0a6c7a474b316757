"""Send lexicons to a running server: the caller's side of the ``lexicons`` model."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from distillex_matcher import Lexicon
from distillex_matcher.lexicon_store import check_name


class LexiconServerError(RuntimeError):
    """The server refused a command, or cannot be reached; the message says why."""


def compile_word_list(path: Path, name: str) -> bytes:
    """Compile a typed TSV, or read a file that is compiled already.

    Raises
    ------
    LexiconError
        For a bad name, line or file.
    """
    check_name(name)
    if path.suffix == ".lex":
        Lexicon.load(path)
        return path.read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        compiled = Path(folder) / "compiled.lex"
        Lexicon.from_tsv(path, name=name).save(compiled)
        return compiled.read_bytes()


def send_command(
    url: str, token: str, command: dict[str, Any], content: bytes | None = None, *, timeout_s: float = 30.0
) -> dict[str, Any]:
    """Run one command on the server at ``host:port``.

    Raises
    ------
    LexiconServerError
        When the server refuses it, or cannot be reached.
    """
    import tritonclient.grpc as triton

    inputs = []
    values = {"TOKEN": token.encode(), "COMMAND": json.dumps(command).encode()}
    if content is not None:
        values["CONTENT"] = content
    for name, value in values.items():
        tensor = triton.InferInput(name, [1], "BYTES")
        tensor.set_data_from_numpy(np.array([value], dtype=object))
        inputs.append(tensor)
    client = triton.InferenceServerClient(url)
    try:
        answer = client.infer("lexicons", inputs, client_timeout=timeout_s)
    except triton.InferenceServerException as error:
        raise LexiconServerError(f"{url}: {error.message()}") from None
    finally:
        client.close()
    result: dict[str, Any] = json.loads(answer.as_numpy("RESULT")[0])
    return result
