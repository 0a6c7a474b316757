"""Become a program that ends with the process that started it: ``python -I -S bound_process.py PARENT PROGRAM …``.

A program of its own, because code between fork and exec runs in a copy of a process with threads: beside a busy gRPC
client one of a hundred such copies crashed. It imports nothing of this package.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

SET_PARENT_DEATH_SIGNAL = 1
MOST_FILES = 65536
LIBRARY_PATH, PROGRAMS_LIBRARY_PATH = "LD_LIBRARY_PATH", "DISTILLEX_LIBRARY_PATH"
"""The program's libraries are not this Python's: their path travels under another name."""


def main() -> None:
    """Bind this process, allow it as many files as its user may open, become the program."""
    parent, program = int(sys.argv[1]), sys.argv[2:]
    ctypes.CDLL(None).prctl(SET_PARENT_DEATH_SIGNAL, signal.SIGTERM)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and soft < min(hard, MOST_FILES):
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, MOST_FILES), hard))
    if os.getppid() != parent:
        sys.exit("the process that started this one has ended")
    environment = dict(os.environ)
    environment.pop(LIBRARY_PATH, None)
    if PROGRAMS_LIBRARY_PATH in environment:
        environment[LIBRARY_PATH] = environment.pop(PROGRAMS_LIBRARY_PATH)
    try:
        os.execvpe(program[0], program, environment)
    except OSError as error:
        sys.exit(f"{program[0]} cannot be started: {error.strerror}")


if __name__ == "__main__":
    main()
