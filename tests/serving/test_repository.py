"""A model repository is composed of the shipped configurations and exported models, and Triton serves it."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("tritonclient.grpc")
import onnxruntime
from distillex.models import find_model
from distillex_client import Extractor
from distillex_matcher.exported import EXPORTED_FILES, FILES_BESIDE, GPU_NETWORK_FILE, NETWORK_FILE, PLAN_FILE
from distillex_serving.embedded import EmbeddedServer
from distillex_serving.errors import PreconditionError, ServerError
from distillex_serving.repository import CONFIGURATIONS, LEXICONS, TEACHER_NAMES, Layout, compose, copy, network_of
from distillex_serving.triton_command import TritonCommand
from google.protobuf import text_format
from server_under_test import REPOSITORY, ROOT, server_options, why_no_server
from tritonclient.grpc import model_config_pb2

NETWORKS = {"student", "teacher"}
FORMS = (NETWORK_FILE, GPU_NETWORK_FILE, PLAN_FILE)
ONE_MODEL = (Layout.FUSED, Layout.GPU)
STUDENT, TEACHER = find_model("resume"), find_model("msra")
TEXT = "王刚，男，中国国籍，清华大学工商管理硕士，现任北京华为技术有限公司董事长。"


def parsed(path):
    return text_format.Parse(path.read_text(encoding="utf-8"), model_config_pb2.ModelConfig())


@pytest.fixture
def planned(tmp_path):
    """Two models with files that stand for a TensorRT plan and for a network for GPUs."""
    for name, model in (("student", STUDENT), ("teacher", TEACHER)):
        (tmp_path / name).mkdir()
        for file in EXPORTED_FILES:
            (tmp_path / name / file).symlink_to(model / file)
        (tmp_path / name / "model.plan").write_text(f"the plan of the {name}", encoding="utf-8")
        (tmp_path / name / GPU_NETWORK_FILE).write_text(f"the network of the {name}", encoding="utf-8")
    return tmp_path / "student", tmp_path / "teacher"


@pytest.mark.parametrize("layout", Layout)
def test_student_and_teacher_have_folders_configurations_and_files_of_their_own(tmp_path, planned, layout):
    student, teacher = planned
    compose(tmp_path / "made", configurations=REPOSITORY, student=student, teacher=teacher, layout=layout)
    parts = set(CONFIGURATIONS[layout])
    names = {path.name for path in (tmp_path / "made").iterdir()}
    assert names == parts | {TEACHER_NAMES[part] for part in parts} | {LEXICONS}
    for name in names:
        folder = tmp_path / "made" / name
        config = parsed(folder / "config.pbtxt")
        assert config.name == name
        assert {step.model_name for step in config.ensemble_scheduling.step} <= names - {name}
        model = teacher if name in TEACHER_NAMES.values() else student
        runs_network = name in ({"extractor", "extractor_teacher"} if layout in ONE_MODEL else NETWORKS)
        for file in (*FILES_BESIDE, *((network_of(layout),) if runs_network else ())):
            assert (folder / "1" / file).resolve() == (model / file).resolve()
        assert sum((folder / "1" / file).exists() for file in FORMS) == runs_network
        for warmup in config.model_warmup:
            for tensor in warmup.inputs.values():
                assert not tensor.input_data_file or (folder / "warmup" / tensor.input_data_file).is_file()
        if config.backend == "python":
            assert (folder / "1" / "model.py").is_file()


def test_the_teachers_configuration_differs_by_names_alone(tmp_path):
    compose(tmp_path / "made", configurations=REPOSITORY, student=STUDENT, teacher=TEACHER, layout=Layout.ENSEMBLE)
    for student, teacher in TEACHER_NAMES.items():
        theirs = parsed(tmp_path / "made" / teacher / "config.pbtxt")
        theirs.name = student
        for step in theirs.ensemble_scheduling.step:
            step.model_name = {name: part for part, name in TEACHER_NAMES.items()}[step.model_name]
        assert theirs == parsed(tmp_path / "made" / student / "config.pbtxt")


def test_the_models_and_the_configurations_stay_as_they_are(tmp_path):
    folders = (REPOSITORY, STUDENT, TEACHER)
    before = {path: path.stat().st_mtime_ns for folder in folders for path in folder.rglob("*") if path.is_file()}
    compose(tmp_path / "made", configurations=REPOSITORY, student=STUDENT, teacher=TEACHER)
    shutil.rmtree(tmp_path / "made")
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_copies_need_no_source(tmp_path, planned):
    student, _ = planned
    compose(tmp_path / "made", configurations=REPOSITORY, student=student, place=copy)
    assert not [path for path in (tmp_path / "made").rglob("*") if path.is_symlink()]
    assert (tmp_path / "made/extractor/1/model.onnx").read_bytes() == (STUDENT / "model.onnx").read_bytes()


@pytest.mark.parametrize("missing", ["model.plan", "crf.json"])
def test_a_missing_file_is_named(tmp_path, planned, missing):
    student, _ = planned
    (student / missing).unlink()
    with pytest.raises(PreconditionError, match=rf"{student}/{missing}: missing; 'distillex export' writes it"):
        compose(tmp_path / "made", configurations=REPOSITORY, student=student, layout=Layout.TENSORRT)


def test_a_plan_needs_no_network_of_another_form_beside_it(tmp_path, planned):
    student, _ = planned
    (student / NETWORK_FILE).unlink()
    written("--student", student, "--layout", "tensorrt", "-o", tmp_path / "made")
    assert (tmp_path / "made/student/1/model.plan").read_text(encoding="utf-8") == "the plan of the student"


def test_a_device_is_written_into_the_configurations_of_student_and_teacher(tmp_path, planned):
    student, teacher = planned
    told = {"device": "gpu:1", "gpu_provider": "cuda", "gpu_memory_mib": "512"}
    compose(
        tmp_path / "made",
        configurations=REPOSITORY,
        student=student,
        teacher=teacher,
        layout=Layout.GPU,
        parameters=told,
    )
    for name in ("extractor", "extractor_teacher"):
        parameters = parsed(tmp_path / "made" / name / "config.pbtxt").parameters
        assert {key: parameters[key].string_value for key in told} == told
    with pytest.raises(PreconditionError, match="its configuration has no parameter 'device', which is to be set"):
        compose(tmp_path / "other", configurations=REPOSITORY, student=student, parameters=told)


def repository(*arguments, code="from distillex.command.main import run; run()", **options):
    command = [sys.executable, "-c", code, "repository", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def written(*arguments):
    process = repository(*arguments)
    out, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    return out.splitlines()


def test_the_command_writes_copies_and_says_which_configurations(tmp_path):
    lines = written("-o", tmp_path / "a folder" / "made", "--student", STUDENT, "--layout", "onnxruntime")
    assert lines == sorted(
        f"{tmp_path}/a folder/made/{name}/config.pbtxt" for name in (*CONFIGURATIONS[Layout.ONNXRUNTIME], LEXICONS)
    )
    assert not [path for path in (tmp_path / "a folder").rglob("*") if path.is_symlink()]
    assert [path.name for path in (tmp_path / "a folder").iterdir()] == ["made"]


def test_tritons_own_onnx_runtime_is_told_the_sizes_of_the_network(tmp_path):
    compose(tmp_path / "made", configurations=REPOSITORY, student=STUDENT, layout=Layout.ONNXRUNTIME)
    config = parsed(tmp_path / "made" / "student" / "config.pbtxt")
    network = onnxruntime.InferenceSession(STUDENT / "model.onnx")
    tensors = (*network.get_inputs(), *network.get_outputs())
    for served, own in zip((*config.input, *config.output), tensors, strict=True):
        # Its backend compares every size; what varies is -1 there and a name here.
        sizes = [size if isinstance(size, int) else -1 for size in own.shape]
        assert (served.name, [-1, *served.dims]) == (own.name, sizes)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--student", "planet"], "unknown student 'planet'; known students: "),
        (["--layout", "tensorrt"], "student-cluener: model.plan missing; 'distillex export "),
        (
            ["--layout", "gpu", "--student", str(STUDENT)],
            f"model.gpu.onnx missing; 'distillex export {STUDENT} -o {STUDENT} --target gpu'",
        ),
        (["--configurations", "nowhere"], "nowhere/extractor/configs/cpu.pbtxt: missing; the layout 'fused' needs it"),
        (["--teacher", "."], ".: model.onnx, features.json, vocabulary.txt, crf.json missing"),
    ],
)
def test_what_cannot_be_written_leaves_nothing(tmp_path, arguments, sentence):
    process = repository("-o", "made", *arguments, cwd=tmp_path)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 2
    assert sentence in error
    assert len(error.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch, lambda path: path.symlink_to("nowhere")])
def test_what_is_there_is_not_replaced(tmp_path, make):
    make(tmp_path / "made")
    process = repository("-o", "made", cwd=tmp_path)
    _, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (
        2,
        "distillex repository: made already exists: remove it, or give another folder\n",
    )
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


def test_a_killed_command_leaves_nothing_of_that_name(tmp_path):
    stand_still = (
        "import time, distillex_serving.repository_command as c\n"
        "def copy(source, target):\n"
        "    target.write_bytes(b'')\n"
        "    print('began', flush=True)\n"
        "    time.sleep(600)\n"
        "c.copy = copy\n"
        "from distillex.command.main import run; run()"
    )
    process = repository("-o", tmp_path / "made", code=stand_still)
    assert process.stdout.readline() == "began\n"
    process.kill()
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "made").exists()
    assert written("-o", tmp_path / "made")


@pytest.mark.server
@pytest.mark.parametrize("layout", [Layout.FUSED, Layout.ENSEMBLE])
def test_what_the_command_wrote_is_served(tmp_path, monkeypatch, layout):
    """By tritonserver itself, which is given the folder and nothing else that is ours."""
    if reason := why_no_server():
        pytest.skip(reason)
    written("-o", tmp_path / "made", "--layout", layout.value, "--student", STUDENT, "--teacher", TEACHER)
    shutil.copytree(ROOT / "lexicons", tmp_path / "lexicons")
    taken = []

    class AsWritten(TritonCommand):
        def __init__(self, *, repository, **others):
            taken.append(repository)
            super().__init__(repository=tmp_path / "made", **others)

    monkeypatch.setattr("distillex_serving.embedded.TritonCommand", AsWritten)
    with (
        EmbeddedServer(server_options(tmp_path / "lexicons")) as server,
        Extractor(server.grpc_url) as student,
        Extractor(server.grpc_url, model="extractor_teacher") as teacher,
    ):
        assert {entity.type for entity in student.extract(TEXT)} >= {"NAME", "ORG", "TITLE"}
        assert {entity.type for entity in teacher.extract(TEXT)} <= {"PER", "ORG", "LOC"}
        assert teacher.extract(TEXT)
    assert taken


@pytest.mark.server
@pytest.mark.parametrize("layout", ["fused", "ensemble"])
def test_serve_takes_a_student_a_teacher_of_another_vocabulary_and_a_layout(serving, layout):
    running = serving("--student", STUDENT, "--teacher", TEACHER, "--layout", layout)
    running.wait_for(rf"^serving {STUDENT}: CONT, EDU, LOC, NAME, ORG, PRO, RACE, TITLE")
    url = running.wait_for(r"ready: gRPC (\S+),")[1]
    with Extractor(url) as student, Extractor(url, model="extractor_teacher") as teacher:
        assert {entity.type for entity in student.extract(TEXT)} >= {"NAME", "ORG", "TITLE"}
        assert [(entity.text, entity.type) for entity in teacher.extract("王刚去北京。")] == [
            ("王刚", "PER"),
            ("北京", "LOC"),
        ]


@pytest.mark.server
def test_configurations_in_a_folder_with_blanks_and_other_letters_are_served(tmp_path):
    if reason := why_no_server():
        pytest.skip(reason)
    folder = tmp_path / "my models 模型"
    shutil.copytree(REPOSITORY, folder / "model repository")
    shutil.copytree(STUDENT, folder / "a student")
    shutil.copytree(ROOT / "lexicons", folder / "lexicons")
    options = server_options(folder / "lexicons", repository=folder / "model repository", student=folder / "a student")
    with EmbeddedServer(options) as server, Extractor(server.grpc_url) as extractor:
        assert extractor.extract(TEXT)


@pytest.mark.server
@pytest.mark.parametrize(
    ("layout", "speaker"),
    [(Layout.FUSED, "extractor"), (Layout.ENSEMBLE, "student")],
)
def test_a_server_with_another_models_files_beside_the_network_does_not_start(tmp_path, layout, speaker):
    if reason := why_no_server():
        pytest.skip(reason)
    for file in EXPORTED_FILES:
        shutil.copy((STUDENT if file == "model.onnx" else find_model("cluener")) / file, tmp_path)
    with pytest.raises(ServerError, match=rf"{speaker} cannot start: \S+/model\.onnx was made for .* The files are"):
        EmbeddedServer(server_options(student=tmp_path, layout=layout)).start()
