"""Check what ONNX Runtime's CUDA provider needs: driver, GPU, and CUDA's libraries."""

from __future__ import annotations

import contextlib
import ctypes
import io
import mmap
import re
from pathlib import Path

import onnxruntime

from distillex.errors import DeviceError
from distillex.gpu.driver import Driver, Gpu

CAPABILITY_CUDA_13 = (7, 5)
"""The oldest GPUs that CUDA 13 runs on."""
LAST_CUDA_12 = "onnxruntime-gpu[cuda,cudnn]>=1.23,<1.27"
FIRST_CUDA_13 = "onnxruntime-gpu[cuda,cudnn]>=1.27"
CUDA_LIBRARY = Path(onnxruntime.__file__).parent / "capi" / "libonnxruntime_providers_cuda.so"
OF_CUDA = re.compile(rb"(?<=\0)(lib(?:cublasLt|cublas|cudart|curand|cuda))(\.so\.\d+)(?=\0)")
"""What the provider is linked with; it opens cuDNN, cuFFT and others only when it needs them."""


def check_cuda(driver: Driver, gpu: Gpu) -> None:
    """Check driver and GPU against what the CUDA provider was built for, and load CUDA's libraries.

    Raises
    ------
    DeviceError
        Where it cannot work here; its own message would be a line in the log alone.
    """
    built = cuda_version()
    if built and built > driver.cuda_version[0]:
        newest = ".".join(map(str, driver.cuda_version))
        raise DeviceError(
            f"onnxruntime-gpu {onnxruntime.__version__} is built for CUDA {built}; this machine's driver runs CUDA up "
            f"to {newest}: update the driver, or pip install '{LAST_CUDA_12}'"
        )
    if built >= 13 and gpu.capability < CAPABILITY_CUDA_13:
        raise DeviceError(
            f"onnxruntime-gpu {onnxruntime.__version__} is built for CUDA {built}, which runs on compute capability "
            f"7.5 and later; {gpu} is older: pip install '{LAST_CUDA_12}'"
        )
    if hasattr(onnxruntime, "preload_dlls"):
        # From NVIDIA's wheels, where they are installed. It prints what it does not find, also where that does no harm.
        with contextlib.redirect_stdout(io.StringIO()):
            onnxruntime.preload_dlls()


def cuda_version() -> int:
    """Return the CUDA release that ONNX Runtime was built for; 0 where it was built for none."""
    found = re.match(r"\d+", str(getattr(onnxruntime, "cuda_version", "") or ""))
    return int(found[0]) if found else 0


def why_no_cuda(gpu: object, library: Path = CUDA_LIBRARY) -> str:
    """Return why the CUDA provider did not start: the library that it lacks, where it lacks one.

    The provider's own library is read and not loaded: it has to be loaded by ONNX Runtime, after its host.
    """
    version = onnxruntime.__version__
    for name in libraries_of_cuda(library):
        try:
            ctypes.CDLL(name)
        except OSError as error:
            return (
                f"ONNX Runtime's CUDA provider cannot be loaded: {error}. onnxruntime-gpu {version} needs CUDA "
                f"{cuda_version()} and cuDNN 9: pip install 'onnxruntime-gpu[cuda,cudnn]=={version}'"
            )
    return f"ONNX Runtime's CUDA provider does not start on {gpu}; its own lines above say why"


def libraries_of_cuda(library: Path) -> list[str]:
    """Return the libraries of CUDA that a library is linked with: of several versions, the one that it names first."""
    with library.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        versions: dict[bytes, bytes] = {}
        for found in OF_CUDA.finditer(content):
            versions.setdefault(found[1], found[2])
    return [(name + version).decode() for name, version in versions.items()]
