"""Signatures of model folders, in the format of the OpenSSF (OMS), by the package model-signing.

Keys are elliptic-curve keys in PEM (P-256, P-384, P-521). A signature holds the name and SHA-256 of each file, so
a file that was changed, added or taken away is found.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SIGNATURE_FILE = "model.sig"


class SigningError(RuntimeError):
    """A folder cannot be signed, or is not what was signed; the message says why."""


def sign(
    folder: Path, key: Path, *, password: str | None = None, signature: Path | None = None, ignored: Sequence[str] = ()
) -> Path:
    """Sign a model's folder; return the signature's file.

    Parameters
    ----------
    folder
        Every file in it is signed, but for the signature itself and ``ignored``.
    key
        Private key.
    password
        Of an encrypted key.
    signature
        File to write; by default ``model.sig`` in the folder.
    ignored
        Names of files in the folder that are not shipped with it. The signature says which they are.

    Raises
    ------
    SigningError
        Where the key or the folder cannot be used, or model-signing is not installed.
    """
    place = signature or folder / SIGNATURE_FILE
    _require(folder, key)
    signing, hashing = _module("signing"), _module("hashing")
    paths = [place, *(folder / name for name in ignored)]
    try:
        hashed = hashing.Config().set_ignored_paths(paths=paths, ignore_git_paths=True)
        # Its signature asks for str, and it hands the password on to what takes bytes alone.
        secret: Any = password.encode() if password else None
        config = signing.Config().use_elliptic_key_signer(private_key=key, password=secret)
        config.set_hashing_config(hashed).sign(folder, place)
    except (ValueError, TypeError, OSError) as error:
        raise SigningError(f"{folder}: not signed: {error}") from None
    return place


def verify(folder: Path, key: Path, *, signature: Path | None = None) -> None:
    """Check that a model's folder is what was signed.

    Parameters
    ----------
    folder
        The model.
    key
        Public key of the one who signed it.
    signature
        By default ``model.sig`` in the folder.

    Raises
    ------
    SigningError
        Where it is not, the signature is another key's or missing, or model-signing is not installed; names the files
        that differ.
    """
    place = signature or folder / SIGNATURE_FILE
    _require(folder, key, place)
    verifying = _module("verifying")
    try:
        verifying.Config().use_elliptic_key_verifier(public_key=key).verify(folder, place)
    except Exception as error:  # the library's words for a wrong signature are those of several others
        reason = str(error) or type(error).__name__
        raise SigningError(f"{folder}: not what was signed with the key of {key}: {reason}") from None


def _require(folder: Path, *files: Path) -> None:
    if not folder.is_dir():
        raise SigningError(f"{folder}: not a folder")
    for file in files:
        if not file.is_file():
            raise SigningError(f"{file}: there is no such file")


def _module(name: str) -> Any:
    try:
        return importlib.import_module(f"model_signing.{name}")
    except ModuleNotFoundError as error:
        raise SigningError(
            f"signatures need the Python package {error.name!r}: pip install 'distillex[signing]'"
        ) from None
