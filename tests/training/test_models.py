"""Students and teachers as networks, and their directories on disk."""

import json
import shutil

import numpy as np
import pytest
import torch
from distillex_matcher import FeatureLayout
from distillex_training.errors import ModelDirectoryError
from distillex_training.export.onnx import random_inputs
from distillex_training.losses import marginal_cross_entropy
from distillex_training.models import ConstrainedCrf, Student, StudentConfig, load_model, save_model

LAYOUT = FeatureLayout(("[PAD]", "[UNK]", "[CLS]", "[SEP]", *"甲乙丙丁"), ("n", "company", "name"), word_hash_size=32)


def student(encoder="gated_cnn", **options):
    torch.manual_seed(0)
    sizes = {"width": 16, "head": 16, "dilations": (1, 2), "bigram_hash_size": 64, "word_hash_size": 32}
    followed = {"vocabulary": 8, "lexicon_types": 3, "entity_types": ("company", "name")}
    return Student(StudentConfig(encoder=encoder, **followed, **(sizes | options))).eval()


WITH_ALL_OPTIONS = {
    "trigram_embedding": 8,
    "trigram_hash_size": 64,
    "context": True,
    "collision_free_bigrams": True,
    "collision_free_words": True,
}


@pytest.mark.parametrize(
    ("encoder", "options"),
    [("gated_cnn", {}), ("gated_cnn", WITH_ALL_OPTIONS), ("separable_cnn", {}), ("transformer", {})],
)
def test_emissions_do_not_depend_on_the_padding(encoder, options):
    model = student(encoder, **options)
    inputs = random_inputs(LAYOUT, 1, 12)
    inputs[0][:, 9:] = 0
    with torch.no_grad():
        short = model(*(tensor[:, :9] for tensor in inputs))
        padded = model(*(torch.cat([t, torch.zeros_like(t), torch.zeros_like(t)], dim=1) for t in inputs))
    torch.testing.assert_close(short, padded[:, :9], atol=1e-5, rtol=1e-5)


def test_an_unknown_encoder_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="Input should be 'gated_cnn', 'separable_cnn' or 'transformer'"):
        student("rnn")


def test_a_trigram_reaches_the_characters_at_both_its_ends():
    model = student(dilations=(1,), trigram_embedding=8, trigram_hash_size=64)
    ids = torch.tensor([[2, 4, 5, 6, 7, 3]], dtype=torch.int32)
    _, _, before, after = model._grams(ids)
    assert torch.equal(before[0, 4], after[0, 2])
    assert not before[0, :2].any()


def test_context_lets_a_character_change_one_that_no_layer_reaches():
    ids = torch.tensor([[2, *[4] * 20, 3]], dtype=torch.int32)
    nothing = torch.zeros(1, 22, 4, 4, dtype=torch.int32)
    changed = ids.clone()
    changed[0, 20] = 5
    for context in (False, True):
        model = student(context=context)
        with torch.no_grad():
            first, second = (model(each, nothing, nothing, nothing.float())[0, 1] for each in (ids, changed))
        assert torch.equal(first, second) is not context


def test_characters_are_hidden_in_training_alone():
    sizes = {"width": 16, "head": 16, "dilations": (1,), "bigram_hash_size": 64}
    followed = {"vocabulary": 12, "lexicon_types": 2, "word_hash_size": 32, "entity_types": ("name",)}
    config = StudentConfig(dropout=0.0, character_dropout=0.999999, **followed, **sizes)
    model = Student(config)
    ids = torch.tensor([[2, 6, 7, 8, 3], [2, 9, 10, 11, 3]], dtype=torch.int32)
    nothing = torch.zeros(2, 5, 4, 4, dtype=torch.int32)
    with torch.no_grad():
        first, second = model.train()(ids, nothing, nothing, nothing.float())
        assert torch.equal(first, second)
        assert not torch.equal(first[0], first[2])  # [CLS] and [SEP] are no characters
        first, second = model.eval()(ids, nothing, nothing, nothing.float())
        assert not torch.equal(first, second)


