"""ONNX → TensorRT plan for this machine's GPU, checked against ONNX Runtime. TensorRT 10 and 11.

The network is strongly typed: types come from the ONNX file alone, so a float16 plan is built from a float16 ONNX
(:class:`~distillex_training.export.onnx.HalfPrecision`). TensorRT 10 has to be asked for that; 11 knows nothing else
and has no precision flags any more. Tables are float16: TensorRT takes int8 between quantisation nodes alone.
"""

from __future__ import annotations

import importlib
import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from distillex_matcher import CrfParameters, FeatureLayout
from distillex_matcher.exported import PLAN_FILE

from distillex_training.export.folder import check_network_alone, put_in_place, staged
from distillex_training.export.onnx import INPUT_NAMES, OUTPUT_NAME, export_onnx, open_session, random_inputs
from distillex_training.export.plan_metadata import PlanMetadata, sha256_of
from distillex_training.export.plan_profile import ShapeRange, check_interface, optimization_profile
from distillex_training.models import Student, Teacher, load_model

LOG = logging.getLogger("distillex.export")

SUPPORTED = (10, 11)
CHECKED_SHAPES = ((1, 16), (8, 32), (32, 64), (64, 128), (2, 512))
HALF_TOLERANCE = 1e-2
"""Of float16 plans, as a share of the largest emission: 11 bits of mantissa, through some twenty layers."""
FLOAT_TOLERANCE = 1e-4
"""The same of float32 plans (TF32 is switched off)."""


class TensorRtError(RuntimeError):
    """A plan cannot be built or used here; the message says why and what to do."""


@dataclass(frozen=True)
class PlanOptions:
    """How to build a plan."""

    half: bool = True
    timing_cache: Path | None = None
    """File of measured kernel times, read if it is there and updated: a second build is faster."""
    version_compatible: bool = False
    """The plan carries a lean runtime, so that later versions of TensorRT run it; Triton must be told
    (``--backend-config=tensorrt,version-compatible=true``)."""


def load_tensorrt() -> Any:
    """Import TensorRT.

    Raises
    ------
    TensorRtError
        When it is missing, or of a version that is neither 10 nor 11.
    """
    try:
        module = importlib.import_module("tensorrt")
    except ImportError as error:
        raise TensorRtError(
            f"the Python package tensorrt cannot be imported ({error}): on a machine with an NVIDIA GPU, "
            "pip install 'distillex[tensorrt]', or run in NVIDIA's TensorRT container"
        ) from None
    if major_version(module) not in SUPPORTED:
        raise TensorRtError(f"TensorRT {module.__version__} is not supported; versions 10 and 11 are")
    return module


def major_version(trt: Any) -> int:
    """Return 10 or 11 of an imported TensorRT."""
    return int(str(trt.__version__).split(".")[0])


def export_plan(model_directory: Path, output: Path, options: PlanOptions) -> list[Path]:
    """Build, check and write a plan, its ONNX and its metadata.

    Parameters
    ----------
    model_directory
        A student or a teacher.
    output
        A ``.plan`` file; else a folder, which also gets the CRF and the feature layout.
    options
        Precision, timing cache, version compatibility.

    Returns
    -------
    list of Path
        The files written: ``X.plan``, ``X.plan.onnx`` (what it was built from), ``X.plan.json``.

    Raises
    ------
    TensorRtError
        Without TensorRT or a GPU, when the build fails, or when the plan's emissions differ too much.
    ValueError
        For a folder that cannot hold this model.
    """
    trt = load_tensorrt()
    if not torch.cuda.is_available():
        raise TensorRtError("a plan is built and checked on the GPU that will run it: PyTorch sees no NVIDIA GPU here")
    model, crf, layout = load_model(model_directory)
    parameters = crf.parameters_for_serving()
    if output.suffix != ".plan":
        with staged(model_directory, output) as staging:
            write_plan(trt, model, layout, parameters, staging / PLAN_FILE, options)
            return put_in_place(staging, output, layout, parameters)
    check_network_alone(output, layout, parameters)
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=".export-") as name:
        written = write_plan(trt, model, layout, parameters, Path(name) / output.name, options)
        return [path.replace(output.parent / path.name) for path in written]


