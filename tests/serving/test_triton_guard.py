"""The library that is loaded before tritonserver: no division by zero ends it, and nothing else changes."""

from __future__ import annotations

import os
import platform
import shutil
import signal
import subprocess

import pytest
from distillex_serving.triton_command import GUARD

DIVIDES = """
#include <stdio.h>
#include <stdlib.h>
int main(int count, char** arguments) {
    volatile unsigned long zero = count - 1;
    printf("%lu %s\\n", 7UL / zero, getenv("LD_PRELOAD") ? getenv("LD_PRELOAD") : "");
    return 0;
}
"""


@pytest.fixture(autouse=True)
def needs_guard():
    if platform.machine() != "x86_64":
        pytest.skip("needs an x86_64 processor: others do not trap divisions by zero")
    if not GUARD.exists():
        pytest.skip("needs triton_guard.so, which an installed distillex has ('make develop' builds it)")


@pytest.fixture(scope="module")
def dividing_program(tmp_path_factory):
    if shutil.which("cc") is None:
        pytest.skip("needs a C compiler, cc")
    folder = tmp_path_factory.mktemp("programs")
    (folder / "divide.c").write_text(DIVIDES, encoding="ascii")
    subprocess.run(["cc", "-o", folder / "tritonserver", folder / "divide.c"], check=True)
    shutil.copy(folder / "tritonserver", folder / "another")
    return folder


def run(program, preloaded):
    environment = os.environ | {"LD_PRELOAD": preloaded}
    return subprocess.run([program], env=environment, capture_output=True, text=True)


def test_a_division_by_zero_gives_zero_in_tritonserver(dividing_program):
    found = run(dividing_program / "tritonserver", str(GUARD))
    assert (found.returncode, found.stdout) == (0, "0 \n")
    assert "divided by zero" in found.stderr


def test_another_program_ends_as_it_would_without(dividing_program):
    assert run(dividing_program / "another", str(GUARD)).returncode == -signal.SIGFPE


def test_what_else_is_preloaded_stays_for_the_servers_children(dividing_program):
    assert run(dividing_program / "tritonserver", f"{GUARD}:libm.so.6").stdout == "0 libm.so.6\n"


@pytest.mark.server
@pytest.mark.parametrize("output", ["ENTITIES", "LEXICON_VERSION"])
@pytest.mark.parametrize("count", [1, 3])
def test_classification_of_strings_is_refused_and_the_server_goes_on(server, connection, output, count):
    triton = pytest.importorskip("tritonclient.grpc")
    from plain_triton import bytes_tensor, extract

    text = [bytes_tensor("TEXT", ["张三毕业于北京大学。"])]
    with pytest.raises(triton.InferenceServerException) as refused:
        connection.infer(
            "extractor", text, outputs=[triton.InferRequestedOutput(output, class_count=count)], client_timeout=30
        )
    assert refused.value.status() == "StatusCode.INVALID_ARGUMENT"
    assert "unsupported type 'BYTES'" in refused.value.message()
    assert server.failure() is None
    assert extract(connection, ["张三毕业于北京大学。"]).rows[0]
