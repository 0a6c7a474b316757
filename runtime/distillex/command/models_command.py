"""Commands ``distillex models sign | verify``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from distillex.command.options import fail
from distillex.errors import SigningError
from distillex.signing import sign, verify

PASSWORD_VARIABLE = "DISTILLEX_SIGNING_PASSWORD"

app = typer.Typer(no_args_is_help=True, help="Sign models, and check that a model is what was signed.")

Folder = Annotated[Path, typer.Argument(help="Folder of a model, such as models/student-cluener.")]
Signature = Annotated[Path | None, typer.Option(help="File of the signature; by default model.sig in the folder.")]


@app.command("sign")
def sign_model(
    folder: Folder,
    key: Annotated[
        Path,
        typer.Option(
            help=f"Private key, PEM, of P-256, P-384 or P-521. The password of an encrypted one: {PASSWORD_VARIABLE}."
        ),
    ],
    signature: Signature = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(help="A file of the folder that is not shipped; verify does not check it. Again for more."),
    ] = None,
) -> None:
    """Sign all files of a model but those ignored; the signature holds the checksum of each."""
    password = os.environ.get(PASSWORD_VARIABLE) or None
    try:
        place = sign(folder, key, password=password, signature=signature, ignored=ignore or ())
    except SigningError as error:
        fail("models sign", str(error))
    typer.echo(f"{place}: signed")


@app.command("verify")
def verify_model(
    folder: Folder,
    key: Annotated[Path, typer.Option(help="Public key, PEM, of the one who signed it.")],
    signature: Signature = None,
) -> None:
    """Check that a model is what was signed; exit code 1 where a file was changed, added or taken away.

    Files that are there but were ignored when it was signed are named: nothing is known of them.
    """
    try:
        unsigned = verify(folder, key, signature=signature)
    except SigningError as error:
        fail("models verify", str(error))
    not_checked = f"; ignored when it was signed, and not checked: {', '.join(unsigned)}" if unsigned else ""
    typer.echo(f"{folder}: as signed{not_checked}")
