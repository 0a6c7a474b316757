"""Training in a run directory: by one run at a time, with the settings that it was begun with, once."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from distillex_matcher.layout import write_atomically
from filelock import FileLock, Timeout

from distillex_training import processes
from distillex_training.run_record import RunDirectoryError, differences, read_record, record_of, write_record
from distillex_training.run_state import BEST, CHECKPOINT, FINISHED, METRICS, check_best, read_outcome
from distillex_training.task import Task
from distillex_training.training_loop import fit

LOG = logging.getLogger("distillex.training")
LOCK = ".lock"
TEST = "test.json"
"""What the picked model scores on what it was not picked on."""


def train_in(
    directory: Path, run: Any, prepare: Callable[[], Task], *, tested: bool = False, max_steps: int | None = None
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

    Returns
    -------
    dict
        Metrics of the best evaluation.

    Raises
    ------
    RunDirectoryError
        For a directory that holds a run with other settings or data, or in which another process trains.
    """
    with _entered(directory, run) as (record, outcome):
        task = None
        if outcome is not None:
            LOG.info("%s is finished already: nothing was trained; delete it to train anew", directory)
        else:
            task = prepare()
            if processes.is_first():
                write_record(directory, record)
            outcome = fit(task, run.loop, directory, max_steps=max_steps)
        if tested and processes.share((directory / FINISHED).exists() and not (directory / TEST).exists()):
            _test(prepare() if task is None else task, directory)
        return outcome


def _test(task: Task, directory: Path) -> None:
    """Write what the picked model scores on what it was not picked on (of the first process)."""
    if processes.is_first():
        measured = task.test(directory / BEST)
        write_atomically(directory / TEST, json.dumps(measured, ensure_ascii=False) + "\n")
        LOG.info("test f1 %.4f: %s", measured["f1"], directory / TEST)


@contextlib.contextmanager
def _entered(directory: Path, run: Any) -> Iterator[tuple[dict[str, Any], dict[str, float] | None]]:
    """Hold a run directory that a run may go on in; gives the run's record and, where it is finished, its outcome."""
    lock = FileLock(directory / LOCK)
    record: dict[str, Any] = {}
    refusal, outcome = "", None
    try:
        if processes.is_first():
            try:
                record, outcome = _enter(directory, run, lock)
            except RunDirectoryError as error:
                refusal = str(error)
        refusal, outcome = processes.share((refusal, outcome))
        if refusal:
            raise RunDirectoryError(refusal)
        yield record, outcome
    finally:
        lock.release()


def _enter(directory: Path, run: Any, lock: FileLock) -> tuple[dict[str, Any], dict[str, float] | None]:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock.acquire(blocking=False)
    except Timeout:
        raise RunDirectoryError(f"{directory}: another process trains in it; wait for it, or give another") from None
    except OSError as error:
        raise RunDirectoryError(f"{directory} is no directory that can be written to: {error.strerror}") from None
    record = record_of(run)
    begun = [name for name in (CHECKPOINT, FINISHED, BEST, METRICS) if (directory / name).exists()]
    if not begun:
        return record, None
    earlier = read_record(directory)
    if earlier is None:
        raise RunDirectoryError(
            f"{directory} holds {', '.join(begun)}, but no record of the settings that they came from: give another "
            "directory, or delete it"
        )
    found = differences(earlier, record)
    if found:
        lines = "\n".join(f"  {line}" for line in found)
        raise RunDirectoryError(
            f"{directory} was begun with other settings or data:\n{lines}\n"
            "Give another directory, go back to the settings of then, or delete it to train anew."
        )
    outcome = read_outcome(directory)
    if outcome is not None:
        check_best(directory)
    return record, outcome
