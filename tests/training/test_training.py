"""Training runs at toy size: they learn, resume, and refuse bad input."""

import json
import logging

import pytest
import torch
from distillex_matcher import Lexicon
from distillex_training.config import PretrainRun, StudentRun, TeacherRun, read_config
from distillex_training.distill import distill
from distillex_training.errors import ConfigError, DataError
from distillex_training.evaluate import predict_with_scores, torch_emissions, without_scores
from distillex_training.finetune import finetune
from distillex_training.models import load_model

pytestmark = pytest.mark.training


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


@pytest.mark.parametrize(
    ("overrides", "stops"),
    [({}, [4]), ({"loop.accumulate": "2", "loop.averaging": "0.9"}, [1, 2]), ({"adversarial": "0.5"}, [7])],
)
def test_finetuning_interrupted_and_resumed_ends_like_one_that_was_not(
    teacher_configuration, tmp_path, overrides, stops
):
    run = read_config(teacher_configuration, TeacherRun, overrides)
    finetune(run, tmp_path / "whole")
    for steps in stops:
        finetune(run, tmp_path / "parts", max_steps=steps)
    finetune(run, tmp_path / "parts")
    assert read_metrics(tmp_path / "parts") == read_metrics(tmp_path / "whole")
    weights = [(tmp_path / name / "best" / "model.safetensors").read_bytes() for name in ("parts", "whole")]
    assert weights[0] == weights[1]


def test_a_run_killed_after_an_evaluation_writes_its_line_once(teacher_configuration, toy_teacher, tmp_path):
    run = read_config(teacher_configuration, TeacherRun)
    finetune(run, tmp_path, max_steps=2)
    with (tmp_path / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"f1": 0.0, "epoch": 1, "step": 6}\n')  # what a run leaves that is killed before its checkpoint
    finetune(run, tmp_path)
    assert read_metrics(tmp_path) == read_metrics(toy_teacher.parent)


def test_early_stopping_is_final(toy, tmp_path):
    overrides = {"learning_rate": "1e-30", "crf_learning_rate": "1e-30", "loop.patience": "2", "loop.epochs": "9"}
    run = read_config(toy / "student.yaml", StudentRun, overrides)
    distill(run, tmp_path)
    assert [row["epoch"] for row in read_metrics(tmp_path)] == [1, 2, 3]
    distill(run, tmp_path)
    assert len(read_metrics(tmp_path)) == 3


UNMOVED = {"encoder_learning_rate": "1e-30", "learning_rate": "1e-30", "crf_learning_rate": "1e-30"}


def test_a_teacher_begins_with_another_one(teacher_configuration, toy_teacher, tmp_path):
    overrides = UNMOVED | {"init_from": str(toy_teacher), "loop.epochs": "1"}
    finetune(read_config(teacher_configuration, TeacherRun, overrides), tmp_path)
    assert (tmp_path / "best" / "model.safetensors").read_bytes() == (toy_teacher / "model.safetensors").read_bytes()


def test_a_teacher_begins_with_one_of_other_entity_types(teacher_configuration, toy_teacher, other_types, tmp_path):
    for name, initial in (("fresh", {}), ("begun", {"init_from": str(toy_teacher)})):
        overrides = UNMOVED | other_types | initial | {"loop.epochs": "1"}
        finetune(read_config(teacher_configuration, TeacherRun, overrides), tmp_path / name)
    fresh, begun, earlier = (load_model(run) for run in (tmp_path / "fresh/best", tmp_path / "begun/best", toy_teacher))
    rows = "encoder.embeddings.word_embeddings.weight", "fusion.type_embedding.weight"
    for name, weight in begun[0].state_dict().items():
        if name.startswith("tag."):
            for row, label in enumerate(begun[1].scheme.labels):
                source = fresh if label.endswith("person") else earlier
                source_row = source[1].scheme.labels.index(label)
                assert torch.equal(weight[row], source[0].state_dict()[name][source_row]), label
        elif name not in rows:
            assert torch.equal(weight, earlier[0].state_dict()[name]), name
    for name, offset, attribute in ((rows[0], 0, "vocabulary"), (rows[1], 1, "types")):
        names, earlier_names = (getattr(model[2], attribute) for model in (begun, earlier))
        assert set(names) - set(earlier_names) == ({"明"} if attribute == "vocabulary" else {"person"})
        for row, own in enumerate(names):
            known = own in earlier_names
            source, source_row = (earlier, earlier_names.index(own)) if known else (fresh, row)
            ours, theirs = begun[0].state_dict()[name][row + offset], source[0].state_dict()[name][source_row + offset]
            assert torch.equal(ours, theirs), own


