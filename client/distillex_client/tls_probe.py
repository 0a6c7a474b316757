"""Find out whether a TLS mismatch is why a server closes connections.

gRPC reports a client without TLS at a server with it, and a client without the certificate that the server demands,
as it reports a server that restarts: UNAVAILABLE, "Socket closed". A handshake or two tell them apart.
"""

from __future__ import annotations

import socket
import ssl

from distillex_client.connection import host_and_port
from distillex_client.errors import ExtractorError, TlsError
from distillex_client.options import Tls

PROBE_TIMEOUT_S = 2.0


def named(error: ExtractorError, url: str, tls: Tls | None) -> ExtractorError:
    """Return a :class:`TlsError` in place of ``error`` where a handshake shows a mismatch, else ``error``."""
    address = host_and_port(url)
    reason = _mismatch(address, tls) if address is not None else None
    if reason is None:
        return error
    told = TlsError(f"{url}: {reason}")
    told.__cause__ = error.__cause__
    return told


def _mismatch(address: tuple[str, int], tls: Tls | None) -> str | None:
    if not _shakes_hands(address, tls, ssl.TLSVersion.TLSv1_3):
        return None
    if tls is None:
        return "the server speaks TLS: give the client tls=Tls(…)"
    # In TLS 1.3 the client's certificate is looked at after the handshake, in TLS 1.2 within it. A server that takes
    # part in the one and not in the other does so because of the certificate; one that stops meanwhile, in no third.
    if not _shakes_hands(address, tls, ssl.TLSVersion.TLSv1_2) and _shakes_hands(address, tls, ssl.TLSVersion.TLSv1_3):
        wanted = "another client certificate" if tls.certificate else "a client certificate: Tls(certificate=…, key=…)"
        return f"the server demands {wanted}"
    return None


def _shakes_hands(address: tuple[str, int], tls: Tls | None, newest: ssl.TLSVersion) -> bool:
    # Nothing is sent on this connection, so it does not matter whose certificate the server shows.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = newest
    context.set_alpn_protocols(["h2"])
    if tls is not None and tls.certificate is not None and tls.key is not None:
        context.load_cert_chain(tls.certificate, tls.key)
    try:
        with socket.create_connection(address, PROBE_TIMEOUT_S) as connection, context.wrap_socket(connection):
            return True
    except OSError:  # ssl.SSLError is one
        return False
