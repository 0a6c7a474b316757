"""The student against the teacher in PyTorch on a GPU: float16, eager, compiled, and as CUDA graphs.

    python benchmarks/bench_gpu.py [--student models/student-cluener] [--teacher models/teacher-cluener]
        [--shapes 1x32 32x64 256x64] [--forms eager graph compiled] [--rounds 20] [--json FILE]

Networks alone, random inputs that reach the rows of the tables; rounds alternate between the two, medians of
milliseconds a batch and their ratio are printed. Every form must compute what the float32 network does on the CPU.
`--device cpu` runs the eager form in float32 without a GPU, to try the script out.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from distillex_training.export.onnx import HALF_PARITY, HalfPrecision, inputs_of
from distillex_training.models import load_model
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

    def replay() -> Tensor:
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
        began = time.perf_counter()
        call()
        return (time.perf_counter() - began) * 1e3
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
    models = {}
    for kind, directory in (("student", asked.student), ("teacher", asked.teacher)):
        tagger, _, layout = load_model(directory)
        models[kind] = (tagger.float().eval(), layout)
    rows: list[dict[str, Any]] = []
    with torch.inference_mode():
        for shape in asked.shapes:
            batch, tokens = map(int, shape.split("x"))
            inputs, expected, on_device = {}, {}, {}
            for kind, (tagger, layout) in models.items():
                drawn = inputs_of(tagger, layout, batch, tokens)
                expected[kind] = tagger(*drawn)
                inputs[kind] = tuple(tensor.to(device) for tensor in drawn)
                on_device[kind] = HalfPrecision(tagger).to(device) if device.type == "cuda" else tagger
            for form in forms:
                calls = {kind: in_form(form, on_device[kind], inputs[kind]) for kind in models}
                for kind, call in calls.items():
                    for _ in range(WARM_UP):
                        found = call()
                    check(f"{kind}, {shape}, {form}", found, expected[kind])
                taken: dict[str, list[float]] = {kind: [] for kind in calls}
                for _ in range(asked.rounds):
                    for kind, call in calls.items():
                        taken[kind].append(milliseconds(call, device))
                student, teacher = (statistics.median(taken[kind]) for kind in ("student", "teacher"))
                print(f"| {shape} | {form} | {student:.3f} | {teacher:.3f} | {teacher / student:.1f} |", flush=True)
                rows.append({"shape": shape, "form": form, "student_ms": student, "teacher_ms": teacher})
    if asked.json:
        asked.json.write_text(json.dumps({"device": name, "rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