def test_more_bigrams_than_trigrams_can_be_made_of_are_refused():
    with pytest.raises(ValueError, match="bigram_hash_size is 131072; with trigrams at most 65536"):
        student(bigram_hash_size=131072, trigram_embedding=8)


def test_a_row_belongs_to_the_most_frequent_of_its_bigrams_and_rare_ones_share_one():
    model = student(bigram_hash_size=2, collision_free_bigrams=True)
    # BIGRAM_FACTOR is odd: in a table of two rows a bigram's is the parity of its sum.
    sentences = [torch.tensor([[4, 5, 4, 5, 4, 5]]), torch.tensor([[7, 4, 7, 4, 0, 0], [5, 6, 6, 6, 6, 0]])]
    assert model.give_rows_to_bigrams(ids.int() for ids in sentences) == 1
    assert model.bigram_rows(torch.tensor([[4, 5, 4, 5]])).tolist() == [[1, 0, 1, 0]]  # 5 and 4 came less often
    assert model.bigram_rows(torch.tensor([[5, 6, 6, 4, 7, 2]])).tolist() == [[0] * 6]
    with pytest.raises(ValueError, match="vocabulary is 46341; with owned bigrams at most 46340"):
        StudentConfig(vocabulary=46341, lexicon_types=2, entity_types=("name",), collision_free_bigrams=True)


def test_a_word_without_a_row_counts_as_one_added_at_run_time():
    model = student(collision_free_words=True)
    # 5 and 36 share row 5 (of 31 behind that of no word); 7 came once.
    assert model.fusion.give_rows_to_words([torch.tensor([[5, 36, 36, 0]]), torch.tensor([36, 5, 7, 9, 9])]) == 2
    assert model.fusion.word_rows(torch.tensor([0, 5, 36, 7, 9, 40, 16_776_705])).tolist() == [0, 0, 5, 0, 9, 0, 0]
    ids, types, _, weights = random_inputs(LAYOUT, 1, 6)
    added, foreign, own = (torch.full_like(types, word) for word in (0, 5, 36))
    with torch.no_grad():
        first, second, third = (model(ids, types, words, weights) for words in (added, foreign, own))
    assert torch.equal(first, second)
    assert not torch.equal(first, third)


def test_without_owners_more_word_ids_are_folded_into_the_table():
    rows = student().fusion.word_rows(torch.tensor([0, 1, 31, 32, 63, 1 + 31 * 512], dtype=torch.int32))
    assert rows.tolist() == [0, 1, 31, 1, 1, 1]


def test_networks_and_plans_of_the_weights_that_are_replaced_go(tmp_path):
    exported = {
        "model.onnx",
        "model.gpu.onnx",
        "crf.json",
        "model.plan",
        "model.rtx",
        "model.rtx.onnx",
        "model.rtx.json",
    }
    for name in (*exported, "README.md"):
        (tmp_path / name).touch()
    save_model(tmp_path, student(), ConstrainedCrf(("company", "name")), LAYOUT)
    left = {path.name for path in tmp_path.iterdir()}
    assert left.isdisjoint(exported)
    assert left >= {"README.md", "model.safetensors"}


def test_a_saved_model_is_the_model(tmp_path):
    model, crf = student(**WITH_ALL_OPTIONS), ConstrainedCrf(("company", "name"))
    ids, _, words, _ = random_inputs(LAYOUT, 8, 20)
    model.give_rows_to_bigrams([ids])
    assert model.fusion.give_rows_to_words([words]) == 31
    save_model(tmp_path, model, crf, LAYOUT)
    loaded, loaded_crf, layout = load_model(tmp_path)
    inputs = random_inputs(LAYOUT, 2, 10)
    with torch.no_grad():
        assert torch.equal(model(*inputs), loaded(*inputs))
    assert torch.equal(model.bigram_owners, loaded.bigram_owners)
    assert torch.equal(model.fusion.word_owners, loaded.fusion.word_owners)
    assert loaded_crf.parameters_for_serving() == crf.parameters_for_serving()
    assert layout == LAYOUT


def changed(path, **changes):
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(content | changes), encoding="utf-8")


