"""Masked-language-model training: packing, masking, resuming, and an encoder that fine-tuning takes."""

import json
import random

import numpy as np
import pytest
import torch
from distillex_matcher import Lexicon
from distillex_training.config import PretrainRun, read_config
from distillex_training.data.vocabulary import MASK_ID, SPECIAL_TOKENS
from distillex_training.errors import ConfigError, DataError
from distillex_training.masking import mask_tokens, segment_words
from distillex_training.models.teacher import load_encoder
from distillex_training.pretrain import pretrain
from distillex_training.pretraining_data import pack, tokenise

pytest.importorskip("transformers", reason="needs transformers")

pytestmark = pytest.mark.training


def read_metrics(run):
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    timed = ("seconds", "tokens_per_second")
    return [{k: v for k, v in json.loads(line).items() if k not in timed} for line in lines]


@pytest.fixture(scope="module")
def configuration(toy, tmp_path_factory):
    path = tmp_path_factory.mktemp("pretrain") / "pretrain.yaml"
    path.write_text(
        f"""
raw: [{toy}/raw.txt]
lexicon: {toy}/base.lex
encoder: {{model_type: albert, embedding_size: 16, hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 2,
          intermediate_size: 32, max_position_embeddings: 64}}
sequence_length: 32
minimum_count: 1
held_out: 6
learning_rate: 1e-2
head_learning_rate: 2e-2
half_precision: false
loop: {{steps: 50, evaluate_steps: 9, batch_size: 4, averaging: 0.9, seed: 2, fused: true, log_steps: 4}}
""",
        encoding="utf-8",
    )
    return path


@pytest.fixture(scope="module")
def finished(configuration, tmp_path_factory):
    run = tmp_path_factory.mktemp("finished")
    pretrain(read_config(configuration, PretrainRun), run)
    return run


def test_sentences_are_packed_whole_once_and_with_little_padding():
    generator = random.Random(1)
    lengths = [generator.choice((12, 20, 31, 47, 60, 99)) + i % 7 for i in range(3000)]
    packed = pack(lengths, 127, random.Random(2))
    assert sorted(i for sequence in packed for i in sequence) == list(range(3000))
    filled = [sum(lengths[i] + 1 for i in sequence) for sequence in packed]
    assert max(filled) <= 127
    assert sum(filled) / (127 * len(packed)) > 0.95
    assert packed == pack(lengths, 127, random.Random(2))


def test_words_are_the_longest_matches_from_the_left():
    lexicon = Lexicon.from_entries([("南京", "n", 0.5), ("南京市", "n", 0.5), ("市长", "n", 0.5), ("大桥", "n", 0.5)])
    (starts,) = segment_words(["南京市长过大桥"], lexicon)
    assert starts.tolist() == [True, False, False, True, True, True, False]
    assert segment_words(["南京"], None)[0].tolist() == [True, True]


def test_whole_words_are_hidden_up_to_the_share_and_never_special_tokens():
    generator = np.random.default_rng(3)
    ids = generator.integers(6, 90, (16, 64))
    ids[:, 0], ids[:, 40], ids[:, 60:] = 2, 3, 0
    starts = np.ones(ids.shape, dtype=bool)
    starts[:, 2:40:2] = False  # words (1, 2), (3, 4), ...
    masked = mask_tokens(ids, starts, 100, np.random.default_rng(4))
    eligible = int((ids >= 6).sum())
    assert abs(len(masked.positions) - 0.15 * eligible) <= 2
    np.testing.assert_array_equal(masked.targets, ids.reshape(-1)[masked.positions])
    assert masked.targets.min() >= 6
    chosen = np.zeros(ids.size, dtype=bool)
    chosen[masked.positions] = True
    chosen = chosen.reshape(ids.shape)
    np.testing.assert_array_equal(chosen[:, 1:39:2], chosen[:, 2:40:2])
    np.testing.assert_array_equal(masked.input_ids[~chosen], ids[~chosen])
    shown = masked.input_ids.reshape(-1)[masked.positions]
    assert 0.7 < (shown == MASK_ID).mean() < 0.9
    assert 0.05 < (shown == masked.targets).mean() < 0.2


def test_tokens_that_the_softmax_lacks_are_not_hidden():
    ids = np.array([[2, 7, 50, 7, 50, 7, 3]])
    masked = mask_tokens(ids, np.ones(ids.shape, dtype=bool), 20, np.random.default_rng(1), share=1.0)
    assert masked.positions.tolist() == [1, 3, 5]


