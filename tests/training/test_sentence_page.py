"""The page of sentences: one file that needs nothing else, whatever stands in the texts, on small and dark screens."""

import re
from html.parser import HTMLParser

import pytest
from distillex_training.sentence_page import LONGEST, Mark, PageTable, Reading, ShownSentence, sentence_page

HOSTILE = "<script>alert(1)</script>&\"'\x1b\r\n😀"
CHOICES = {"missed": "gold alone", 'in"vented': "found <alone>"}


def shown(number, text, kinds, *, mark=(0, 2)):
    gold = Reading("gold", [Mark(*mark, "na<me>", 'a "note" & <more>')])
    return ShownSentence(f"sentence {number}", text, (gold, Reading("found", [])), kinds)


def page(sentences):
    table = PageTable("a <table>", ["", "F1"], [[HOSTILE, "0.5"]])
    return sentence_page("title <b>", [HOSTILE], [table], CHOICES, sentences)


class Elements(HTMLParser):
    def __init__(self, content):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], []
        self.feed(content)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.text.append(data)


def test_everything_is_escaped_and_nothing_is_loaded():
    content = page([shown(1, HOSTILE, {"missed": 1, 'in"vented': 2})])
    elements = Elements(content)
    assert set(elements.tags) == {
        *("html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "div", "table", "tr", "th", "td"),
        *("input", "label", "span", "main", "article", "b", "mark"),
    }
    assert not {name for name, _ in elements.attributes} & {"src", "href", "onload", "onclick"}
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in elements.attributes
    assert not re.search(r"url\(|@import|https?:", content)
    text = "".join(elements.text)
    assert "<script>alert(1)</script>&\"'␛" in text
    assert "&#13;\n😀" in content
    assert 'in"vented (2)' in text
    assert ("title", 'a "note" & <more>') in elements.attributes
    assert ("data-type", "na<me>") in elements.attributes


def test_a_page_has_an_end_and_says_what_it_leaves_out():
    content = page([shown(number, "赵伟来了", {"missed": 1}) for number in range(LONGEST + 5)])
    assert content.count("<article") == LONGEST
    assert f"{LONGEST + 5:,} sentences, of which the first {LONGEST:,} are shown" in content
    assert "2 sentences</p>" in page([shown(1, "赵伟来了", {"missed": 1})] * 2)


def test_a_mark_that_goes_beyond_its_sentence_is_shown_as_far_as_there_is_text():
    assert ">来了</mark></span>" in page([shown(1, "赵伟来了", {"missed": 1}, mark=(2, 9))])


SEEN = """
return [...document.querySelectorAll('article')].filter(e => e.offsetParent !== null)
  .map(e => e.querySelector('.where').textContent)
"""
CHOOSE = """
[...document.querySelectorAll('label')].find(e => e.firstChild.textContent.trim() === arguments[0]).click()
"""
WIDTHS = "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
COLOURS = """
const mark = getComputedStyle(document.querySelector('mark'));
return [getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor, mark.backgroundColor]
"""


@pytest.fixture
def opened(browser, tmp_path):
    many = PageTable("types", [f"type {n}" for n in range(30)], [["1"] * 30])
    sentences = [
        shown(1, "赵伟" + "在北京的东方电子工作" * 40, {"missed": 1}),
        shown(2, "赵伟" + "abcdefgh" * 60, {'in"vented': 2}),
        shown(3, HOSTILE, {"missed": 1, 'in"vented': 1}),
    ]
    path = tmp_path / "page.html"
    path.write_text(sentence_page("errors", [HOSTILE], [many], CHOICES, sentences), encoding="utf-8", newline="")
    browser.get(path.as_uri())
    return browser


def test_a_kind_of_error_is_chosen_without_a_script(opened):
    both = ["sentence 1: missed", 'sentence 2: in"vented (2)', 'sentence 3: missed, in"vented']
    assert opened.execute_script(SEEN) == both
    for label, expected in (("missed", [0, 2]), ('in"vented', [1, 2]), ("all", [0, 1, 2])):
        opened.execute_script(CHOOSE, label)
        assert opened.execute_script(SEEN) == [both[number] for number in expected]


def test_small_screens_need_no_sideways_scrolling_and_dark_ones_get_other_colours(opened):
    opened.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    )
    try:
        inside, screen = opened.execute_script(WIDTHS)
        assert screen == 400
        assert inside <= screen
        seen = {}
        for scheme in ("light", "dark"):
            feature = {"name": "prefers-color-scheme", "value": scheme}
            opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
            seen[scheme] = opened.execute_script(COLOURS)
        assert all(light != dark for light, dark in zip(seen["light"], seen["dark"], strict=True))
    finally:
        opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
