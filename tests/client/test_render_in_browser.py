"""The rendered page as a browser shows it."""

from __future__ import annotations

from pathlib import Path

import pytest
from distillex_client import Entity, Extractor, render

DOCUMENT = Path(__file__).resolve().parents[2] / "examples" / "news.txt"

# For each entity: the text of its marks, where that lies in the whole text, and what the mark says of itself.
# JavaScript counts UTF-16 units, the client code points: hence Array.from.
READ_BACK = """
const text = document.querySelector('.distillex div');
const found = new Map();
for (const mark of text.querySelectorAll('mark')) {
  const before = document.createRange();
  before.setStart(text, 0);
  before.setEndBefore(mark);
  const start = Array.from(before.toString()).length;
  const span = found.get(mark.dataset.entity) ?? {start, text: '', data: mark.dataset};
  span.text += mark.textContent;
  found.set(mark.dataset.entity, span);
}
return {text: text.textContent, spans: [...found.values()].map(s =>
  ({start: s.start, text: s.text, type: s.data.type, said: [Number(s.data.start), Number(s.data.end)]}))};
"""
COLOURS = """
const mark = getComputedStyle(document.querySelector('.distillex div mark'));
const label = getComputedStyle(document.querySelector('mark[data-label]'), '::after');
return [getComputedStyle(document.querySelector('.distillex')).color, mark.backgroundColor, label.content];
"""


@pytest.fixture
def shown(browser, tmp_path):
    def show(document, entities):
        path = tmp_path / "page.html"
        path.write_text(render(document, entities), encoding="utf-8", newline="")
        browser.get(path.as_uri())
        return browser.execute_script(READ_BACK)

    return show


def spans(page):
    for span in page["spans"]:
        assert span["said"] == [span["start"], span["start"] + len(span["text"])]
    return [(span["start"], span["text"], span["type"]) for span in page["spans"]]


@pytest.mark.server
def test_the_highlighted_spans_of_a_real_document_are_its_entities(server, shown):
    document = DOCUMENT.read_text(encoding="utf-8")
    with Extractor(server.grpc_url) as extractor:
        entities = extractor.extract_document(document)
    assert len(entities) > 100
    page = shown(document, entities)
    assert page["text"] == document
    assert spans(page) == [(e.start, e.text, e.type) for e in entities]


def test_overlaps_markup_and_signs_of_two_units_are_read_back_exactly(shown):
    document = "\r\n<mark>😀𠮷野家</mark>\r董事长 &amp; 'x'"
    given = [(0, 2, "a"), (8, 12, "b"), (9, 20, "c"), (9, 11, "d"), (9, 11, '"<e>')]
    entities = [Entity(start, end, kind, document[start:end], 0.5) for start, end, kind in given]
    page = shown(document, entities)
    assert page["text"] == document
    assert sorted(spans(page)) == sorted((start, document[start:end], kind) for start, end, kind in given)


def test_dark_screens_get_other_colours_and_the_label_stays(browser, shown):
    shown("在北京。", [Entity(1, 3, "address", "北京", 1.0)])
    seen = {}
    for scheme in ("light", "dark"):
        feature = {"name": "prefers-color-scheme", "value": scheme}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        seen[scheme] = browser.execute_script(COLOURS)
    assert seen["light"][:2] != seen["dark"][:2]
    assert seen["light"][2] == seen["dark"][2] == '"address"'
