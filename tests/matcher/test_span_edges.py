"""Where an entity may begin and end: the C++ core against the rules in Python, and cases by hand."""

import random
import unicodedata

import pytest
from distillex_matcher import _core, reference

PLAIN = "中"


def test_every_character_is_an_edge_in_the_core_as_in_the_reference():
    differing = []
    for point in range(0x110000):
        character = chr(point)
        # A later version of Unicode than Python's may have assigned it.
        if unicodedata.category(character) == "Cn":
            continue
        for span in (character + PLAIN, PLAIN + character):
            if _core.is_sound_span(span) != reference.is_sound_span(span):
                differing.append(f"U+{point:04X}")
    assert differing == []


def test_every_pair_of_brackets_is_one_in_the_core_as_in_the_reference():
    candidates = [
        chr(point) for point in range(0x10000) if unicodedata.category(chr(point)) in ("Ps", "Pe", "Pi", "Pf")
    ] + list("<>＜＞﹤﹥\"＂'")
    differing = [
        first + second
        for first in candidates
        for second in candidates
        if _core.bracket_partner(first + second, 0) != reference.bracket_partner(first + second, 0)
    ]
    assert differing == []


def test_any_string_is_judged_in_the_core_as_in_the_reference():
    draw = random.Random(25)
    alphabet = '中文ab1（）()[]《》“”‘’「」『』"＂<>，。 🎉\ufe0f.!·'
    for _ in range(20_000):
        text = "".join(draw.choices(alphabet, k=draw.randint(0, 9)))
        for first in (False, True):
            sound = reference.is_sound_span(text, begins_text=first)
            assert _core.is_sound_span(text, begins_text=first) == sound, text
            assert _core.sound_part(text, begins_text=first) == reference.sound_part(text, begins_text=first), text
        for at in range(len(text)):
            assert _core.bracket_partner(text, at) == reference.bracket_partner(text, at), (text, at)


SOUND = [
    *["《三体》", "（深圳）", "华为（深圳）公司", "深圳）公司", "华为（深圳)", "[志存高远]的题字", "K<sub>1</sub>"],
    *["“俏江南”餐饮集团", "北京『多来咪合唱团』", '"数字福建"专家委员会', "「花儿」和「少年」"],
    *["Yahoo!", "C++", "Inc.", ".NET", "#CP", "E*TRADE", "C♯", "-7", "10#", "A", "乐高®", "℃"],
    *["一一○", "刘×", "当我跑步时，我谈些什么？", "𠮷野家", "\ue000", "Cafe\u0301"],
]


@pytest.mark.parametrize("span", SOUND)
def test_what_names_have_at_their_edges_may_stand_there(span):
    assert _core.is_sound_span(span)
    assert _core.sound_part(span) == (0, len(span))


UNSOUND = {
    "": "",
    "，三体。": "三体",
    "三体：": "三体",
    " 三体\u3000": "三体",
    "\u200b三体\u200e": "三体",
    "三体\n": "三体",
    "三体\u00ad": "三体",
    "《三体": "三体",
    "三体》": "三体",
    "三体《": "三体",
    "》三体《": "三体",
    "《三体（": "三体",
    "周莹）": "周莹",
    "（（深圳）": "（深圳）",
    "“名城”": "名城",
    "「『三体』」": "三体",
    '"三体"': "三体",
    '"三体': "三体",
    "‘三体": "三体",
    "James'": "James",
    "三体❤️": "三体",
    "🎉三体👍🏽": "三体",
    "三体🇨🇳": "三体",
    "三体👨‍👩‍👧": "三体",
    "三体5️⃣": "三体5",
    "三体🏴󠁧󠁢󠁥󠁮󠁧󠁿": "三体",
    "★三体→": "三体",
    "三体\ufffc": "三体",
    "三体\ud83d": "三体",
    "，（。": "",
}


@pytest.mark.parametrize(("span", "rest"), UNSOUND.items())
def test_what_no_name_has_at_its_edges_is_refused_and_taken_off(span, rest):
    assert not _core.is_sound_span(span)
    start, end = _core.sound_part(span)
    assert span[start:end] == rest


@pytest.mark.parametrize(
    ("text", "at", "partner"),
    [
        ("（a（b）c）", 0, 6),
        ("（a（b）c）", 4, 2),
        ("1）张三（北京）", 1, None),
        ("1）张三（北京）", 7, 4),
        ("（a[b）c]", 0, 4),
        ("（a[b）c]", 6, 2),
        ('"甲"和"乙"', 4, 6),
        ('"甲"和"乙"', 2, 0),
        ("〝甲〟", 0, 2),
        ("﹁甲」", 2, 0),
        ("甲", 0, None),
    ],
)
def test_a_bracket_pairs_with_its_own_kind_nested_or_not(text, at, partner):
    assert _core.bracket_partner(text, at) == partner


@pytest.mark.parametrize(
    ("span", "rest"),
    [("生化奇兵2》，", "生化奇兵2》"), ("三体”", "三体"), ("，三体》", "三体"), ("《三体", "三体"), ("三体《", "三体")],
)
def test_at_the_start_of_a_text_a_closing_bracket_may_have_lost_its_partner(span, rest):
    start, end = _core.sound_part(span, begins_text=True)
    assert span[start:end] == rest


def test_a_position_outside_the_text_is_refused():
    with pytest.raises(IndexError, match="position 2 of a text of 2 characters"):
        _core.bracket_partner("（）", 2)
