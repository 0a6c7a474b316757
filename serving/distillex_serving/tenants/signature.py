"""The gate's signed header, which carries a call's tenant to the servers (docs/how-to/security.md).

::

    x-distillex-tenant: v1.TENANT.EXPIRES.MAC        MAC = HMAC-SHA256(secret, "x-distillex-tenant.v1.TENANT.EXPIRES")

EXPIRES is in seconds of Unix time.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence

from distillex_serving.errors import ExpiredError, ForgedError
from distillex_serving.tenants.tenant_file import NAME

HEADER = "x-distillex-tenant"
LIFETIME_S = 120
"""For the rest of a request to arrive (60 s), and for it to wait in a server's queue."""
CLOCK_SKEW_S = 5
_VALUE = re.compile(rf"v1\.({NAME.pattern})\.([0-9]{{1,12}})\.([0-9a-f]{{64}})")
SHORTEST_SECRET = 32


def read_secrets(content: bytes) -> tuple[bytes, ...]:
    """Return the secrets of a file, one a line: the first signs, all of them are believed.

    Raises
    ------
    ValueError
        Says what is wrong, and does not say the secret.
    """
    secrets = tuple(line.strip() for line in content.splitlines() if line.strip())
    if not secrets:
        raise ValueError("the file holds no secret; 'openssl rand -hex 32' draws one")
    for number, secret in enumerate(secrets, 1):
        if len(secret) < SHORTEST_SECRET:
            raise ValueError(
                f"secret {number} of the file has {len(secret)} bytes; at least {SHORTEST_SECRET} are accepted "
                "('openssl rand -hex 32' draws 64)"
            )
    return secrets


def sign(tenant: str, secret: bytes, now_s: float) -> str:
    """Return the header's value."""
    expires = int(now_s) + LIFETIME_S
    return f"v1.{tenant}.{expires}.{_mac(secret, tenant, expires)}"


def tenant_of(value: str, secrets: Sequence[bytes], now_s: float) -> str:
    """Return the tenant that a header speaks of.

    Raises
    ------
    ForgedError
        Where no secret signed it, or its time lies further ahead than any that is signed now.
    ExpiredError
        Where its time is over.
    """
    match = _VALUE.fullmatch(value)
    tenant, expires, mac = match.groups() if match else ("", "0", "")
    # Each secret is tried, whether another one fitted or not.
    signed = sum(hmac.compare_digest(mac, _mac(secret, tenant, int(expires))) for secret in secrets)
    if not signed or int(expires) > now_s + LIFETIME_S + CLOCK_SKEW_S:
        raise ForgedError(f"the header {HEADER} was not signed by this deployment's gate")
    if int(expires) < now_s - CLOCK_SKEW_S:
        raise ExpiredError(f"the header {HEADER} has expired: the request waited longer than {LIFETIME_S} s")
    return tenant


def _mac(secret: bytes, tenant: str, expires: int) -> str:
    return hmac.new(secret, f"{HEADER}.v1.{tenant}.{expires}".encode(), hashlib.sha256).hexdigest()
