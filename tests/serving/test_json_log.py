"""``--log-format json``: every line is one object, whoever said it, and no text stands in it."""

from __future__ import annotations

import json
import os
import re
import signal
from datetime import datetime

import pytest
from distillex.locations import shipped_lexicons
from distillex_serving.log_format import LogFormat, shown
from server_under_test import why_no_gate, why_no_server

TEXT, WORD = "张三毕业于北京大学。", "青石云科"


@pytest.mark.server
def test_every_line_of_a_server_that_restarts_is_an_object_without_any_text(serving):
    pytest.importorskip("tritonclient.grpc", reason="tritonclient is not installed")
    from distillex_client import Extractor, InvalidRequest

    gate = ["--gate"] if why_no_gate() is None else []
    running = serving("--log-format", "json", "--verbose", *gate)
    address = running.wait_for(r'"ready: gRPC ([\d.:]+)', timeout_s=120)[1]
    with Extractor(address) as extractor:
        assert extractor.extract(TEXT, lexicon={WORD: "company"})
        for lexicon in ({WORD: "no such type"}, {WORD * 30: "company"}):
            with pytest.raises(InvalidRequest):
                extractor.extract(TEXT, lexicon=lexicon)
    os.kill(running.tritonserver(), signal.SIGKILL)
    running.wait_for('"tritonserver is ready again', timeout_s=120)
    running.process.terminate()
    running.wait_for('"stopped"')
    assert running.process.wait(60) == 0
    lines = [json.loads(line) for line in running.lines]
    for line in lines:
        assert {"time", "level", "source", "message"} <= line.keys()
        assert line["level"] in ("info", "warning", "error", "critical")
        assert datetime.fromisoformat(line["time"].replace("Z", "+00:00")).tzinfo is not None
        assert TEXT[:2] not in line["message"]
        assert WORD not in line["message"]
    by_source = {source: [line for line in lines if line["source"] == source] for source in {"distillex.serve"}}
    assert {(line["level"], line["message"].split(" (")[0]) for line in by_source["distillex.serve"]} >= {
        ("error", "starting tritonserver again now"),
        ("info", "stopped"),
    }
    sources = {line["source"] for line in lines}
    assert sources == {"distillex.serve", "tritonserver", *(["envoy"] if gate else [])}
    loaded = [line for line in lines if line["message"] == "successfully loaded 'extractor'"]
    assert [(line["source"], line["level"]) for line in loaded] == [("tritonserver", "info")] * 2
    assert all(re.fullmatch(r"\w+\.cc:\d+", line["place"]) for line in loaded)


def test_what_cannot_be_served_is_one_object_too(serving):
    if reason := why_no_server():
        pytest.skip(reason)
    running = serving("--log-format", "json", "--student", "nobody")
    assert running.process.wait(60) == 2
    [line] = map(json.loads, running.process.stdout.read().splitlines())
    assert (line["level"], line["source"]) == ("critical", "distillex.serve")
    assert line["message"].startswith("unknown student 'nobody'")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            'E1127 21:08:20.465120 32291 server.cc:241] "a \\"b\\"\\nc"',
            {"level": "error", "place": "server.cc:241", "message": 'a "b"\nc'},
        ),
        (
            "W1127 21:08:20.465120 32291 model.py:7] not quoted",
            {"level": "warning", "place": "model.py:7", "message": "not quoted"},
        ),
        (
            "[2026-11-27 20:35:22.123][1234][warning][config] [source/server/a.cc:12] too old",
            {"level": "warning", "place": "config", "message": "too old"},
        ),
        ("Signal (15) received.", {"level": "info", "message": "Signal (15) received."}),
        ("| extractor | 1 | READY |", {"level": "info", "message": "| extractor | 1 | READY |"}),
        ("I1127 21:08:20.465120 32291 server.cc:604] ", None),
        ("", None),
    ],
)
def test_lines_of_triton_and_envoy_are_taken_apart(capsys, line, expected):
    shown("tritonserver", LogFormat.JSON, verbose=True)(line + "\n")
    written = capsys.readouterr().out
    if expected is None:
        assert written == ""
        return
    said = json.loads(written)
    del said["time"]
    assert said == {"source": "tritonserver", **expected}


def test_without_verbose_what_is_said_at_each_start_without_a_gpu_is_left_out(capsys):
    noise = re.compile("CUDA driver version")
    line = 'W1127 21:08:20.4 1 a.cc:1] "CUDA driver version is insufficient"\n'
    shown("tritonserver", LogFormat.JSON, verbose=False, hides=noise)(line)
    assert capsys.readouterr().out == ""
    shown("tritonserver", LogFormat.JSON, verbose=True, hides=noise)(line)
    assert "insufficient" in capsys.readouterr().out


def test_as_text_faults_are_passed_on_and_without_verbose_nothing_else(capsys):
    faults = [
        'E1127 21:08:20.465120 32291 pb_stub.cc:1] "extractor: lexicon base@1: not a lexicon file"\n',
        "W1127 21:08:20.465120 32291 model.py:7] short of memory\n",
        "F1127 21:08:20.465120 32291 model.py:7] the end\n",
        "[2026-11-27 20:35:22.123][1234][error][lua] [source/a.cc:12] script log: the gate's own check failed\n",
    ]
    other = [
        "I1127 21:08:20.465120 32291 server.cc:604] ready\n",
        "[2026-11-27 20:35:22.123][1234][warning][main] [source/a.cc:12] caught ENVOY_SIGTERM\n",
        "Error in words of a caller\n",
    ]
    for verbose in (False, True):
        show = shown("tritonserver", LogFormat.TEXT, verbose=verbose)
        for line in (*faults, *other):
            show(line)
        written = capsys.readouterr()
        assert written.out == ""
        assert written.err == "".join(faults + (other if verbose else []))


@pytest.mark.server
def test_as_text_a_server_says_which_lexicon_is_broken(serving, tmp_path):
    pytest.importorskip("tritonclient.grpc", reason="tritonclient is not installed")
    from distillex_client import Extractor

    lexicons = tmp_path / "lexicons"
    (lexicons / "base").mkdir(parents=True)
    for path in shipped_lexicons().joinpath("base").iterdir():
        if path.suffix == ".lex":
            (lexicons / "base" / path.name).symlink_to(path)
    (lexicons / "base" / "CURRENT").write_text("1\n")
    running = serving("--lexicon-dir", str(lexicons))
    address = running.wait_for(r"ready: gRPC ([\d.:]+)", timeout_s=120)[1]
    (lexicons / "base" / "CURRENT").write_text("2\n")
    with Extractor(address) as extractor:
        assert extractor.extract(TEXT)
    running.wait_for("base@2", timeout_s=60)
