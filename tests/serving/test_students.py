"""``distillex serve --student``: another student's files laid over the repository, which stays as it is."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

pytest.importorskip("tritonclient.grpc")
from distillex_client import Extractor
from distillex_matcher import LayoutError
from distillex_serving.embedded import EmbeddedServer, ServerError, ServerOptions
from distillex_serving.lexicon_client import send_command
from distillex_serving.preconditions import PreconditionError
from distillex_serving.students import NEEDED_FILES, entity_types, find_student, known_students, lay_over
from server_under_test import ADMIN_TOKEN, REPOSITORY, ROOT, server_options, why_no_server

TEXT = "林晓岚是中国人民银行的副行长。"


@pytest.fixture
def student(tmp_path):
    """A student that differs from the shipped one: its types are called x-….

    The folder lies where ``distillex export -o models/student-other/serving`` would put it.
    """
    if reason := why_no_server():
        pytest.skip(reason)
    folder = tmp_path / "models" / "student-other" / "serving"
    for name in NEEDED_FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, folder / name)
    entity_types = json.loads((folder / "decode/1/crf.json").read_text(encoding="utf-8"))["entity_types"]
    for name, field in (("decode/1/crf.json", "entity_types"), ("preprocess/1/features.json", "types")):
        content = json.loads((folder / name).read_text(encoding="utf-8"))
        content[field] = [f"x-{kind}" if kind in entity_types else kind for kind in content[field]]
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    return folder


@pytest.mark.server
def test_a_repository_in_a_folder_with_blanks_and_other_letters_is_served(tmp_path):
    if reason := why_no_server():
        pytest.skip(reason)
    folder = tmp_path / "my models 模型"
    shutil.copytree(REPOSITORY, folder / "model repository")
    shutil.copytree(ROOT / "lexicons", folder / "lexicons")
    options = dataclasses.replace(server_options(folder / "lexicons"), repository=folder / "model repository")
    with EmbeddedServer(options) as server, Extractor(server.grpc_url) as extractor:
        assert extractor.extract(TEXT)


def test_the_students_files_are_served_and_the_repository_stays(server, student, lexicon_directory):
    before = {path: path.stat().st_mtime_ns for path in REPOSITORY.rglob("*") if path.is_file()}
    options = ServerOptions(
        repository=REPOSITORY,
        student=student,
        lexicon_directory=lexicon_directory,
        grpc_port=0,
        http_port=0,
        metrics_port=0,
        admin_token=ADMIN_TOKEN,
    )
    with EmbeddedServer(options) as other, Extractor(other.grpc_url) as theirs, Extractor(server.grpc_url) as ours:
        found = [(e.start, e.end, e.type) for e in theirs.extract(TEXT)]
        assert found == [(e.start, e.end, f"x-{e.type}") for e in ours.extract(TEXT)]
        assert (0, 3, "x-name") in found
        assert send_command(other.grpc_url, ADMIN_TOKEN, {"action": "list"})["lexicons"]
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_view_holds_no_file_of_the_replaced_student(student, tmp_path):
    repository, view = tmp_path / "repository", tmp_path / "view"
    shutil.copytree(REPOSITORY, repository, ignore=shutil.ignore_patterns("__pycache__"))
    (repository / "student" / "1" / "model.plan").write_bytes(b"of the replaced student")
    view.mkdir()
    lay_over(repository, student, view)
    served = {path.relative_to(view) for path in view.rglob("*") if path.is_file()}
    expected = {path.relative_to(repository) for path in repository.rglob("*") if path.is_file()}
    assert served == expected - {Path("student/1/model.plan")}
    assert (view / "extractor" / "1").is_dir()
    assert (view / "student/1/model.onnx").resolve() == student / "student/1/model.onnx"
    assert (view / "student/config.pbtxt").resolve() == repository / "student/config.pbtxt"


def test_students_are_found_by_name_and_unknown_names_list_them(student, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert known_students()["other"] == student
    assert find_student("other") == student
    assert find_student("cluener") is None or find_student("cluener").is_dir()
    assert set(entity_types(student)) == {f"x-{kind}" for kind in entity_types(REPOSITORY)}
    with pytest.raises(PreconditionError, match=r"unknown student 'planet'; known students: cluener, .*other"):
        find_student("planet")


def test_the_shipped_students_are_known():
    assert find_student("cluener") is None
    assert set(entity_types(find_student("msra"))) == {"LOC", "ORG", "PER"}
    assert set(entity_types(find_student("resume"))) == {"CONT", "EDU", "LOC", "NAME", "ORG", "PRO", "RACE", "TITLE"}


def test_a_student_that_lacks_a_file_is_refused(student, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (student / "student/1/model.onnx").unlink()
    with pytest.raises(PreconditionError, match=r"student/1/model\.onnx missing; 'distillex export' writes"):
        find_student("other")
    (student / "decode/1/crf.json").unlink()
    with pytest.raises(LayoutError, match=r"crf\.json: missing"):
        entity_types(student)


def test_a_student_whose_layout_and_crf_are_of_two_models_is_refused(student, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(find_student("msra") / "decode/1/crf.json", student / "decode/1/crf.json")
    message = (
        r"student-other/serving/decode/1/crf\.json has the entity types LOC, ORG, PER; \S+/student-other/serving/"
        r"preprocess/1/features\.json does not know LOC, ORG, PER \(its last types: x-organization, x-position, "
        r"x-scene\)\. The files are of two models: export one model with all its files"
    )
    with pytest.raises(PreconditionError, match=message):
        find_student("other")


@pytest.mark.server
@pytest.mark.parametrize(
    ("foreign", "message"),
    [
        (
            ("decode/1/crf.json", "preprocess/1/features.json", "preprocess/1/vocabulary.txt"),
            r"/student/1/model\.onnx was made for tokens 4636; \S+/preprocess/1/vocabulary\.txt has 4944\. The files",
        ),
        (
            ("decode/1/crf.json", "preprocess/1/features.json"),
            r"/student/1/model\.onnx was made for types 48; \S+/preprocess/1/features\.json has 41\. The files",
        ),
        (
            ("decode/1/crf.json",),
            r"/decode/1/crf\.json has the entity types LOC, ORG, PER; \S+/features\.json does not",
        ),
    ],
)
def test_a_server_with_another_models_files_beside_the_network_does_not_start(
    student, lexicon_directory, foreign, message
):
    for name in foreign:
        shutil.copy(find_student("msra") / name, student / name)
    options = ServerOptions(
        repository=REPOSITORY,
        student=student,
        lexicon_directory=lexicon_directory,
        grpc_port=0,
        http_port=0,
        metrics_port=0,
    )
    with pytest.raises(ServerError, match=rf"student cannot start: \S+{message}"):
        EmbeddedServer(options).start()


def serve(folder, *arguments):
    command = [sys.executable, "-m", "distillex_cli.main", "serve", "--grpc-port", "0", "--http-port", "0"]
    return subprocess.Popen(
        [*command, "--metrics-port", "0", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"COLUMNS": "200"},
    )


@pytest.mark.server
def test_serve_says_which_student_it_serves(student, tmp_path):
    process = serve(tmp_path, "--student", "other")
    alarm = threading.Timer(60, process.kill)
    alarm.start()
    try:
        printed = ""
        for line in process.stdout:
            printed += line
            if line.startswith("ready"):
                break
        assert re.search(r"serving student other of \S+/student-other/serving: x-address, x-book", printed), printed
        process.terminate()
        assert process.wait(30) == 0
    finally:
        alarm.cancel()
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--student", "planet"), "unknown student 'planet'; known students: cluener"),
        (("--student", "cluener", "--repository", "x"), "give it or --student, not both"),
        (("--repository", "nothing"), "nothing: the model repository does not exist"),
    ],
)
def test_a_wrong_choice_is_refused(tmp_path, arguments, message):
    if reason := why_no_server():
        pytest.skip(reason)
    process = serve(tmp_path, *arguments)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert message in " ".join(output.split())
