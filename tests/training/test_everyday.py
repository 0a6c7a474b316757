"""Everyday sentences: templates, slots, pieces of labelled sentences, and words that stand in a text by chance."""

import json
import random

import pytest
from distillex_matcher import Lexicon
from distillex_training.config import AugmentationConfig, EverydayConfig, SlotConfig, StudentRun, read_config
from distillex_training.data.everyday import EverydaySentences, bracketed_types, pieces
from distillex_training.data.labelled import GoldSpan, Sentence
from distillex_training.distill import distill
from distillex_training.errors import DataError
from distillex_training.lexicon import LexiconAugmenter, ListedWords

READ = Sentence("他读了《山海经》，认识赵伟。", (GoldSpan(3, 8, "book"), GoldSpan(11, 13, "name")))
TYPES = ("book", "name")


def slots(folder, **words):
    for name, listed in words.items():
        (folder / f"{name}.txt").write_text("\n".join(listed) + "\n", encoding="utf-8")
    return tuple(SlotConfig(name, name if name in TYPES else None, (folder / f"{name}.txt",)) for name in words)


def templates(folder, *lines):
    path = folder / "templates.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return (path,)


def drawn(config, count=60, sentences=(READ,)):
    made = EverydaySentences(config, TYPES, sentences)
    generator = random.Random(1)
    return [made.draw(generator) for _ in range(count)]


def test_templates_are_filled_and_their_words_labelled(tmp_path):
    config = EverydayConfig(
        sentences=1,
        templates=templates(tmp_path, "# a comment", "", "(昨天|){name}买了{food}"),
        slots=slots(tmp_path, name=["钱七", "孙八"], food=["苹果"]),
        pieces=0,
        invented=0,
    )
    texts = set()
    for each in drawn(config):
        text, spans = each.sentence.text, each.sentence.spans
        texts.add(text)
        assert [(text[s.start : s.end], s.type) for s in spans] == [(text.removeprefix("昨天")[:2], "name")]
        assert each.plain == ("苹果",)
    assert texts == {f"{day}{name}买了苹果" for day in ("昨天", "") for name in ("钱七", "孙八")}


def test_slots_of_one_number_get_one_word_and_titles_are_labelled_as_the_training_file_does(tmp_path):
    config = EverydayConfig(
        sentences=1,
        templates=templates(tmp_path, "《{book1}》，{book1}"),
        slots=slots(tmp_path, book=["甲乙", "丙丁"]),
        pieces=0,
        invented=0,
    )
    for each in drawn(config):
        assert each.sentence.spans == (GoldSpan(0, 4, "book"), GoldSpan(5, 7, "book"))
        assert each.sentence.text[1:3] == each.sentence.text[5:7]
    inside = Sentence("《山海经》", (GoldSpan(1, 4, "book"),))
    for each in drawn(config, sentences=(inside,)):
        assert each.sentence.spans == (GoldSpan(1, 3, "book"), GoldSpan(5, 7, "book"))
    assert bracketed_types([READ]) == {"book"}
    assert bracketed_types([READ, inside]) == set()


def test_words_come_from_lists_mentions_and_forms_and_half_of_them_are_crossed(tmp_path):
    (tmp_path / "food.txt").write_text("甲乙\n丙丁\n单\n", encoding="utf-8")
    config = EverydayConfig(
        sentences=1,
        templates=templates(tmp_path, "{name}"),
        slots=(
            SlotConfig("name", "name", mentions=True, forms=("{food}(先生|女士)",)),
            SlotConfig("food", words=(tmp_path / "food.txt",)),
        ),
        pieces=0,
        invented=0.5,
    )
    texts = {each.sentence.text for each in drawn(config, 300)}
    foods = {"甲乙", "丙丁", "甲丁", "丙乙"}
    assert texts == {"赵伟"} | {food + title for food in foods for title in ("先生", "女士")}


def test_pieces_hold_whole_entities_and_get_other_ones(tmp_path):
    assert [(p.text, p.spans) for p in pieces([READ])] == [
        ("他读了《山海经》，", (GoldSpan(3, 8, "book"),)),
        ("认识赵伟。", (GoldSpan(2, 4, "name"),)),
    ]
    config = EverydayConfig(sentences=1, slots=slots(tmp_path, book=["西游"]), pieces=1.0, invented=0)
    found = {(e.sentence.text, e.sentence.spans) for e in drawn(config)}
    assert found == {
        ("他读了《山海经》，", (GoldSpan(3, 8, "book"),)),
        ("他读了《西游》，", (GoldSpan(3, 7, "book"),)),
        ("认识赵伟。", (GoldSpan(2, 4, "name"),)),
    }


