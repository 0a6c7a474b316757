"""The text rules that a run trains with: of its configuration, or of the model that it learns from or begins with."""

import random

import pytest
from distillex_matcher import FeatureLayout, Lexicon, TextRules
from distillex_training.config import AugmentationConfig, StudentRun, read_config
from distillex_training.config.text import NEW_TEXT_RULES, TextConfig
from distillex_training.data.convert import sentences_of
from distillex_training.data.labelled import GoldSpan, Sentence, read_labelled
from distillex_training.data.records import Record
from distillex_training.data.words import read_words
from distillex_training.distill import distill
from distillex_training.errors import ConfigError
from distillex_training.lexicon import LexiconAugmenter, ListedWords
from distillex_training.lexicon_evaluation import plausible_entries
from distillex_training.preflight import check_run
from distillex_training.tagging import read_data


def data_of(toy, settings=None, **more):
    run = read_config(toy / "student.yaml", StudentRun, settings or {})
    return read_data(run.data, word_hash_size=64, **more)


def test_a_new_model_matches_whole_words_and_cuts_at_periods(toy):
    assert TextRules(word_boundaries=True, sentence_periods=True, lowercase=True) == NEW_TEXT_RULES
    assert data_of(toy).layout.text == NEW_TEXT_RULES


def test_the_configuration_says_otherwise(toy):
    layout = data_of(toy, {"data.text.word_boundaries": "false", "data.text.sentence_periods": "false"}).layout
    assert layout.text == TextRules()


def test_a_model_that_reads_capital_letters_has_them_in_its_vocabulary(toy, tmp_path):
    path = tmp_path / "raw.txt"
    path.write_text("ABab\n", encoding="utf-8")
    raw = {"data.raw": f"[{path}]"}
    assert not {"A", "B"} & set(data_of(toy, raw).layout.vocabulary)
    assert {"A", "B", "a", "b"} <= set(data_of(toy, raw | {"data.text.lowercase": "false"}).layout.vocabulary)


@pytest.mark.parametrize(
    ("said", "earlier", "expected"),
    [
        ({}, None, NEW_TEXT_RULES),
        ({}, TextRules(), TextRules()),
        ({"word_boundaries": False}, TextRules(), TextRules()),
        ({"lowercase": False}, None, TextRules(word_boundaries=True, sentence_periods=True, lowercase=False)),
    ],
)
def test_what_is_not_said_is_as_the_kept_layout_says(said, earlier, expected):
    assert TextConfig(**said).rules(earlier) == expected


def test_a_rule_that_the_kept_layout_contradicts_is_refused_before_any_work(toy, toy_student, toy_teacher):
    layout = FeatureLayout.load(toy_student)
    assert layout.text == NEW_TEXT_RULES
    message = r"data\.text\.lowercase is false; the model that this run begins with or learns from says true"
    for settings in (
        {"init_from": str(toy_student)},
        {"distillation.teacher": str(toy_teacher), "data.raw": f"[{toy / 'raw.txt'}]"},
    ):
        run = read_config(toy / "student.yaml", StudentRun, settings | {"data.text.lowercase": "false"})
        with pytest.raises(ConfigError, match=message):
            check_run(run)


def test_a_student_keeps_the_rules_of_the_one_that_it_begins_with(toy, tmp_path):
    settings = {"data.text.word_boundaries": "false", "data.text.sentence_periods": "false", "loop.epochs": "1"}
    distill(read_config(toy / "student.yaml", StudentRun, settings), tmp_path / "first")
    settings = {"init_from": str(tmp_path / "first" / "best"), "loop.epochs": "1"}
    distill(read_config(toy / "student.yaml", StudentRun, settings), tmp_path / "second")
    assert FeatureLayout.load(tmp_path / "second" / "best").text == TextRules()


