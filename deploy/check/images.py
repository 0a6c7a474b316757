"""Both Dockerfiles, carried out without Docker, and what they make, run as containers would be. Takes many minutes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import chart
import yaml
from compose import make_secrets
from image_root import DEFAULT_PATH, Builder, ImageError, Stage, base_root, contained, why_not_here
from kubernetes_objects import containers_of
from tools import ToolMissingError, Tools

USER = 10001
TRITON = "/opt/tritonserver"
SLEEP = ["sleep", "5"]
"""A gate asks the servers every second."""
PUSH = ["distillex", "lexicon", "push", "words", "/run/check/words.tsv"]
GET = "import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=5)"


def check_images(root: Path, tools: Tools) -> list[str]:
    """Build both images' roots and run their commands; the compose file's server, gate and lexicons too.

    Raises
    ------
    ToolMissingError
        Where this machine cannot make roots.
    """
    if reason := why_not_here():
        raise ToolMissingError(reason)
    # The parsers are the tools'; what reads them is this program.
    sys.path.append(str(next((tools.python.parent / "lib").glob("python*/site-packages"))))
    try:
        base = base_root(tools.folder.absolute() / "debian")
    except ImageError as error:
        raise ToolMissingError(f"debootstrap made no Debian: {error}") from None
    with tempfile.TemporaryDirectory(prefix="distillex-images-") as work, ExitStack() as stack:
        folder = Path(work)

        def build(name: str, base: Path, built: Mapping[str, Stage]) -> tuple[Stage, Mapping[str, Stage]]:
            builder = Builder(root / "deploy" / name, root, base, folder / f"stages-{name}", built)
            stack.callback(builder.close)
            return builder.build(), builder.built

        cpu, built = build("Dockerfile.cpu", base, {})
        problems = _compose_problems(root, cpu, folder / "compose")
        problems += _chart_problems(root, tools, cpu, folder / "chart")
        problems += _own_problems("Dockerfile.cpu", cpu)
        triton, _ = build("Dockerfile", _with_triton(base, cpu, folder), built)
        triton.environment = _of_nvidia() | triton.environment
        problems += _own_problems("Dockerfile", triton, ends_by_signal=True)
    return problems


def _own_problems(name: str, stage: Stage, *, ends_by_signal: bool = False) -> list[str]:
    """Start the image without arguments and check it."""
    plan = {
        "before": [],
        "services": [[*stage.entrypoint, *stage.command]],
        "health": [stage.health_check],
        "then": [],
        # HTTP, which one request can end, is not for others.
        "closed": [("127.0.0.2", 8000)],
        "ends_by_signal": ends_by_signal,
    }
    return [f"{name}: {problem}" for problem in _carried_out(stage, plan, [])]


def _compose_problems(root: Path, stage: Stage, folder: Path) -> list[str]:
    """Run the compose file's commands: lexicons, then gate and server; call over TLS, push, scrape."""
    services = yaml.safe_load((root / "deploy/compose/compose.yaml").read_text(encoding="utf-8"))["services"]
    files = _Files(root, folder, host="server")
    call = ["--url", "localhost:8443", "--tls-ca", "/run/check/ca.crt"]
    plan = {
        "before": [[*stage.entrypoint, *services["lexicons"]["command"]]],
        "services": [[*stage.entrypoint, *services[name]["command"]] for name in ("gate", "server")],
        "health": [services["gate"]["healthcheck"]["test"][1:], stage.health_check],
        "then": [
            SLEEP,
            ["distillex-client", "ping", *call],
            [*PUSH, *call, "--admin-token-file", "/run/secrets/admin_token"],
            ["python3", "-c", GET, "http://127.0.0.1:8002/metrics"],
            ["python3", "-c", GET, "http://127.0.0.1:9901/metrics"],
        ],
        "closed": [("127.0.0.2", 8000)],
    }
    secrets = {"tls_certificate": "tls.crt", "tls_key": "tls.key", "admin_token": "admin_token"}
    mounts = files.mounted({f"/run/secrets/{name}": files.secrets / file for name, file in secrets.items()})
    (stage.root / "etc/hosts").touch()
    return [f"compose.yaml: {problem}" for problem in _carried_out(stage, plan, mounts)]


