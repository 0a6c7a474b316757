"""A network alone on a GPU, in every form that runs it: milliseconds a batch."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from alternating import alternate, seconds_of
from distillex.device import Device
from distillex.gpu.buckets import Bucket
from distillex.gpu.network import GpuNetwork
from distillex_matcher import FeatureLayout
from distillex_training.export.onnx import HALF_PARITY, HalfPrecision, inputs_of
from distillex_training.models import Student, Teacher
from torch import Tensor, nn

EAGER, GRAPH, COMPILED = "PyTorch eager", "PyTorch graph", "PyTorch compiled"
WARM_UP = 5
Model = tuple[Student | Teacher, FeatureLayout]


def as_graph(model: nn.Module, inputs: tuple[Tensor, ...]) -> Callable[[], Tensor]:
    """Capture a model on these inputs; what is returned replays it."""
    side: Any = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM_UP):
            model(*inputs)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        output: Tensor = model(*inputs)

    def replay(_held: tuple[Tensor, ...] = inputs) -> Tensor:  # the graph reads the memory of its inputs
        graph.replay()
        return output

    return replay


def in_form(form: str, model: nn.Module, inputs: tuple[Tensor, ...]) -> Callable[[], Tensor]:
    """Return the call that is timed."""
    if form == GRAPH:
        return as_graph(model, inputs)
    called = torch.compile(model, dynamic=False) if form == COMPILED else model
    return lambda: called(*inputs)


def milliseconds(call: Callable[[], Tensor], device: torch.device) -> float:
    """Time one call, all that it started on the device included."""
    if device.type != "cuda":
        return seconds_of(call) * 1e3
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    begin.record()
    call()
    end.record()
    end.synchronize()
    return float(begin.elapsed_time(end))


def off_by(found: Any, expected: Tensor) -> float:
    """Return the largest difference of an emission, as a share of the largest one."""
    return float((torch.as_tensor(found).float().cpu() - expected).abs().max() / expected.abs().max())


class WrongNetworkError(RuntimeError):
    """What was measured computes something else than the float32 network on the CPU."""


def check(name: str, off: float) -> None:
    """Refuse what computes something else than the float32 network on the CPU."""
    if not off <= 10 * HALF_PARITY:  # reductions on a GPU take another order
        raise WrongNetworkError(
            f"{name}: emissions are off by {off:.1e} of the largest; at most {10 * HALF_PARITY:.0e}"
        )


def pytorch_row(
    form: str, models: dict[str, Model], shape: str, device: torch.device, rounds: int
) -> dict[str, dict[str, float]]:
    """Check and time each model in one form of PyTorch's at one shape, rounds alternating."""
    batch, tokens = map(int, shape.split("x"))
    turns, worst = [], []
    for name, (model, layout) in models.items():
        drawn = inputs_of(model, layout, batch, tokens)
        inputs = tuple(tensor.to(device) for tensor in drawn)
        call = in_form(form, HalfPrecision(model).to(device) if device.type == "cuda" else model, inputs)
        for _ in range(WARM_UP):
            found = call()
        worst.append(off_by(found, model(*drawn)))
        check(f"{name}, {shape}, {form}", worst[-1])
        turns.append(partial(milliseconds, call, device))
    taken = [statistics.median(each) for each in alternate(turns, rounds)]
    return {name: {"network_ms": ms, "off_by": off} for name, ms, off in zip(models, taken, worst, strict=True)}


class OpenedNetworks:
    """Student and teacher, opened for one provider of ONNX Runtime as a server opens them."""

    def __init__(self, folders: dict[str, Path], device: Device) -> None:
        self.networks: dict[str, Any] = {}
        self.start_s: dict[str, float] = {}
        for name, folder in folders.items():
            began = time.perf_counter()
            self.networks[name] = GpuNetwork(folder, device)
            self.start_s[name] = time.perf_counter() - began

    def row(self, models: dict[str, Model], shape: str, rounds: int) -> dict[str, dict[str, float]]:
        """Check and time each network at one shape: the run alone, and the copies around it."""
        batch, tokens = map(int, shape.split("x"))
        rows = {}
        for name, network in self.networks.items():
            model, layout = models[name]
            drawn = inputs_of(model, layout, batch, tokens)
            arrays = [np.ascontiguousarray(tensor.numpy()) for tensor in drawn]
            off = off_by(network.run(*arrays), model(*drawn))
            check(f"{name}, {shape}, {network.where}", off)
            bound = network._bound[Bucket(tokens, batch)]
            parts = {
                "copy_in_ms": partial(bound.copy_in, arrays),
                "network_ms": bound.compute,
                "copy_out_ms": bound.copy_out,
            }
            taken: dict[str, list[float]] = {part: [] for part in parts}
            for _ in range(rounds):
                for part, call in parts.items():
                    # By the thread that recorded the graph.
                    taken[part].append(network._thread.submit(seconds_of, call).result() * 1e3)
            rows[name] = {part: statistics.median(each) for part, each in taken.items()} | {"off_by": off}
        return rows
