"""The HTML page and the terminal show a text with exactly its entities."""

import re
from html.parser import HTMLParser

import pytest
from distillex_client import Entity, render, render_terminal
from hypothesis import given, settings
from hypothesis import strategies as st

TEXT = "<b>北京</b> & 达观\n数据😀"
ENTITIES = [Entity(3, 5, "address", "北京", 0.9), Entity(12, 17, "company", TEXT[12:17], 0.5)]


class Marks(HTMLParser):
    """Reads a page back: the text, and for each entity where its marks lie in it."""

    def __init__(self, page):
        super().__init__()
        self.text, self.labels, self.spans, self._open, self._inside = "", [], {}, [], False
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        if tag == "div":
            self._inside = True
        if tag == "mark" and self._inside:
            attributes = dict(attributes)
            key = tuple(attributes[f"data-{name}"] for name in ("entity", "start", "end", "type"))
            self._open.append(self.spans.setdefault(key, []))
            if "data-label" in attributes:
                self.labels.append(attributes["data-label"])

    def handle_endtag(self, tag):
        if tag == "div":
            self._inside = False
        if tag == "mark" and self._open:
            self._open.pop()

    def handle_data(self, data):
        if self._inside:
            for span in self._open:
                span.extend(range(len(self.text), len(self.text) + len(data)))
            self.text += data

    def entities(self):
        found = []
        for (_, start, end, kind), positions in self.spans.items():
            assert positions == list(range(int(start), int(end)))
            found.append((int(start), int(end), kind))
        return sorted(found)


def test_the_page_holds_the_text_and_marks_exactly_the_entities():
    page = Marks(render(TEXT, ENTITIES))
    assert page.text == TEXT
    assert page.entities() == [(e.start, e.end, e.type) for e in ENTITIES]
    assert page.labels == ["address", "company"]


@given(
    st.text("甲乙<&\"'\r\n 😀", min_size=1, max_size=30),
    st.lists(st.tuples(st.integers(0, 30), st.integers(1, 30), st.sampled_from(["a", "<b>", '"'])), max_size=6),
)
@settings(max_examples=300, deadline=None)
def test_overlapping_entities_are_all_shown_whole_and_labelled_once(document, drawn):
    spans = sorted((s, min(s + n, len(document)), kind) for s, n, kind in drawn if s < len(document))
    page = Marks(render(document, [Entity(s, e, kind, document[s:e], 0.5) for s, e, kind in spans]))
    assert page.text == document
    assert page.entities() == spans
    assert sorted(page.labels) == sorted(kind for _, _, kind in spans)


def test_the_page_is_self_contained_and_has_a_legend_for_both_schemes():
    page = render(TEXT, [*ENTITIES, Entity(0, 1, "company", "<", 1.0)], title="<标题>")
    assert not re.search(r"(src|href)=|url\(|<script", page)
    assert "prefers-color-scheme: dark" in page
    assert "<title>&lt;标题&gt;</title>" in page
    legend = page[page.index("<ul>") : page.index("</ul>")]
    assert re.findall(r"<li><mark[^>]*>(\w+)</mark> <span>(\d)</span>", legend) == [("address", "1"), ("company", "2")]


def test_a_notebook_shows_the_page_and_its_rules_reach_nothing_else():
    page = render(TEXT, ENTITIES)
    assert page._repr_html_() == page
    style = re.sub(r"@media [^{]*{(.*?})\s*}", r"\1", page[page.index("<style>") + 7 : page.index("</style>")])
    selectors = re.findall(r"([^{}]+){", style)
    assert len(selectors) > 5
    assert all(part.strip().startswith(".distillex") for selector in selectors for part in selector.split(","))


def test_what_html_cannot_hold_is_shown_without_moving_anything():
    document = "\x1b[2J\0甲\ud800乙\x85\r\n\t丙"
    entity = Entity(5, 8, "na\x1bme", document[5:8], 0.5)
    page = render(document, [entity], title="a\x1b\udcff")
    page.encode()
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", page)
    marks = Marks(page)
    assert marks.text == "␛[2J␀甲\ufffd乙\ufffd\r\n\t丙"
    assert marks.entities() == [(5, 8, "na␛me")]
    assert "<title>a␛\ufffd</title>" in page


@pytest.mark.parametrize("span", [(0, 0), (3, 2), (-1, 2), (0, 19)])
def test_an_entity_outside_the_document_is_refused(span):
    with pytest.raises(ValueError, match="does not lie in the document, which has 18 characters"):
        render(TEXT, [Entity(*span, "company", "", 1.0)])


def test_the_terminal_shows_the_text_with_types_behind_the_entities():
    overlapping = [Entity(1, 3, "address", "北京", 1.0), Entity(1, 5, "organization", "北京大学", 0.5)]
    text = render_terminal("在北京大学。", overlapping)
    assert text.plain == "在北京[address]大学[organization]。"
    assert [text.plain[span.start : span.end] for span in text.spans if "bold" in str(span.style)] == ["北京", "大学"]