def write_plan(
    trt: Any, model: Student | Teacher, layout: FeatureLayout, crf: CrfParameters, path: Path, options: PlanOptions
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
    profile = optimization_profile(layout)
    plan = build_plan(trt, onnx_path.read_bytes(), profile, options)
    difference, accepted = compare_plan(trt, plan, onnx_path, layout, options)
    LOG.info("%s: emissions differ from ONNX Runtime by %.1e; %.1e accepted", path.name, difference, accepted)
    if not difference <= accepted:
        raise TensorRtError(
            f"the plan's emissions differ from ONNX Runtime by {difference:.2e}; accepted: {accepted:.2e}"
        )
    path.write_bytes(plan)
    metadata = PlanMetadata(
        tensorrt=str(trt.__version__),
        gpu=torch.cuda.get_device_name(),
        compute_capability=".".join(map(str, torch.cuda.get_device_capability())),
        precision="fp16" if options.half else "fp32",
        version_compatible=options.version_compatible,
        onnx_sha256=sha256_of(onnx_path.read_bytes()),
        plan_sha256=sha256_of(plan),
        profile=profile,
        difference=difference,
        tolerance=accepted,
    )
    metadata_path = path.with_name(path.name + ".json")
    metadata.save(metadata_path)
    return [path, onnx_path, metadata_path]


def build_plan(trt: Any, onnx_model: bytes, profile: dict[str, ShapeRange], options: PlanOptions) -> bytes:
    """Build a serialised plan.

    Raises
    ------
    TensorRtError
        With the parser's or the builder's words.
    """
    logger = trt.Logger(trt.Logger.WARNING)
    builder = trt.Builder(logger)
    # Version 11 is always strongly typed and keeps this flag only for old callers.
    flags = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED) if major_version(trt) == 10 else 0
    network = builder.create_network(flags)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(onnx_model):
        errors = "; ".join(str(parser.get_error(i)) for i in range(parser.num_errors))
        raise TensorRtError(f"TensorRT cannot read the ONNX model: {errors}")
    config = builder.create_builder_config()
    shapes = builder.create_optimization_profile()
    for name, shape in profile.items():
        shapes.set_shape(name, shape.smallest, shape.usual, shape.largest)
    config.add_optimization_profile(shapes)
    if not options.half:
        config.clear_flag(trt.BuilderFlag.TF32)
    if options.version_compatible:
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
    _use_timing_cache(config, options.timing_cache)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise TensorRtError("TensorRT built no plan; its own log above says why")
    if options.timing_cache is not None:
        options.timing_cache.parent.mkdir(parents=True, exist_ok=True)
        options.timing_cache.write_bytes(bytes(config.get_timing_cache().serialize()))
    return bytes(plan)


def _use_timing_cache(config: Any, path: Path | None) -> None:
    if path is None:
        return
    content = path.read_bytes() if path.exists() else b""
    if not config.set_timing_cache(config.create_timing_cache(content), False):
        LOG.warning("%s: made by another TensorRT version or GPU; a new timing cache is begun", path)
        config.set_timing_cache(config.create_timing_cache(b""), False)


def compare_plan(
    trt: Any, plan: bytes, onnx_path: Path, layout: FeatureLayout, options: PlanOptions
) -> tuple[float, float]:
    """Run a plan and its ONNX on the same inputs, real tokens of several batch sizes and buckets.

    Returns
    -------
    tuple
        Largest absolute difference of an emission, and what is accepted.
    """
    runtime = trt.Runtime(trt.Logger(trt.Logger.WARNING))
    if options.version_compatible:
        runtime.engine_host_code_allowed = True  # the lean runtime inside a plan that was built just now
    engine = runtime.deserialize_cuda_engine(plan)
    if engine is None:
        raise TensorRtError("TensorRT cannot load the plan that it has built; its own log above says why")
    context = engine.create_execution_context()
    session = open_session(onnx_path)
    worst = largest = 0.0
    for batch, tokens in CHECKED_SHAPES:
        if not layout.buckets[0] <= tokens <= layout.buckets[-1]:
            continue
        inputs = random_inputs(layout, batch, tokens, seed=tokens)
        feeds = {name: tensor.numpy() for name, tensor in zip(INPUT_NAMES, inputs, strict=True)}
        expected = session.run([OUTPUT_NAME], feeds)[0]
        found = _run(context, inputs)
        real = feeds[INPUT_NAMES[0]] != 0
        worst = max(worst, float(np.abs(found - expected)[real].max()))
        largest = max(largest, float(np.abs(expected[real]).max()))
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
