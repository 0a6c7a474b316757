"""Build a wheel with each Python from 3.10 to 3.13 at hand, and try it in a new environment, outside the source tree.

``make try-dist``. Which were at hand is said; a Python that is not there is no failure, none at all is one.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
VERSIONS = ("3.10", "3.11", "3.12", "3.13")
TRIAL = """
import distillex
found = [(e.type, e.text) for e in distillex.load().extract("华为技术有限公司与复旦大学签署协议。")]
assert found == [("company", "华为技术有限公司"), ("organization", "复旦大学")], found
mine = distillex.load().with_lexicon({"青石云科": "company"}, trust="insist")
found = [e.text for e in mine.extract("青石云科发布了新产品。")]
assert found == ["青石云科"], found
assert "site-packages" in distillex.__file__, distillex.__file__
"""


def find_python(version: str) -> Path | None:
    """Return a Python of a version that runs: the one on the path, or one that pyenv keeps."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    on_path = shutil.which(f"python{version}")
    candidates = [Path(on_path)] if on_path else []
    candidates += sorted(pyenv.glob(f"{version}.*/bin/python"))
    for python in candidates:
        asked = subprocess.run([python, "--version"], check=False, capture_output=True, text=True)
        if asked.returncode == 0 and re.match(rf"Python {re.escape(version)}\.", asked.stdout):
            return python
    return None


def try_wheel(python: Path) -> None:
    """Build and install both wheels with a Python, then extract, list and verify from an empty folder.

    Raises
    ------
    subprocess.CalledProcessError
        Where any of it fails.
    """
    with tempfile.TemporaryDirectory(prefix="distillex-wheel-") as folder:
        place = Path(folder)
        subprocess.run([python, "-m", "venv", place / "venv"], check=True)
        installed = place / "venv" / "bin"
        pip: list[str | Path] = [installed / "python", "-m", "pip", "--disable-pip-version-check", "--quiet"]
        subprocess.run([*pip, "wheel", "--no-deps", "-w", place / "wheels", ROOT, ROOT / "client"], check=True)
        wheels = sorted((place / "wheels").glob("*.whl"))
        subprocess.run([*pip, "install", *wheels], check=True)
        empty = place / "empty"
        empty.mkdir()
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        commands: list[list[str | Path]] = [
            [installed / "python", "-c", TRIAL],
            [installed / "distillex", "models", "list"],
            [installed / "distillex", "models", "verify"],
            [installed / "distillex-client", "--help"],
        ]
        for command in commands:
            subprocess.run(command, check=True, cwd=empty, env=environment, stdout=subprocess.DEVNULL)
        DIST.mkdir(exist_ok=True)
        for wheel in wheels:
            shutil.copy(wheel, DIST)


def main() -> None:
    """Try the wheel of each Python at hand; those that are named on the command line, or all."""
    tried = []
    for version in sys.argv[1:] or VERSIONS:
        python = find_python(version)
        if python is None:
            sys.stdout.write(f"Python {version}: not at hand, not tried\n")
            continue
        sys.stdout.write(f"Python {version}: {python}\n")
        sys.stdout.flush()
        try_wheel(python)
        tried.append(version)
    if not tried:
        sys.exit("release/try_wheels.py: no Python from 3.10 to 3.13 is at hand")
    sys.stdout.write(f"the wheels work with Python {', '.join(tried)}\n")


if __name__ == "__main__":
    main()
