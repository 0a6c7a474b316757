"""Show entities in their text: as an HTML page, or in a terminal."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from distillex_client.entity import Entity

if TYPE_CHECKING:
    from rich.text import Text

HUES = (210, 0, 130, 35, 280, 175, 330, 55, 245, 90)
TERMINAL_STYLES = ("cyan", "red", "green", "yellow", "magenta", "bright_cyan", "bright_red", "blue", "bright_green")

_STYLE = """
:root { color-scheme: light dark; --page: #ffffff; --ink: #1b1f24; --soft: #57606a; --tint: 88%; --edge: 40%; }
@media (prefers-color-scheme: dark) {
  :root { --page: #14171b; --ink: #e6e9ed; --soft: #9aa4af; --tint: 24%; --edge: 65%; }
}
body { background: var(--page); color: var(--ink); max-width: 46rem; margin: 2rem auto; padding: 0 1rem;
  font: 1.05rem/2.1 "Noto Serif CJK SC", "Songti SC", SimSun, serif; }
h1, .legend { font-family: system-ui, sans-serif; }
h1 { font-size: 1.2rem; }
.legend { display: flex; flex-wrap: wrap; gap: .4rem 1rem; list-style: none; padding: 0; font-size: .85rem; }
.legend mark { padding: 0 .4rem; }
main { white-space: pre-wrap; overflow-wrap: anywhere; }
mark { color: inherit; background: hsl(var(--hue) 70% var(--tint));
  border-bottom: 2px solid hsl(var(--hue) 60% var(--edge)); border-radius: .2rem; padding: .1rem .15rem; }
mark[data-type]::after { content: attr(data-type); font: .65rem system-ui, sans-serif; color: var(--soft);
  margin-left: .2rem; vertical-align: super; }
.count { color: var(--soft); }
"""


def render(document: str, entities: Iterable[Entity], *, title: str = "Distillex") -> str:
    """Return a self-contained HTML page with the entities highlighted and a legend, for light and dark screens.

    Each span is a ``<mark>`` with ``data-start``, ``data-end``, ``data-type`` and ``data-score``. Of overlapping
    entities the earlier, at the same start the longer, is shown.
    """
    shown = _without_overlaps(entities)
    hues = {kind: HUES[i % len(HUES)] for i, kind in enumerate(sorted({e.type for e in shown}))}
    parts: list[str] = []
    position = 0
    for entity in shown:
        parts.append(html.escape(document[position : entity.start]))
        parts.append(
            f'<mark style="--hue:{hues[entity.type]}" data-start="{entity.start}" data-end="{entity.end}" '
            f'data-type="{html.escape(entity.type)}" data-score="{entity.score:.4f}" '
            f'title="{html.escape(entity.type)} {entity.score:.2f}">'
            f"{html.escape(document[entity.start : entity.end])}</mark>"
        )
        position = entity.end
    parts.append(html.escape(document[position:]))
    counts = Counter(entity.type for entity in shown)
    legend = "".join(
        f'<li><mark style="--hue:{hue}">{html.escape(kind)}</mark> <span class="count">{counts[kind]}</span></li>'
        for kind, hue in hues.items()
    )
    return (
        f'<!DOCTYPE html>\n<html lang="zh">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{html.escape(title)}</title>\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{html.escape(title)}</h1>\n"
        f'<ul class="legend">{legend}</ul>\n<main>{"".join(parts)}</main>\n</body>\n</html>\n'
    )


def render_terminal(document: str, entities: Iterable[Entity]) -> Text:
    """Return the document as rich text with the entities in colour, each followed by its type."""
    from rich.text import Text

    shown = _without_overlaps(entities)
    kinds = sorted({entity.type for entity in shown})
    styles = {kind: TERMINAL_STYLES[i % len(TERMINAL_STYLES)] for i, kind in enumerate(kinds)}
    text = Text()
    position = 0
    for entity in shown:
        text.append(document[position : entity.start])
        text.append(document[entity.start : entity.end], style=f"bold {styles[entity.type]}")
        text.append(f"[{entity.type}]", style=f"dim {styles[entity.type]}")
        position = entity.end
    text.append(document[position:])
    return text


def _without_overlaps(entities: Iterable[Entity]) -> Sequence[Entity]:
    shown: list[Entity] = []
    for entity in sorted(entities, key=lambda e: (e.start, -e.end)):
        if not shown or entity.start >= shown[-1].end:
            shown.append(entity)
    return shown
