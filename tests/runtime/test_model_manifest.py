"""models/manifest.toml is what lies in models/ and what the cards say; ``distillex models list | path | verify``."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import distillex.command.models_command as models_command
import distillex.model_manifest as model_manifest
import distillex.models as known
import pytest
from distillex.command.main import application
from distillex.errors import ManifestError
from distillex.model_manifest import CARD_FILE, MANIFEST_FILE, describe_files, read_manifest
from typer.testing import CliRunner

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "models"
SCRIPT = ROOT / "release" / "manifest.py"
FACTS = """[student-toy]
licence = "Apache-2.0"
taught_by = ""
scores = [{measure = "F1", value = 0.5, set = "toys"}]
[teacher-toy]
licence = "Apache-2.0"
taught_by = ""
scores = []
"""


def models(*arguments):
    done = CliRunner().invoke(application, ["models", *map(str, arguments)])
    return done.exit_code, done.output


@pytest.fixture
def write_manifest(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    import manifest

    return manifest.manifest


@pytest.fixture
def toys(tmp_path, monkeypatch, write_manifest):
    """Two models in a folder of shipped ones, and the process elsewhere."""
    folder = tmp_path / "shipped"
    for name in ("student-toy", "teacher-toy"):
        (folder / name).mkdir(parents=True)
        for file in ("model.onnx", "model.safetensors", "crf.json"):
            (folder / name / file).write_text(f"{name} {file}", encoding="utf-8")
    (folder / MANIFEST_FILE).write_text(FACTS, encoding="utf-8")
    (folder / MANIFEST_FILE).write_text(write_manifest(folder), encoding="utf-8")
    for module in (models_command, model_manifest, known):
        monkeypatch.setattr(module, "shipped_models", lambda: folder)
    monkeypatch.chdir(tmp_path)
    return folder


def test_the_manifest_names_all_files_of_all_models_with_their_checksums():
    manifest = read_manifest(MODELS)
    assert {path.name for path in MODELS.iterdir()} == {MANIFEST_FILE, *manifest}
    for name, entry in manifest.items():
        assert entry.files == describe_files(MODELS / name), f"{name}: run make manifest"
        assert "model.safetensors" in entry.files
        assert entry.taught_by in ("", *manifest)


def test_the_manifest_is_as_the_script_writes_it(write_manifest):
    assert (MODELS / MANIFEST_FILE).read_text(encoding="utf-8") == write_manifest(MODELS)


def test_scores_stand_in_the_cards():
    for name, entry in read_manifest(MODELS).items():
        card = (MODELS / name / CARD_FILE).read_text(encoding="utf-8")
        assert entry.scores
        for score in entry.scores:
            digits = f"{score.value:.4f}" if score.measure == "F1" else f"{score.value:g}"
            assert re.search(rf"{score.measure}\b", card)
            assert digits in card, (name, digits)
        if entry.taught_by:
            assert f"](../{entry.taught_by}/README.md)" in card


def test_shipped_models_are_as_in_the_manifest_also_where_weights_were_left_out(toys):
    place = toys / "student-toy"
    assert models("verify", "toy") == (0, f"{place}: as in the manifest\n")
    (place / "model.safetensors").unlink()
    left_out = f"{place}: as in the manifest; not here, and not needed for extraction: model.safetensors\n"
    assert models("verify", place) == (0, left_out)
    shutil.rmtree(toys / "teacher-toy")
    assert models("verify") == (0, left_out)


@pytest.mark.parametrize("how", ["changed", "added", "taken away"])
def test_what_differs_from_the_manifest_is_named(toys, how):
    file = toys / "student-toy" / ("extra.json" if how == "added" else "crf.json")
    if how == "taken away":
        file.unlink()
    else:
        file.write_text("other", encoding="utf-8")
    code, output = models("verify", "toy")
    assert code == 1
    assert f"not what the manifest says of student-toy: {how}: {file.name}\n" in output


def test_a_folder_without_any_of_its_files_is_not_as_in_the_manifest(toys):
    for file in (toys / "student-toy").iterdir():
        file.unlink()
    assert models("verify", "toy")[0] == 1


def test_a_model_of_ones_own_needs_a_key(toys, tmp_path):
    (tmp_path / "mine").mkdir()
    code, output = models("verify", "mine")
    assert code == 1
    assert "shipped are student-toy, teacher-toy" in output
    assert "--key" in output
    assert "there is no such folder" not in output
    assert "--signature needs --key" in models("verify", "toy", "--signature", "model.sig")[1]
    assert "--key needs a model" in models("verify", "--key", "signing.pub")[1]


def test_models_are_listed_with_size_score_and_place(toys, tmp_path):
    own = tmp_path / "models" / "student-own"
    own.mkdir(parents=True)
    (own / "model.onnx").write_bytes(b"0" * 1_500_000)
    shutil.rmtree(toys / "teacher-toy")
    code, output = models("list")
    rows = [line.split("\t") for line in output.splitlines()]
    assert code == 0
    assert rows == [
        ["name", "MB", "score", "taught by", "folder"],
        ["student-toy", "0.0", "F1 0.5 (toys)", "-", str(toys / "student-toy")],
        ["teacher-toy", "0.0", "-", "-", "-"],
        ["student-own", "1.5", "-", "-", str(own)],
    ]


def test_the_path_of_a_model_is_that_of_its_folder(toys):
    for name in ("toy", "student-toy"):
        assert models("path", name) == (0, f"{toys / 'student-toy'}\n")
    assert models("path", "teacher-toy") == (0, f"{toys / 'teacher-toy'}\n")
    shutil.rmtree(toys / "teacher-toy")
    assert "lies in the source tree, not in the wheel" in models("path", "teacher-toy")[1]
    code, output = models("path", "toi")
    assert (code, "unknown model 'toi'; known are student-toy, teacher-toy, toy" in output) == (1, True)


@pytest.mark.parametrize("text", ["[student-toy", "[student-toy]\nlicence = 1", "student-toy = 1"])
def test_a_manifest_that_cannot_be_read_is_named(toys, text):
    (toys / MANIFEST_FILE).write_text(text, encoding="utf-8")
    with pytest.raises(ManifestError, match=r"manifest\.toml: no manifest of models"):
        read_manifest(toys)
    assert models("list")[0] == 1


def test_a_model_that_the_manifest_lacks_is_named(toys, write_manifest):
    (toys / "student-new").mkdir()
    with pytest.raises(ManifestError, match="student-new missing; write licence, taught_by and scores there first"):
        write_manifest(toys)


def test_listing_needs_neither_onnxruntime_nor_a_signature_s_package():
    code = (
        "import sys; sys.modules['model_signing'] = sys.modules['onnxruntime'] = None\n"
        "sys.argv = ['distillex', 'models', 'list']\n"
        "from distillex.command.main import run; run()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "student-cluener\t" in done.stdout
