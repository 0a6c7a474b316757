"""The GPUs of this machine, from NVIDIA's driver: names, compute capabilities, memory.

The driver's library is all that this needs: no CUDA toolkit, no package. No memory of the GPU is taken.
"""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass

from distillex.errors import DeviceError

LIBRARY = "libcuda.so.1"
NO_DEVICE = 100
"""CUDA_ERROR_NO_DEVICE"""
CAPABILITY_MAJOR, CAPABILITY_MINOR = 75, 76
"""CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR"""
NAME_BYTES = 256


@dataclass(frozen=True)
class Gpu:
    """One GPU, by the order in which CUDA counts those that this process may see."""

    ordinal: int
    name: str
    capability: tuple[int, int]
    """Compute capability, such as (8, 9)."""
    memory_mib: int

    def __str__(self) -> str:
        major, minor = self.capability
        memory = f"{self.memory_mib / 1024:.0f} GiB"
        return f"GPU {self.ordinal} ({self.name}, compute capability {major}.{minor}, {memory})"


@dataclass(frozen=True)
class Driver:
    """NVIDIA's driver and what it shows this process."""

    cuda_version: tuple[int, int]
    """The newest CUDA that it runs."""
    gpus: tuple[Gpu, ...]


def find_driver(library: str = LIBRARY) -> Driver:
    """Ask the driver.

    Raises
    ------
    DeviceError
        Without a driver or a GPU.
    """
    cuda = _Cuda(library)
    cuda.call("cuInit", 0)
    version = cuda.integer("cuDriverGetVersion")
    count = cuda.integer("cuDeviceGetCount")
    if count == 0:
        raise DeviceError(_no_gpu())
    gpus = tuple(cuda.gpu(ordinal) for ordinal in range(count))
    return Driver((version // 1000, version % 1000 // 10), gpus)


def find_gpu(ordinal: int, library: str = LIBRARY) -> Gpu:
    """Return one GPU.

    Raises
    ------
    DeviceError
        Without a driver, or without such a GPU; names those that are there.
    """
    gpus = find_driver(library).gpus
    if ordinal >= len(gpus):
        raise DeviceError(f"there is no GPU {ordinal}: this process sees {', '.join(map(str, gpus))}")
    return gpus[ordinal]


class _Cuda:
    """The driver's interface (``cuda.h``), as far as it is used."""

    def __init__(self, library: str) -> None:
        try:
            self._library = ctypes.CDLL(library)
        except OSError as error:
            raise DeviceError(
                f"no NVIDIA driver is here ({error}): install NVIDIA's driver for this machine's GPU; in a container, "
                "start it with the GPU (docker run --gpus all)"
            ) from None

    def call(self, name: str, *arguments: object) -> None:
        code = int(getattr(self._library, name)(*arguments))
        if code == NO_DEVICE:
            raise DeviceError(_no_gpu())
        if code != 0:
            raise DeviceError(f"NVIDIA's driver cannot be used: {name} says {self._error(code)}; see nvidia-smi")

    def integer(self, name: str, *arguments: object) -> int:
        value = ctypes.c_int()
        self.call(name, ctypes.byref(value), *arguments)
        return value.value

    def gpu(self, ordinal: int) -> Gpu:
        device = self.integer("cuDeviceGet", ordinal)
        name = ctypes.create_string_buffer(NAME_BYTES)
        self.call("cuDeviceGetName", name, NAME_BYTES, device)
        memory = ctypes.c_size_t()
        self.call("cuDeviceTotalMem_v2", ctypes.byref(memory), device)
        capability = tuple(
            self.integer("cuDeviceGetAttribute", attribute, device)
            for attribute in (CAPABILITY_MAJOR, CAPABILITY_MINOR)
        )
        return Gpu(
            ordinal, name.value.decode("utf-8", "replace"), (capability[0], capability[1]), memory.value // 2**20
        )

    def _error(self, code: int) -> str:
        words = ctypes.c_char_p()
        known = self._library.cuGetErrorString(code, ctypes.byref(words)) == 0 and words.value is not None
        return f"error {code}{f' ({words.value.decode()})' if known and words.value else ''}"


def _no_gpu() -> str:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    hint = f" (CUDA_VISIBLE_DEVICES is {visible!r})" if visible is not None else ""
    return f"NVIDIA's driver is here, but no GPU that this process may use{hint}; nvidia-smi lists those of the machine"
