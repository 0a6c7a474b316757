"""Training in a run directory: by one run at a time, with the settings that it was started with, once."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distillex_matcher.layout import write_atomically
from filelock import FileLock, Timeout

from distillex_training import processes
from distillex_training.errors import RunDirectoryError
from distillex_training.preflight import check_trackers
from distillex_training.run_record import (
    changed_settings,
    circumstances,
    plain_settings,
    read_record,
    record_of,
    write_record,
)
from distillex_training.run_state import BEST, CHECKPOINT, FINISHED, METRICS, check_best, read_outcome
from distillex_training.task import Task
from distillex_training.trackers import Trackers
from distillex_training.training_loop import fit

LOG = logging.getLogger("distillex.training")
LOCK = ".lock"
TEST = "test.json"
"""What the picked model scores on what it was not picked on."""
PATIENCE_S = 1.0


@dataclass
class Entered:
    """A run directory that a run may go on in."""

    record: dict[str, Any] = field(default_factory=dict)
    outcome: dict[str, float] | None = None
    """Metrics of the best evaluation of a run that is finished and goes on as it was."""
    changed: tuple[str, ...] = ()
    """Keys of the settings that are others than those that it was started with."""
    is_new: bool = True


def train_in(
    directory: Path,
    run: Any,
    prepare: Callable[[], Task],
    *,
    tested: bool = False,
    max_steps: int | None = None,
    resume_with_changes: bool = False,
) -> dict[str, float]:
    """Train, or go on training, what a run describes; a run that is finished is not trained again.

    What a finished run lacks of its test scores, because it ended before it wrote them, is measured then.

    Parameters
    ----------
    directory
        Run directory.
    run
        Its configuration, with its :class:`~distillex_training.training_loop.LoopConfig` as ``loop``.
    prepare
        Reads the data and builds what is trained; not called for a finished run that has all of its scores.
    tested
        Whether the picked model is measured on test sets in the end.
    max_steps
        As of :func:`~distillex_training.training_loop.fit`.
    resume_with_changes
        Go on with other settings or data than those that the directory was started with, as far as the weights allow.

    Returns
    -------
    dict
        Metrics of the best evaluation.

    Raises
    ------
    ConfigError
        For a tracker whose package is not installed.
    RunDirectoryError
        For a directory that holds a run with other settings or data, or in which another process trains.
    """
    check_trackers(run.loop.trackers)
    with (
        _entered(directory, run, resume_with_changes) as entered,
        Trackers(
            *(run.loop.trackers, directory),
            begun=entered.record["begun"],
            settings=plain_settings(entered.record),
        ) as trackers,
    ):
        task, outcome = None, entered.outcome
        if outcome is not None:
            LOG.info("%s is finished already: nothing was trained; delete it to train anew", directory)
        else:

            def keep_record() -> None:
                if processes.is_first():
                    write_record(directory, entered.record, run)
                    if entered.changed:
                        for name in (FINISHED, TEST):
                            (directory / name).unlink(missing_ok=True)

            if entered.is_new:
                keep_record()  # a directory knows what it is for while a teacher labels for it
            task = prepare()
            outcome = fit(
                *(task, run.loop, directory),
                max_steps=max_steps,
                changed=entered.changed,
                restored=keep_record,
                trackers=trackers,
            )
        if tested and processes.share((directory / FINISHED).exists() and not (directory / TEST).exists()):
            _test(prepare() if task is None else task, directory, trackers)
        return outcome


def _test(task: Task, directory: Path, trackers: Trackers) -> None:
    """Write what the picked model scores on what it was not picked on (of the first process)."""
    if processes.is_first():
        measured = task.test(directory / BEST)
        trackers.log_test(measured)
        write_atomically(directory / TEST, json.dumps(measured, ensure_ascii=False) + "\n")
        LOG.info("test f1 %.4f: %s", measured["f1"], directory / TEST)


@contextlib.contextmanager
def _entered(directory: Path, run: Any, resume_with_changes: bool) -> Iterator[Entered]:
    """Hold a run directory that a run may go on in."""
    lock = FileLock(directory / LOCK)
    entered, refusal = Entered(), ""
    try:
        if processes.is_first():
            try:
                entered = _enter(directory, run, lock, resume_with_changes)
            except RunDirectoryError as error:
                refusal = str(error)
        refusal, entered = processes.share((refusal, entered))
        if refusal:
            raise RunDirectoryError(refusal)
        yield entered
    finally:
        lock.release()


def _enter(directory: Path, run: Any, lock: FileLock, resume_with_changes: bool) -> Entered:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=PATIENCE_S)  # whoever only looks whether a run is at work holds it for a moment
    except Timeout:
        raise RunDirectoryError(f"{directory}: another process trains in it; wait for it, or give another") from None
    except OSError as error:
        raise RunDirectoryError(f"{directory} is no directory that can be written to: {error.strerror}") from None
    record = record_of(run, processes.count()) | circumstances(run)
    begun = [name for name in (CHECKPOINT, FINISHED, BEST, METRICS) if (directory / name).exists()]
    if not begun:
        return Entered(record)
    earlier = read_record(directory)
    if earlier is None:
        raise RunDirectoryError(
            f"{directory} holds {', '.join(begun)}, but no record of the settings that they came from: give another "
            "directory, or delete it"
        )
    found = changed_settings(earlier, record)
    lines = [line for _, line in found]
    if found and (not resume_with_changes or earlier["kind"] != record["kind"]):
        shown = "\n".join(f"  {line}" for line in lines)
        raise RunDirectoryError(
            f"{directory} was started with other settings or data:\n{shown}\n"
            "give another directory, go back to the settings of then, delete it to train anew, or go on all the same "
            "with --resume-with-changes"
        )
    record = _history(directory, earlier, record, lines)
    if found:
        return Entered(record, changed=tuple(key for key, _ in found), is_new=False)
    outcome = read_outcome(directory)
    if outcome is not None:
        check_best(directory)
    return Entered(record, outcome, is_new=False)


def _history(directory: Path, earlier: dict[str, Any], record: dict[str, Any], changes: list[str]) -> dict[str, Any]:
    """Return the record of a run that goes on: what it was started with, and what has changed since."""
    step = {"at": record["begun"]} | ({"changes": changes} if changes else {})
    versions = {
        name: version
        for name, version in record["versions"].items()
        if earlier.get("versions", {}).get(name) != version
    }
    if versions and "versions" in earlier:
        step["versions"] = versions
        then = ", ".join(f"{name} {earlier['versions'].get(name, 'missing')}" for name in versions)
        present = ", ".join(f"{name} {version}" for name, version in versions.items())
        LOG.warning("%s was started with %s; now %s", directory, then, present)
    if changes:
        LOG.warning("%s goes on with changes:", directory)
        for line in changes:
            LOG.warning("  %s", line)
    kept = {key: earlier[key] for key in ("begun", "versions", "machine") if key in earlier}
    return record | kept | {"resumed": [*earlier.get("resumed", []), step]}
