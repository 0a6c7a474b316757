"""A model that was only trained extracts like an exported one: ``distillex extract``, ``predict``, ``load``."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import distillex
import pytest
from distillex_client.errors import InvalidText, ModelNotFound
from distillex_matcher import LayoutError, Lexicon
from distillex_training.data.labelled import read_labelled
from distillex_training.evaluate import predict_with_scores, torch_emissions
from distillex_training.export.folder import export_folder
from distillex_training.export.options import Int8
from distillex_training.models import load_model, save_model

pytestmark = pytest.mark.training

COMMAND = [sys.executable, "-c", "from distillex.command.main import run; run()"]


def run(*arguments):
    return subprocess.run([*COMMAND, *map(str, arguments)], input="赵伟".encode(), capture_output=True, timeout=300)


def records(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def spans(entities):
    return [(each["start"], each["end"], each["type"]) for each in entities]


@pytest.mark.parametrize("kind", ["student", "teacher"])
def test_a_trained_directory_finds_what_evaluation_finds(kind, toy, toy_lexicons, tmp_path, request):
    model = request.getfixturevalue(f"toy_{kind}")
    options = ("--lexicon-dir", toy_lexicons, "--progress", "none", "--workers", 1)
    texts = [sentence.text for sentence in read_labelled(toy / "dev.jsonl")[0]]
    (tmp_path / "in.txt").write_text("\n".join(texts), encoding="utf-8")
    options = (*options, "--per", "line")
    done = run("predict", model, tmp_path / "in.txt", "-o", tmp_path / "predicted.jsonl", *options)
    assert done.returncode == 0, done.stderr.decode()
    predicted = records(tmp_path / "predicted.jsonl")
    tagger, crf, layout = load_model(model)
    featurizer = layout.featurizer(Lexicon.load(toy / "base.lex"))
    expected = predict_with_scores(featurizer, torch_emissions(tagger), crf.decoder(layout), texts)
    assert [each["text"] for each in predicted] == texts
    assert [spans(each["entities"]) for each in predicted] == [[span.span for span in found] for found in expected]
    for record, found in zip(predicted, expected, strict=True):
        for entity, span in zip(record["entities"], found, strict=True):
            assert entity["text"] == record["text"][span.start : span.end]
            assert entity["score"] == pytest.approx(span.score, abs=1e-3)
    assert sum(map(len, expected)) > 10


def test_predict_is_extract_with_the_model_named_first(toy, toy_student, toy_lexicons, tmp_path):
    options = ("--lexicon-dir", toy_lexicons, "--progress", "none", "--workers", 1, "--min-score", "0.5")
    texts = tmp_path / "in.csv"
    texts.write_text("text\n赵伟昨天加入东方电子\n", encoding="utf-8")
    commands = (("extract", "--model", toy_student), ("predict", toy_student))
    for number, command in enumerate(commands):
        done = run(*command, texts, "-o", tmp_path / f"{number}.jsonl", *options)
        assert done.returncode == 0, done.stderr.decode()
    assert (tmp_path / "0.jsonl").read_bytes() == (tmp_path / "1.jsonl").read_bytes() != b""
    done = run("predict", toy_student, texts, "-o", tmp_path / "page.html", *options)
    assert done.returncode == 0, done.stderr.decode()
    assert "<mark" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_a_model_exported_into_its_own_directory_is_run_as_exported(toy_student, toy_lexicons, tmp_path):
    shutil.copytree(toy_student, tmp_path / "model")
    trained = distillex.load(tmp_path / "model", lexicon_directory=toy_lexicons)
    export_folder(tmp_path / "model", tmp_path / "model", int8=Int8.NONE)
    exported = distillex.load(tmp_path / "model", lexicon_directory=toy_lexicons)
    assert "PyTorch" in trained.where
    assert "ONNX Runtime" in exported.where
    text = "赵伟昨天加入东方电子"
    one, other = trained.extract(text), exported.extract(text)
    assert [(e.start, e.end, e.type) for e in one] == [(e.start, e.end, e.type) for e in other] != []
    assert [e.score for e in one] == pytest.approx([e.score for e in other], abs=1e-3)


def test_what_is_missing_or_wrong_in_a_trained_directory_is_named(toy_student, toy_lexicons, tmp_path):
    shutil.copytree(toy_student, tmp_path / "model")
    (tmp_path / "model" / "config.json").unlink()
    with pytest.raises(ModelNotFound, match=r"model: config\.json missing; training writes model\.safetensors"):
        distillex.load(tmp_path / "model", lexicon_directory=toy_lexicons)
    (tmp_path / "model" / "config.json").write_text('{"kind": "planet"}', encoding="utf-8")
    with pytest.raises(LayoutError, match="unknown kind 'planet'"):
        distillex.load(tmp_path / "model", lexicon_directory=toy_lexicons)
    done = run("predict", tmp_path / "model", "-", "--lexicon-dir", toy_lexicons, "--progress", "none")
    assert done.returncode == 2
    assert b"unknown kind 'planet'" in done.stderr


def test_a_text_longer_than_a_teachers_encoder_reads_is_refused_alone(toy_teacher, toy_lexicons, tmp_path, monkeypatch):
    from distillex_training.models.teacher import Teacher

    monkeypatch.setattr(Teacher, "longest_input", 20)
    tagger = distillex.load(toy_teacher, lexicon_directory=toy_lexicons)
    found = list(tagger.extract_stream(["赵伟昨天加入东方电子", "赵" * 18, "赵" * 19]))
    assert [each.error is None for each in found] == [True, True, False]
    with pytest.raises(InvalidText, match="18"):
        tagger.extract("赵" * 19)


def test_another_model_saved_into_the_same_directory_is_another_model(toy_student, toy_lexicons, tmp_path):
    model, crf, layout = load_model(toy_student)
    save_model(tmp_path / "model", model, crf, layout)
    text = "赵伟昨天加入东方电子"
    assert distillex.load(tmp_path / "model", lexicon_directory=toy_lexicons).extract(text)
    model.tag.weight.data.zero_()
    model.tag.bias.data.zero_()
    model.tag.bias.data[0] = 100.0
    save_model(tmp_path / "model", model, crf, layout)
    assert distillex.load(tmp_path / "model", lexicon_directory=toy_lexicons).extract(text) == []
