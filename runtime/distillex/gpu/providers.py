"""Choose the ONNX Runtime provider for a GPU, and open its session.

No GPU package is needed to import this: what is installed is looked up when a GPU is asked for.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import importlib.util
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import onnxruntime
from distillex_matcher import LayoutError
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidGraph, InvalidProtobuf, NoSuchFile

from distillex.device import Device, Provider
from distillex.errors import DeviceError
from distillex.gpu.cuda_libraries import FIRST_CUDA_13, LAST_CUDA_12, check_cuda, why_no_cuda
from distillex.gpu.driver import Gpu, find_driver, find_gpu

LOG = logging.getLogger("distillex.gpu")
PLUGIN = "onnxruntime_ep_nv_tensorrt_rtx"
NAMES: Mapping[Provider, str] = {
    Provider.CUDA: "CUDAExecutionProvider",
    Provider.TENSORRT_RTX: "NvTensorRTRTXExecutionProvider",
    Provider.CPU: "CPUExecutionProvider",
}
"""As ONNX Runtime calls them."""
RTX_CAPABILITIES = ((8, 6), (8, 9))
RTX_FROM = (12, 0)
"""The plugin (0.5) takes these compute capabilities and all from this one on; others it does not offer."""
OUT_OF_MEMORY = re.compile(
    r"out of memory|Failed to allocate memory|smaller than requested bytes|CU(?:BLAS|DNN)_STATUS_ALLOC_FAILED|bad_alloc"
)
NOT_CAPTURED = "cannot use the graph capture feature"
"""What ONNX Runtime says where a part of the network was left to the CPU."""


@dataclass(frozen=True)
class Session:
    """A session, and where it keeps its tensors."""

    session: onnxruntime.InferenceSession
    provider: Provider
    gpu: Gpu | None
    """None: the CPU, tried in place of a GPU."""
    graphs: bool
    """Runs are recorded as CUDA graphs and replayed."""
    memory_info: Any = None
    """Of a plugin's device, whose memory ONNX Runtime itself does not know."""

    def __str__(self) -> str:
        """Say what runs where: for the log."""
        graphs = ", CUDA graphs" if self.graphs else ""
        return f"{NAMES[self.provider]} of ONNX Runtime {onnxruntime.__version__} on {self.gpu or 'the CPU'}{graphs}"


def resolve(device: Device) -> Device:
    """Return the device with the provider that it will have: a GPU is there, and something that takes it.

    Raises
    ------
    DeviceError
        Where that is not so; says what is missing.
    """
    if device.gpu is None or device.provider is Provider.CPU:
        return device
    limited = device.memory_mib is not None
    if limited and device.provider is Provider.TENSORRT_RTX:
        raise DeviceError("the provider tensorrt-rtx has no memory limit: give none, or use the provider cuda")
    gpu = find_gpu(device.gpu)
    if device.memory_mib is not None and device.memory_mib > gpu.memory_mib:
        raise DeviceError(f"a memory limit of {device.memory_mib} MiB: {gpu} has {gpu.memory_mib} MiB in all")
    return device.with_provider(choose(device.provider, gpu, _has_plugin(), _has_cuda(), limited=limited))


def choose(asked: Provider, gpu: Gpu, has_plugin: bool, has_cuda: bool, *, limited: bool = False) -> Provider:
    """Return the provider to use; ``limited``: one that keeps a memory limit.

    Raises
    ------
    DeviceError
        Where it is not installed, or does not take this GPU.
    """
    takes_rtx = gpu.capability in RTX_CAPABILITIES or gpu.capability >= RTX_FROM
    if asked is Provider.TENSORRT_RTX:
        if not takes_rtx:
            accepted = ", ".join(f"{major}.{minor}" for major, minor in RTX_CAPABILITIES)
            raise DeviceError(
                f"the provider tensorrt-rtx takes GPUs of compute capability {accepted} and from {RTX_FROM[0]}.0 on; "
                f"{gpu} is none of them: use the provider cuda"
            )
        if not has_plugin:
            raise DeviceError(
                "the provider tensorrt-rtx is not installed: pip install onnxruntime-ep-nv-tensorrt-rtx-cu12 (or "
                f"-cu13), beside onnxruntime {onnxruntime.__version__}"
            )
        return asked
    if asked is Provider.AUTO and has_plugin and takes_rtx and not limited:
        return Provider.TENSORRT_RTX
    if has_cuda:
        return Provider.CUDA
    changes = ["give no memory limit"] if limited else []
    if asked is Provider.CUDA:
        changes.append("use --gpu-provider tensorrt-rtx")
    instead = f"; or {' and '.join(changes)}: tensorrt-rtx takes this GPU" if has_plugin and takes_rtx else ""
    raise DeviceError(_no_provider(gpu, has_plugin and not takes_rtx) + instead)


