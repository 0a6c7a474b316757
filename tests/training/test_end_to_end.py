"""The whole path at toy size, by the commands: pretrain, finetune, distill, export, serve, extract."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("transformers", reason="needs transformers")
pytest.importorskip("tritonclient.grpc", reason="needs tritonclient")
from distillex.command.main import application
from distillex_client import Extractor
from distillex_serving.embedded import EmbeddedServer
from server_under_test import server_options, why_no_server
from typer.testing import CliRunner

pytestmark = pytest.mark.server

DATA = "{{train: {toy}/train.jsonl, dev: {toy}/dev.jsonl, lexicon: {lexicon}, raw: [{toy}/raw.txt], minimum_count: 1}}"
PRETRAIN = """
raw: [{toy}/raw.txt]
lexicon: {lexicon}
encoder: {{model_type: albert, embedding_size: 16, hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 2,
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
           bigram_hash_size: 128, owned_bigrams: true, lexicon_embedding: 8, word_hash_size: 64,
           owned_words: true, dropout: 0.1}}}}
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
def served(toy, toy_lexicons, tmp_path_factory):
    """Run the commands; yield the address of a server that serves their student."""
    if reason := why_no_server():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("whole")
    lexicon = toy_lexicons / "base" / "1.lex"
    runs = folder / "runs"
    steps = (("pretrain", "pretrain", PRETRAIN), ("finetune", "teacher", TEACHER), ("distill", "student", STUDENT))
    for name, run, text in steps:
        config = folder / f"{run}.yaml"
        config.write_text(text.format(toy=toy, lexicon=lexicon, runs=runs), encoding="utf-8")
        assert str(runs / run / "best") in command(name, config, "-o", runs / run).replace("\n", "")
    command("export", runs / "student" / "best", "-o", folder / "exported")
    with EmbeddedServer(server_options(toy_lexicons, student=folder / "exported")) as server:
        yield server.grpc_url


def test_what_the_commands_trained_is_served(toy, served):
    gold = [json.loads(line) for line in (toy / "dev.jsonl").read_text(encoding="utf-8").splitlines()]
    with Extractor(served) as extractor:
        found = list(extractor.extract_batch(record["text"] for record in gold))
    expected = [{(e["start"], e["end"], e["type"]) for e in record["entities"]} for record in gold]
    got = [{(e.start, e.end, e.type) for e in entities} for entities in found]
    correct = sum(len(a & b) for a, b in zip(expected, got, strict=True))
    assert 2 * correct / (sum(map(len, expected)) + sum(map(len, got))) > 0.9


def test_words_of_a_request_reach_the_served_student(served):
    text = "今天赵伟离开丙丁戊己！"
    with Extractor(served) as extractor:
        without = extractor.extract(text)
        assert extractor.extract(text) == without
        assert extractor.extract(text, lexicon={"丙丁戊己": "company"}) != without