def test_a_wrong_model_to_begin_with_is_refused(teacher_configuration, toy_teacher, toy_student, tmp_path):
    for overrides, message in (
        ({"init_from": str(toy_student)}, "init_from: .* is not a teacher"),
        ({"init_from": str(toy_teacher), "head": "16"}, r"its weight head\.weight of shape \(32, .* should be \(16, "),
    ):
        with pytest.raises(ConfigError, match=message):
            finetune(read_config(teacher_configuration, TeacherRun, overrides), tmp_path)


def test_the_adversarial_step_changes_training_but_not_the_encoder_hooks(teacher_configuration, toy_teacher, tmp_path):
    finetune(read_config(teacher_configuration, TeacherRun, {"adversarial": "0.5"}), tmp_path)
    assert read_metrics(tmp_path)[0]["loss"] > read_metrics(toy_teacher.parent)[0]["loss"]
    teacher, _, layout = load_model(tmp_path / "best")
    assert teacher.config.vocabulary == len(layout.vocabulary)


def test_a_word_added_at_run_time_changes_the_result(toy, toy_student):
    model, crf, layout = load_model(toy_student)
    featurizer = layout.featurizer(Lexicon.load(toy / "base.lex"))
    added = Lexicon.from_words({"丙丁戊己": "company"})
    text = ["今天赵伟离开丙丁戊己！"]
    scored = predict_with_scores(featurizer, torch_emissions(model), crf.decoder(layout), text, overlay=[added])
    found = without_scores(scored)[0]
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


def test_the_log_tells_that_development_sentences_were_trained_on(toy, tmp_path, caplog):
    same = {"data.train": str(toy / "dev.jsonl")}
    distill(read_config(toy / "student.yaml", StudentRun, same), tmp_path / "run", max_steps=1)
    count = len((toy / "dev.jsonl").read_text(encoding="utf-8").splitlines())
    assert f"{count} of the {count} sentences of dev stand in a training file as well" in caplog.text


@pytest.mark.parametrize(("before", "after"), [("loop:", "data: {train: a}\nloop:"), ("seed: 1", "seed: 1, seed: 2")])
def test_a_key_that_stands_twice_is_refused(toy, tmp_path, before, after):
    content = (toy / "student.yaml").read_text(encoding="utf-8")
    (tmp_path / "student.yaml").write_text(content.replace(before, after), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"student\.yaml: the key '(data|seed)' stands twice"):
        read_config(tmp_path / "student.yaml", StudentRun)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"loop.epoch": "3"}, r"unknown key 'loop\.epoch'; did you mean 'loop\.epochs'\? accepted keys: epochs,"),
        ({"loop.epochs": "many"}, 'loop.epochs is "many"; a whole number at least 1 is accepted'),
        (
            {"student.dilations": "3"},
            "student.dilations is 3; a list: a whole number at least 1, at least one is accepted",
        ),
        ({"learning_rate": "fast"}, 'learning_rate is "fast"; a number more than 0 is accepted'),
        ({"data": "{train: a}"}, r"the key 'data\.dev' is missing; it may be absent where 'data\.train' is"),
        ({"data": "{dev: a}"}, r"the key 'data\.train' is missing; it may be absent beside distillation\.labels or"),
        ({"distillation.paths": "0"}, "paths is 0; at least 1"),
        ({"distillation.temperature": "0"}, "temperature is 0; more than 0"),
        ({"augmentation.wrong_spans": "[]"}, r"wrong_spans is \[\]; a list of at least one value"),
        ({"augmentation.exchanged": "1.5"}, r"exchanged is 1\.5; at least 0 and at most 1"),
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
        read_config(path, kinds.get(path.name.split("-")[0], StudentRun))