def open_session(path: Path, device: Device, profile: Mapping[str, tuple[str, str, str]]) -> Session:
    """Open a network on the device, with CUDA graphs where it can have them.

    Parameters
    ----------
    path
        The network's ONNX file.
    device
        As :func:`resolve` returned it.
    profile
        Input → smallest, usual and largest shape, such as ``1x32x4x4``: what TensorRT-RTX compiles for.

    Raises
    ------
    DeviceError
        Where a library is missing, the GPU refuses, or its memory is too small.
    LayoutError
        For a file that is no network.
    """
    provider = device.provider
    if provider is Provider.CPU or device.gpu is None:
        return Session(_open(path, _session_options(), [NAMES[Provider.CPU]]), Provider.CPU, None, graphs=False)
    gpu = find_gpu(device.gpu)
    with translated(gpu, "the network cannot be opened there"):
        if provider is Provider.TENSORRT_RTX:
            return _open_rtx(path, device, gpu, profile)
        check_cuda(find_driver(), gpu)
        for graphs in (True, False) if device.graphs else (False,):
            options = cuda_options(device, graphs)
            try:
                session = _open(path, _session_options(), [(NAMES[Provider.CUDA], options), NAMES[Provider.CPU]])
            except Exception as error:  # ONNX Runtime's own classes, which it does not export by name
                if graphs and NOT_CAPTURED in str(error):
                    LOG.warning("%s is run without CUDA graphs: %s", path, _first_line(error))
                    continue
                raise
            if NAMES[Provider.CUDA] not in session.get_providers():
                # The provider's library was not loaded: ONNX Runtime goes on and writes a line on its standard error.
                raise DeviceError(why_no_cuda(gpu))
            return Session(session, provider, gpu, graphs)
    raise AssertionError("unreachable")


def cuda_options(device: Device, graphs: bool) -> dict[str, str]:
    """Return the options of the CUDA provider."""
    options = {
        "device_id": str(device.gpu),
        "enable_cuda_graph": "1" if graphs else "0",
        # Doubling, the default, would take far more than a limit asks for.
        "arena_extend_strategy": "kSameAsRequested",
        # The exhaustive search, the default, runs every algorithm for each convolution of each bucket at start.
        "cudnn_conv_algo_search": "HEURISTIC",
        "use_tf32": "0",
    }
    if device.memory_mib is not None:
        options["gpu_mem_limit"] = str(device.memory_mib * 2**20)
    return options


def rtx_options(profile: Mapping[str, tuple[str, str, str]], ordinal: str, graphs: bool) -> dict[str, str]:
    """Return the options of the TensorRT-RTX provider."""
    smallest, usual, largest = (
        ",".join(f"{name}:{shapes[which]}" for name, shapes in profile.items()) for which in range(3)
    )
    return {
        "device_id": ordinal,
        "enable_cuda_graph": "1" if graphs else "0",
        "nv_profile_min_shapes": smallest,
        "nv_profile_opt_shapes": usual,
        "nv_profile_max_shapes": largest,
    }


