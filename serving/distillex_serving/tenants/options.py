"""Options of commands that know tenants."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from distillex_serving.errors import PreconditionError
from distillex_serving.tenants.files import SECRET_VARIABLE, TENANTS_VARIABLE, TenantFiles

TenantsFile = Annotated[
    Path | None,
    typer.Option(
        "--tenants",
        envvar=TENANTS_VARIABLE,
        help="File of tenants with keys, rates and lexicons, written by 'distillex tenant'; reloaded "
        "when it changes. Without it any caller may use any lexicon.",
    ),
]
SecretFile = Annotated[
    Path | None,
    typer.Option(
        "--tenant-secret-file",
        envvar=SECRET_VARIABLE,
        help="File of secrets, one per line. The gate signs each call's tenant with the first; "
        "servers accept all of them.",
    ),
]


def tenant_files(tenants: Path | None, secret: Path | None) -> TenantFiles | None:
    """Return the files of a command's options, once read; None where there are no tenants.

    Raises
    ------
    PreconditionError
        Where one lacks the other, or cannot be used.
    """
    if tenants is None and secret is None:
        return None
    if tenants is None or secret is None:
        raise PreconditionError("--tenants and --tenant-secret-file are given together or not at all")
    files = TenantFiles(tenants.absolute(), secret.absolute())
    try:
        files.watch()
    except ValueError as error:
        raise PreconditionError(str(error)) from None
    return files
