"""Send lexicons to a running server: the caller's side of the ``lexicons`` model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from distillex_matcher import Lexicon
from distillex_matcher.lexicon_store import check_name

from distillex_serving.addresses import is_loopback

LOCAL_SCHEMES = ("unix:", "unix-abstract:")


class LexiconServerError(RuntimeError):
    """The server refused a command, or cannot be reached; the message says why."""


@dataclass(frozen=True)
class ClientTls:
    """PEM files with which a connection is encrypted; with certificate and key, mutually."""

    ca: Path | None = None
    """The authorities that the server's certificate may come from; None: those that gRPC brings."""
    certificate: Path | None = None
    key: Path | None = None


def compile_word_list(path: Path, name: str) -> bytes:
    """Compile a typed TSV, or read a file that is compiled already.

    Raises
    ------
    LexiconError
        For a bad name, line or file.
    """
    check_name(name)
    if path.suffix == ".lex":
        return Lexicon.load(path).to_bytes()
    return Lexicon.from_tsv(path, name=name).to_bytes()


def stays_here(url: str) -> bool:
    """Tell whether what is sent to ``host:port`` stays on this machine."""
    if url.startswith(LOCAL_SCHEMES):
        return True
    address = url.removeprefix("ipv4:").removeprefix("ipv6:").rpartition("/")[2]
    return is_loopback(address.rpartition(":")[0])


def send_command(
    url: str,
    token: str | None,
    command: dict[str, Any],
    content: bytes | None = None,
    *,
    tls: ClientTls | None = None,
    insecure_token: bool = False,
    timeout_s: float = 30.0,
) -> dict[str, Any]:
    """Run one command on the server at ``host:port``.

    Parameters
    ----------
    url, token, command, content
        The server's gRPC, its admin token, the COMMAND and, with a push, the compiled lexicon.
    tls
        Encrypt the connection.
    insecure_token
        Send the token in clear to another machine, where whoever sees it may change the lexicons.
    timeout_s
        Seconds to wait for the answer.

    Raises
    ------
    LexiconServerError
        When the server refuses it, or cannot be reached; when there is no token, or it would travel in clear.
    OSError
        When a file of ``tls`` cannot be read.
    """
    import tritonclient.grpc as triton

    if not token:
        raise LexiconServerError("no token given: --admin-token-file or DISTILLEX_ADMIN_TOKEN")
    if tls is None and not insecure_token and not stays_here(url):
        raise LexiconServerError(
            f"{url} is another machine, and the admin token would travel there in clear: --tls (and --tls-ca FILE) "
            "encrypts it, --insecure-token sends it all the same"
        )
    inputs = []
    values = {"TOKEN": token.encode(), "COMMAND": json.dumps(command).encode()}
    if content is not None:
        values["CONTENT"] = content
    for name, value in values.items():
        tensor = triton.InferInput(name, [1], "BYTES")
        tensor.set_data_from_numpy(np.array([value], dtype=object))
        inputs.append(tensor)
    client = triton.InferenceServerClient(url, **_tls_arguments(tls))
    try:
        answer = client.infer("lexicons", inputs, client_timeout=timeout_s)
    except triton.InferenceServerException as error:
        hung_up = tls is None and "Socket closed" in error.message()
        hint = " (does the server speak TLS? --tls, --tls-ca FILE)" if hung_up else ""
        raise LexiconServerError(f"{url}: {error.message()}{hint}") from None
    finally:
        client.close()
    result: dict[str, Any] = json.loads(answer.as_numpy("RESULT")[0])
    return result


def _tls_arguments(tls: ClientTls | None) -> dict[str, Any]:
    if tls is None:
        return {}
    files = {"root_certificates": tls.ca, "certificate_chain": tls.certificate, "private_key": tls.key}
    return {"ssl": True, **{name: str(path) for name, path in files.items() if path is not None}}