def test_text_is_tokenised_once_and_long_lines_come_in_pieces(tmp_path):
    (tmp_path / "raw.txt").write_text("甲乙丙甲乙\n\n 乙丁 \n", encoding="utf-8")
    vocabulary = (*SPECIAL_TOKENS, "甲", "乙")
    corpus = tokenise(tmp_path / "corpus", [tmp_path / "raw.txt"], vocabulary, None, 3)
    assert [corpus.sentence(i)[0].tolist() for i in range(len(corpus))] == [[6, 7, 1], [6, 7], [7, 1]]
    written = (tmp_path / "corpus" / "tokens.bin").stat().st_mtime_ns
    tokenise(tmp_path / "corpus", [tmp_path / "raw.txt"], vocabulary, None, 3)
    assert (tmp_path / "corpus" / "tokens.bin").stat().st_mtime_ns == written
    (tmp_path / "raw.txt").write_text("甲\n", encoding="utf-8")
    assert len(tokenise(tmp_path / "corpus", [tmp_path / "raw.txt"], vocabulary, None, 3)) == 1


@pytest.mark.parametrize("name", ["meta.json", "offsets.npy", "tokens.bin", "word-starts.bin"])
@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_damaged_corpus_is_tokenised_anew(tmp_path, name, damage):
    (tmp_path / "raw.txt").write_text("甲乙丙甲乙\n乙丁\n", encoding="utf-8")
    arguments = (tmp_path / "corpus", [tmp_path / "raw.txt"], (*SPECIAL_TOKENS, "甲", "乙"), None, 9)
    tokenise(*arguments)
    before = {path.name: path.read_bytes() for path in (tmp_path / "corpus").iterdir()}
    if damage == "gone":
        (tmp_path / "corpus" / name).unlink()
    else:
        (tmp_path / "corpus" / name).write_bytes(before[name][:-1])
    corpus = tokenise(*arguments)
    assert [corpus.sentence(i)[0].tolist() for i in range(len(corpus))] == [[6, 7, 1, 6, 7], [7, 1]]
    assert {path.name: path.read_bytes() for path in (tmp_path / "corpus").iterdir()} == before


