"""Command ``distillex export``; what it needs is imported on use."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer
from distillex.command.options import EXIT_PRECONDITION, fail
from distillex_matcher import Lexicon

from distillex_training.console import log_to_standard_error
from distillex_training.export.options import Int8
from distillex_training.preconditions import read_base, types_of_directory, wrong_use


class Target(str, enum.Enum):
    """What ``distillex export`` writes."""

    FOLDER = "folder"
    ONNX = "onnx"
    GPU = "gpu"
    TENSORRT = "tensorrt"
    TENSORRT_RTX = "tensorrt-rtx"


FOR_CPU = (Target.FOLDER, Target.ONNX)
FOR_GPU = (Target.GPU, Target.TENSORRT, Target.TENSORRT_RTX)
NETWORK_SUFFIXES = {".onnx": Target.ONNX, ".plan": Target.TENSORRT, ".rtx": Target.TENSORRT_RTX}


class Precision(str, enum.Enum):
    """Arithmetic on a GPU."""

    FP16 = "fp16"
    FP32 = "fp32"


def export(
    model: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="Model directory.")],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="Folder, such as models/student-NAME; or a .onnx, .plan or .rtx file."),
    ],
    target: Annotated[
        Target,
        typer.Option(
            help="folder: all that extraction reads; onnx: the same, the network under a name of yours; gpu: the "
            "network for ONNX Runtime on a GPU; tensorrt: a plan for this machine's GPU; tensorrt-rtx: a plan of "
            "TensorRT for RTX, built without a GPU. Into a folder go also the files that are read beside a network for "
            "GPUs or a plan."
        ),
    ] = Target.FOLDER,
    int8: Annotated[
        Int8 | None,
        typer.Option(
            help="Of ONNX for CPUs. tables (the default): a student's embedding rows; static: convolutions and "
            "products too, with --calibration; dynamic: products without calibration; none: all float32."
        ),
    ] = None,
    calibration: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Raw text, one sentence a line, for static int8.")
    ] = None,
    base: Annotated[
        Path | None,
        typer.Option(help="Compiled base lexicon for the calibration text; default: the shipped one."),
    ] = None,
    precision: Annotated[
        Precision | None, typer.Option(help="Of a network for GPUs, or a plan. By default fp16.")
    ] = None,
    compute_capability: Annotated[
        list[str] | None,
        typer.Option(help="GPU that a plan of tensorrt-rtx is for, such as 8.9; may be repeated. By default all."),
    ] = None,
    timing_cache: Annotated[
        Path | None, typer.Option(help="Of tensorrt: timing cache, read and updated; a second build is faster.")
    ] = None,
    version_compatible: Annotated[
        bool,
        typer.Option("--version-compatible", help="Of tensorrt: a plan that other TensorRT versions run as well."),
    ] = False,
) -> None:
    """Export a trained model, and check it: ONNX against PyTorch (within 1e-4), a plan against ONNX Runtime."""
    log_to_standard_error()
    _check_name(output, target)
    _check_belongs(compute_capability, "--compute-capability", target, Target.TENSORRT_RTX)
    _check_belongs(timing_cache, "--timing-cache", target, Target.TENSORRT)
    _check_belongs(version_compatible, "--version-compatible", target, Target.TENSORRT)
    _check_belongs(precision, "--precision", target, *FOR_GPU)
    for given, option in ((int8, "--int8"), (calibration, "--calibration"), (base, "--base")):
        _check_belongs(given, option, target, *FOR_CPU)
    int8 = int8 or Int8.TABLES
    if calibration is not None and int8 not in (Int8.STATIC, Int8.DYNAMIC):
        fail("export", f"--calibration belongs to --int8 static or dynamic; it is {int8.value}", EXIT_PRECONDITION)
    if base is not None and calibration is None:
        fail("export", "--base is for the calibration text; give --calibration as well", EXIT_PRECONDITION)
    with wrong_use("export"):
        types_of_directory(model)
        lexicon = read_base(base)

    from distillex_matcher import LexiconError

    from distillex_training.errors import ParityError, TensorRtError
    from distillex_training.export.folder import export_gpu_folder
    from distillex_training.export.plan_builder import TENSORRT, TENSORRT_RTX, PlanOptions
    from distillex_training.export.tensorrt import export_plan

    half = precision is not Precision.FP32
    try:
        if target in (Target.TENSORRT, Target.TENSORRT_RTX):
            options = PlanOptions(
                half=half,
                compute_capabilities=tuple(compute_capability or ()),
                timing_cache=timing_cache,
                version_compatible=version_compatible,
            )
            files = export_plan(model, output, options, TENSORRT if target is Target.TENSORRT else TENSORRT_RTX)
        elif target is Target.GPU:
            files = export_gpu_folder(model, output, half=half)
        else:
            files = _export_for_cpu(model, output, target, int8, calibration, lexicon)
    except (ParityError, TensorRtError, LexiconError, ValueError, OSError) as error:
        fail("export", str(error))
    for file in files:
        typer.echo(str(file))


def _export_for_cpu(
    model: Path, output: Path, target: Target, int8: Int8, calibration: Path | None, base: Lexicon
) -> list[Path]:
    from distillex_training.data.raw import read_raw
    from distillex_training.export.folder import check_folder, check_network_alone, export_folder, put_beside
    from distillex_training.export.int8 import calibration_batches, export_quantized
    from distillex_training.models import load_model

    tagger, crf, layout = load_model(model)
    parameters = crf.parameters_for_serving()
    if target is Target.FOLDER:
        check_folder(model, output)
    else:
        check_network_alone(output, layout, parameters)
    batches = []
    if calibration is not None:
        texts, _ = read_raw([calibration], max_length=layout.buckets[-1] - 2)
        batches = calibration_batches(layout, base, texts)
    if target is Target.FOLDER:
        return export_folder(model, output, int8=int8, calibration=batches)
    export_quantized(tagger, layout, output, int8, batches, crf=parameters)
    return [output, *put_beside(output, layout, parameters)]


def _check_name(output: Path, target: Target) -> None:
    if target is Target.ONNX and output.suffix != ".onnx":
        fail("export", f"--target onnx writes the network as NAME.onnx; {output} is not named so", EXIT_PRECONDITION)
    asked = NETWORK_SUFFIXES.get(output.suffix)
    if target is Target.GPU and asked is not None:
        fail(
            "export",
            f"--target gpu writes model.gpu.onnx into a folder; give a folder, not a file's name ({output})",
            EXIT_PRECONDITION,
        )
    if asked not in (None, target):
        fail(
            "export",
            f"{output} is a file's name; a model is exported to a folder, with --target {asked.value} to a file",
            EXIT_PRECONDITION,
        )


def _check_belongs(given: object, option: str, target: Target, *theirs: Target) -> None:
    if given and target not in theirs:
        *others, last = (each.value for each in theirs)
        names = f"{', '.join(others)} or {last}" if others else last
        fail("export", f"{option} belongs to --target {names}; the target is {target.value}", EXIT_PRECONDITION)
