"""Commands ``distillex tenant add | set | key | revoke | remove | list``: the file of the tenants."""

from __future__ import annotations

import dataclasses
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from distillex.command.options import EXIT_PRECONDITION, fail
from distillex_client.tables import print_table
from distillex_matcher.layout import write_atomically
from rich.table import Table

from distillex_serving.tenants.api_keys import ApiKey, without_keys
from distillex_serving.tenants.files import TENANTS_VARIABLE
from distillex_serving.tenants.tenant_file import Tenant, Tenants

app = typer.Typer(no_args_is_help=True, help="Tenants of a deployment: their API keys, rates and lexicons.")

File = Annotated[
    Path,
    typer.Option("--tenants", envvar=TENANTS_VARIABLE, help="File of the tenants; gates and servers reload it."),
]
Name = Annotated[str, typer.Argument(help="The tenant's name: a-z, 0-9, '_' and '-'.")]
Lexicons = Annotated[
    list[str] | None,
    typer.Option("--lexicon", help="A lexicon that its requests may use, or a prefix such as 'acme-*'; repeatable."),
]
Push = Annotated[
    list[str] | None,
    typer.Option("--push", help="A lexicon, or a prefix, that it may push, roll back, prune and remove; repeatable."),
]
Rate = Annotated[float | None, typer.Option("--texts-per-second", help="Rate limit; default: none.")]
Burst = Annotated[
    float | None, typer.Option("--burst", help="Texts that it may send at once; default: those of two seconds.")
]


@app.command()
def add(
    name: Name,
    tenants: File,
    lexicon: Lexicons = None,
    push: Push = None,
    texts_per_second: Rate = None,
    burst: Burst = None,
) -> None:
    """Add a tenant, and print its key once: the file keeps only a hash."""
    with _edited("tenant add", tenants, may_be_new=True) as found:
        if name in found.by_name:
            raise ValueError(f"{name!r} already exists; 'distillex tenant set' changes it, 'tenant key' adds a key")
        key = ApiKey.draw()
        fields = {"keys": {key.id: key.digest}, **_fields(lexicon, push, texts_per_second, burst)}
        found.by_name[name] = Tenant.read(name, fields)
    typer.echo(key.text)


@app.command("set")
def change(
    name: Name,
    tenants: File,
    lexicon: Lexicons = None,
    push: Push = None,
    texts_per_second: Rate = None,
    burst: Burst = None,
) -> None:
    """Change the given settings; 'none' as the only --lexicon or --push removes all of them."""
    with _edited("tenant set", tenants) as found:
        tenant = _known(found, name)
        found.by_name[name] = Tenant.read(name, {**tenant.as_json(), **_fields(lexicon, push, texts_per_second, burst)})


@app.command()
def key(name: Name, tenants: File) -> None:
    """Print a new key; the old one stays valid until 'distillex tenant revoke'."""
    with _edited("tenant key", tenants) as found:
        tenant, drawn = _known(found, name), ApiKey.draw()
        found.by_name[name] = dataclasses.replace(tenant, keys={**tenant.keys, drawn.id: drawn.digest})
    typer.echo(drawn.text)


@app.command()
def revoke(
    name: Name, key_id: Annotated[str, typer.Argument(help="The part of the key between its two '_'.")], tenants: File
) -> None:
    """Revoke a key."""
    with _edited("tenant revoke", tenants) as found:
        tenant = _known(found, name)
        if key_id not in tenant.keys:
            raise ValueError(f"{name} has no key {without_keys(key_id)!r}; it has: {', '.join(tenant.keys) or 'none'}")
        left = {each: digest for each, digest in tenant.keys.items() if each != key_id}
        found.by_name[name] = dataclasses.replace(tenant, keys=left)


@app.command()
def remove(name: Name, tenants: File) -> None:
    """Remove a tenant and all its keys. Its lexicons stay."""
    with _edited("tenant remove", tenants) as found:
        del found.by_name[_known(found, name).name]


@app.command("list")
def show(tenants: File) -> None:
    """Show the tenants, and their keys by id."""
    with _failures("tenant list"):
        found = _read(tenants)
    table = Table("tenant", "keys", "lexicons", "may push", "texts a second", "at once")
    for tenant in found.by_name.values():
        rate = (f"{tenant.rate.texts_per_second:g}", f"{tenant.rate.burst:g}") if tenant.rate else ("any", "any")
        rights = (", ".join(each.patterns) or "none" for each in (tenant.lexicons, tenant.push))
        table.add_row(tenant.name, ", ".join(tenant.keys) or "none", *rights, *rate)
    print_table(table)


def _fields(
    lexicon: list[str] | None, push: list[str] | None, texts_per_second: float | None, burst: float | None
) -> dict[str, object]:
    given = {
        "lexicons": [] if lexicon == ["none"] else lexicon,
        "push": [] if push == ["none"] else push,
        "texts_per_second": texts_per_second,
        "burst": burst,
    }
    fields: dict[str, object] = {field: value for field, value in given.items() if value is not None}
    if texts_per_second is not None and burst is None:
        # Of another rate it would be another time.
        fields["burst"] = None
    return fields


def _known(tenants: Tenants, name: str) -> Tenant:
    if name not in tenants.by_name:
        raise ValueError(f"there is no tenant {name!r}; there are: {', '.join(tenants.by_name) or 'none'}")
    return tenants.by_name[name]


def _read(path: Path) -> Tenants:
    try:
        return Tenants.read(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


@contextmanager
def _edited(command: str, path: Path, *, may_be_new: bool = False) -> Iterator[Tenants]:
    """Read the file, and write it back whole; one command at a time."""
    with _failures(command):
        folder = os.open(path.absolute().parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            found = Tenants({}) if may_be_new and not path.exists() else _read(path)
            yield found
            write_atomically(path, Tenants(found.by_name).as_json(), mode=_mode(path))
        finally:
            os.close(folder)


def _mode(path: Path) -> int:
    """Return who may read a file that is to be replaced; of a new one, the umask says so."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        os.umask(mask := os.umask(0o077))
        return 0o666 & ~mask


@contextmanager
def _failures(command: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        fail(command, str(error), EXIT_PRECONDITION)
    except OSError as error:
        fail(command, f"{error.filename}: {error.strerror}", EXIT_PRECONDITION)
