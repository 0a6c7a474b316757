"""A model as a plan, checked: TensorRT for this machine's GPU, or TensorRT for RTX for a list of GPUs.

A plan of TensorRT is built on the GPU that will run it, and compared with ONNX Runtime there. One of TensorRT for RTX
is built anywhere; it is compared where a GPU of its kind is.
"""

from __future__ import annotations

import logging
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from distillex_matcher import CrfParameters, FeatureLayout
from distillex_matcher.exported import PLAN_FILE, RTX_PLAN_FILE
from numpy.typing import NDArray

from distillex_training.errors import TensorRtError
from distillex_training.export.folder import check_network_alone, put_in_place, staged
from distillex_training.export.onnx import INPUT_NAMES, OUTPUT_NAME, export_onnx, open_session, random_inputs
from distillex_training.export.parity import largest_of
from distillex_training.export.plan_builder import (
    TENSORRT,
    Library,
    PlanOptions,
    build_plan,
    check_capabilities,
    load_library,
)
from distillex_training.export.plan_metadata import PlanMetadata, sha256_of
from distillex_training.export.plan_profile import check_interface, optimization_profile
from distillex_training.models import Student, Teacher, load_model

LOG = logging.getLogger("distillex.export")

CHECKED_SHAPES = ((1, 16), (8, 32), (32, 64), (64, 128), (2, 512))
HALF_TOLERANCE = 1e-2
"""Of float16 plans, as a share of the largest emission: 11 bits of mantissa, through some twenty layers."""
FLOAT_TOLERANCE = 1e-4
"""The same of float32 plans (TF32 is switched off)."""


def export_plan(model_directory: Path, output: Path, options: PlanOptions, library: Library = TENSORRT) -> list[Path]:
    """Build, check and write a plan, its ONNX and its metadata.

    Parameters
    ----------
    model_directory
        A student or a teacher.
    output
        A file named as plans of the library are (``.plan``, ``.rtx``); else a folder, which also gets the CRF and the
        feature layout.
    options
        Precision and GPUs.
    library
        What builds it.

    Returns
    -------
    list of Path
        The files written: ``X.plan``, ``X.plan.onnx`` (what it was built from), ``X.plan.json``; or of ``X.rtx``.

    Raises
    ------
    TensorRtError
        Without the library, without a GPU where one is needed, when the build fails, or when the plan's emissions
        differ too much.
    ValueError
        For a folder that cannot hold this model.
    """
    trt = load_library(library)
    if library is TENSORRT:
        if not torch.cuda.is_available():
            raise TensorRtError(
                "a plan is built and checked on the GPU that will run it: PyTorch sees no NVIDIA GPU here; "
                "--target tensorrt-rtx builds without one"
            )
    else:
        options = replace(options, compute_capabilities=check_capabilities(trt, options.compute_capabilities))
    model, crf, layout = load_model(model_directory)
    parameters = crf.parameters_for_serving()
    name = PLAN_FILE if library is TENSORRT else RTX_PLAN_FILE
    if output.suffix != Path(name).suffix:
        with staged(model_directory, output) as staging:
            write_plan(library, trt, model, layout, parameters, staging / name, options)
            return put_in_place(staging, output, layout, parameters)
    check_network_alone(output, layout, parameters)
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=".export-") as folder:
        written = write_plan(library, trt, model, layout, parameters, Path(folder) / output.name, options)
        return [path.replace(output.parent / path.name) for path in written]