@pytest.mark.parametrize(
    ("line", "message"),
    [("{place}", "no slot is named 'place'; there are: name"), ("{name", "a brace that is no slot")],
)
def test_a_wrong_template_is_named_with_its_line(tmp_path, line, message):
    config = EverydayConfig(
        sentences=1, templates=templates(tmp_path, "你好", line), slots=slots(tmp_path, name=["钱七"])
    )
    with pytest.raises(DataError, match=f"templates.txt:2: {message}"):
        EverydaySentences(config, TYPES, [READ])


def test_wrong_slots_are_refused(tmp_path):
    unknown = EverydayConfig(slots=(SlotConfig("name", "PER", forms=("甲",)),))
    with pytest.raises(DataError, match="name has the type 'PER'; accepted: book, name"):
        EverydaySentences(unknown, TYPES, [READ])
    with pytest.raises(DataError, match="name has no word of 2 to 16 characters"):
        EverydaySentences(EverydayConfig(slots=slots(tmp_path, name=["单"])), TYPES, [READ])
    with pytest.raises(DataError, match="neither templates nor pieces"):
        EverydaySentences(EverydayConfig(sentences=1, pieces=0), TYPES, [READ])


def test_listed_words_stand_by_chance_across_words_or_as_common_ones():
    base = Lexicon.from_entries([("完美", "a", 0.5), ("团结", "v", 0.5), ("北京", "ns", 0.5), ("小米", "company", 1.0)])
    listed = ListedWords(
        {
            "美团": ["company"],
            "团结": ["name", "book"],
            "北京": ["name"],
            "你好": ["name"],
            "完美团结": ["book"],
            "小米": ["name"],
        },
        base,
    )
    sentence = Sentence("完美团结北京你好小米", ())
    # 北京, 你好 and 小米 stand between borders and may well be what the list says.
    assert sorted(listed.by_chance(sentence)) == [("团结", "book"), ("团结", "name"), ("美团", "company")]
    labelled = Sentence(sentence.text, (GoldSpan(2, 4, "name"),))
    assert listed.by_chance(labelled) == [("美团", "company")]
    config = AugmentationConfig((0.0,), 0.0, (1,), 0.0, listed_words=1.0)
    augmenter = LexiconAugmenter(config, base, ("company",)).with_listed(listed)
    for seed in range(20):
        (overlay,) = augmenter.overlay(labelled, random.Random(seed))
        assert [(entry.word, entry.type) for entry in overlay] == [("美团", "company")]


def test_wrong_entries_may_be_words_of_the_base_lexicon_and_plain_words():
    base = Lexicon.from_entries([("昨天", "t", 0.5), ("下雨", "v", 0.5)])
    config = AugmentationConfig((0.0,), 0.0, (1,), 0.0, base_words=1.0)
    augmenter, sentence = LexiconAugmenter(config, base, TYPES), Sentence("昨天真的下雨了", ())
    words = {e.word for s in range(40) for o in augmenter.overlay(sentence, random.Random(s)) for e in o}
    assert words == {"昨天", "下雨"}
    none = LexiconAugmenter(AugmentationConfig((0.0,), 0.0, (0,), 0.0), base, TYPES)
    (overlay,) = none.overlay(sentence, random.Random(1), ["真的"])
    assert overlay[0].word == "真的"
    assert overlay[0].type in TYPES


def test_titles_may_come_without_their_brackets():
    config = AugmentationConfig((1.0,), 0.0, (0,), 0.0, bare_titles=1.0)
    (overlay,) = LexiconAugmenter(config, None, TYPES).overlay(READ, random.Random(1))
    assert {entry.word: entry.type for entry in overlay} == {"山海经": "book", "赵伟": "name"}


def test_a_student_learns_words_of_templates_that_its_labels_never_held(toy, tmp_path):
    (tmp_path / "words.txt").write_text("蓝鲸阁\n红枫居\n青石坊\n白鹿社\n", encoding="utf-8")
    overrides = {
        "everyday.sentences": "60",
        "everyday.templates": json.dumps([str(path) for path in templates(tmp_path, "在{shop}(买|订)东西")]),
        "everyday.slots": json.dumps([{"name": "shop", "type": "company", "words": [str(tmp_path / "words.txt")]}]),
        "everyday.pieces": "0",
    }
    from distillex_training.evaluate import predict_with_scores, torch_emissions, without_scores
    from distillex_training.models import load_model

    def shops(directory, settings):
        distill(read_config(toy / "student.yaml", StudentRun, settings), directory)
        tagger, crf, layout = load_model(directory / "best")
        words = Lexicon.from_entries([("金沙楼", "company", 1.0)], trust="hint")
        featurizer = layout.featurizer(Lexicon.load(toy / "base.lex"))
        emissions_of, decoder = torch_emissions(tagger), crf.decoder(layout)
        return without_scores(
            predict_with_scores(featurizer, emissions_of, decoder, ["在金沙楼订东西"], overlay=[words])
        )[0]

    assert shops(tmp_path / "with", overrides) == [(1, 4, "company")]
    assert shops(tmp_path / "without", {}) != [(1, 4, "company")]
