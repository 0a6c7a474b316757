"""What a TensorRT plan was built from and for, written beside it: a plan itself tells nothing of that."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from distillex_matcher.layout import write_atomically

from distillex_training.export.plan_profile import ShapeRange

FORMAT = 1


@dataclass(frozen=True)
class PlanMetadata:
    """One built plan."""

    tensorrt: str
    """Version; a plan runs on this version alone, unless it is version-compatible."""
    gpu: str
    compute_capability: str
    """A plan runs on GPUs of this capability."""
    precision: str
    version_compatible: bool
    onnx_sha256: str
    plan_sha256: str
    profile: dict[str, ShapeRange]
    difference: float
    """Largest absolute difference of an emission from ONNX Runtime on the same ONNX file."""
    tolerance: float
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
        profile = {
            name: ShapeRange(*(tuple(shape) for shape in (s["smallest"], s["usual"], s["largest"])))
            for name, s in content.pop("profile").items()
        }
        return PlanMetadata(profile=profile, **content)


def sha256_of(content: bytes) -> str:
    """Return the hexadecimal SHA-256."""
    return hashlib.sha256(content).hexdigest()
