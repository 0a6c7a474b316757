"""The device of a network: the CPU, or a GPU with one of ONNX Runtime's providers."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, replace
from typing import Any

_NAME = re.compile(r"cpu|gpu(?::(?P<ordinal>[0-9]{1,3}))?")


class Provider(str, enum.Enum):
    """What runs the network on a GPU."""

    AUTO = "auto"
    """TensorRT-RTX where it is installed and takes the GPU, else CUDA."""
    CUDA = "cuda"
    """ONNX Runtime's CUDA provider (package onnxruntime-gpu)."""
    TENSORRT_RTX = "tensorrt-rtx"
    """The plugin onnxruntime-ep-nv-tensorrt-rtx."""
    CPU = "cpu"
    """No GPU at all: the GPU's network and its buckets on the CPU, to try them out."""


@dataclass(frozen=True)
class Device:
    """Where a network runs.

    Raises
    ------
    ValueError
        For a negative GPU or memory limit, an unknown provider, or a GPU's setting without a GPU.
    """

    gpu: int | None = None
    """Ordinal, as CUDA counts (``CUDA_VISIBLE_DEVICES`` applies); None: the CPU."""
    provider: Provider = Provider.AUTO
    memory_mib: int | None = None
    """Most that weights and intermediate results may take of the GPU's memory, in MiB; None: what they need."""
    graphs: bool = True
    """Record runs as CUDA graphs, where the network allows."""

    def __post_init__(self) -> None:
        # By its name too.
        object.__setattr__(self, "provider", provider_named(self.provider))
        for name, least in (("gpu", 0), ("memory_mib", 1)):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < least):
                raise ValueError(f"{name} {value!r}: a whole number from {least} on is accepted, or None")
        if not isinstance(self.graphs, bool):
            raise ValueError(f"graphs {self.graphs!r}: True or False is accepted")
        if self.gpu is None:
            self._refuse_what_is_for_a_gpu()

    def _refuse_what_is_for_a_gpu(self) -> None:
        # Who asks for a provider does not expect the CPU.
        for name, given in (
            (f"provider {self.provider.value!r}", self.provider is not Provider.AUTO),
            (f"memory_mib {self.memory_mib}", self.memory_mib is not None),
            ("graphs False", not self.graphs),
        ):
            if given:
                raise ValueError(f"{name} is for a GPU: give its number too, such as distillex.Device(0, …)")

    @staticmethod
    def of(device: str | Device) -> Device:
        """Return the device that is named ``cpu``, ``gpu`` (the first one) or ``gpu:1``.

        Raises
        ------
        ValueError
            For another name.
        """
        if isinstance(device, Device):
            return device
        found = _NAME.fullmatch(device) if isinstance(device, str) else None
        if found is None:
            raise ValueError(f"device {device!r}: cpu, gpu or gpu:NUMBER is accepted")
        return Device() if found[0] == "cpu" else Device(int(found["ordinal"] or 0))

    def with_provider(self, provider: Provider) -> Device:
        """Return the same GPU with another provider."""
        return replace(self, provider=provider)

    def __str__(self) -> str:
        """Return the name that :meth:`of` takes."""
        return "cpu" if self.gpu is None else f"gpu:{self.gpu}"


def provider_named(name: Any) -> Provider:
    """Return the provider of a name.

    Raises
    ------
    ValueError
        For an unknown one; lists those that are accepted.
    """
    try:
        return Provider(name)
    except ValueError:
        raise ValueError(f"provider {name!r}: {', '.join(each.value for each in Provider)} are accepted") from None


CPU = Device()
