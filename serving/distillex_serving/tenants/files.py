"""The two files of a deployment with tenants: tenants, and secrets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from distillex_serving.tenants.signature import read_secrets
from distillex_serving.tenants.tenant_file import Tenants
from distillex_serving.tenants.watched_file import WatchedFile

TENANTS_VARIABLE = "DISTILLEX_TENANTS"
SECRET_VARIABLE = "DISTILLEX_TENANT_SECRET_FILE"
"""By which the models of a Triton are told both."""


@dataclass(frozen=True)
class TenantFiles:
    """Who the tenants are, and the secret by which the gate signs whose call it is."""

    tenants: Path
    secret: Path

    def watch(self) -> tuple[WatchedFile[Tenants], WatchedFile[tuple[bytes, ...]]]:
        """Open both.

        Raises
        ------
        ValueError
            Names the one that cannot be used.
        """
        return WatchedFile(self.tenants, Tenants.read), WatchedFile(self.secret, read_secrets)
