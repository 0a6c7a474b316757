"""A model is found by a student's name or by its folder; what lacks a file or is of two models is refused by name."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from distillex.locations import shipped_models
from distillex.models import find_model, known_models
from distillex_client.errors import ModelNotFound
from distillex_matcher import CrfParameters, LayoutError
from distillex_matcher.exported import CRF_FILE, EXPORTED_FILES


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An exported student ``other`` where the process works."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "models" / "student-other"
    folder.mkdir(parents=True)
    for name in EXPORTED_FILES:
        (folder / name).symlink_to(find_model("cluener") / name)
    return folder


def test_the_shipped_students_are_known_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert set(known_models()) >= {"cluener", "msra", "resume"}
    assert find_model("msra") == shipped_models() / "student-msra"
    types = {name: set(CrfParameters.load(find_model(name) / CRF_FILE).entity_types) for name in ("msra", "resume")}
    assert types["msra"] == {"LOC", "ORG", "PER"}
    assert types["resume"] == {"CONT", "EDU", "LOC", "NAME", "ORG", "PRO", "RACE", "TITLE"}


def test_a_student_is_found_by_name_by_path_and_as_a_path(folder):
    assert known_models()["other"] == folder
    for given in ("other", str(folder), folder, Path("models/student-other")):
        assert find_model(given).resolve() == folder


def test_a_student_where_the_process_works_hides_a_shipped_one(folder):
    folder.rename(folder.parent / "student-msra")
    assert find_model("msra") == folder.parent / "student-msra"


def test_an_unknown_name_lists_the_known_ones(folder):
    with pytest.raises(ModelNotFound, match=r"unknown student 'planet'; known students: cluener, msra, other, resume"):
        find_model("planet")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("./planet", "planet: there is no such folder"),
        (Path("planet"), "planet: there is no such folder"),
        ("", "unknown student ''; known students"),
        ("models/student-other/model.onnx", "models/student-other/model.onnx: not a folder"),
        ("models", "models: model.onnx, features.json, vocabulary.txt, crf.json missing; 'distillex export MODEL -o"),
    ],
)
def test_a_path_that_is_no_model_is_refused(folder, given, sentence):
    with pytest.raises(ModelNotFound) as refused:
        find_model(given)
    assert sentence in str(refused.value)


@pytest.mark.parametrize("name", EXPORTED_FILES)
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(ModelNotFound, match=rf"{folder}: {name} missing; 'distillex export MODEL -o {folder}' writes"):
        find_model(folder)


def test_the_command_that_writes_a_missing_network_names_the_weights_beside_it(folder):
    (folder / "model.safetensors").touch()
    with pytest.raises(ModelNotFound, match=f"missing; 'distillex export {folder} -o {folder} --target gpu' writes"):
        find_model(folder, "model.gpu.onnx")


def test_files_of_two_models_are_refused(folder):
    (folder / CRF_FILE).unlink()
    shutil.copy(find_model("msra") / CRF_FILE, folder)
    with pytest.raises(LayoutError, match=r"crf\.json has the entity types LOC, ORG, PER; \S+/features\.json does not"):
        find_model("other")


def test_the_folder_of_an_earlier_version_is_told_what_changed(tmp_path):
    (tmp_path / "student" / "1").mkdir(parents=True)
    (tmp_path / "student" / "1" / "model.onnx").touch()
    with pytest.raises(LayoutError, match="export"):
        find_model(tmp_path)
