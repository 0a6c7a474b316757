"""Build the arguments and environment of tritonserver."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from distillex_serving import preconditions
from distillex_serving.addresses import for_http
from distillex_serving.tenants.files import SECRET_VARIABLE, TENANTS_VARIABLE, TenantFiles
from distillex_serving.tenants.signature import HEADER
from distillex_serving.tls_files import TlsFiles
from distillex_serving.tracing import Tracing

GUARD = Path(__file__).with_name("triton_guard.so")
"""Keeps a division by zero from ending tritonserver (``serving/triton_guard``); an installed distribution has it."""
CLOSED_APIS = "shared-memory,model-repository,trace,logging"


@dataclass(frozen=True)
class TritonCommand:
    """The settings of one tritonserver."""

    repository: Path
    backends: Path
    grpc: tuple[str, int]
    """Address, as gRPC reads it, and port."""
    http: tuple[str, int]
    """Numeric address and port."""
    metrics: tuple[str, int]
    shared_memory_prefix: str
    tls: TlsFiles | None
    verbose: bool
    tracing: Tracing | None = None
    tenants: bool = False
    """Whether the models see the header with a request's tenant."""

    def arguments(self) -> list[str]:
        """Return tritonserver's arguments."""
        key = secrets.token_hex(16)
        arguments = [
            f"--model-repository={self.repository}",
            f"--backend-directory={self.backends}",
            f"--backend-config=python,shm-region-prefix-name={self.shared_memory_prefix}",
            "--model-control-mode=none",
            "--disable-auto-complete-config",
            f"--grpc-address={self.grpc[0]}",
            f"--grpc-port={self.grpc[1]}",
            f"--http-address={for_http(self.http[0])}",
            f"--http-port={self.http[1]}",
            f"--metrics-address={for_http(self.metrics[0])}",
            f"--metrics-port={self.metrics[1]}",
            # Nothing of ours calls these or keeps the key; who lists processes can read it (docs/how-to/security.md).
            f"--http-restricted-api={CLOSED_APIS}:admin-key={key}",
            f"--grpc-restricted-protocol={CLOSED_APIS}:admin-key={key}",
            "--exit-timeout-secs=10",
            f"--log-info={'true' if self.verbose else 'false'}",
        ]
        if self.tracing is not None:
            arguments += self.tracing.arguments()
        if self.tenants:
            arguments += [f"--{protocol}-header-forward-pattern={HEADER}" for protocol in ("grpc", "http")]
        if self.tls is not None:
            arguments += [
                "--grpc-use-ssl=1",
                f"--grpc-server-cert={self.tls.certificate.resolve()}",
                f"--grpc-server-key={self.tls.key.resolve()}",
            ]
            if self.tls.client_ca is not None:
                arguments += ["--grpc-use-ssl-mutual=1", f"--grpc-root-cert={self.tls.client_ca.resolve()}"]
        return arguments


def triton_environment(
    libraries: Path, programs: Path, lexicons: Path, admin_token: str | None, tenants: TenantFiles | None = None
) -> dict[str, str]:
    """Return tritonserver's environment variables; ``programs`` holds the ``python3`` of its stubs."""
    environment = dict(os.environ)
    libpython = preconditions.find_libpython().parent
    paths = [str(libraries), str(libpython), environment.get("LD_LIBRARY_PATH", "")]
    environment["LD_LIBRARY_PATH"] = ":".join(path for path in paths if path)
    environment["PATH"] = f"{programs}:{environment.get('PATH', '')}"
    return model_environment(environment, lexicons, admin_token, tenants)


def model_environment(
    own: Mapping[str, str], lexicons: Path, admin_token: str | None, tenants: TenantFiles | None = None
) -> dict[str, str]:
    """Return environment variables with what the models of any Triton are told in them."""
    environment = {**own, "DISTILLEX_LEXICON_DIR": str(lexicons.resolve())}
    for variable in ("DISTILLEX_ADMIN_TOKEN", TENANTS_VARIABLE, SECRET_VARIABLE):
        environment.pop(variable, None)
    if GUARD.exists():
        environment["LD_PRELOAD"] = ":".join(filter(None, (str(GUARD), environment.get("LD_PRELOAD"))))
    if admin_token:
        environment["DISTILLEX_ADMIN_TOKEN"] = admin_token
    if tenants is not None:
        environment |= {TENANTS_VARIABLE: str(tenants.tenants), SECRET_VARIABLE: str(tenants.secret)}
    return environment
