"""What ends a batch run before its end.

::

    BatchError
    ├── WrongUse        options, lexicon, files or settings that cannot work: change them
    └── BatchStopped    the server stayed away, workers cannot start, or the disk is full: ``--resume`` continues
"""

from __future__ import annotations


class BatchError(Exception):
    """Base of the errors that end a batch run."""


class WrongUse(BatchError):  # noqa: N818
    """Something has to be changed before the run can go on."""


class BatchStopped(BatchError):  # noqa: N818
    """The run stopped through no fault of its input; what is written stays, and ``--resume`` continues."""


class RecordTooLarge(ValueError):  # noqa: N818
    """A record does not fit in memory; the next one may."""

    def __init__(self, largest_bytes: int) -> None:
        super().__init__(f"over {largest_bytes:,} bytes")


def missing_extra(package: str, extra: str, purpose: str, error: ImportError) -> WrongUse:
    """Return the error for an optional package that is not installed, or that cannot be imported."""
    if isinstance(error, ModuleNotFoundError):
        return WrongUse(f"{purpose} needs {package}, which is not installed: pip install 'distillex-client[{extra}]'")
    return WrongUse(f"{purpose} needs {package}, which cannot be imported: {error}")
