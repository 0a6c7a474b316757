"""The whole path at toy size, by the commands, on a real ALBERT: from pretraining to evaluating and serving."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("transformers", reason="needs transformers")
from distillex.command.main import application
from distillex_client import Extractor
from distillex_serving.embedded import EmbeddedServer
from distillex_training.models import load_model
from server_under_test import server_options, why_no_server
from typer.testing import CliRunner

pytestmark = pytest.mark.training

DATA = "{{train: {toy}/train.jsonl, dev: {toy}/dev.jsonl, lexicon: {lexicon}, raw: [{toy}/raw.txt], minimum_count: 1}}"
PRETRAIN = """
raw: [{toy}/raw.txt]
lexicon: {lexicon}
encoder: {{model_type: albert, embedding_size: 16, hidden_size: 32, num_hidden_layers: 3, num_attention_heads: 2,
          intermediate_size: 64, max_position_embeddings: 64}}
sequence_length: 48
minimum_count: 1
held_out: 6
learning_rate: 5e-3
loop: {{epochs: 4, batch_size: 4}}
"""
TEACHER = f"""
data: {DATA}
encoder: {{runs}}/pretrain/encoder
loop: {{{{epochs: 6, batch_size: 8, averaging: 0.0}}}}
learning_rate: 1e-2
encoder_learning_rate: 2e-3
head: 32
word_hash_size: 64
"""
STUDENT = f"""
data: {DATA}
student: {{{{width: 24, head: 24, dilations: [1, 2], character_embedding: 16, bigram_embedding: 8,
           bigram_hash_size: 128, collision_free_bigrams: true, lexicon_embedding: 8, word_hash_size: 64,
           collision_free_words: true, dropout: 0.1}}}}
distillation: {{{{teacher: {{runs}}/teacher/best, cache: {{runs}}/cache, paths: 3,
                losses: {{{{crf_marginal_kl: 0.5, k_best: 0.5, hidden_mse: 0.1}}}}}}}}
loop: {{{{epochs: 4, batch_size: 16, averaging: 0.9}}}}
learning_rate: 1e-2
"""


def command(*arguments):
    result = CliRunner().invoke(application, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def trained(toy, toy_lexicons, tmp_path_factory):
    """Run the commands; the folder of their runs, and of what was exported."""
    folder = tmp_path_factory.mktemp("whole")
    lexicon = toy_lexicons / "base" / "1.lex"
    runs = folder / "runs"
    steps = (("pretrain", "pretrain", PRETRAIN), ("finetune", "teacher", TEACHER), ("distill", "student", STUDENT))
    for name, run, text in steps:
        config = folder / f"{run}.yaml"
        config.write_text(text.format(toy=toy, lexicon=lexicon, runs=runs), encoding="utf-8")
        assert str(runs / run / "best") in command(name, config, "-o", runs / run).replace("\n", "")
    command("export", runs / "student" / "best", "-o", folder / "exported")
    return folder


@pytest.fixture(scope="module")
def served(toy_lexicons, trained):
    """The address of a server that serves the exported student."""
    if reason := why_no_server():
        pytest.skip(reason)
    with EmbeddedServer(server_options(toy_lexicons, student=trained / "exported")) as server:
        yield server.grpc_url


def gold_spans(toy):
    """The texts of the development file, and what is labelled in each."""
    records = [json.loads(line) for line in (toy / "dev.jsonl").read_text(encoding="utf-8").splitlines()]
    return [record["text"] for record in records], [spans_of(record) for record in records]


def spans_of(record):
    return {(entity["start"], entity["end"], entity["type"]) for entity in record["entities"]}


def f1(expected, found):
    correct = sum(len(a & b) for a, b in zip(expected, found, strict=True))
    return 2 * correct / (sum(map(len, expected)) + sum(map(len, found)))


def test_the_encoder_is_an_albert_whose_layers_are_one_from_pretraining_to_the_teacher(trained):
    import transformers

    pretrained = transformers.AutoModel.from_pretrained(trained / "runs" / "pretrain" / "encoder")
    teacher, _, _ = load_model(trained / "runs" / "teacher" / "best")
    for encoder in (pretrained, teacher.encoder):
        assert isinstance(encoder, transformers.AlbertModel)
        assert (encoder.config.num_hidden_layers, encoder.config.num_hidden_groups) == (3, 1)
        assert len(encoder.encoder.albert_layer_groups) == 1
    rows = [json.loads(line) for line in (trained / "runs/teacher/metrics.jsonl").read_text().splitlines()]
    assert max(row["f1"] for row in rows) > 0.9


def test_the_exported_student_evaluates_as_the_trained_one_does(toy, toy_lexicons, trained):
    scores = {}
    for name, model in (("trained", trained / "runs/student/best"), ("exported", trained / "exported")):
        figures = trained / f"{name}.json"
        base = toy_lexicons / "base" / "1.lex"
        command("evaluate", model, toy / "dev.jsonl", "--base", base, "--json", figures)
        rows = json.loads(figures.read_text(encoding="utf-8"))
        scores[name] = next(row["f1"] for row in rows if row["lexicon"] == "base")
    assert scores["trained"] > 0.9
    assert scores["exported"] == pytest.approx(scores["trained"], abs=0.02)


def test_what_the_commands_trained_predicts_without_a_server(toy, toy_lexicons, trained):
    texts, expected = gold_spans(toy)
    (trained / "dev.txt").write_text("\n".join(texts), encoding="utf-8")
    options = ("--per", "line", "--lexicon-dir", toy_lexicons, "--progress", "none", "--workers", "1")
    command("predict", trained / "exported", trained / "dev.txt", "-o", trained / "found.jsonl", *options)
    lines = (trained / "found.jsonl").read_text(encoding="utf-8").splitlines()
    assert f1(expected, [spans_of(json.loads(line)) for line in lines]) > 0.9


@pytest.mark.server
def test_what_the_commands_trained_is_served(toy, served):
    texts, expected = gold_spans(toy)
    with Extractor(served) as extractor:
        found = list(extractor.extract_batch(texts))
    assert f1(expected, [{(e.start, e.end, e.type) for e in entities} for entities in found]) > 0.9


@pytest.mark.server
def test_words_of_a_request_reach_the_served_student(served):
    text = "今天赵伟离开丙丁戊己！"
    with Extractor(served) as extractor:
        without = extractor.extract(text)
        assert extractor.extract(text) == without
        assert extractor.extract(text, lexicon={"丙丁戊己": "company"}) != without
