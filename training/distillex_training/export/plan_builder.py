"""ONNX → plan, by NVIDIA's builder: TensorRT 10 and 11, or TensorRT for RTX, whose Python interfaces are the same.

The network is strongly typed: types come from the ONNX file alone, so a float16 plan is built from a float16 ONNX
(:class:`~distillex_training.export.onnx.HalfPrecision`). Tables are float16: TensorRT takes int8 between quantisation
nodes alone.
"""

from __future__ import annotations

import importlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distillex_training.errors import TensorRtError
from distillex_training.export.plan_profile import PlanTensor, ShapeRange

LOG = logging.getLogger("distillex.export")


@dataclass(frozen=True)
class Library:
    """One of NVIDIA's builders."""

    module: str
    name: str
    majors: tuple[int, ...]
    """Supported versions, by their first number."""
    how_to_get_it: str


TENSORRT = Library(
    "tensorrt",
    "TensorRT",
    (10, 11),
    "on a machine with an NVIDIA GPU, pip install 'distillex[tensorrt]', or run in NVIDIA's TensorRT container; "
    "without a GPU, --target tensorrt-rtx",
)
TENSORRT_RTX = Library(
    "tensorrt_rtx",
    "TensorRT for RTX",
    (1,),
    "pip install 'distillex[gpu-rtx-cu13]', or 'distillex[gpu-rtx-cu12]' for drivers of CUDA 12; building needs no GPU",
)


@dataclass(frozen=True)
class PlanOptions:
    """How to build a plan."""

    half: bool = True
    compute_capabilities: tuple[str, ...] = ()
    """GPUs that a plan of TensorRT for RTX is for, such as ``8.9``; none: all that the library knows."""
    timing_cache: Path | None = None
    """File of measured kernel times, read if it is there and updated: a second build is faster. TensorRT alone."""
    version_compatible: bool = False
    """The plan carries a lean runtime, so that later versions of TensorRT run it; Triton must be told
    (``--backend-config=tensorrt,version-compatible=true``). TensorRT alone."""


@dataclass(frozen=True)
class BuiltPlan:
    """A plan, and the properties that its builder reports.

    Reading them from the plan itself would need a GPU of its kind.
    """

    content: bytes
    tensors: dict[str, PlanTensor]
    """Inputs and outputs, read from the network and the profile that were built."""
    float32_layers: tuple[str, ...]
    """Layers of the parsed network whose results are float32."""


def load_library(library: Library) -> Any:
    """Import a builder.

    Raises
    ------
    TensorRtError
        When it is missing, or of a version that is not supported.
    """
    try:
        module = importlib.import_module(library.module)
    except (ImportError, OSError) as error:  # OSError: a library of its own is missing
        raise TensorRtError(
            f"the Python package {library.module} cannot be imported ({error}): {library.how_to_get_it}"
        ) from None
    if int(str(module.__version__).split(".")[0]) not in library.majors:
        accepted = " and ".join(map(str, library.majors))
        raise TensorRtError(f"{library.name} {module.__version__} is not supported; accepted: {accepted}")
    return module


def known_capabilities(trt: Any) -> dict[str, Any]:
    """Return the compute capabilities that a TensorRT for RTX builds for, such as ``8.9``, in rising order."""
    named = [(name, value) for name, value in trt.ComputeCapability.__members__.items() if name.startswith("SM")]
    return {f"{name[2:-1]}.{name[-1]}": value for name, value in sorted(named, key=lambda item: int(item[0][2:]))}


def check_capabilities(trt: Any, asked: tuple[str, ...]) -> tuple[str, ...]:
    """Return the capabilities to build for: those asked for, or all.

    Raises
    ------
    TensorRtError
        For one that the library does not know.
    """
    known = known_capabilities(trt)
    for capability in asked:
        if capability not in known:
            raise TensorRtError(
                f"compute capability {capability!r}: {TENSORRT_RTX.name} {trt.__version__} builds for "
                f"{', '.join(known)}"
            )
    return tuple(dict.fromkeys(asked)) or tuple(known)


def build_plan(trt: Any, onnx_model: bytes, profile: dict[str, ShapeRange], options: PlanOptions) -> BuiltPlan:
    """Build a serialised plan.

    Parameters
    ----------
    trt
        What :func:`load_library` returned.
    onnx_model
        The network.
    profile
        Shapes of the inputs.
    options
        The rest.

    Raises
    ------
    TensorRtError
        With the parser's or the builder's words, all of them.
    """
    logger = _collecting_logger(trt)
    builder = trt.Builder(logger)
    # Version 11 is always strongly typed and keeps this flag for old callers.
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(onnx_model):
        errors = "\n".join(str(parser.get_error(number)) for number in range(parser.num_errors))
        raise TensorRtError(f"TensorRT cannot read the ONNX model:\n{errors}")
    config = builder.create_builder_config()
    shapes = builder.create_optimization_profile()
    for name, shape in profile.items():
        shapes.set_shape(name, shape.smallest, shape.usual, shape.largest)
    config.add_optimization_profile(shapes)
    if options.compute_capabilities:
        known = known_capabilities(trt)
        config.num_compute_capabilities = len(options.compute_capabilities)
        for place, capability in enumerate(options.compute_capabilities):
            config.set_compute_capability(known[capability], place)
    if not options.half:
        config.clear_flag(trt.BuilderFlag.TF32)
    if options.version_compatible:
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
    use_timing_cache(config, options.timing_cache)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        errors = "\n".join(logger.errors)
        raise TensorRtError(f"TensorRT built no plan:\n{errors}")
    if options.timing_cache is not None:
        options.timing_cache.parent.mkdir(parents=True, exist_ok=True)
        options.timing_cache.write_bytes(bytes(config.get_timing_cache().serialize()))
    return BuiltPlan(bytes(plan), _tensors(network, shapes), tuple(_float32_layers(trt, network)))


def use_timing_cache(config: Any, path: Path | None) -> None:
    """Let a build begin with the kernel times of a file, where it is of this version and GPU."""
    if path is None:
        return
    content = path.read_bytes() if path.exists() else b""
    if not config.set_timing_cache(config.create_timing_cache(content), False):
        LOG.warning("%s: made by another TensorRT version or GPU; a new timing cache is started", path)
        config.set_timing_cache(config.create_timing_cache(b""), False)


def _collecting_logger(trt: Any) -> Any:
    class Collecting(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity <= trt.ILogger.Severity.ERROR:
                self.errors.append(message)
            elif severity == trt.ILogger.Severity.WARNING:
                LOG.debug("%s", message)

    return Collecting()


def _tensors(network: Any, profile: Any) -> dict[str, PlanTensor]:
    found = {}
    for place in range(network.num_inputs):
        tensor = network.get_input(place)
        corners = (tuple(corner) for corner in profile.get_shape(tensor.name))
        found[tensor.name] = PlanTensor(tensor.dtype.name, tuple(tensor.shape), ShapeRange(*corners))
    for place in range(network.num_outputs):
        tensor = network.get_output(place)
        found[tensor.name] = PlanTensor(tensor.dtype.name, tuple(tensor.shape))
    return found


def _float32_layers(trt: Any, network: Any) -> list[str]:
    layers = (network.get_layer(place) for place in range(network.num_layers))
    return [
        layer.name
        for layer in layers
        if any(layer.get_output(place).dtype == trt.DataType.FLOAT for place in range(layer.num_outputs))
    ]
