"""One process or several (``accelerate launch``): the device, who writes, and gradients averaged over all.

An optimiser step of N processes is that of one process that accumulates over N times as many batches.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list, gather_object
from torch import nn

T = TypeVar("T")
PATIENCE = timedelta(hours=12)
"""How long processes wait for the first one, which labels and evaluates alone."""


@functools.cache
def _state() -> PartialState:
    state = PartialState(cpu=not torch.cuda.is_available(), timeout=PATIENCE)
    if state.num_processes > 1:
        # Threads of a process group that is still there at exit abort the process now and then.
        atexit.register(state.destroy_process_group)
    return state


def device() -> torch.device:
    """Return the device that this process trains on: its GPU where there is one, else the CPU."""
    return torch.device(_state().device) if torch.cuda.is_available() else torch.device("cpu")


def count() -> int:
    """Return the number of processes."""
    return int(_state().num_processes)


def rank() -> int:
    """Return the place of this process, from 0."""
    return int(_state().process_index)


def is_first() -> bool:
    """Say whether this is the process that writes files."""
    return rank() == 0


def wait() -> None:
    """Wait until all processes are here."""
    _state().wait_for_everyone()


@contextlib.contextmanager
def first_goes_ahead() -> Iterator[None]:
    """Let the first process run the block before the others: it computes what they then read from disk."""
    with _state().main_process_first():
        yield


def share(value: T) -> T:
    """Return the first process's value in all processes."""
    if count() == 1:
        return value
    box: list[Any] = [value]
    broadcast_object_list(box)
    shared: T = box[0]
    return shared


def gather(value: T) -> list[T]:
    """Return the values of all processes, in order; empty where there is one process only."""
    if count() == 1:
        return []
    values: list[T] = gather_object([value])
    return values


def average_gradients(model: nn.Module) -> None:
    """Replace each gradient by its mean over the processes; no gradient counts as zero."""
    if count() == 1:
        return
    for parameter in model.parameters():
        if parameter.requires_grad:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            torch.distributed.all_reduce(parameter.grad)
            parameter.grad /= count()
