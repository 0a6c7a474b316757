"""Student and teacher on a GPU: the networks in every form that runs them, the whole pipeline and its limit.

    python benchmarks/bench_gpu.py [--student models/student-cluener] [--teacher models/teacher-cluener]
        [--shapes 1x32 32x64 256x64] [--providers cuda tensorrt-rtx] [--no-graphs] [--sentences 2000]
        [--text FILE] [--rounds 20] [--budget-s 480] [--work build/gpu] [--json FILE] [--device cpu --quick]

Needs a GPU, PyTorch for CUDA, and onnxruntime-gpu or the TensorRT-RTX plugin; nothing from a network. Done in turn, the
dearest last, and written to --json after each step, so that what a time limit leaves is kept:

1. exports both networks for GPUs and the student for CPUs into --work, if they are not there (no GPU is needed: run
   ``--export-only`` beforehand and carry the folder);
2. ONNX Runtime's providers: milliseconds a batch, the copies beside; every network must compute what the float32 one
   does on the CPU. What fails is written down, and the next form goes on;
3. the pipeline, texts in, entities out: microseconds a sentence of each part, which part binds, sentences/s of a call
   of many texts, spans equal to those of the float32 network on the CPU, and to those of the CPU's int8 file, which
   differs from it by more than a GPU does; then the same texts through ``distillex serve --device gpu``;
4. PyTorch eager, as CUDA graphs, and compiled (until --budget-s is used up: each shape compiles for minutes).

Exit codes: 0; 1 where an acceptance bound is missed: spans equal to the CPU's --min-agreement (0.998), network at
256 x 64 within --max-network-ms (0.6), sentences/s in process --min-rate (20,000 on 16 cores).
``python training/evidence/record_gpu.py FILE`` puts the JSON into docs/notebook/results.json and docs/how-to/gpu.md.
``--device cpu --quick`` tries all of it out without a GPU, at small shapes, and keeps no bounds.

On a bare GPU machine that has PyTorch for CUDA and no network: copy this tree, --work, and the wheels of
onnxruntime-gpu (of that PyTorch's CUDA: 1.26 for CUDA 12, later ones for CUDA 13), nvidia-pytriton, numpy below 2 and
their dependencies; then benchmarks/bench_gpu.sh WHEELS.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import distillex
import torch
from distillex.device import Device, Provider
from distillex.gpu.buckets import BATCHES as BUCKET_BATCHES
from distillex.gpu.buckets import MOST_TOKENS, TRIED_TOKENS, Buckets
from distillex.locations import shipped_lexicons
from distillex_matcher import FeatureLayout, LayoutError
from distillex_matcher.cores import usable_cores
from distillex_matcher.exported import GPU_NETWORK_FILE, NETWORK_FILE, ExportedFiles
from distillex_training.export.folder import export_folder, export_gpu_folder
from distillex_training.models import load_model
from gpu_networks import COMPILED, EAGER, GRAPH, Model, OpenedNetworks, pytorch_row
from gpu_pipeline import agreement, float32_spans, parts_row, sentences, served, spans_of, whole_rate
from gpu_tables import tables

ROOT = Path(__file__).resolve().parents[1]
SHAPES = ("1x32", "8x32", "32x64", "64x64", "256x64", "256x128")
QUICK_SHAPES = ("1x32", "8x32")
BATCHES = (1, 8, 32, 64, 256, 1024)
JUDGED_SHAPE = "256x64"
WHOLE = 20_000
"""Sentences of a call whose rate is taken; the same ones are repeated."""


class Report:
    """What was measured so far, in a file that is complete after each step."""

    def __init__(self, path: Path | None, content: dict[str, Any]) -> None:
        self.path, self.content = path, content

    def add(self, key: str, row: dict[str, Any]) -> None:
        """Append a row, and say it."""
        self.content.setdefault(key, []).append(row)
        print(json.dumps({key: row}, ensure_ascii=False), flush=True)
        self.write()

    def write(self) -> None:
        """Write the file."""
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_text(json.dumps(self.content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def machine(device: torch.device) -> dict[str, str]:
    """Return card, driver and versions."""
    card = driver = "none"
    if device.type == "cuda":
        query = ["nvidia-smi", "--query-gpu=driver_version,memory.total,power.limit", "--format=csv,noheader", "--id=0"]
        try:
            driver = subprocess.run(query, check=True, capture_output=True, text=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError) as error:
            driver = f"unknown ({error})"
        capability = ".".join(map(str, torch.cuda.get_device_capability()))
        card = f"{torch.cuda.get_device_name()}, compute capability {capability}"
    names = ("onnxruntime-gpu", "onnxruntime", "onnxruntime-ep-nv-tensorrt-rtx-cu12",
             "onnxruntime-ep-nv-tensorrt-rtx-cu13", "nvidia-pytriton", "numpy")  # fmt: skip
    versions = {"torch": torch.__version__, "CUDA of torch": str(torch.version.cuda)}
    for name in names:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {"card": card, "driver": driver, "cores": str(usable_cores()), **versions}


def exported(student: Path, teacher: Path, work: Path) -> dict[str, Path]:
    """Return the folders with the networks for GPUs; writes what is missing, or of another model."""
    folders = {"student": work / student.name, "teacher": work / teacher.name}
    for model, folder in zip((student, teacher), folders.values(), strict=True):
        if not (folder / GPU_NETWORK_FILE).exists() or not _is_of(model, folder):
            export_gpu_folder(model, folder)
        if model == student and not (folder / NETWORK_FILE).exists():
            export_folder(model, folder)
    return folders


def _is_of(model: Path, folder: Path) -> bool:
    _, crf, layout = load_model(model)
    try:
        there = ExportedFiles.beside(folder / GPU_NETWORK_FILE)
    except LayoutError:
        return False
    return (there.layout, there.crf) == (layout, crf.parameters_for_serving())


def check_shapes(asked: argparse.Namespace, layout: FeatureLayout) -> None:
    """End the program where a shape is no bucket: none is prepared for it."""
    most = TRIED_TOKENS if asked.device == "cpu" else MOST_TOKENS
    known = [f"{bucket.rows}x{bucket.tokens}" for bucket in sorted(Buckets(layout.buckets, BUCKET_BATCHES, most))]
    if unknown := [shape for shape in asked.shapes if shape not in known]:
        raise SystemExit(f"--shapes {' '.join(unknown)}: no such bucket; there are {' '.join(known)}")


def failure(error: Exception) -> str:
    """Return an error in a line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def devices(asked: argparse.Namespace) -> Iterator[tuple[str, Device]]:
    """Yield the providers to measure."""
    if asked.device == "cpu":
        yield "ONNX Runtime, buckets on the CPU", Device(0, Provider.CPU)
        return
    for name in asked.providers:
        form = f"ONNX Runtime {name}{', no graphs' if asked.no_graphs else ''}"
        yield form, Device(0, Provider(name), graphs=not asked.no_graphs)