@contextlib.contextmanager
def translated(where: object, what: str) -> Any:
    """Let whatever ONNX Runtime raises come out as a DeviceError that says where it happened."""
    try:
        yield
    except (DeviceError, LayoutError):
        raise
    except Exception as error:  # ONNX Runtime's own classes, which it does not export by name
        if OUT_OF_MEMORY.search(str(error)):
            raise DeviceError(
                f"too little memory on {where}: {what} ({_first_line(error)}). Other processes may hold it "
                "(nvidia-smi); or the memory limit that was given is too small"
            ) from error
        raise DeviceError(f"{where}: {what}: {_first_line(error)}") from error


def _open(path: Path, options: onnxruntime.SessionOptions, providers: list[Any] | None) -> onnxruntime.InferenceSession:
    try:
        # Where opening or a run fails, ONNX Runtime would otherwise go on with a new session on the CPU.
        return onnxruntime.InferenceSession(path, options, providers=providers, enable_fallback=0)
    except (InvalidGraph, InvalidProtobuf, NoSuchFile) as error:
        raise LayoutError(f"{path}: cannot be opened: {_first_line(error)}") from None


def _session_options() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return options


def _open_rtx(path: Path, device: Device, gpu: Gpu, profile: Mapping[str, tuple[str, str, str]]) -> Session:
    name = NAMES[Provider.TENSORRT_RTX]
    register_plugin()
    offered = [each for each in onnxruntime.get_ep_devices() if each.ep_name == name]
    found = [each for each in offered if each.ep_options.get("device_id") == str(gpu.ordinal)]
    if not found:
        raise DeviceError(f"the provider tensorrt-rtx does not offer {gpu}; it offers {len(offered)} GPUs")
    options = _session_options()
    options.add_provider_for_devices(found[:1], rtx_options(profile, str(gpu.ordinal), device.graphs))
    session = _open(path, options, None)
    if name not in session.get_providers():
        raise DeviceError(f"the provider tensorrt-rtx does not start on {gpu}; ONNX Runtime's own lines above say why")
    memory_info = found[0].memory_info(onnxruntime.OrtDeviceMemoryType.DEFAULT)
    return Session(session, device.provider, gpu, device.graphs, memory_info)


def register_plugin() -> None:
    """Make ONNX Runtime know the TensorRT-RTX provider; does nothing the second time.

    Raises
    ------
    DeviceError
        Where a library that it needs cannot be loaded; names it.
    """
    try:
        package = importlib.import_module(PLUGIN)
        name, library = package.get_ep_name(), Path(package.get_library_path())
        for runtime in sorted(library.parent.glob("libcudart.so*")):
            # The wheel brings the CUDA runtime under its full version, by which nothing looks for it.
            ctypes.CDLL(str(runtime), mode=ctypes.RTLD_GLOBAL)
        onnxruntime.register_execution_provider_library(name, str(library))
    except Exception as error:  # ONNX Runtime's own classes, which it does not export by name
        if "already registered" in str(error):
            return
        raise DeviceError(f"the provider tensorrt-rtx cannot be loaded: {_first_line(error)}") from error


def _has_plugin() -> bool:
    return importlib.util.find_spec(PLUGIN) is not None


def _has_cuda() -> bool:
    return NAMES[Provider.CUDA] in onnxruntime.get_available_providers()


def _no_provider(gpu: Gpu, plugin_refuses: bool) -> str:
    found = ", ".join(onnxruntime.get_available_providers())
    if len(_installed("onnxruntime", "onnxruntime-gpu")) == 2:
        both = " and ".join(_installed("onnxruntime", "onnxruntime-gpu"))
        return (
            f"{both} are both installed, and the files of the first lie over those of the second: pip uninstall "
            "onnxruntime onnxruntime-gpu, then pip install onnxruntime-gpu again"
        )
    plugin = f" (its plugin for TensorRT-RTX does not take {gpu})" if plugin_refuses else ""
    return (
        f"ONNX Runtime {onnxruntime.__version__} has no provider for {gpu} here, only {found}{plugin}: pip uninstall "
        f"onnxruntime, then pip install '{FIRST_CUDA_13}' (CUDA 12: '{LAST_CUDA_12}')"
    )


def _installed(*names: str) -> list[str]:
    found = []
    for name in names:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found.append(f"{name} {metadata.version(name)}")
    return found


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0]
