"""What runs in an image's root, as its user: start services, wait for their health, call them, stop them.

Reads a plan (JSON) from stdin; prints what is wrong, a line each. Nothing of distillex is imported: the image's own
commands are what is tried.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

START_S = 240.0


def problems_of(plan: dict[str, Any]) -> list[str]:
    """Carry out a plan.

    Parameters
    ----------
    plan
        ``before``: commands that have to succeed; ``services``: commands that go on until SIGTERM; ``health``: commands
        that fail before the services start and succeed once they are ready; ``then``: commands that have to succeed;
        ``closed``: addresses that nobody may listen at; ``ends_by_signal``: SIGTERM need not end them with 0.
    """
    problems = _confinement()
    problems += [problem for command in plan["before"] if (problem := _failed(command))]
    problems += [f"well before the start: {command}" for command in plan["health"] if not _failed(command)]
    services = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for command in plan["services"]
    ]
    deadline = time.monotonic() + START_S
    for command in plan["health"]:
        while (problem := _failed(command)) and time.monotonic() < deadline and _all_run(services):
            time.sleep(1)
        problems += [problem] if problem else []
    problems += [problem for command in plan["then"] if (problem := _failed(command))]
    problems += [f"{host}:{port} is open" for host, port in plan["closed"] if _is_open(host, port)]
    for command, service in zip(plan["services"], services, strict=True):
        service.terminate()
        said, _ = service.communicate(timeout=60)
        if service.returncode != 0 and not plan.get("ends_by_signal"):
            problems.append(f"{command}: exit code {service.returncode}: {said.decode()[-2000:]}")
    return problems


def _all_run(services: list[subprocess.Popen[bytes]]) -> bool:
    return all(service.poll() is None for service in services)


def _confinement() -> list[str]:
    """Return what breaks the confinement: running as root, capabilities, or a writable file system."""
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines())
    problems = [] if os.getuid() != 0 else ["the user is root"]
    problems += [f"{name} {status[name]}" for name in ("CapEff", "CapPrm", "CapBnd") if int(status[name], 16)]
    for place in ("/opt", "/usr", "/etc"):
        if os.access(place, os.W_OK):
            problems.append(f"{place} can be written to")
    compilers = subprocess.run(["sh", "-c", "command -v gcc g++ cc c++ clang cmake"], capture_output=True, check=False)
    return [*problems, *([f"a compiler: {compilers.stdout.decode()}"] if compilers.stdout else [])]


def _failed(command: list[str]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{command}: {error}"
    return None if done.returncode == 0 else f"{command}: {done.returncode}: {(done.stdout + done.stderr)[-1500:]}"


def _is_open(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex((host, port)) == 0


if __name__ == "__main__":
    for each in problems_of(json.load(sys.stdin)):
        sys.stdout.write(each.replace("\n", "\n    ") + "\n")
