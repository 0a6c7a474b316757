"""Send lexicons to a running server: the caller's side of the Triton model ``lexicons``."""

from __future__ import annotations

import json
from typing import Any

from distillex_client.connection import check_url, is_loopback, open_line
from distillex_client.errors import AccessDenied, TlsError, error_from_grpc, was_hung_up_on
from distillex_client.headers import checked_metadata
from distillex_client.options import Tls
from distillex_client.protocol import bytes_request, element, rows_of

LOCAL_SCHEMES = ("unix:", "unix-abstract:")


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
    api_key: str | None = None,
    tls: Tls | None = None,
    insecure_token: bool = False,
    timeout_s: float = 30.0,
) -> dict[str, Any]:
    """Run one command on the server at ``host:port``.

    Parameters
    ----------
    url, token, command, content
        The server's gRPC, its admin token, the COMMAND and, with a push, the compiled lexicon.
    api_key
        Of a tenant. Without a token, what is done is done as that tenant.
    tls
        Encrypt the connection.
    insecure_token
        Send the credentials in clear to another machine, where whoever sees them may change the lexicons.
    timeout_s
        Seconds to wait for the answer.

    Raises
    ------
    ExtractorError
        When the server refuses it, or cannot be reached; when there are no credentials, or they would travel in clear;
        when a file of ``tls`` cannot be used.
    ValueError
        When ``url`` is none.
    """
    import grpc

    if not token and not api_key:
        raise AccessDenied("no token given: --admin-token-file or DISTILLEX_ADMIN_TOKEN")
    if tls is None and not insecure_token and not stays_here(url):
        raise TlsError(
            f"{url} is another machine, and the {'admin token' if token else 'API key'} would travel there in clear: "
            "--tls (and --tls-ca FILE) encrypts it, --insecure-token sends it all the same"
        )
    if tls is not None:
        tls.check()
    contents = {"TOKEN": (token or "").encode(), "COMMAND": json.dumps(command).encode()}
    if content is not None:
        contents["CONTENT"] = content
    tensors = {name: element(value) for name, value in contents.items()}
    request = bytes_request(tensors, (1,), model_name="lexicons")
    metadata = tuple(checked_metadata({"authorization": f"Bearer {api_key}"}).items()) if api_key else None
    line = open_line(check_url(url), tls, grpc)
    try:
        answer = line.stub.ModelInfer(request, timeout=timeout_s, metadata=metadata)
    except grpc.RpcError as raised:
        error = error_from_grpc(raised)
        if was_hung_up_on(error):
            from distillex_client.tls_probe import named

            error = named(error, url, tls)
        raise error from error.__cause__
    finally:
        line.channel.close()
    (result,) = rows_of(answer, "RESULT") or [b"{}"]
    found: dict[str, Any] = json.loads(result)
    return found
