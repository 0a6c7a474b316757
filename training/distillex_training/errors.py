"""The errors of training, evaluation, labelling and export, as a tree; the commands report them and exit.

::

    TrainingError
    ├── ConfigError             a configuration is wrong
    ├── DataError               a labelled file is wrong
    ├── ModelDirectoryError     a model's folder is incomplete, or holds files of two models
    ├── EncoderError            an encoder cannot be used
    ├── RunDirectoryError       a run's folder holds another run, or one that is at work
    ├── DivergenceError         a run's loss is no number any more
    ├── NotFiniteError          a model's emissions are no numbers
    ├── ParityError             an exported model computes something else
    ├── TensorRtError           a plan cannot be built or used here
    └── LabellingError          labels from a language model
        ├── EndpointError       nothing that is asked of the endpoint will be answered
        ├── NotAnswered         one request was not answered
        └── BadAnswer           an answer from which nothing can be learnt
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

PROBLEMS_SHOWN = 200


class Located(Protocol):
    """What is wrong, as a text, and the file in which it stands."""

    @property
    def path(self) -> Path:
        """The file."""
        ...


class TrainingError(Exception):
    """Base of all errors of this package."""


class ConfigError(TrainingError, ValueError):
    """A configuration is wrong; the message names the file, and of each mistake key, value and what is accepted."""

    @staticmethod
    def of(path: Path, mistakes: Sequence[tuple[str, str]]) -> ConfigError:
        """Build the error that names the file once and then, a line each where there are several, all mistakes.

        Parameters
        ----------
        path
            The configuration file.
        mistakes
            Of each the ``KEY=VALUE`` of the command line that made it, empty where the file did, and the sentence.
        """
        mistakes = list(dict.fromkeys(mistakes))
        if len(mistakes) == 1:
            ((setting, said),) = mistakes
            return ConfigError(f"{path}{f' with --set {setting}' if setting else ''}: {said}")
        lines = [f"  {f'--set {setting}: ' if setting else ''}{said}" for setting, said in mistakes]
        return ConfigError("\n".join([f"{path}: {len(mistakes)} mistakes", *lines]))


class DataError(TrainingError, ValueError):
    """A labelled file is wrong; the message names file, line, value and what is accepted."""

    @staticmethod
    def of(problems: Sequence[Located], notes: Sequence[str] = ()) -> DataError:
        """Build the error that lists all problems, then notes that are no errors."""
        if len(problems) == 1 and not notes:
            return DataError(str(problems[0]))
        files = dict.fromkeys(str(problem.path) for problem in problems)
        lines = [f"{len(problems)} problem{'s' * (len(problems) > 1)} in {', '.join(files)}:"]
        lines += [str(problem) for problem in problems[:PROBLEMS_SHOWN]]
        if len(problems) > PROBLEMS_SHOWN:
            lines.append(f"… and {len(problems) - PROBLEMS_SHOWN} more; 'distillex data check' lists all of them")
        if notes:
            lines += ["no errors, but worth knowing:", *notes[:PROBLEMS_SHOWN]]
        return DataError("\n".join(lines))


class ModelDirectoryError(TrainingError, ValueError):
    """A model directory is incomplete, of an unknown kind, or holds files of two models."""


class EncoderError(TrainingError, ValueError):
    """An encoder cannot be used; the message says which and why."""


class RunDirectoryError(TrainingError, ValueError):
    """A run directory holds another run, or one that is at work; the message says what differs and what to do."""


class DivergenceError(TrainingError, RuntimeError):
    """A run's loss is no number any more."""


class NotFiniteError(TrainingError, ValueError):
    """A model's emissions are no numbers: its weights are damaged, or its training went astray."""


class ParityError(TrainingError, RuntimeError):
    """The exported model does not compute what the PyTorch model computes."""


class TensorRtError(TrainingError, RuntimeError):
    """A plan cannot be built or used here; the message says why and what to do."""


class LabellingError(TrainingError):
    """Labels cannot be had from a language model."""


class EndpointError(LabellingError, RuntimeError):
    """The endpoint cannot be used: nothing that is asked of it will be answered."""


class NotAnswered(LabellingError, RuntimeError):  # noqa: N818
    """One request was not answered; the message is its kind."""

    def __init__(self, kind: str, *, refused: bool = False) -> None:
        super().__init__(kind)
        self.refused = refused
        """The server answers, but not this request: its filter objects to the text, say."""


class BadAnswer(LabellingError, ValueError):  # noqa: N818
    """An answer from which nothing can be learnt; the message is its kind."""