def _chart_problems(root: Path, tools: Tools, stage: Stage, folder: Path) -> list[str]:
    """Run the chart's commands: the init container with a word list, then gate and server; call over TLS."""
    objects = chart.render(tools, chart.chart_of(root), "values.yaml", chart.VALUES["values.yaml"])
    containers = {container["name"]: container for _, container in containers_of(objects)}
    [lists] = [each["data"] for each in objects if each["kind"] == "ConfigMap"]
    files = _Files(root, folder, host="distillex-server.prod.svc")
    (folder / "word-lists").mkdir()
    (folder / "word-lists/finance.tsv").write_text(lists["finance.tsv"], encoding="utf-8")
    plan = {
        "before": [containers["lexicons"]["command"], ["test", "-e", "/lexicons/finance/1.lex"]],
        "services": [[*stage.entrypoint, *containers[name]["args"]] for name in ("gate", "server")],
        "health": [["python3", "-c", GET, "http://127.0.0.1:9901/ready"], stage.health_check],
        "then": [
            SLEEP,
            ["distillex-client", "ping", "--url", "localhost:8443", "--tls-ca", "/run/check/ca.crt"],
            ["python3", "-c", GET, "http://127.0.0.1:9901/live"],
        ],
        "closed": [("127.0.0.2", 8000)],
    }
    tls = {f"/run/secrets/tls/{name}": files.secrets / name for name in ("tls.crt", "tls.key")}
    mounts = files.mounted(tls)
    mounts += ["--ro-bind", str(folder / "word-lists"), "/word-lists"]
    (stage.root / "word-lists").mkdir(exist_ok=True)
    (stage.root / "etc/hosts").touch()
    return [f"chart: {problem}" for problem in _carried_out(stage, plan, mounts)]


class _Files:
    """What a deployment mounts: secrets, a volume of lexicons, names of hosts."""

    def __init__(self, root: Path, folder: Path, host: str) -> None:
        folder.mkdir()
        self.secrets = make_secrets(root, folder)
        self._lexicons, self._hosts, self._words = folder / "lexicons", folder / "hosts", folder / "words.tsv"
        self._mounts = folder / "mounts"
        self._lexicons.mkdir()
        shutil.chown(self._lexicons, USER, USER)
        self._hosts.write_text(f"127.0.0.1 localhost {host}\n", encoding="utf-8")
        self._words.write_text("青石云科\tcompany\n", encoding="utf-8")

    def mounted(self, more: dict[str, Path]) -> list[str]:
        """Return options of bubblewrap; ``more`` are files by their places below /run."""
        files = {"/run/check/ca.crt": self.secrets / "ca.crt", "/run/check/words.tsv": self._words, **more}
        for place, file in files.items():
            # Folders that bubblewrap made would be root's alone.
            copied = self._mounts / place.lstrip("/")
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copied)
        read = {"/run": self._mounts / "run", "/etc/hosts": self._hosts}
        options = [part for place, source in read.items() for part in ("--ro-bind", str(source), place)]
        return [*options, "--bind", str(self._lexicons), "/lexicons"]


def _carried_out(stage: Stage, plan: dict[str, Any], mounts: list[str]) -> list[str]:
    program = Path(__file__).with_name("inside_container.py").read_text(encoding="utf-8")
    command = [*contained(stage, mounts), "python3", "-c", program]
    done = subprocess.run(command, input=json.dumps(plan), capture_output=True, text=True, timeout=900, check=False)
    return done.stdout.splitlines() + ([done.stderr.strip()] if done.returncode != 0 else [])


def _with_triton(base: Path, cpu: Stage, folder: Path) -> Path:
    """Return a root that has a Triton where NVIDIA's image has it: that of nvidia-pytriton."""
    root = folder / "triton-base"
    of_the_kernel = ["proc", "sys", "dev"]
    shutil.copytree(base, root, symlinks=True, ignore=lambda place, _: of_the_kernel if Path(place) == base else [])
    for name in of_the_kernel:
        (root / name).mkdir()
    [installed] = (cpu.root / "opt/distillex/lib").glob("python*/site-packages")
    server, target = installed / "pytriton/tritonserver", root / TRITON.lstrip("/")
    shutil.copytree(server, target, symlinks=True)
    version = installed.parent.name.removeprefix("python")
    stub = target / "python_backend_stubs" / version / "triton_python_backend_stub"
    shutil.copy(stub, target / "backends/python")
    if (libraries := installed / "nvidia_pytriton.libs").is_dir():
        shutil.copytree(libraries, target / "external_libs", dirs_exist_ok=True)
    return root


def _of_nvidia() -> dict[str, str]:
    return {"PATH": f"{TRITON}/bin:{DEFAULT_PATH}", "LD_LIBRARY_PATH": f"{TRITON}/external_libs"}
