"""The reference of all settings, made from the classes: ``python -m distillex_training.config.reference`` writes it."""

from __future__ import annotations

import dataclasses
import inspect
import json
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from distillex_training.config.losses import LOSSES
from distillex_training.config.messages import Schema, accepted, at, schema_of
from distillex_training.config.runs import PretrainRun, StudentRun, TeacherRun

PAGE = Path("configuration.md")
RUNS: dict[str, type] = {"distill": StudentRun, "finetune": TeacherRun, "pretrain": PretrainRun}
INTRODUCTION = """# Configuration

All keys of the files that `distillex distill`, `finetune` and `pretrain` take. `distillex init` writes such a file for
your own labels ([how to train](../how-to/training.md)). A key that is not named has its default; an unknown one is
refused. Each can be changed on the command line, with dots for the levels and numbers for places in lists:
`--set loop.epochs=20 --set data.train.0.weight=0.5`. Relative paths are searched next to the file, then in the working
folder. Editors that check YAML by a JSON schema find one for each command in `docs/reference/schema/`.

This page is made from the program: `python -m distillex_training.config.reference docs/reference`.
"""


def reference_page() -> str:
    """Return the page."""
    parts = [INTRODUCTION]
    described: dict[type, str] = {}
    for command, kind in RUNS.items():
        parts.append(f"## distillex {command}\n\n{_table(kind)}")
        for nested, path in _nested(kind):
            described.setdefault(nested, path)
    for nested, path in described.items():
        parts.append(f"## `{path}`\n\n{_summary(nested)}\n\n{_table(nested)}")
    rows = [f"| `{loss.name}` | {loss.compares} | {loss.needs.value} | {loss.source} |" for loss in LOSSES.values()]
    head = "| loss | what is compared | read of the teacher | source |\n|---|---|---|---|\n"
    parts.append("## Losses\n\nThe keys of `distillation.losses`.\n\n" + head + "\n".join(rows) + "\n")
    return "\n".join(parts)


def json_schemas() -> dict[str, str]:
    """Return the JSON schema of each command's file, by the file's name."""
    return {
        f"{command}.json": json.dumps(
            {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema_of(kind), ensure_ascii=False, indent=1
        )
        + "\n"
        for command, kind in RUNS.items()
    }


def write_reference(folder: Path) -> None:
    """Write the page and the schemas into a folder of the documentation."""
    (folder / PAGE).write_text(reference_page(), encoding="utf-8")
    (folder / "schema").mkdir(exist_ok=True)
    for name, content in json_schemas().items():
        (folder / "schema" / name).write_text(content, encoding="utf-8")


def _nested(kind: Any, prefix: str = "") -> Iterator[tuple[type, str]]:
    """Yield class and dotted path of each class of settings in another one."""
    hints = typing.get_type_hints(kind)
    for each in dataclasses.fields(kind):
        hint, path = hints[each.name], prefix + each.name
        arguments = typing.get_args(hint)
        if typing.get_origin(hint) is tuple and dataclasses.is_dataclass(arguments[0]):
            hint, path = arguments[0], f"{path}.0"
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            yield hint, path
            yield from _nested(hint, f"{path}.")


def _table(kind: Any) -> str:
    schema = schema_of(kind)
    rows = []
    for each in dataclasses.fields(kind):
        node = at(schema, (each.name,))
        said = _plain(_description(kind, schema, each.name))
        rows.append(f"| `{each.name}` | {_accepted(node, schema)} | {_default(each)} | {said} |")
    return "| key | accepted | default | |\n|---|---|---|---|\n" + "\n".join(rows) + "\n"


def _description(kind: type, schema: Schema, name: str) -> str:
    found: str = schema["properties"][name].get("description", "")
    if not found:
        # pydantic reads the texts of a class's own fields, and leaves out what a field's class says in the same words
        inherited = next((each for each in kind.__bases__ if name in getattr(each, "__dataclass_fields__", ())), None)
        if inherited is not None:
            return _description(inherited, schema_of(inherited), name)
        found = at(schema, (name,)).get("description", "")
    return found


def _accepted(node: Schema, schema: Schema) -> str:
    said = accepted(node, schema)
    return "see below" if said.startswith(("the keys", "a list: the keys")) else said.replace("|", "\\|")


def _default(each: dataclasses.Field[Any]) -> str:
    if each.default_factory is not dataclasses.MISSING:
        made = each.default_factory()
        if isinstance(made, Path):
            return "the one that comes with it"
        return "" if dataclasses.is_dataclass(made) else f"`{json.dumps(made)}`"
    if each.default is dataclasses.MISSING:
        return "**needed**"
    value = list(each.default) if isinstance(each.default, tuple) else each.default
    return f"`{json.dumps(str(value) if isinstance(value, Path) else value)}`"


def _summary(kind: type) -> str:
    return _plain(inspect.cleandoc(kind.__doc__ or "").partition("\n\n")[0])


def _plain(text: str) -> str:
    return " ".join(text.replace("``", "`").split()).replace("|", "\\|")


if __name__ == "__main__":
    import sys

    write_reference(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/reference"))
