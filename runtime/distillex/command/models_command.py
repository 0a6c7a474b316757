"""Commands ``distillex models list | path | verify | sign``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from distillex.command.options import fail
from distillex.errors import ManifestError, SigningError
from distillex.locations import shipped_models
from distillex.model_manifest import ManifestEntry, check_model, read_manifest
from distillex.models import known_models
from distillex.signing import sign, verify

PASSWORD_VARIABLE = "DISTILLEX_SIGNING_PASSWORD"

app = typer.Typer(no_args_is_help=True, help="List models, print their folders, check and sign their files.")

Folder = Annotated[Path, typer.Argument(help="Folder of a model, such as models/student-cluener.")]
Signature = Annotated[Path | None, typer.Option(help="Signature file; default: model.sig in the folder.")]


@app.command("sign")
def sign_model(
    folder: Folder,
    key: Annotated[
        Path,
        typer.Option(
            help=f"PEM private key (P-256, P-384 or P-521); {PASSWORD_VARIABLE} holds its password if it is encrypted."
        ),
    ],
    signature: Signature = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(help="A file that verify shall not check; repeatable."),
    ] = None,
) -> None:
    """Sign all files of a model except ignored ones; the signature holds each file's checksum."""
    password = os.environ.get(PASSWORD_VARIABLE) or None
    try:
        place = sign(folder, key, password=password, signature=signature, ignored=ignore or ())
    except SigningError as error:
        fail("models sign", str(error))
    typer.echo(f"{place}: signed")


@app.command("verify")
def verify_model(
    model: Annotated[
        str | None,
        typer.Argument(help="Folder of a model, or the name of a shipped one; default: all shipped models."),
    ] = None,
    key: Annotated[Path | None, typer.Option(help="PEM public key of the signer: check the signature.")] = None,
    signature: Signature = None,
) -> None:
    """Check a model's files; exit code 1 if one was changed, added or removed.

    With --key the files are compared with the signature; those that were ignored when it was signed are listed, as
    they cannot be checked. Without a key they are compared with the manifest of the shipped models, which detects
    damage, but does not prove who wrote them.
    """
    if key is not None:
        if model is None:
            fail("models verify", "--key needs a model: a folder, or a name")
        _verify_signature(_folder(model), key, signature)
        return
    if signature is not None:
        fail("models verify", "--signature needs --key")
    try:
        manifest = read_manifest()
        for folder in [_folder(model)] if model is not None else _installed(manifest):
            entry = manifest.get(folder.resolve().name)
            if entry is None:
                raise ManifestError(
                    f"{folder}: no shipped model has this name; shipped are {', '.join(manifest)}. For a model of your "
                    "own, give the key with which it was signed (--key)"
                )
            missing = check_model(folder, entry)
            left_out = f"; not here, and not needed for extraction: {', '.join(missing)}" if missing else ""
            typer.echo(f"{folder}: as in the manifest{left_out}")
    except ManifestError as error:
        fail("models verify", str(error))


@app.command("list")
def list_models() -> None:
    """List the shipped models and your own students in the folder models, with size, score and folder.

    The size is that of all files in the source tree. "-" as folder: only for training, and not in the wheel.
    """
    try:
        manifest = read_manifest()
    except ManifestError as error:
        fail("models list", str(error))
    typer.echo("name\tMB\tscore\ttaught by\tfolder")
    here = {folder.name: folder for folder in _installed(manifest)}
    for name, entry in manifest.items():
        scores = "; ".join(f"{score.measure} {score.value:g} ({score.set})" for score in entry.scores)
        size = f"{entry.bytes / 1e6:.1f}"
        typer.echo("\t".join((name, size, scores or "-", entry.taught_by or "-", str(here.get(name, "-")))))
    for folder in known_models().values():
        if folder not in here.values():
            size = f"{sum(path.stat().st_size for path in folder.iterdir() if path.is_file()) / 1e6:.1f}"
            typer.echo("\t".join((folder.name, size, "-", "-", str(folder))))


@app.command("path")
def path_of_model(
    name: Annotated[str, typer.Argument(help="Name of a model, such as cluener or teacher-cluener.")],
) -> None:
    """Print the folder of a model."""
    folder = _named(name)
    if folder is None:
        try:
            shipped = read_manifest()
        except ManifestError as error:
            fail("models path", str(error))
        if name in shipped:
            fail("models path", f"{name}: for training alone; it lies in the source tree, not in the wheel")
        fail(
            "models path", f"unknown model {name!r}; known are {', '.join(dict.fromkeys([*shipped, *known_models()]))}"
        )
    typer.echo(folder)


def _installed(manifest: dict[str, ManifestEntry]) -> list[Path]:
    folders = [shipped_models() / name for name in manifest]
    return [folder for folder in folders if folder.is_dir()]


def _named(name: str) -> Path | None:
    """Return the folder of a student, or of a shipped model, by name; None where there is none."""
    student = known_models().get(name) or known_models().get(name.removeprefix("student-"))
    if student is not None:
        return student
    folder = shipped_models() / name
    try:
        return folder if name in read_manifest() and folder.is_dir() else None
    except ManifestError:
        return None


def _folder(model: str) -> Path:
    """Return the folder that a path or a name means; a path that exists comes first."""
    path = Path(model)
    return path if path.exists() else _named(model) or path


def _verify_signature(folder: Path, key: Path, signature: Path | None) -> None:
    try:
        unsigned = verify(folder, key, signature=signature)
    except SigningError as error:
        fail("models verify", str(error))
    not_checked = f"; ignored when it was signed, and not checked: {', '.join(unsigned)}" if unsigned else ""
    typer.echo(f"{folder}: as signed{not_checked}")
