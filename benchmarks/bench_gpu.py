"""The student against the teacher in PyTorch on a GPU: float16, eager, compiled, and as CUDA graphs.

    python benchmarks/bench_gpu.py [--student models/student-cluener] [--teacher models/teacher-cluener]
        [--shapes 1x32 32x64 256x64] [--forms eager graph compiled] [--rounds 20] [--json FILE]

Networks alone, random inputs that reach the rows of the tables; rounds alternate between the two, medians of
milliseconds a batch and their ratio are printed. Every form must compute what the float32 network does on the CPU.
`--device cpu` runs the eager form in float32 without a GPU, to try the script out.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from alternating import alternate, seconds_of
from distillex_matcher import FeatureLayout
from distillex_training.export.onnx import HALF_PARITY, HalfPrecision, inputs_of
from distillex_training.models import Student, Teacher, load_model
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parents[1]
FORMS = ("eager", "graph", "compiled")
WARM_UP = 5


def as_graph(model: nn.Module, inputs: tuple[Tensor, ...]) -> Callable[[], Tensor]:
    """Capture a model on these inputs; what is returned replays it."""
    side = torch.cuda.Stream()
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
    if form == "graph":
        return as_graph(model, inputs)
    called = torch.compile(model, dynamic=False) if form == "compiled" else model
    return lambda: called(*inputs)


def milliseconds(call: Callable[[], Tensor], device: torch.device) -> float:
    """Time one call, all that it started on the device included."""
    if device.type != "cuda":
        return seconds_of(call) * 1e3
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    call()
    end.record()
    end.synchronize()
    return float(begin.elapsed_time(end))


def check(name: str, found: Tensor, expected: Tensor) -> None:
    """Stop where a form computes something else than the float32 network on the CPU."""
    off = float((found.float().cpu() - expected).abs().max() / expected.abs().max())
    if not off <= 10 * HALF_PARITY:  # reductions on a GPU take another order
        raise SystemExit(f"{name}: emissions are off by {off:.1e} of the largest; at most {10 * HALF_PARITY:.0e}")


def median_milliseconds(
    form: str, models: list[tuple[Student | Teacher, FeatureLayout]], shape: str, device: torch.device, rounds: int
) -> list[float]:
    """Check and time each model in one form at one shape; a median a model."""
    batch, tokens = map(int, shape.split("x"))
    turns = []
    for model, layout in models:
        drawn = inputs_of(model, layout, batch, tokens)
        inputs = tuple(tensor.to(device) for tensor in drawn)
        call = in_form(form, HalfPrecision(model).to(device) if device.type == "cuda" else model, inputs)
        for _ in range(WARM_UP):
            found = call()
        check(f"{type(model).__name__}, {shape}, {form}", found, model(*drawn))
        turns.append(partial(milliseconds, call, device))
    return [statistics.median(taken) for taken in alternate(turns, rounds)]


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--student", type=Path, default=ROOT / "models" / "student-cluener")
    parser.add_argument("--teacher", type=Path, default=ROOT / "models" / "teacher-cluener")
    parser.add_argument("--shapes", nargs="+", default=["1x32", "32x64", "256x64"], metavar="BATCHxTOKENS")
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=FORMS)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    device = torch.device(asked.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("PyTorch finds no GPU here; --device cpu tries the script out without one")
    forms = asked.forms if device.type == "cuda" else ["eager"]
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU, float32"
    print(f"PyTorch {torch.__version__}, {name}\n")
    print("| shape | form | student ms | teacher ms | ratio |\n|---|---|---|---|---|")
    models = [(model.float().eval(), layout) for model, _, layout in map(load_model, (asked.student, asked.teacher))]
    rows = []
    with torch.inference_mode():
        for shape, form in itertools.product(asked.shapes, forms):
            student, teacher = median_milliseconds(form, models, shape, device, asked.rounds)
            print(f"| {shape} | {form} | {student:.3f} | {teacher:.3f} | {teacher / student:.1f} |", flush=True)
            rows.append({"shape": shape, "form": form, "student_ms": student, "teacher_ms": teacher})
    if asked.json:
        asked.json.write_text(json.dumps({"device": name, "rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
