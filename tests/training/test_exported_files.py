"""Another model's layout or CRF beside a network is noticed before it is served."""

import dataclasses
import json

import onnx
import pytest
from distillex.command.main import application
from distillex.network_check import check_network
from distillex_matcher import CrfParameters, FeatureLayout, LayoutError, Lexicon
from distillex_matcher.exported import METADATA_KEY, ExportedFiles, describe
from distillex_training.export.folder import export_folder
from distillex_training.export.int8 import calibration_batches
from distillex_training.export.onnx import open_session
from distillex_training.export.options import Int8
from distillex_training.models import load_model
from typer.testing import CliRunner

pytestmark = pytest.mark.training


@pytest.fixture
def network(toy_student, tmp_path):
    export_folder(toy_student, tmp_path)
    return tmp_path / "model.onnx"


@pytest.fixture
def undescribed(network):
    """The network as earlier versions exported it."""
    content = onnx.load(network)
    del content.metadata_props[:]
    onnx.save(content, network)
    return network


def change_layout(network, **changes):
    folder = network.parent
    dataclasses.replace(FeatureLayout.load(folder), **changes).save(folder)


def change_entity_types(network, entity_types):
    path = network.parent / "crf.json"
    labels = 1 + 4 * len(entity_types)
    CrfParameters(entity_types, ((0.0,) * labels,) * labels, (0.0,) * labels, (0.0,) * labels).save(path)


def check(network):
    check_network(open_session(network, threads=1), ExportedFiles.beside(network))


def refusal(network):
    with pytest.raises(LayoutError, match="The files are of two models: export one model with all its files") as info:
        check(network)
    return str(info.value)


@pytest.mark.parametrize("mode", list(Int8))
def test_a_network_says_which_files_belong_to_it(toy, toy_student, tmp_path, mode):
    model, crf, layout = load_model(toy_student)
    texts = (toy / "raw.txt").read_text(encoding="utf-8").splitlines()
    calibration = calibration_batches(layout, Lexicon.load(toy / "base.lex"), texts)
    export_folder(toy_student, tmp_path, int8=mode, calibration=calibration)
    network = tmp_path / "model.onnx"
    session = open_session(network, threads=1)
    assert session.get_modelmeta().custom_metadata_map[METADATA_KEY] == describe(
        layout, model.config.entity_types, crf.parameters_for_serving()
    )
    check_network(session, ExportedFiles.beside(network))


def test_a_teachers_layout_is_its_own(toy_teacher, tmp_path):
    export_folder(toy_teacher, tmp_path, int8=Int8.NONE)
    network = tmp_path / "model.onnx"
    check(network)
    layout = FeatureLayout.load(network.parent)
    dataclasses.replace(layout, word_hash_size=2 * layout.word_hash_size).save(network.parent)
    assert f"word_hash_size 64; {network.parent}/features.json has 128" in refusal(network)


def test_files_of_the_same_sizes_are_told_apart_by_the_description(network):
    layout = ExportedFiles.beside(network).layout
    change_layout(network, vocabulary=(*layout.vocabulary[:-1], "龘"))
    tokens = len(layout.vocabulary)
    assert f"model.onnx was made for vocabulary {tokens} tokens, SHA-256 " in refusal(network)
    assert f"{network.parent}/vocabulary.txt has " in refusal(network)
    change_layout(network, vocabulary=layout.vocabulary, word_hash_size=128)
    assert "made for word_hash_size 64; " in refusal(network)
    assert f"{network.parent}/features.json has 128" in refusal(network)
    change_layout(network, word_hash_size=64, types=layout.types[::-1])
    assert f"made for types {', '.join(layout.types)}; " in refusal(network)
    change_layout(network, types=layout.types)
    change_entity_types(network, ("name", "company"))
    assert "made for entity_types company, name; " in refusal(network)
    assert f"{network.parent}/crf.json has name, company. " in refusal(network)


def test_another_crf_of_the_same_entity_types_is_told_apart(toy, network):
    change_entity_types(network, ("company", "name"))
    message = refusal(network)
    assert "model.onnx was made for crf scores of SHA-256 " in message
    assert f"{network.parent}/crf.json has scores of SHA-256 " in message
    arguments = ["evaluate", str(network), str(toy / "dev.jsonl"), "--base", str(toy / "base.lex")]
    done = CliRunner().invoke(application, arguments)
    assert done.exit_code == 2
    assert "made for crf scores of SHA-256 " in done.stderr


def test_a_crf_beside_a_network_that_was_not_told_of_it_is_accepted(undescribed):
    change_entity_types(undescribed, ("company", "name"))
    check(undescribed)


def test_a_network_without_a_description_is_told_by_its_sizes(undescribed):
    layout = ExportedFiles.beside(undescribed).layout
    check(undescribed)
    tokens, types = len(layout.vocabulary), len(layout.types)
    for vocabulary in ((*layout.vocabulary, "龘"), layout.vocabulary[:-1]):
        change_layout(undescribed, vocabulary=vocabulary)
        assert f"made for tokens {tokens}; " in refusal(undescribed)
        assert f"vocabulary.txt has {len(vocabulary)}" in refusal(undescribed)
    for changed in (("x", *layout.types), layout.types[1:]):
        change_layout(undescribed, vocabulary=layout.vocabulary, types=changed)
        assert f"made for types {types}; " in refusal(undescribed)
    change_layout(undescribed, types=layout.types, words_per_slot=3)
    assert "made for words_per_slot 4; " in refusal(undescribed)
    change_layout(undescribed, words_per_slot=4)
    change_entity_types(undescribed, ("name",))
    assert "made for labels 9; " in refusal(undescribed)


def test_a_crf_of_types_that_the_layout_does_not_know_is_refused_without_the_network(network):
    path = network.parent / "crf.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(content | {"entity_types": ["PER", "name"]}), encoding="utf-8")
    with pytest.raises(LayoutError, match=r"has the entity types PER, name; .*features\.json does not know PER \("):
        ExportedFiles.beside(network)


def test_a_network_exported_alone_is_told_of_its_crf_too(toy_student, tmp_path):
    network = tmp_path / "alone.onnx"
    done = CliRunner().invoke(application, ["export", str(toy_student), "-o", str(network), "--target", "onnx"])
    assert done.exit_code == 0, done.output
    model, crf, layout = load_model(toy_student)
    expected = describe(layout, model.config.entity_types, crf.parameters_for_serving())
    assert open_session(network, threads=1).get_modelmeta().custom_metadata_map[METADATA_KEY] == expected