def measure_provider(
    form: str, device: Device, folders: dict[str, Path], models: dict[str, Model], asked: argparse.Namespace,
    report: Report,
) -> None:  # fmt: skip
    """Networks, pipeline and server of one provider."""
    opened = OpenedNetworks(folders, device)
    for shape in asked.shapes:
        for name, row in opened.row(models, shape, asked.rounds).items():
            report.add("networks", {"form": form, "model": name, "shape": shape, **row})
    for name, seconds in opened.start_s.items():
        report.add("starts", {"form": form, "model": name, "seconds": seconds})
    del opened
    lexicons = asked.lexicons
    texts = asked.texts
    cpu = distillex.load(folders["student"], lexicon_directory=lexicons)
    expected = float32_spans(cpu, models["student"][0], texts)
    as_int8 = spans_of(cpu.extract_batch(texts))
    many = (texts * (asked.whole // len(texts) + 1))[: asked.whole]
    on_cpu = {"form": "CPU, int8", "model": "student", "sentences_per_second": whole_rate(cpu, many[:5000], 1)}
    report.add("pipeline", on_cpu)
    for name, folder in folders.items():
        tagger = distillex.load(folder, device=device, lexicon_directory=lexicons)
        whole: dict[str, Any] = {"form": form, "model": name, "where": tagger.where}
        if name == "student":
            spans = spans_of(tagger.extract_batch(texts))
            whole |= agreement(spans, expected) | {"as_int8": agreement(spans, as_int8)["agreement"]}
        whole["parts"] = [parts_row(tagger, many, batch, 5) for batch in asked.batches]
        whole["sentences_per_second"] = whole_rate(tagger, many, 3)
        report.add("pipeline", whole)
    answer = served(folders["student"], device, texts, lexicons)
    found = answer.pop("spans", None)
    report.add("served", {"form": form, **answer, **({} if found is None else agreement(found, expected))})


def measure_pytorch(
    models: dict[str, Model], asked: argparse.Namespace, device: torch.device, until: float, report: Report
) -> None:
    """Eager and graphs first; compiled while there is time."""
    forms = (EAGER, GRAPH, COMPILED) if device.type == "cuda" else (EAGER,)
    with torch.inference_mode():
        for form in forms:
            for shape in asked.shapes:
                if form == COMPILED and time.monotonic() > until:
                    report.add("not_measured", {"form": form, "shape": shape, "why": "the time was used up"})
                    continue
                try:
                    rows = pytorch_row(form, models, shape, device, asked.rounds)
                except Exception as error:  # whatever PyTorch and its compilers raise
                    report.add("not_measured", {"form": form, "shape": shape, "why": failure(error)})
                    continue
                for name, row in rows.items():
                    report.add("networks", {"form": form, "model": name, "shape": shape, **row})


def judge(report: dict[str, Any], asked: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Return each bound with what was measured against it; None: not measured."""
    student = [row for row in report.get("networks", ()) if row["model"] == "student" and "copy_in_ms" in row]
    judged = [row["network_ms"] for row in student if row["shape"] == JUDGED_SHAPE]
    on_gpu = [row for row in report.get("pipeline", ()) if row["model"] == "student" and "agreement" in row]
    served_rows = [row for row in report.get("served", ()) if "agreement" in row]
    agreements = [row["agreement"] for row in (*on_gpu, *served_rows)]
    rates = [row["sentences_per_second"] for row in on_gpu]
    bounds: list[tuple[str, float | None, float, Callable[[float, float], bool]]] = [
        ("spans equal to the CPU's", min(agreements, default=None), asked.min_agreement, float.__ge__),
        (f"network at {JUDGED_SHAPE}, ms", min(judged, default=None), asked.max_network_ms, float.__le__),
        ("sentences/s in process", max(rates, default=None), asked.min_rate, float.__ge__),
    ]
    return {
        name: {"measured": value, "bound": bound, "kept": None if value is None else bool(holds(value, float(bound)))}
        for name, value, bound, holds in bounds
    }


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--student", type=Path, default=ROOT / "models" / "student-cluener")
    parser.add_argument("--teacher", type=Path, default=ROOT / "models" / "teacher-cluener")
    parser.add_argument("--lexicons", type=Path, default=shipped_lexicons())
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "gpu")
    parser.add_argument("--export-only", action="store_true")
    parser.add_argument("--shapes", nargs="+", metavar="BATCHxTOKENS")
    parser.add_argument("--batches", nargs="+", type=int)
    parser.add_argument("--providers", nargs="+", choices=("cuda", "tensorrt-rtx"), default=("cuda", "tensorrt-rtx"))
    parser.add_argument("--no-graphs", action="store_true", help="run ONNX Runtime's providers without CUDA graphs")
    parser.add_argument("--sentences", type=int)
    parser.add_argument("--text", type=Path, help="a sentence a line")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--budget-s", type=float, default=480.0)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--min-agreement", type=float, default=0.998)
    parser.add_argument("--max-network-ms", type=float, default=0.6)
    parser.add_argument("--min-rate", type=float, default=20_000.0)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    asked.shapes = asked.shapes or (QUICK_SHAPES if asked.quick or asked.device == "cpu" else SHAPES)
    asked.batches = asked.batches or ((1, 8) if asked.quick else BATCHES)
    asked.sentences = asked.sentences or (40 if asked.quick else 2000)
    asked.whole = asked.sentences if asked.quick else WHOLE
    asked.rounds = asked.rounds or (2 if asked.quick else 20)
    asked.texts = sentences(asked.sentences, asked.text)
    return asked


def main() -> None:
    """Measure, print tables, and judge."""
    asked = arguments()
    until = time.monotonic() + asked.budget_s
    device = torch.device(asked.device)
    folders = exported(asked.student, asked.teacher, asked.work)
    if asked.export_only:
        print(*folders.values(), sep="\n")
        return
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("PyTorch finds no GPU here; --device cpu --quick tries the script out without one")
    report = Report(asked.json, {"machine": machine(device), "date": time.strftime("%Y-%m-%d")})
    print(json.dumps(report.content, ensure_ascii=False), flush=True)
    models: dict[str, Model] = {}
    for name, folder in (("student", asked.student), ("teacher", asked.teacher)):
        model, _, layout = load_model(folder)
        models[name] = model.float().eval(), layout
        check_shapes(asked, layout)
    for form, where in devices(asked):
        try:
            with torch.inference_mode():
                measure_provider(form, where, folders, models, asked, report)
        except Exception as error:  # of a provider that is missing or fails: the next one may not
            report.add("not_measured", {"form": form, "why": failure(error)})
    measure_pytorch(models, asked, device, until, report)
    report.content["acceptance"] = judge(report.content, asked)
    report.write()
    print("\n" + tables(report.content))
    if not asked.quick and not all(each["kept"] for each in report.content["acceptance"].values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