def test_a_folder_of_something_else_is_not_cleared_for_a_corpus(tmp_path):
    (tmp_path / "corpus").mkdir()
    raw = tmp_path / "corpus" / "raw.txt"
    raw.write_text("甲乙丙\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"corpus holds raw\.txt, which is no tokenised text"):
        tokenise(tmp_path / "corpus", [raw], SPECIAL_TOKENS, None, 9)
    assert raw.exists()


def test_json_is_no_text_to_pretrain_on(tmp_path):
    (tmp_path / "raw.json").write_text('{"text": "甲乙"}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"raw\.json:1: JSON, not a sentence"):
        tokenise(tmp_path / "corpus", [tmp_path / "raw.json"], SPECIAL_TOKENS, None, 8)


def test_missing_or_empty_text_is_refused(tmp_path):
    with pytest.raises(DataError, match="absent"):
        tokenise(tmp_path / "corpus", [tmp_path / "absent.txt"], SPECIAL_TOKENS, None, 8)
    (tmp_path / "empty.txt").touch()
    with pytest.raises(DataError, match=r"no text in .*empty\.txt"):
        tokenise(tmp_path / "corpus", [tmp_path / "empty.txt"], SPECIAL_TOKENS, None, 8)


def test_pretraining_learns_and_draws_its_curve(finished):
    rows = read_metrics(finished)
    assert rows[-1]["step"] == 50
    assert {9, 18, 27, 36, 45} < {row["step"] for row in rows}
    assert rows[-1]["dev_loss"] < 0.95 * rows[0]["dev_loss"]
    assert (finished / "curve.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("stops", [[1, 8, 11], [30]])
def test_pretraining_interrupted_and_resumed_ends_like_one_that_was_not(configuration, finished, tmp_path, stops):
    run = read_config(configuration, PretrainRun)
    for steps in stops:
        pretrain(run, tmp_path, max_steps=steps)
        assert (tmp_path / "encoder" / "model.safetensors").exists()
    pretrain(run, tmp_path)
    assert read_metrics(tmp_path) == read_metrics(finished)
    for name in ("encoder", "best"):
        ours = (tmp_path / name / "model.safetensors").read_bytes()
        assert ours == (finished / name / "model.safetensors").read_bytes()


def test_a_finished_run_is_not_trained_on(configuration, finished):
    before = (finished / "metrics.jsonl").read_text(encoding="utf-8")
    pretrain(read_config(configuration, PretrainRun), finished)
    assert (finished / "metrics.jsonl").read_text(encoding="utf-8") == before


def test_the_encoder_is_what_finetuning_takes(finished):
    from transformers import AutoModel

    vocabulary = tuple((finished / "encoder" / "vocab.txt").read_text(encoding="utf-8").split("\n")[:-1])
    encoder, settings, lacking = load_encoder(finished / "encoder", vocabulary)
    assert lacking == []
    assert settings["model_type"] == "albert"
    stored = AutoModel.from_pretrained(finished / "encoder", add_pooling_layer=False)
    assert torch.equal(encoder.get_input_embeddings().weight, stored.get_input_embeddings().weight)
    reordered = (*SPECIAL_TOKENS, "东", "鿿")
    moved, _, lacking = load_encoder(finished / "encoder", reordered)
    assert lacking == ["鿿"]
    row = vocabulary.index("东")
    assert torch.equal(moved.get_input_embeddings().weight[6], stored.get_input_embeddings().weight[row])


def test_going_on_from_an_encoder_keeps_its_weights_and_characters(configuration, finished, tmp_path, toy):
    (tmp_path / "raw.txt").write_text("东方电子昨天说，喆喆。\n" * 12, encoding="utf-8")
    overrides = {"raw": f"[{tmp_path}/raw.txt]", "init": str(finished / "encoder"), "learning_rate": "1e-30"}
    overrides |= {"head_learning_rate": "1e-30", "half_precision": "true", "loop.steps": "2", "held_out": "1"}
    pretrain(read_config(configuration, PretrainRun, overrides), tmp_path / "run")
    old_tokens = (finished / "encoder" / "vocab.txt").read_text(encoding="utf-8").split("\n")[:-1]
    tokens = (tmp_path / "run" / "encoder" / "vocab.txt").read_text(encoding="utf-8").split("\n")[:-1]
    assert set(old_tokens) | {"喆"} == set(tokens)
    before, _, _ = load_encoder(finished / "encoder", tuple(old_tokens))
    after, settings, _ = load_encoder(tmp_path / "run" / "encoder", tuple(old_tokens))
    for name, tensor in before.state_dict().items():
        torch.testing.assert_close(after.state_dict()[name], tensor, atol=2e-3, rtol=2e-3)
    assert json.loads((tmp_path / "run" / "encoder" / "config.json").read_text())["hidden_size"] == 32
    assert settings["hidden_size"] == 32


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"lexicon": "null"}, "whole_word: true needs the key 'lexicon'"),
        ({"sequence_length": "65"}, "65 is more than the encoder's 64 positions"),
        ({"encoder": "{hidden_size: 8}"}, "the key 'model_type' is missing"),
        ({"held_out": "1", "raw": "[few.txt]"}, r"held_out: 1 of \d+ sentences, .* leave none to measure on"),
        ({"minimum_count": "1000"}, "minimum_count: hardly a character occurs 1000 times"),
    ],
)
def test_an_impossible_pretraining_is_refused(configuration, tmp_path, overrides, message):
    (tmp_path / "few.txt").write_text("东方电子昨天说。\n", encoding="utf-8")
    overrides = {key: value.replace("few.txt", f"{tmp_path}/few.txt") for key, value in overrides.items()}
    with pytest.raises(ConfigError, match=message):
        pretrain(read_config(configuration, PretrainRun, overrides), tmp_path)


def test_a_batch_without_a_known_character_teaches_nothing_and_breaks_nothing(configuration, toy, tmp_path):
    known = (toy / "raw.txt").read_text(encoding="utf-8")
    (tmp_path / "raw.txt").write_text(known + "".join(f"{chr(0x4E00 + i)}\n" for i in range(40)), encoding="utf-8")
    overrides = {"raw": f"[{tmp_path}/raw.txt]", "minimum_count": "9", "loop.batch_size": "1", "sequence_length": "20"}
    pretrain(read_config(configuration, PretrainRun, overrides | {"loop.log_steps": "1"}), tmp_path / "run")
    assert all(row["loss"] > 0 for row in read_metrics(tmp_path / "run"))


def test_held_out_text_without_a_known_character_is_refused(configuration, toy, tmp_path):
    lines = [chr(0x5000 + i) for i in range(99)] + ["东方东方东方东方东方东方东方"]
    (tmp_path / "raw.txt").write_text("\n".join(lines), encoding="utf-8")
    overrides = {"raw": f"[{tmp_path}/raw.txt]", "minimum_count": "4", "held_out": "1", "loop.steps": "1"}
    with pytest.raises(ConfigError, match="no character of these sentences is in the vocabulary"):
        pretrain(read_config(configuration, PretrainRun, overrides), tmp_path / "run")
