"""Log a run to TensorBoard or Weights & Biases, through the trackers of accelerate."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from distillex_training import processes
from distillex_training.run_record import PlainValue

PROJECT = "distillex"
FOLDER = "tensorboard"
"""Of the event files, in the run directory."""


class Trackers:
    """Tells trackers of a run's losses, rates and scores; only the first process does.

    A resumed run continues the same series; TensorBoard drops what was logged after the checkpoint.
    """

    def __init__(
        self,
        names: Sequence[str],
        directory: Path,
        *,
        begun: str = "",
        settings: Mapping[str, PlainValue] | None = None,
    ) -> None:
        """Take what :meth:`begin` needs.

        Parameters
        ----------
        names
            ``tensorboard``, ``wandb``.
        directory
            Run directory.
        begun
            When the run was started; with the directory it identifies the run.
        settings
            Hyper-parameters.
        """
        self._names = tuple(names)
        self._directory = directory
        self._begun = begun
        self._settings = dict(settings or {})
        self._started: dict[str, Any] = {}
        self._step = 0

    def __enter__(self) -> Trackers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for tracker in self._started.values():
            tracker.finish()
        self._started = {}

    def begin(self, step: int, metric: str) -> None:
        """Begin, or go on, after so many steps; ``metric``: the score by which runs are compared."""
        self._step = step
        if self._names and processes.is_first():
            for name in self._names:
                self._started[name] = self._tensorboard(step, metric) if name == "tensorboard" else self._wandb()

    def log_training(self, figures: Mapping[str, float], rates: Mapping[float, float], step: int) -> None:
        """Tell figures of training, and the learning rate of now of each that was configured."""
        named = {f"train/{name}": value for name, value in figures.items()}
        self._log(named | {f"learning_rate/{peak:g}": rate for peak, rate in rates.items()}, step)

    def log_scores(self, scores: Mapping[str, float], step: int) -> None:
        """Tell what an evaluation gave."""
        # The speed is that of training, and told there.
        told = {name.removeprefix("dev_"): value for name, value in scores.items() if not name.endswith("_per_second")}
        self._log({f"dev/{name}": value for name, value in told.items()}, step)

    def log_test(self, scores: Mapping[str, float]) -> None:
        """Tell what the picked model scores on what it was not picked on."""
        self._log({f"test/{name}": value for name, value in scores.items()}, self._step)

    def _log(self, values: dict[str, float], step: int) -> None:
        self._step = step
        for tracker in self._started.values():
            if values:
                tracker.log(values, step=step)

    def _tensorboard(self, step: int, metric: str) -> Any:
        from accelerate.tracking import TensorBoardTracker
        from torch.utils.tensorboard.summary import hparams

        # Events of this step and later ones, which a killed run has written, are hidden.
        tracker = TensorBoardTracker(FOLDER, self._directory, purge_step=step + 1)
        tracker.start()
        # accelerate would write them as a run of its own, in which no score stands beside them.
        experiment, session, _ = hparams(self._settings, {f"dev/{metric}": 0.0})  # type: ignore[no-untyped-call]
        for summary in (experiment, session):
            tracker.writer.file_writer.add_summary(summary)
        return tracker

    def _wandb(self) -> Any:
        from accelerate.tracking import WandBTracker

        identity = hashlib.sha256(f"{self._directory.resolve()} {self._begun}".encode()).hexdigest()[:16]
        tracker = WandBTracker(
            PROJECT, id=identity, name=self._directory.name, dir=str(self._directory), resume="allow"
        )
        tracker.start()
        tracker.store_init_configuration(self._settings)
        return tracker


NO_TRACKERS = Trackers((), Path())
