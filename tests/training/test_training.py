"""Training runs at toy size: they learn, resume, and refuse bad input."""

import json
import logging

import pytest
import torch
from distillex_matcher import Lexicon
from distillex_training.config import ConfigError, PretrainRun, StudentRun, TeacherRun, read_config
from distillex_training.data.labelled import DataError
from distillex_training.distill import distill
from distillex_training.evaluate import predict, torch_emissions
from distillex_training.finetune import finetune
from distillex_training.models import load_model


def read_metrics(run):
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


def test_a_student_learns_the_toy_language(toy_student):
    best = max(metrics["f1"] for metrics in read_metrics(toy_student.parent))
    assert best > 0.9


@pytest.mark.parametrize("stops", [[5], [1, 9, 14]])
def test_a_run_interrupted_and_resumed_ends_like_one_that_was_not(toy, toy_student, tmp_path, stops):
    run = read_config(toy / "student.yaml", StudentRun)
    for steps in stops:
        distill(run, tmp_path, max_steps=steps)
    distill(run, tmp_path)
    assert read_metrics(tmp_path) == read_metrics(toy_student.parent)
    ours, theirs = load_model(tmp_path / "best")[0], load_model(toy_student)[0]
    for name, tensor in ours.state_dict().items():
        assert torch.equal(tensor, theirs.state_dict()[name]), name


def test_teacher_and_distilled_student_at_toy_size(toy, tmp_path):
    transformers = pytest.importorskip("transformers", reason="needs transformers")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"东方电子南海船务的昨天说赵钱孙"]
    config = transformers.AlbertConfig(
        vocab_size=len(vocabulary),
        embedding_size=16,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
    )
    transformers.AlbertModel(config).save_pretrained(tmp_path / "encoder")
    (tmp_path / "encoder" / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    (tmp_path / "teacher.yaml").write_text(
        f"""
data: {{train: {toy}/train.jsonl, dev: {toy}/dev.jsonl, lexicon: {toy}/base.lex, minimum_count: 1}}
encoder: {tmp_path}/encoder
loop: {{epochs: 2, batch_size: 16, averaging: 0.0}}
learning_rate: 1e-2
encoder_learning_rate: 1e-3
head: 32
word_hash_size: 64
""",
        encoding="utf-8",
    )
    finetune(read_config(tmp_path / "teacher.yaml", TeacherRun), tmp_path / "teacher")
    teacher, _, layout = load_model(tmp_path / "teacher" / "best")
    assert teacher.config.vocabulary == len(layout.vocabulary)

    overrides = {
        "data.raw": f"[{toy}/raw.txt]",
        "distillation.teacher": str(tmp_path / "teacher" / "best"),
        "distillation.cache": str(tmp_path / "cache"),
        "loop.epochs": "2",
    }
    run = read_config(toy / "student.yaml", StudentRun, overrides)
    distill(run, tmp_path / "student")
    (cache,) = (tmp_path / "cache").iterdir()
    written = (cache / "marginals.f16").stat().st_mtime_ns
    distill(run, tmp_path / "again")
    assert (cache / "marginals.f16").stat().st_mtime_ns == written
    student, _, student_layout = load_model(tmp_path / "student" / "best")
    assert student_layout == layout
    assert student.config.vocabulary == len(layout.vocabulary)


def test_a_word_added_at_run_time_changes_the_result(toy, toy_student):
    model, crf, layout = load_model(toy_student)
    featurizer = layout.featurizer(Lexicon.load(toy / "base.lex"))
    added = Lexicon.from_words({"丙丁戊己": "company"})
    text = ["今天赵伟离开丙丁戊己！"]
    found = predict(featurizer, torch_emissions(model), crf.decoder(), text, overlay=[added])[0]
    assert (6, 10, "company") in found


def test_bad_labelled_data_stops_the_run_with_file_and_line(toy, tmp_path):
    path = tmp_path / "dev.jsonl"
    path.write_text('{"text": "甲乙", "entities": [{"start": 0, "end": 1, "type": "planet"}]}\n', encoding="utf-8")
    run = read_config(toy / "student.yaml", StudentRun, {"data.dev": str(path)})
    with pytest.raises(DataError, match=r"dev\.jsonl:1: unknown type 'planet'; known types: company, name"):
        distill(run, tmp_path / "run")


def test_the_log_tells_what_reading_left_out(toy, tmp_path, caplog):
    content = (toy / "train.jsonl").read_text(encoding="utf-8")
    entities = [{"start": 0, "end": 2, "type": "name"}, {"start": 1, "end": 3, "type": "name"}]
    content += json.dumps({"text": "甲乙丙", "entities": entities}, ensure_ascii=False) + "\n"
    (tmp_path / "train.jsonl").write_text(content, encoding="utf-8")
    run = read_config(toy / "student.yaml", StudentRun, {"data.train": str(tmp_path / "train.jsonl")})
    with caplog.at_level(logging.INFO, "distillex.training"):
        distill(run, tmp_path / "run", max_steps=1)
    assert any("train.jsonl:97: [1, 3) name: left out" in message for message in caplog.messages)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"loop.epoch": "3"}, "unknown key 'epoch'; accepted keys: epochs,"),
        ({"loop.epochs": "many"}, "'many' is not of type int"),
        ({"student.dilations": "3"}, "3 is not a list"),
        ({"learning_rate": "fast"}, "'fast' is not a number"),
        ({"data": "{train: a}"}, "the key 'dev' is missing"),
    ],
)
def test_a_bad_configuration_is_refused_with_the_accepted_keys(toy, overrides, message):
    with pytest.raises(ConfigError, match=message):
        read_config(toy / "student.yaml", StudentRun, overrides)


def test_every_shipped_configuration_can_be_read():
    from pathlib import Path

    folder = Path(__file__).resolve().parents[2] / "training" / "configs"
    kinds = {"pretrain": PretrainRun, "teacher": TeacherRun, "student": StudentRun}
    for path in folder.glob("*.yaml"):
        read_config(path, kinds[path.name.split("-")[0]])
