"""End a command with one sentence on standard error and an exit code, whatever happened."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from distillex_client.errors import BatchStopped, DeadlineExceeded, ExtractorError, ServerUnavailable, WrongUse
from distillex_client.printable import discard, say

EXIT_BAD_RECORDS = 1
EXIT_WRONG_USE = 2
EXIT_STOPPED = 3
EXIT_INTERRUPTED = 130
EXIT_PIPE_CLOSED = 141


@contextmanager
def exit_codes(program: str, *, resumable: bool = False) -> Iterator[None]:
    """Turn what ends a command into one sentence on standard error and an exit code.

    Parameters
    ----------
    program
        Begins the sentence.
    resumable
        What is done so far is kept for ``--resume``.
    """
    _log_to_standard_error()

    def how_to_resume() -> None:
        if resumable:
            say(f"{program}: the same command with --resume continues")

    try:
        yield
    except WrongUse as error:
        say(f"{program}: {error}")
        raise typer.Exit(EXIT_WRONG_USE) from error
    except (BatchStopped, ServerUnavailable, DeadlineExceeded) as error:
        reason = str(error) if isinstance(error, BatchStopped) else f"{type(error).__name__}: {error}"
        say(f"{program}: {reason}")
        how_to_resume()
        raise typer.Exit(EXIT_STOPPED) from error
    except ExtractorError as error:
        say(f"{program}: {type(error).__name__}: {error}")
        raise typer.Exit(EXIT_WRONG_USE) from error
    except KeyboardInterrupt:
        say(f"{program}: interrupted")
        how_to_resume()
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except BrokenPipeError:
        # The reader of our output has gone (`| head`). Python would complain when it flushes at exit.
        discard(sys.stdout)
        raise typer.Exit(EXIT_PIPE_CLOSED) from None
    except OSError as error:
        discard(sys.stdout)
        say(f"{program}: {error.filename or 'standard output'}: {error.strerror}")
        raise typer.Exit(EXIT_STOPPED) from error


def fill_standard_descriptors() -> None:
    """Where one of the three is closed, a file of ours would get its number, and with it what others write there."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


class _StandardError(logging.Handler):
    """Write to what standard error is now, which a progress bar may have replaced."""

    def emit(self, record: logging.LogRecord) -> None:
        say(self.format(record))


def _log_to_standard_error() -> None:
    log = logging.getLogger("distillex.batch")
    log.setLevel(logging.INFO)
    log.propagate = False
    if not log.handlers:
        handler = _StandardError()
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
        log.addHandler(handler)
