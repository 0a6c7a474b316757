"""API keys: drawn at random, shown once, kept as hashes."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass

KEY = re.compile(r"dx_([0-9a-f]{8})_[0-9a-f]{64}")

_SECRET = re.compile(r"(dx_[0-9a-f]{8})_[0-9a-f]+")


@dataclass(frozen=True)
class ApiKey:
    """A new key."""

    text: str
    """What its owner sends as ``authorization: Bearer …``."""

    @staticmethod
    def draw() -> ApiKey:
        """Return a key of 256 random bits, behind a random id that is no secret."""
        return ApiKey(f"dx_{secrets.token_hex(4)}_{secrets.token_hex(32)}")

    @property
    def id(self) -> str:
        """Names the key in lists and logs."""
        return self.text.split("_")[1]

    @property
    def digest(self) -> str:
        """What is kept of it."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def digest_of(key: str) -> bytes:
    """Return the hash under which a key is known.

    Keys are 256 random bits: nobody guesses one, however fast the hash is. A slow one would cost each call for nothing.
    """
    return hashlib.sha256(key.encode("utf-8", "replace")).digest()


def without_keys(text: str) -> str:
    """Return a text without the secret part of any key in it: for messages that quote what stands in a file."""
    return _SECRET.sub(r"\1_…", text)
