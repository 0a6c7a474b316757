"""A virtual environment for Triton's Python-backend stubs, with the module path of this process.

A stub's Python reads no PYTHONPATH: its environment is that of the first ``python3`` in PATH, and it looks for modules
in the working folder before all others. So the server gets a ``python3`` of its own, whose environment is that of this
process, and works in a folder where no ``numpy.py`` lies.
"""

from __future__ import annotations

import sys
from pathlib import Path

ALONE = "include-system-site-packages = false"
SITE_FOLDERS = ("site-packages", "dist-packages")


def write_environment(folder: Path) -> Path:
    """Write the environment into a new folder; return where its ``python3`` lies, to be the first of PATH."""
    # Of a virtual environment, the interpreter that it was made from.
    interpreter = Path(getattr(sys, "_base_executable", "") or sys.executable).resolve()
    packages = folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    packages.mkdir(parents=True)
    lines = [_line(place) for place in sys.path if place and Path(place).is_dir()]
    (packages / "distillex.pth").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "pyvenv.cfg").write_text(f"home = {interpreter.parent}\n{ALONE}\n", encoding="utf-8")
    programs = folder / "bin"
    programs.mkdir()
    (programs / "python3").symlink_to(interpreter)
    return programs


def _line(place: str) -> str:
    # Folders of installed packages may hold .pth files of their own, such as those of editable installations.
    return (
        f"import site; site.addsitedir({place!r})" if Path(place).name in SITE_FOLDERS else str(Path(place).resolve())
    )
