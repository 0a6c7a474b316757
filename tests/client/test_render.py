import re
from html.parser import HTMLParser

from distillex_client import Entity, render, render_terminal

TEXT = "<b>北京</b> & 达观\n数据😀"
ENTITIES = [Entity(3, 5, "address", "北京", 0.9), Entity(12, 17, "company", TEXT[12:17], 0.5)]


class Marks(HTMLParser):
    def __init__(self):
        super().__init__()
        self.text, self.marks, self.inside, self.main = "", [], None, False

    def handle_starttag(self, tag, attributes):
        if tag == "main":
            self.main = True
        if tag == "mark" and self.main:
            self.inside = dict(attributes) | {"at": len(self.text), "content": ""}

    def handle_endtag(self, tag):
        if tag == "main":
            self.main = False
        if tag == "mark" and self.inside:
            self.marks.append(self.inside)
            self.inside = None

    def handle_data(self, data):
        if self.main:
            self.text += data
            if self.inside is not None:
                self.inside["content"] += data


def parsed(page):
    parser = Marks()
    parser.feed(page)
    return parser


def test_the_page_holds_the_text_and_marks_exactly_the_entities():
    page = parsed(render(TEXT, ENTITIES))
    assert page.text == TEXT
    assert [(m["at"], m["content"], m["data-type"]) for m in page.marks] == [
        (e.start, TEXT[e.start : e.end], e.type) for e in ENTITIES
    ]
    assert [(int(m["data-start"]), int(m["data-end"])) for m in page.marks] == [(e.start, e.end) for e in ENTITIES]


def test_the_page_is_self_contained_and_has_a_legend_for_both_schemes():
    page = render(TEXT, ENTITIES, title="<标题>")
    assert not re.search(r"(src|href)=|url\(|<script", page)
    assert "prefers-color-scheme: dark" in page
    assert "<title>&lt;标题&gt;</title>" in page
    legend = page[page.index('class="legend"') : page.index("<main>")]
    assert "address" in legend
    assert "company" in legend


def test_of_overlapping_entities_the_earlier_and_longer_is_shown():
    overlapping = [
        Entity(0, 2, "a", "", 1),
        Entity(0, 3, "b", "", 1),
        Entity(2, 4, "c", "", 1),
        Entity(3, 4, "d", "", 1),
    ]
    assert [m["data-type"] for m in parsed(render("甲乙丙丁", overlapping)).marks] == ["b", "d"]


def test_the_terminal_shows_the_text_with_types_behind_the_entities():
    plain = render_terminal("在北京。", [Entity(1, 3, "address", "北京", 1.0)]).plain
    assert plain == "在北京[address]。"
