"""What machine figures were taken on: they mean nothing without it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path

from distillex_matcher.cores import usable_cores

VNNI = {"avx512_vnni", "avx_vnni"}
"""Without one of these, int8 networks take longer (docs/how-to/serving.md)."""


def describe_machine() -> dict[str, str]:
    """Return processor, usable cores, int8 instructions, memory, kernel, load and the versions that matter."""
    information = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    model = next((line.partition(":")[2].strip() for line in information if line.startswith("model name")), "unknown")
    flags = {flag for line in information if line.startswith("flags") for flag in line.split()}
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = {
        name: importlib.metadata.version(name) for name in ("onnxruntime", "nvidia-pytriton", "tritonclient", "numpy")
    }
    return {
        "processor": model,
        "cores": str(usable_cores()),
        "vnni": "VNNI" if VNNI & flags else "no VNNI",
        "memory": f"{memory:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "load before": f"{os.getloadavg()[0]:.1f} (other work was running if this is not near 0)",
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
    }
