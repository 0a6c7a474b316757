"""``distillex triton``: the Triton in PATH on a repository of its own, here that of the nvidia-pytriton wheel."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

tritonclient = pytest.importorskip("tritonclient.grpc")
from distillex.models import find_model  # noqa: E402
from distillex_serving import preconditions  # noqa: E402
from distillex_serving.locations import shipped_configurations  # noqa: E402
from distillex_serving.repository import Layout, compose, copy  # noqa: E402
from distillex_serving.stub_python import write_environment  # noqa: E402
from distillex_serving.triton_command import triton_environment  # noqa: E402
from plain_triton import extract  # noqa: E402
from server_under_test import LEXICONS, why_no_server  # noqa: E402

pytestmark = pytest.mark.server
COMMAND = [sys.executable, "-m", "distillex.command.main", "triton"]


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_the_triton_in_path_serves_a_written_repository_closed(tmp_path, log_format):
    if reason := why_no_server():
        pytest.skip(reason)
    triton = preconditions.find_triton()
    installed = tmp_path / "tritonserver"
    python = installed / "backends" / "python"
    (installed / "bin").mkdir(parents=True)
    python.mkdir(parents=True)
    (installed / "bin" / "tritonserver").symlink_to(triton.binary)
    for file in (triton.backends / "python").glob("[!_]*"):
        (python / file.name).symlink_to(file)
    (python / "triton_python_backend_stub").symlink_to(triton.stub)
    compose(
        tmp_path / "repository",
        configurations=shipped_configurations(),
        student=find_model("cluener"),
        layout=Layout.ENSEMBLE,
        place=copy,
    )
    programs = write_environment(tmp_path / "python")
    environment = triton_environment(triton.libraries, programs, LEXICONS, None)
    environment["PATH"] = f"{installed / 'bin'}:{environment['PATH']}"
    ports = {name: preconditions.free_port() for name in ("grpc", "http", "metrics")}
    options = [part for name, port in ports.items() for part in (f"--{name}-port", str(port))]
    options += ["--host", "127.0.0.2", "--log-format", log_format, "--verbose"]
    printed = tmp_path / "printed"
    with printed.open("wb") as file:
        process = subprocess.Popen(
            [*COMMAND, "--repository", tmp_path / "repository", "--lexicon-dir", LEXICONS, *options],
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        client = tritonclient.InferenceServerClient(f"127.0.0.2:{ports['grpc']}")
        deadline = time.monotonic() + 90
        while not _ready(client):
            assert process.poll() is None, f"it ended with {process.returncode}"
            assert time.monotonic() < deadline, "not ready"
            time.sleep(0.1)
        assert extract(client, ["张三毕业于北京大学。"]).rows[0][0]["text"] == "张三"
        with pytest.raises(tritonclient.InferenceServerException, match="restricted"):
            client.load_model("extractor")
        assert _get(f"http://127.0.0.2:{ports['metrics']}/metrics") == 200
        assert _get(f"http://127.0.0.1:{ports['http']}/v2/health/ready") == 200
        assert _get(f"http://127.0.0.2:{ports['http']}/v2/health/ready") is None
        client.close()
    finally:
        process.terminate()
        code = process.wait(60)
    assert code == 0
    lines = printed.read_text(encoding="utf-8").splitlines()
    if log_format == "text":
        assert any("successfully loaded 'extractor'" in line for line in lines)
        return
    said = [json.loads(line) for line in lines]
    assert {line["source"] for line in said} == {"tritonserver"}
    assert "successfully loaded 'extractor'" in [line["message"] for line in said]
    # Its last words too.
    assert any("All models are stopped" in line["message"] for line in said), said[-3:]


def test_as_json_a_triton_that_is_killed_ends_the_command_with_the_code_of_a_shell(tmp_path):
    program = tmp_path / "tritonserver"
    program.write_text("#!/bin/sh\necho 'E1127 21:08:20.465120 7 server.cc:241] \"a fault\"'\nkill -KILL $$\n")
    program.chmod(0o755)
    done = subprocess.run(
        [*COMMAND, "--repository", tmp_path, "--lexicon-dir", LEXICONS, "--log-format", "json"],
        env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 137
    [line] = map(json.loads, done.stdout.splitlines())
    assert (line["level"], line["message"], line["place"]) == ("error", "a fault", "server.cc:241")


def test_a_machine_without_triton_is_told_what_the_command_is_for(tmp_path):
    done = subprocess.run(
        [*COMMAND, "--repository", tmp_path], env=os.environ | {"PATH": "/nowhere"}, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "tritonserver is not in PATH" in done.stderr


def _ready(client):
    try:
        return client.is_server_ready()
    except tritonclient.InferenceServerException:
        return False


def _get(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status
    except (urllib.error.URLError, ConnectionError):
        return None
