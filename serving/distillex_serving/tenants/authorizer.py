"""The service that Envoy asks about each call: which tenant, and whether its rate allows the call.

It answers at a Unix socket, in threads of the process that watches Envoy. What Envoy is told it passes on: the signed
header to the servers, a refusal to the caller.
"""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from typing import Any

from distillex_serving.errors import ExpiredError, ForgedError
from distillex_serving.tenants.files import TenantFiles
from distillex_serving.tenants.rates import Rates
from distillex_serving.tenants.signature import HEADER, sign, tenant_of
from distillex_serving.tenants.tenant_file import Tenant

AUTHORIZE = "/authorize"
"""Before the path of the call: whose is it?"""
CHARGE = "/charge"
"""A call that is allowed has more texts than one."""
TEXTS = "x-distillex-texts"
OPEN_PATHS = ("/grpc.health.v1.Health/Check",)
"""What balancers and probes ask, which have no key."""
_BEARER = "bearer "


class Authorizer:
    """Answers until it is stopped.

    Parameters
    ----------
    files
        The tenants and the secret; read anew when they change.
    path
        Of the socket.
    rates
        What is left to each tenant.
    """

    def __init__(self, files: TenantFiles, path: Path, rates: Rates) -> None:
        self._tenants, self._secrets = files.watch()
        self._rates = rates
        path.unlink(missing_ok=True)
        self._server = _Server(str(path), self)
        self._thread = threading.Thread(target=self._server.serve_forever, name="authorizer", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End; calls are not allowed any more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def authorize(self, path: str, authorization: str) -> tuple[int, str]:
        """Return an HTTP status, and the signed header of a call that is allowed or why one is not."""
        if path in OPEN_PATHS:
            return 200, ""
        if not authorization:
            return 401, "no API key was given: send the header 'authorization: Bearer KEY'"
        key = authorization[len(_BEARER) :].strip() if authorization[: len(_BEARER)].lower() == _BEARER else ""
        tenant = self._tenants.content().with_key(key)
        if tenant is None:
            return 401, "the API key is not known"
        if not self._rates.admit(tenant):
            return 429, _too_many(tenant)
        return 200, sign(tenant.name, self._secrets.content()[0], time.time())

    def charge(self, signed: str, texts: int) -> tuple[int, str]:
        """Return an HTTP status, and why a call may not have so many texts more."""
        try:
            name = tenant_of(signed, self._secrets.content(), time.time())
        except (ForgedError, ExpiredError) as error:
            return 401, str(error)
        tenant = self._tenants.content().by_name.get(name)
        if tenant is None:
            return 401, "the API key is not known"
        return (200, "") if self._rates.charge(tenant, texts) else (429, _too_many(tenant))


def _too_many(tenant: Tenant) -> str:
    assert tenant.rate is not None
    rate = tenant.rate
    return f"more texts than {tenant.name} may send ({rate.texts_per_second:g} a second, {rate.burst:g} at once)"


class _Server(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, path: str, authorizer: Authorizer) -> None:
        self.authorizer = authorizer
        super().__init__(path, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Envoy closed a connection; it opens another one."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        authorizer = self.server.authorizer
        if self.path.startswith(AUTHORIZE):
            path = self.path[len(AUTHORIZE) :]
            status, said = authorizer.authorize(path, self.headers.get("authorization") or "")
        elif self.path == CHARGE:
            status, said = authorizer.charge(self.headers.get(HEADER) or "", int(self.headers.get(TEXTS) or 0))
        else:
            status, said = 404, ""
        signed = f"{HEADER}: {said}\r\n" if status == 200 and said else ""
        body = b"" if status == 200 else said.encode()
        head = f"HTTP/1.1 {status} -\r\n{signed}content-length: {len(body)}\r\n\r\n"
        self.wfile.write(head.encode() + body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log nothing: keys stand in the headers."""