@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        (
            "config.json",
            {"vocabulary": 12},
            r"config\.json is of a model with 12 tokens; vocabulary\.txt has \d+\. The",
        ),
        ("config.json", {"lexicon_types": 9}, r"is of a model with 9 lexicon types; features\.json has \d\. The dir"),
        ("config.json", {"entity_types": ["PER", "name"]}, r"features\.json does not know PER\. The directory holds"),
        (
            "config.json",
            {"entity_types": ["name"]},
            r"model\.safetensors does not fit config\.json beside it\. The",
        ),
        ("config.json", {"width": 8}, r"does not fit config\.json beside it\. The directory holds files of two"),
        ("config.json", {"breadth": 8}, r"config\.json: unknown key 'breadth'; accepted keys: encoder, width"),
        ("config.json", {"encoder": "rnn"}, r'config\.json: encoder is "rnn"; one of gated_cnn, '),
        ("config.json", {"kind": "pupil"}, "unknown kind 'pupil'; known kinds: student, teacher"),
        ("features.json", {"types": ["n"]}, r"lexicon types; features\.json has 1\. The directory holds files of two"),
    ],
)
def test_a_directory_with_files_of_two_models_is_refused(toy_student, tmp_path, file, changes, message):
    directory = shutil.copytree(toy_student, tmp_path / "mixed")
    changed(directory / file, **changes)
    with pytest.raises(ModelDirectoryError, match=message):
        load_model(directory)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("config.json", b"[]", r"config\.json: list; an object is expected"),
        ("config.json", b"{", r"config\.json: not JSON"),
        ("config.json", b"\xff", r"config\.json: not JSON"),
        ("model.safetensors", b"weights", r"model\.safetensors: cannot be read"),
    ],
)
def test_a_directory_with_a_broken_file_is_refused(toy_student, tmp_path, file, content, message):
    directory = shutil.copytree(toy_student, tmp_path / "broken")
    (directory / file).write_bytes(content)
    with pytest.raises(ModelDirectoryError, match=message):
        load_model(directory)


def test_an_incomplete_model_directory_is_named(tmp_path):
    with pytest.raises(ModelDirectoryError, match=r"config\.json: missing"):
        load_model(tmp_path)


def test_the_crf_never_leaves_the_label_scheme():
    crf = ConstrainedCrf(("company", "name"))
    with torch.no_grad():
        crf.crf.transitions.add_(torch.randn(9, 9) * 5)
    crf.hold_constraints()
    emissions = torch.randn(6, 15, 9) * 4
    for path in crf.decode(emissions, torch.ones(6, 15, dtype=torch.bool)):
        crf.scheme.decode(path)


def test_the_cpp_decoder_gives_the_paths_of_pytorch_crf():
    crf = ConstrainedCrf(("company", "name"))
    emissions = torch.randn(5, 20, 9) * 3
    padded = torch.nn.functional.pad(emissions, (0, 0, 1, 1))
    paths = crf.decoder().viterbi(padded.numpy(), np.full(5, 22, np.int32))
    assert [path.tolist() for path in paths] == crf.decode(emissions, torch.ones(5, 20, dtype=torch.bool))


def test_the_marginal_loss_is_least_where_the_student_agrees():
    marginals = torch.softmax(torch.randn(2, 4, 9), dim=-1)
    mask = torch.tensor([[True] * 4, [True, True, False, False]])
    agreeing = marginal_cross_entropy(marginals.log(), marginals, mask)
    assert agreeing < marginal_cross_entropy(torch.randn(2, 4, 9), marginals, mask)
    entropy = -(marginals * marginals.log()).sum(-1)
    torch.testing.assert_close(agreeing, entropy[mask].mean())


def test_a_model_of_an_earlier_version_is_read_whose_settings_had_other_names(tmp_path):
    model = student(collision_free_bigrams=True, collision_free_words=True)
    save_model(tmp_path, model, ConstrainedCrf(model.config.entity_types), LAYOUT)
    config = tmp_path / "config.json"
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace('"collision_free_', '"owned_'), encoding="utf-8")
    assert config.read_text(encoding="utf-8") != text
    assert load_model(tmp_path)[0].config == model.config
