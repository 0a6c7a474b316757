"""Options that several commands share, as dataclasses: a command takes one as a parameter."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from distillex_client.options import Tls


@dataclass(frozen=True)
class TlsOptions:
    """How a connection is encrypted."""

    tls: Annotated[bool, typer.Option("--tls", help="Encrypt; the other TLS options imply it.")] = False
    tls_ca: Annotated[
        Path | None,
        typer.Option(help="PEM file of the CA that signed the server's certificate; default: gRPC's list."),
    ] = None
    tls_certificate: Annotated[Path | None, typer.Option(help="PEM file of the client certificate (mutual TLS).")] = (
        None
    )
    tls_key: Annotated[Path | None, typer.Option(help="PEM file of the client's key.")] = None

    @property
    def tls_files(self) -> Tls | None:
        """The client's argument; None: no TLS."""
        files = Tls(self.tls_ca, self.tls_certificate, self.tls_key)
        return files if self.tls or files != Tls() else None


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """Make a typer command of a function with keywords that are dataclasses: their fields become its options."""
    given = inspect.signature(command, eval_str=True).parameters.values()
    keywords = [each for each in given if each.kind is inspect.Parameter.KEYWORD_ONLY]
    groups: dict[str, Any] = {
        each.name: each.annotation for each in keywords if dataclasses.is_dataclass(each.annotation)
    }
    fields = {name: [field.name for field in dataclasses.fields(kind)] for name, kind in groups.items()}

    @functools.wraps(command)
    def run(*positional: Any, **arguments: Any) -> None:
        built = {name: groups[name](**{field: arguments.pop(field) for field in fields[name]}) for name in groups}
        command(*positional, **arguments, **built)

    parameters = []
    for each in given:
        if each.name not in groups:
            parameters.append(each)
            continue
        kinds = typing.get_type_hints(groups[each.name], include_extras=True)
        parameters += [
            inspect.Parameter(
                field.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=inspect.Parameter.empty if field.default is dataclasses.MISSING else field.default,
                annotation=kinds[field.name],
            )
            for field in dataclasses.fields(groups[each.name])
        ]
    # From these typer makes the command line.
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run
