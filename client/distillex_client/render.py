"""Show entities in their text: as an HTML page, or in a terminal."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from distillex_client.entity import Entity
from distillex_client.printable import FILE_LAYOUT, LINE_LAYOUT, printable

if TYPE_CHECKING:
    from rich.text import Text

HUES = (210, 0, 130, 35, 280, 175, 330, 55, 245, 90)
TERMINAL_STYLES = ("cyan", "red", "green", "yellow", "magenta", "bright_cyan", "bright_red", "blue", "bright_green")

# All rules are bound to .distillex, so that the page may stand inside another, such as a notebook.
_STYLE = """
.distillex { --ink: #1b1f24; --soft: #57606a; --tint: 88%; --edge: 40%; color: var(--ink); max-width: 46rem;
  margin: 2rem auto; padding: 0 1rem; font: 1.05rem/2.1 "Noto Serif CJK SC", "Songti SC", SimSun, serif; }
@media (prefers-color-scheme: dark) { .distillex { --ink: #e6e9ed; --soft: #9aa4af; --tint: 24%; --edge: 65%; } }
.distillex h1, .distillex ul { font-family: system-ui, sans-serif; }
.distillex h1 { font-size: 1.2rem; }
.distillex ul { display: flex; flex-wrap: wrap; gap: .4rem 1rem; list-style: none; padding: 0; font-size: .85rem; }
.distillex ul mark { padding: 0 .4rem; }
.distillex ul span { color: var(--soft); }
.distillex div { white-space: pre-wrap; overflow-wrap: anywhere; }
.distillex mark { color: inherit; background: hsl(var(--hue) 70% var(--tint));
  border-bottom: 2px solid hsl(var(--hue) 60% var(--edge)); border-radius: .2rem; padding: .1rem .15rem; }
.distillex mark mark { padding-bottom: .3rem; }
.distillex mark[data-label]::after { content: attr(data-label); font: .65rem system-ui, sans-serif; color: var(--soft);
  margin-left: .2rem; vertical-align: super; }
"""


class Page(str):
    """HTML that a notebook shows as it looks, not as it is written."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        return str(self)


def render(document: str, entities: Iterable[Entity], *, title: str = "Distillex") -> Page:
    """Return a self-contained HTML page with the entities highlighted and a legend, for light and dark screens.

    Each span is a ``<mark>`` with ``data-entity`` (its index in order of start), ``data-start``, ``data-end``,
    ``data-type`` and ``data-score``; the type is written behind it. Entities may overlap: each is then cut into several
    marks with the same ``data-entity``, nested where they share characters. Control characters and lone surrogates,
    which HTML cannot hold, are replaced one by one by their pictures (␛) or U+FFFD, so that offsets stay.

    Raises
    ------
    ValueError
        When an entity does not lie in ``document``.
    """
    found = _ordered(document, entities)
    counts = Counter(entity.type for entity in found)
    hues = {kind: HUES[i % len(HUES)] for i, kind in enumerate(sorted(counts))}
    legend = "".join(
        f'<li><mark style="--hue:{hue}">{html.escape(printable(kind))}</mark> <span>{counts[kind]}</span></li>'
        for kind, hue in hues.items()
    )
    shown = printable(document, keep=FILE_LAYOUT)
    heading = html.escape(printable(title))
    text = "".join(_html_of(piece, shown, found, hues) for piece in _pieces(len(document), found))
    return Page(
        f'<!DOCTYPE html>\n<html lang="zh">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="color-scheme" content="light dark">\n<title>{heading}</title>\n'
        f'<style>{_STYLE}</style>\n</head>\n<body>\n<article class="distillex">\n<h1>{heading}</h1>\n'
        f"<ul>{legend}</ul>\n<div>{text}</div>\n</article>\n</body>\n</html>\n"
    )


def render_terminal(document: str, entities: Iterable[Entity]) -> Text:
    """Return the document as rich text with the entities in colour, each followed by its type.

    Control characters, which could steer the terminal, are replaced by their pictures (␛).

    Raises
    ------
    ValueError
        When an entity does not lie in ``document``.
    """
    from rich.text import Text

    found = _ordered(document, entities)
    shown = printable(document, keep=LINE_LAYOUT)
    kinds = sorted({entity.type for entity in found})
    styles = {kind: TERMINAL_STYLES[i % len(TERMINAL_STYLES)] for i, kind in enumerate(kinds)}
    text = Text()
    for piece in _pieces(len(document), found):
        inside = found[piece.open[-1]] if piece.open else None
        text.append(shown[piece.start : piece.end], style=f"bold {styles[inside.type]}" if inside else None)
        for index in piece.ending:
            text.append(f"[{printable(found[index].type)}]", style=f"dim {styles[found[index].type]}")
    return text


@dataclass(frozen=True)
class _Piece:
    """A stretch of text in which the same entities are open, by index; the outermost is the first."""

    start: int
    end: int
    open: tuple[int, ...]
    ending: tuple[int, ...]
    """Those of ``open`` that end here, the innermost first."""


def _pieces(length: int, found: Sequence[Entity]) -> Iterator[_Piece]:
    bounds = sorted({0, length, *(e.start for e in found), *(e.end for e in found)})
    open_now: list[int] = []
    upcoming = 0
    for start, end in pairwise(bounds):
        while upcoming < len(found) and found[upcoming].start == start:
            open_now.append(upcoming)
            upcoming += 1
        ending = tuple(i for i in reversed(open_now) if found[i].end == end)
        yield _Piece(start, end, tuple(open_now), ending)
        open_now = [i for i in open_now if found[i].end > end]


def _html_of(piece: _Piece, document: str, found: Sequence[Entity], hues: dict[str, int]) -> str:
    # A browser would turn a carriage return into a line feed, and two of them into one.
    content = html.escape(document[piece.start : piece.end]).replace("\r", "&#13;")
    for index in reversed(piece.open):
        entity = found[index]
        kind = html.escape(printable(entity.type))
        label = f' data-label="{kind}"' if index in piece.ending else ""
        content = (
            f'<mark style="--hue:{hues[entity.type]}" data-entity="{index}" data-start="{entity.start}" '
            f'data-end="{entity.end}" data-type="{kind}" data-score="{entity.score:.4f}"{label} '
            f'title="{kind} {entity.score:.2f}">{content}</mark>'
        )
    return content


def _ordered(document: str, entities: Iterable[Entity]) -> list[Entity]:
    found = sorted(entities, key=lambda e: (e.start, -e.end, e.type))
    for entity in found:
        if not 0 <= entity.start < entity.end <= len(document):
            raise ValueError(f"{entity} does not lie in the document, which has {len(document)} characters")
    return found