@pytest.mark.parametrize("value", ["yes please", "1", "{a: true}"])
def test_a_wrong_rule_is_named(toy, value):
    with pytest.raises(ConfigError, match=r"data\.text\.lowercase is .*; true or false.* is accepted"):
        read_config(toy / "student.yaml", StudentRun, {"data.text.lowercase": value})
    with pytest.raises(ConfigError, match=r"unknown key 'data\.text\.case'"):
        read_config(toy / "student.yaml", StudentRun, {"data.text.case": "true"})


BASE = Lexicon.from_entries([("cat", "n", 0.5), ("北京", "ns", 0.5)])
SENTENCE = Sentence("concatenate在北京", ())


@pytest.mark.parametrize(("whole", "hidden"), [(False, {"cat", "北京"}), (True, {"北京"})])
def test_lexicons_that_are_drawn_hold_to_word_boundaries(whole, hidden):
    config = AugmentationConfig((0.0,), 1.0, (0,), 0.0)
    augmenter = LexiconAugmenter(config, BASE, ("name",), word_boundaries=whole)
    drawn = [augmenter.overlay(SENTENCE, random.Random(seed)) for seed in range(60)]
    assert {entry.word for overlays in drawn for overlay in overlays for entry in overlay} == hidden
    wrong = LexiconAugmenter(AugmentationConfig((0.0,), 0.0, (3,), 0.0, 1.0), BASE, ("name",), word_boundaries=whole)
    drawn = [wrong.overlay(SENTENCE, random.Random(seed)) for seed in range(60)]
    assert {entry.word for overlays in drawn for overlay in overlays for entry in overlay} == hidden
    entries = plausible_entries([SENTENCE], BASE, ("name",), 5, (), 1, word_boundaries=whole)
    assert set(entries) == hidden


def test_listed_words_by_chance_hold_to_word_boundaries():
    base = Lexicon.from_entries([("concat", "n", 0.5)])
    words = {"cat": ["name"]}
    sentence = Sentence("concat", ())
    assert ListedWords(words, base).by_chance(sentence) == [("cat", "name")]
    assert ListedWords(words, base, word_boundaries=True).by_chance(sentence) == []


def test_long_texts_of_letters_are_cut_after_a_period(tmp_path):
    path = tmp_path / "a.jsonl"
    text = "I like cats. You do not like v2.0 of them. He neither likes them."
    path.write_text(
        f'{{"text": "{text}", "entities": [{{"start": 7, "end": 11, "type": "name"}}]}}\n', encoding="utf-8"
    )
    sentences, _ = read_labelled(path, max_length=45)
    assert [sentence.text for sentence in sentences] == [text[:42], text[42:]]
    parts = sentences_of(Record(path, 1, text, (GoldSpan(7, 11, "name"),)))
    assert [part.text for part in parts] == ["I like cats.", "You do not like v2.0 of them.", "He neither likes them."]
    (crossing,) = sentences_of(Record(path, 1, "by Acme Best. Then Co", (GoldSpan(3, 21, "name"),)))
    assert crossing.text == "by Acme Best. Then Co"


def test_words_of_a_list_that_are_left_out_are_counted(tmp_path, caplog):
    path = tmp_path / "words.txt"
    path.write_text("北京大学\n京\n" + "长" * 17 + "\n\n上海\n", encoding="utf-8")
    assert read_words(path, 16) == ["北京大学", "上海"]
    (record,) = caplog.records
    assert (
        "words.txt: 2 of 4 words left out, such as '京' of 1 characters: used are words of 2 to 16"
        in record.getMessage()
    )
    caplog.clear()
    assert len(read_words(path, 17)) == 3
    path.write_text("上海\n", encoding="utf-8")
    caplog.clear()
    assert read_words(path, 16) == ["上海"]
    assert not caplog.records


def test_bad_records_of_a_training_file_are_named_not_the_labels_of_another(toy, tmp_path):
    from distillex_training.errors import DataError

    path = tmp_path / "bad.jsonl"
    path.write_text('{"entities": [1]}\n', encoding="utf-8")
    run = read_config(toy / "student.yaml", StudentRun, {"data.train": str(path)})
    with pytest.raises(DataError, match=r'bad\.jsonl:1: expected an object with a string "text"'):
        check_run(run)
