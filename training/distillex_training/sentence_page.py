"""An HTML page of sentences, each with several readings of its entities one below the other; one file, no script.

Which sentences are shown is chosen by radio buttons, which style sheets alone follow: the page needs nothing else, and
its content security policy allows nothing else.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from distillex_client.printable import FILE_LAYOUT, printable
from distillex_client.render import HUES

LONGEST = 2000
"""Sentences of a page: some megabytes, which a browser opens at once."""
POLICY = "default-src 'none'; style-src 'unsafe-inline'"
ALL = "all"

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #57606a; --line: #d0d7de; --back: #fff; --wrong: #b3261e;
  --tint: 88%; --edge: 40%; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ed; --soft: #9aa4af; --line: #3a424b; --back: #15181c;
  --wrong: #ff8a80; --tint: 24%; --edge: 65%; } }
* { box-sizing: border-box; }
body { color: var(--ink); background: var(--back); max-width: 60rem; margin: 0 auto; padding: 1rem;
  font: 1rem/1.5 system-ui, "Noto Sans CJK SC", "PingFang SC", sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.2rem; }
p, li { margin: .3rem 0; }
.table { overflow-x: auto; }
table { border-collapse: collapse; font-size: .85rem; margin: .8rem 0; }
th, td { border-bottom: 1px solid var(--line); padding: .2rem .6rem; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
input { position: absolute; opacity: 0; }
label { display: inline-block; border: 1px solid var(--line); border-radius: 1rem; padding: .1rem .7rem;
  margin: .15rem .3rem .15rem 0; cursor: pointer; }
input:checked + label { background: var(--ink); color: var(--back); }
input:focus-visible + label { outline: 2px solid var(--soft); outline-offset: 2px; }
.where, .note { color: var(--soft); font-size: .8rem; }
label span { font-size: .8rem; }
article { border-top: 1px solid var(--line); padding: .6rem 0; }
.reading { display: grid; grid-template-columns: 4rem 1fr; gap: .5rem; margin: .1rem 0; }
.reading b { color: var(--soft); font: .75rem/2.4 system-ui, sans-serif; overflow-wrap: anywhere; }
.reading span { white-space: pre-wrap; line-height: 2; min-width: 0; }
mark { color: inherit; background: hsl(var(--hue) 70% var(--tint)); border-radius: .2rem; padding: .1rem .15rem;
  border-bottom: 2px solid hsl(var(--hue) 60% var(--edge)); }
mark.wrong { outline: 2px dashed var(--wrong); }
mark::after { content: attr(data-type); font: .65rem system-ui, sans-serif; color: var(--soft); margin-left: .2rem;
  vertical-align: super; }
@media (max-width: 30rem) { .reading { grid-template-columns: 1fr; gap: 0; } .reading b { line-height: 1.4; } }
"""


@dataclass(frozen=True)
class Mark:
    """An entity in a reading of a sentence."""

    start: int
    end: int
    type: str
    note: str = ""
    """Shown where the pointer rests on it."""
    wrong: bool = False


@dataclass(frozen=True)
class Reading:
    """What the gold labels, or a model, see in a sentence."""

    name: str
    marks: Sequence[Mark]
    """Not overlapping."""


@dataclass(frozen=True)
class ShownSentence:
    """A sentence of the page."""

    where: str
    text: str
    readings: Sequence[Reading]
    kinds: Mapping[str, int]
    """Under which of the page's choices it is shown, and how often each is true of it."""


