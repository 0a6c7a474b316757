"""The compose file: its form, the commands in it, and that its parts name each other rightly."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from distillex.command.main import application
from own_commands import gate_problem, options_of, problem_of
from programs import said
from tools import Tools
from typer.main import get_command

OWN_IMAGE = "distillex:cpu"
PINNED = re.compile(r"\S+:v?\d+\.\d+\.\d+(@sha256:[0-9a-f]{64})?")
"""An image of one release: a shorter tag is another image next month."""


def check_compose(root: Path, tools: Tools) -> list[str]:
    """Let dclint read the file (its schema too); then what no schema knows."""
    folder = root / "deploy/compose"
    dclint: list[str | Path] = ["node", tools.node_modules / "dclint/bin/dclint.cjs"]
    dclint += ["--config", folder / ".dclintrc.yaml", "--max-warnings", "0"]
    found = said([*dclint, folder / "compose.yaml"])
    if found:
        return [found]
    compose = yaml.safe_load((folder / "compose.yaml").read_text(encoding="utf-8"))
    services = compose["services"]
    problems = [f"{name}: {problem}" for name, each in services.items() for problem in _hardening(each)]
    problems += [
        f"{name}: the image {each['image']} is not of one release"
        for name, each in services.items()
        if each["image"] != OWN_IMAGE and not PINNED.fullmatch(each["image"])
    ]
    problems += [
        f"{name}: {problem}"
        for name, each in services.items()
        if each["image"] == OWN_IMAGE and (problem := problem_of(each["command"]))
    ]
    return problems or [*_meeting(folder, services), *_files(folder, compose), *_overlays(folder, services, dclint)]


def check_gate(root: Path, tools: Tools) -> list[str]:
    """Let Envoy read the gate's configuration, with the certificates that secrets.sh makes."""
    compose = yaml.safe_load((root / "deploy/compose/compose.yaml").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        secrets = make_secrets(root, Path(folder))
        problem = gate_problem(tools, compose["services"]["gate"]["command"], secrets)
    return [problem] if problem else []


def make_secrets(root: Path, folder: Path) -> Path:
    """Run secrets.sh in a folder; return where its files lie."""
    script = folder / "secrets.sh"
    script.write_bytes((root / "deploy/compose/secrets.sh").read_bytes())
    subprocess.run(["sh", script, "distillex.example"], check=True, capture_output=True, env=dict(os.environ))
    return folder / "secrets"


def _hardening(service: dict[str, Any]) -> list[str]:
    wanted = {"read_only": True, "cap_drop": ["ALL"], "security_opt": ["no-new-privileges:true"]}
    return [f"{key}: {value} is missing" for key, value in wanted.items() if service.get(key) != value] + [
        f"{key}: nothing of this is needed" for key in ("privileged", "cap_add", "user") if key in service
    ]


def _meeting(folder: Path, services: dict[str, Any]) -> list[str]:
    """Ports and names at which the services meet."""
    server, gate = options_of(services["server"]["command"]), options_of(services["gate"]["command"])
    scraped = yaml.safe_load((folder / "prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"]
    targets = {(each["names"][0], each["port"]) for job in scraped for each in job["dns_sd_configs"]}
    published = {port.split(":")[-1] for port in services["gate"]["ports"]}
    return [
        text
        for fine, text in (
            (gate["upstream"] == f"server:{server['grpc_port']}", f"gate: --upstream {gate['upstream']} is no server"),
            (targets == {("server", server["metrics_port"]), ("gate", gate["status_port"])}, f"scraped: {targets}"),
            (published == {str(gate["grpc_port"])}, f"gate: publishes {published}, and listens at {gate['grpc_port']}"),
            (str(gate["status_port"]) in str(services["gate"]["healthcheck"]), "gate: its health check asks elsewhere"),
            ("ports" not in services["server"], "server: is published, past the gate"),
            (set(services["server"]["networks"]) == {"servers"}, "server: is on other networks than 'servers'"),
            (server["host"] == "0.0.0.0", f"server: listens at {server['host']}"),
            (server["expose_metrics"] is True, "server: does not expose its metrics"),
        )
        if not fine
    ]


def _overlays(folder: Path, services: dict[str, Any], dclint: list[str | Path]) -> Iterator[str]:
    """Files that are laid over the first one: their services are its own, and what they name is mounted."""
    for file in sorted(folder.glob("compose.*.yaml")):
        if found := said([*dclint, file]):
            yield found
        for name, added in yaml.safe_load(file.read_text(encoding="utf-8"))["services"].items():
            where = f"{file.name}: {name}"
            if name not in services:
                yield f"{where}: there is no such service"
                continue
            taken = _variables(services[name]["command"][0])
            places = {volume.split(":")[1]: volume.split(":")[0] for volume in added.get("volumes", ())}
            for variable, value in added.get("environment", {}).items():
                folder_of, _, name_of = value.rpartition("/")
                if variable not in taken:
                    yield f"{where}: distillex {services[name]['command'][0]} reads no {variable}"
                elif folder_of not in places:
                    yield f"{where}: {variable}: {folder_of} is not mounted"
                elif f"{places[folder_of]}/{name_of}" not in (
                    "./secrets/tenants/tenants.json",
                    "./secrets/tenants/secret",
                ):
                    yield f"{where}: {variable}: nothing writes {places[folder_of]}/{name_of}"


def _variables(command: str) -> set[str]:
    """Environment variables that stand for options of a command."""
    found: Any = get_command(application).get_command(None, command)  # type: ignore[attr-defined]
    named = [each.envvar for each in found.params if getattr(each, "envvar", None)]
    return {name for each in named for name in ([each] if isinstance(each, str) else each)}


def _files(folder: Path, compose: dict[str, Any]) -> list[str]:
    """Files that are mounted or read."""
    written = {"admin_token", "grafana_password", "tls.crt", "tls.key"}
    problems = [
        f"secret {name}: secrets.sh writes no {secret['file']}"
        for name, secret in compose["secrets"].items()
        if Path(secret["file"]).name not in written
    ]
    for name, service in compose["services"].items():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith(".") and not (folder / source).exists():
                problems.append(f"{name}: {source} does not exist")
            elif not source.startswith(".") and source not in compose["volumes"]:
                problems.append(f"{name}: the volume {source} is not declared")
    return problems
