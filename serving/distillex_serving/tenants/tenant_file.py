"""The tenant file: tenants with their keys, rates and lexicons.

::

    {"tenants": {"acme": {"keys": {"3f9a1c2e": "<SHA-256 of the key>"}, "lexicons": ["finance", "acme-*"],
                          "push": ["acme-*"], "texts_per_second": 50, "burst": 200}}}

``distillex tenant`` writes it. The gate and the servers read the same one.
"""

from __future__ import annotations

import hmac
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from distillex.errors import RefusedError
from distillex.lexicon_rights import LexiconRights
from distillex.strict_json import parse_json

from distillex_serving.tenants.api_keys import KEY, digest_of, without_keys

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_ID = re.compile(r"[0-9a-f]{8}")
_NOBODYS = b"\0" * 32


@dataclass(frozen=True)
class Rate:
    """How much a tenant may send."""

    texts_per_second: float
    burst: float
    """So many texts may come at once."""


@dataclass(frozen=True)
class Tenant:
    """Somebody whose calls are told from others'."""

    name: str
    keys: Mapping[str, str] = field(default_factory=dict)
    """Id of a key → hexadecimal SHA-256 of it."""
    lexicons: LexiconRights = field(default_factory=LexiconRights)
    """Those that its texts may name."""
    push: LexiconRights = field(default_factory=LexiconRights)
    """Those that it may push, roll back, prune and remove."""
    rate: Rate | None = None
    """None: as much as it likes."""

    @staticmethod
    def read(name: str, fields: Any) -> Tenant:
        """Read what stands in the file.

        Raises
        ------
        ValueError
            Says what is wrong with it.
        """
        if not NAME.fullmatch(name):
            raise ValueError(f"{name[:80]!r} is not a tenant's name: up to 63 of a-z, 0-9, '_' and '-' are accepted")
        if not isinstance(fields, dict):
            raise ValueError(f"{name}: an object is accepted")
        accepted = ("keys", "lexicons", "push", "texts_per_second", "burst")
        if unknown := sorted(fields.keys() - set(accepted)):
            raise ValueError(f"{name}: unknown field {unknown[0]!r}; {', '.join(accepted)} are accepted")
        keys = fields.get("keys", {})
        if not isinstance(keys, dict):
            raise ValueError(f"{name}: keys: an object is accepted, id to SHA-256")
        for key, digest in keys.items():
            if not (_ID.fullmatch(key) and isinstance(digest, str) and _DIGEST.fullmatch(digest)):
                raise ValueError(
                    f"{name}: the key {key[:80]!r}: 8 hexadecimal digits are accepted, and the SHA-256 of the key as 64"
                )
        return Tenant(name, keys, _rights(name, "lexicons", fields), _rights(name, "push", fields), _rate(name, fields))

    def as_json(self) -> dict[str, Any]:
        """Return what stands in the file."""
        fields: dict[str, Any] = {"keys": dict(self.keys), "lexicons": list(self.lexicons.patterns)}
        if self.push.patterns:
            fields["push"] = list(self.push.patterns)
        if self.rate is not None:
            fields |= {"texts_per_second": self.rate.texts_per_second, "burst": self.rate.burst}
        return fields


class Tenants:
    """All of them; what a file says at one moment.

    Parameters
    ----------
    tenants
        Each with another name and other keys.
    """

    def __init__(self, tenants: Mapping[str, Tenant]) -> None:
        self.by_name = dict(tenants)
        self._by_key = {
            key: (tenant, bytes.fromhex(digest)) for tenant in tenants.values() for key, digest in tenant.keys.items()
        }

    @staticmethod
    def read(content: bytes) -> Tenants:
        """Read a file's content.

        Raises
        ------
        ValueError
            Says what is wrong with it, and no key that stands there.
        """
        try:
            return Tenants._read(content)
        except ValueError as error:
            # Logs have it: a key may stand where its hash belongs, or its id.
            raise ValueError(without_keys(str(error))) from None

    @staticmethod
    def _read(content: bytes) -> Tenants:
        try:
            found = parse_json(content, "the file")
        except RefusedError as error:
            raise ValueError(str(error)) from None
        if not isinstance(found, dict) or set(found) != {"tenants"} or not isinstance(found["tenants"], dict):
            raise ValueError('the file must be JSON like {"tenants": {"acme": {"keys": {…}, "lexicons": ["finance"]}}}')
        tenants = {name: Tenant.read(name, fields) for name, fields in found["tenants"].items()}
        owners: dict[str, str] = {}
        for tenant in tenants.values():
            for key in tenant.keys:
                if (other := owners.setdefault(key, tenant.name)) != tenant.name:
                    raise ValueError(f"the key {key} is {other}'s and {tenant.name}'s: each is one tenant's")
        return Tenants(tenants)

    def as_json(self) -> str:
        """Return the file's content."""
        tenants = {name: tenant.as_json() for name, tenant in sorted(self.by_name.items())}
        return json.dumps({"tenants": tenants}, indent=2) + "\n"

    def with_key(self, key: str) -> Tenant | None:
        """Return whose key it is; None for nobody's. Takes as long for a wrong one as for a right one."""
        match = KEY.fullmatch(key)
        tenant, digest = self._by_key.get(match[1], (None, _NOBODYS)) if match else (None, _NOBODYS)
        return tenant if hmac.compare_digest(digest_of(key), digest) else None


def _rights(name: str, what: str, fields: dict[str, Any]) -> LexiconRights:
    patterns = fields.get(what, [])
    if not isinstance(patterns, list) or not all(isinstance(each, str) for each in patterns):
        raise ValueError(f"{name}: {what}: a list of names of lexicons is accepted")
    try:
        return LexiconRights(tuple(patterns))
    except ValueError as error:
        raise ValueError(f"{name}: {what}: {error}") from None


def _rate(name: str, fields: dict[str, Any]) -> Rate | None:
    numbers = {}
    for field_name in ("texts_per_second", "burst"):
        value = fields.get(field_name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value <= 0:
            raise ValueError(f"{name}: {field_name} {value!r}: a number above 0 is accepted")
        numbers[field_name] = float(value)
    if "texts_per_second" not in numbers:
        if numbers:
            raise ValueError(f"{name}: burst needs texts_per_second")
        return None
    per_second = numbers["texts_per_second"]
    return Rate(per_second, numbers.get("burst", max(1.0, 2 * per_second)))
