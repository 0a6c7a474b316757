"""Commands ``distillex runs list | show | compare``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from distillex.command.options import EXIT_PRECONDITION, fail
from distillex_client.tables import print_table
from rich.table import Table

from distillex_training.errors import RunDirectoryError
from distillex_training.run_overview import RunOverview, find_runs, read_run
from distillex_training.run_record import CONTENT, changed_settings

app = typer.Typer(no_args_is_help=True, add_completion=False, help="List, show and compare run directories.")


@app.command("list")
def list_runs(
    folder: Annotated[Path, typer.Argument(help="Folder that holds the run directories.")] = Path("runs"),
) -> None:
    """List run directories with their kind, progress and scores."""
    if not folder.is_dir():
        fail("runs list", f"{folder}: no such folder", EXIT_PRECONDITION)
    table = Table("run", "command", "state", "epoch", "step", "best", "test", "started")
    damage = []
    for directory in find_runs(folder):
        try:
            run = read_run(directory)
        except RunDirectoryError as error:
            table.add_row(str(directory.relative_to(folder)), "", "damaged")
            damage.append(str(error))
            continue
        table.add_row(
            *(
                str(directory.relative_to(folder)),
                run.command,
                run.state,
                _number(run.last.get("epoch")),
                _number(run.last.get("step")),
            ),
            *(_score(run.best), _score(run.test.get("f1")), str(run.record.get("begun", "")).replace("T", " ")[:16]),
        )
    print_table(table)
    typer.echo(f"{table.row_count - len(damage)} runs in {folder}")
    for line in damage:
        typer.echo(line)


@app.command()
def show(
    directory: Annotated[Path, typer.Argument(help="Run directory.")],
    json_: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Show a run: its settings and the checksums of what it read, versions, history and scores."""
    run = _read("show", directory)
    if json_:
        content = run.record | {"state": run.state, "metrics": list(run.metrics), "test": run.test}
        typer.echo(json.dumps(content, ensure_ascii=False, indent=1))
        return
    typer.echo(f"{directory}: distillex {run.command}, {run.state}")
    if "begun" in run.record:
        versions = ", ".join(f"{name} {version}" for name, version in run.record["versions"].items())
        typer.echo(f"started {run.record['begun']}, seed {run.record['seed']}; {versions}; {run.record['machine']}")
    for step in run.record.get("resumed", ()):
        typer.echo(f"resumed {step['at']}{' with changes:' if step.get('changes') else ''}")
        for line in step.get("changes", ()):
            typer.echo(f"  {line}")
    typer.echo("settings:")
    for key, value in run.record["settings"].items():
        typer.echo(f"  {key}: {_value(value)}")
    typer.echo("evaluations:" if run.metrics else "no evaluation yet")
    for row in run.metrics:
        typer.echo(f"  {', '.join(f'{name} {value:.4g}' for name, value in row.items())}")
    if run.test:
        typer.echo(f"test: {', '.join(f'{name} {value:.4f}' for name, value in run.test.items())}")


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(help="Run directory.")],
    second: Annotated[Path, typer.Argument(help="Another one.")],
) -> None:
    """Compare two runs: the settings and data in which they differ, and their scores side by side."""
    runs = [_read("compare", directory) for directory in (first, second)]
    one, other = (run.record for run in runs)
    if one["kind"] != other["kind"]:
        said = f"{first} is of distillex {runs[0].command}, {second} of distillex {runs[1].command}"
        fail("runs compare", said, EXIT_PRECONDITION)
    changed = [key for key, _ in changed_settings(one, other)]
    table = Table("setting", str(first), str(second))
    for key in changed:
        table.add_row(key, *(_value(record["settings"].get(key, "–")) for record in (one, other)))
    if changed:
        print_table(table)
    else:
        typer.echo("the same settings and data")
    then, present = (record.get("versions", {}) for record in (one, other))
    for name in dict.fromkeys((*then, *present)):
        if then.get(name) != present.get(name):
            typer.echo(f"{name}: {then.get(name, '–')}, {present.get(name, '–')}")
    scores = Table("", str(first), str(second))
    scores.add_row("state", *(run.state for run in runs))
    scores.add_row("step", *(_number(run.last.get("step")) for run in runs))
    scores.add_row(f"best {runs[0].metric}", *(_score(run.best) for run in runs))
    for name in dict.fromkeys((*runs[0].test, *runs[1].test)):
        scores.add_row(f"test {name}", *(_score(run.test.get(name)) for run in runs))
    print_table(scores)


def _read(command: str, directory: Path) -> RunOverview:
    try:
        return read_run(directory)
    except RunDirectoryError as error:
        fail(f"runs {command}", str(error), EXIT_PRECONDITION)


def _value(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, dict) and CONTENT in value:
        return f"{value['path']} ({'missing' if value[CONTENT] is None else value[CONTENT][:12]})"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}" if value < 1000 else f"{value:,.0f}"


def _score(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