def write_plan(
    library: Library,
    trt: Any,
    model: Student | Teacher,
    layout: FeatureLayout,
    crf: CrfParameters,
    path: Path,
    options: PlanOptions,
) -> list[Path]:
    """Write ``path``, ``path.onnx`` and ``path.json``, one by one.

    Raises
    ------
    TensorRtError
        When the build fails, or when the plan's emissions differ too much.
    """
    onnx_path = path.with_name(path.name + ".onnx")
    export_onnx(model, layout, onnx_path, crf=crf, half=options.half)
    check_interface(onnx_path)
    built = build_plan(trt, onnx_path.read_bytes(), optimization_profile(layout), options)
    capabilities, gpu, difference, accepted = options.compute_capabilities, None, None, None
    if torch.cuda.is_available():
        here = ".".join(map(str, torch.cuda.get_device_capability()))
        capabilities = capabilities or (here,)
        if here in capabilities:
            gpu = torch.cuda.get_device_name()
            difference, accepted = compare_plan(trt, built.content, onnx_path, layout, options)
            LOG.info("%s: emissions differ from ONNX Runtime by %.1e; %.1e accepted", path.name, difference, accepted)
            if not difference <= accepted:
                raise TensorRtError(
                    f"the plan's emissions differ from ONNX Runtime by {difference:.2e}; accepted: {accepted:.2e}"
                )
    if gpu is None:
        LOG.info("%s: built for GPUs of %s; not run, since none is here", path.name, ", ".join(capabilities))
    path.write_bytes(built.content)
    metadata = PlanMetadata(
        library=library.module,
        version=str(trt.__version__),
        compute_capabilities=capabilities,
        gpu=gpu,
        precision="fp16" if options.half else "fp32",
        version_compatible=options.version_compatible,
        onnx_sha256=sha256_of(onnx_path.read_bytes()),
        plan_sha256=sha256_of(built.content),
        tensors=built.tensors,
        difference=difference,
        tolerance=accepted,
    )
    metadata_path = path.with_name(path.name + ".json")
    metadata.save(metadata_path)
    return [path, onnx_path, metadata_path]


def compare_plan(
    trt: Any, plan: bytes, onnx_path: Path, layout: FeatureLayout, options: PlanOptions
) -> tuple[float, float]:
    """Run a plan and its ONNX on the same inputs, real tokens of several batch sizes and buckets.

    Returns
    -------
    tuple
        Largest absolute difference of an emission (NaN where one is no finite number), and what is accepted.
    """
    runtime = trt.Runtime(trt.Logger(trt.Logger.WARNING))
    if options.version_compatible:
        runtime.engine_host_code_allowed = True  # the lean runtime inside a plan that was built just now
    engine = runtime.deserialize_cuda_engine(plan)
    if engine is None:
        raise TensorRtError("TensorRT cannot load the plan that it has built; its own log above says why")
    context = engine.create_execution_context()
    session = open_session(onnx_path)

    def run(batch: int, tokens: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_]]:
        inputs = random_inputs(layout, batch, tokens, seed=tokens)
        feeds = {name: tensor.numpy() for name, tensor in zip(INPUT_NAMES, inputs, strict=True)}
        return _run(context, inputs), session.run([OUTPUT_NAME], feeds)[0], feeds[INPUT_NAMES[0]] != 0

    least, most = layout.buckets[0], layout.buckets[-1]
    worst, largest = largest_of(run(batch, tokens) for batch, tokens in CHECKED_SHAPES if least <= tokens <= most)
    return worst, (HALF_TOLERANCE if options.half else FLOAT_TOLERANCE) * largest


def _run(context: Any, inputs: tuple[torch.Tensor, ...]) -> Any:
    stream: Any = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    on_gpu = [tensor.contiguous().cuda() for tensor in inputs]
    for name, tensor in zip(INPUT_NAMES, on_gpu, strict=True):
        context.set_input_shape(name, tuple(tensor.shape))
        context.set_tensor_address(name, tensor.data_ptr())
    output = torch.empty(tuple(context.get_tensor_shape(OUTPUT_NAME)), dtype=torch.float32, device="cuda")
    context.set_tensor_address(OUTPUT_NAME, output.data_ptr())
    torch.cuda.synchronize()
    if not context.execute_async_v3(stream.cuda_stream):
        raise TensorRtError("TensorRT did not run the plan; its own log above says why")
    stream.synchronize()
    return output.cpu().numpy()
