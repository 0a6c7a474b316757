"""The metadata file of a plan: its network, GPUs and tensors. Reading them from the plan would need such a GPU."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from distillex_matcher.layout import write_atomically

from distillex_training.export.plan_profile import PlanTensor, ShapeRange

FORMAT = 2


@dataclass(frozen=True)
class PlanMetadata:
    """One built plan."""

    library: str
    """``tensorrt`` or ``tensorrt_rtx``: only the library that built a plan runs it."""
    version: str
    """Of that library; a plan runs on this version alone, unless it is version-compatible."""
    compute_capabilities: tuple[str, ...]
    """A plan runs on GPUs of these capabilities."""
    gpu: str | None
    """That it was run on when it was built, if it was."""
    precision: str
    version_compatible: bool
    onnx_sha256: str
    plan_sha256: str
    tensors: dict[str, PlanTensor]
    """Inputs with their profile, and outputs, as the builder reports them."""
    difference: float | None
    """Largest absolute difference of an emission from ONNX Runtime on the same ONNX file; None where it was not run."""
    tolerance: float | None
    """What was accepted."""

    def save(self, path: Path) -> None:
        """Write as JSON, atomically."""
        write_atomically(path, json.dumps({"format": FORMAT, **asdict(self)}, ensure_ascii=False, indent=1) + "\n")

    @staticmethod
    def load(path: Path) -> PlanMetadata:
        """Read what :meth:`save` wrote.

        Raises
        ------
        ValueError
            For another format.
        """
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.pop("format", None) != FORMAT:
            raise ValueError(f"{path}: not plan metadata of format {FORMAT}")
        tensors = {name: _tensor(**values) for name, values in content.pop("tensors").items()}
        capabilities = tuple(content.pop("compute_capabilities"))
        return PlanMetadata(tensors=tensors, compute_capabilities=capabilities, **content)


def _tensor(data_type: str, shape: list[int], profile: dict[str, list[int]] | None) -> PlanTensor:
    corners = profile and ShapeRange(**{corner: tuple(sizes) for corner, sizes in profile.items()})
    return PlanTensor(data_type, tuple(shape), corners or None)


def sha256_of(content: bytes) -> str:
    """Return the hexadecimal SHA-256."""
    return hashlib.sha256(content).hexdigest()
