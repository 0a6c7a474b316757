"""Signatures of model folders, in the format of the OpenSSF (OMS), by the package model-signing.

Keys are elliptic-curve keys in PEM (P-256, P-384, P-521). A signature holds the name and SHA-256 of each file but for
those that it says were ignored, so a file that was changed, added or taken away is found; of an ignored one only that
it is there.
"""

from __future__ import annotations

import base64
import importlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from distillex.errors import SigningError

SIGNATURE_FILE = "model.sig"
CURVES = ("secp256r1", "secp384r1", "secp521r1")
"""P-256, P-384 and P-521, as the package cryptography calls them."""


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
        Names of files in the folder that are not shipped with it. The signature says which they are, not what is in
        them.

    Raises
    ------
    SigningError
        Where the key or the folder cannot be used, or model-signing is not installed.
    """
    place = signature or folder / SIGNATURE_FILE
    _require(folder, key)
    signing, hashing = _module("model_signing.signing"), _module("model_signing.hashing")
    # The library takes a path that is not absolute for one within the folder.
    paths = [path.absolute() for path in (place, *(folder / name for name in ignored))]
    folder = folder.absolute()
    # Its signature asks for str, and it hands the password on to what takes bytes alone.
    secret: Any = password.encode() if password else None
    _check_key(key, secret=secret, private=True)
    try:
        hashed = hashing.Config().set_ignored_paths(paths=paths, ignore_git_paths=False)
        config = signing.Config().use_elliptic_key_signer(private_key=key, password=secret)
        config.set_hashing_config(hashed).sign(folder, place)
    except (ValueError, TypeError, OSError) as error:
        raise SigningError(f"{folder}: not signed: {error}") from None
    return place


def verify(folder: Path, key: Path, *, signature: Path | None = None) -> list[str]:
    """Check that a model's folder is what was signed.

    Parameters
    ----------
    folder
        The model.
    key
        Public key of the one who signed it.
    signature
        By default ``model.sig`` in the folder.

    Returns
    -------
    list of str
        Files in the folder that were ignored when it was signed: nothing is known of what is in them.

    Raises
    ------
    SigningError
        Where it is not, the signature is another key's or missing, or model-signing is not installed; names the files
        that differ.
    """
    place = signature or folder / SIGNATURE_FILE
    _require(folder, key, place)
    verifying, hashing = _module("model_signing.verifying"), _module("model_signing.hashing")
    _check_key(key, private=False)
    form = _form(place)
    try:
        config = verifying.Config().use_elliptic_key_verifier(public_key=key)
        # The library's own guess passes over Git's files.
        hashed = hashing.Config().use_file_serialization(hashing_algorithm=form["hash_type"])
        config.set_hashing_config(hashed.set_ignored_paths(paths=(), ignore_git_paths=False))
        config.verify(folder.absolute(), place.absolute())
    except Exception as error:  # the library's words for a wrong signature are those of several others
        reason = str(error) or type(error).__name__
        raise SigningError(f"{folder}: not what was signed with the key of {key}: {reason}") from None
    ignored = [folder / name for name in form.get("ignore_paths", ())]
    return [
        path.relative_to(folder).as_posix()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and any(map(path.is_relative_to, ignored)) and path.resolve() != place.resolve()
    ]


def _form(place: Path) -> dict[str, Any]:
    """Return what a signature says of how files were hashed, and which were ignored."""
    try:
        statement = json.loads(base64.b64decode(json.loads(place.read_bytes())["dsseEnvelope"]["payload"]))
        form: dict[str, Any] = statement["predicate"]["serialization"]
        method = form["method"]
    except (ValueError, KeyError, TypeError) as error:
        raise SigningError(f"{place}: no signature of model-signing: {error!r}") from None
    if method != "files":
        raise SigningError(f"{place}: signs {method}; signatures of whole files are accepted")
    return form


def _check_key(file: Path, *, private: bool, secret: Any = None) -> None:
    serialization = _module("cryptography.hazmat.primitives.serialization")
    content, kind = file.read_bytes(), "private" if private else "public"
    try:
        if private:
            key = serialization.load_pem_private_key(content, secret)
        else:
            key = serialization.load_pem_public_key(content)
    except (ValueError, TypeError) as error:
        raise SigningError(f"{file}: no {kind} key in PEM that can be read: {error}") from None
    found = getattr(getattr(key, "curve", None), "name", type(key).__name__)
    if found not in CURVES:
        raise SigningError(
            f"{file}: a key of another kind ({found}); elliptic-curve keys are accepted, of P-256, P-384 and P-521"
        )


def _require(folder: Path, *files: Path) -> None:
    if not folder.is_dir():
        raise SigningError(f"{folder}: not a folder")
    for file in files:
        if not file.is_file():
            raise SigningError(f"{file}: there is no such file")


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise SigningError(
            f"signatures need the Python package {error.name!r}: pip install 'distillex[signing]'"
        ) from None