@dataclass(frozen=True)
class PageTable:
    """A table above the sentences."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


def sentence_page(
    title: str,
    lines: Sequence[str],
    tables: Sequence[PageTable],
    choices: Mapping[str, str],
    sentences: Sequence[ShownSentence],
) -> str:
    """Return the page, as a whole HTML document.

    Parameters
    ----------
    title, lines
        Heading, and what is said below it.
    tables
        Figures.
    choices
        Name of each kind of sentence that may be chosen, and what it means.
    sentences
        Shown are the first 2,000 at most; the page says so.
    """
    shown = sentences[:LONGEST]
    classes = {name: f"k{number}" for number, name in enumerate(choices)}
    types = sorted({mark.type for each in shown for reading in each.readings for mark in reading.marks})
    hues = {kind: HUES[number % len(HUES)] for number, kind in enumerate(types)}
    counted = f"{len(sentences):,} sentences"
    if len(shown) < len(sentences):
        counted += f", of which the first {len(shown):,} are shown"
    filters = "".join(
        f"#{each}:checked ~ main article:not(.{each}) {{ display: none; }}\n" for each in classes.values()
    )
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{_escaped(title)}</title>\n'
        f"<style>{_STYLE}{filters}</style>\n</head>\n<body>\n<h1>{_escaped(title)}</h1>\n"
        f"{''.join(f'<p>{_escaped(line)}</p>' for line in lines)}\n{''.join(map(_table, tables))}\n"
        f"<p>{counted}</p>\n{_radio(ALL, ALL, '', len(shown), chosen=True)}"
        f"{''.join(_choice(name, classes[name], meaning, shown) for name, meaning in choices.items())}\n"
        f"<main>\n{''.join(_article(each, classes, hues) for each in shown)}</main>\n</body>\n</html>\n"
    )


def _choice(name: str, identifier: str, meaning: str, shown: Sequence[ShownSentence]) -> str:
    return _radio(name, identifier, meaning, sum(name in each.kinds for each in shown), chosen=False)


def _radio(name: str, identifier: str, meaning: str, count: int, *, chosen: bool) -> str:
    return (
        f'<input type="radio" name="kind" id="{identifier}"{" checked" * chosen}>'
        f'<label for="{identifier}" title="{_escaped(meaning)}">{_escaped(name)} <span>{count:,}</span></label>\n'
    )


def _table(table: PageTable) -> str:
    head = "".join(f"<th>{_escaped(each)}</th>" for each in table.head)
    rows = "".join(f"<tr>{''.join(f'<td>{_escaped(each)}</td>' for each in row)}</tr>\n" for row in table.rows)
    return (
        f'<h2 class="note">{_escaped(table.title)}</h2>\n<div class="table"><table>\n<tr>{head}</tr>\n{rows}'
        "</table></div>\n"
    )


def _article(sentence: ShownSentence, classes: Mapping[str, str], hues: Mapping[str, int]) -> str:
    kinds = " ".join(classes[kind] for kind in sentence.kinds)
    said = ", ".join(kind if count == 1 else f"{kind} ({count})" for kind, count in sentence.kinds.items())
    text = printable(sentence.text, keep=FILE_LAYOUT)
    readings = "".join(
        f'<div class="reading"><b>{_escaped(each.name)}</b><span lang="zh">{_marked(text, each.marks, hues)}</span>'
        "</div>\n"
        for each in sentence.readings
    )
    where = f"{_escaped(sentence.where)}: {_escaped(said)}"
    return f'<article class="{kinds}"><div class="where">{where}</div>\n{readings}</article>\n'


def _marked(text: str, marks: Sequence[Mark], hues: Mapping[str, int]) -> str:
    parts = []
    position = 0
    for mark in sorted(marks, key=lambda each: each.start):
        kind = _escaped(mark.type)
        wrong = ' class="wrong"' if mark.wrong else ""
        parts.append(_shown(text[position : mark.start]))
        parts.append(
            f'<mark{wrong} style="--hue:{hues[mark.type]}" data-type="{kind}" title="{_escaped(mark.note) or kind}">'
            f"{_shown(text[mark.start : mark.end])}</mark>"
        )
        position = mark.end
    return "".join((*parts, _shown(text[position:])))


def _shown(text: str) -> str:
    # A browser would turn a carriage return into a line feed, and two of them into one.
    return html.escape(text).replace("\r", "&#13;")


def _escaped(text: str) -> str:
    return html.escape(printable(text))
