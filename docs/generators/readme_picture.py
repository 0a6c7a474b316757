"""Draw the README's picture: ``docs/assets/extracted.svg``, a text with its entities as ``render`` shows them.

    python docs/generators/readme_picture.py

Run it when the default model or ``render`` changes; a test says when. Pages of a forge show the file, so it is in git.
"""

from __future__ import annotations

import re
from pathlib import Path

import distillex

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs" / "assets" / "extracted.svg"
SIZE = (760, 205)
# A background of its own: a forge's dark theme may differ from the system's.
BACKGROUND = "svg { background: #fff; } @media (prefers-color-scheme: dark) { svg { background: #0d1117; } }"
SENTENCES = re.compile(r"^在深圳，.*?。.*?。", re.MULTILINE)


def shown_text() -> str:
    """Return the two sentences of the shipped example that the picture shows."""
    found = SENTENCES.search((ROOT / "examples" / "news.txt").read_text(encoding="utf-8"))
    assert found is not None
    return found[0]


def picture(tagger: distillex.Tagger) -> str:
    """Return the picture as SVG: what ``render`` makes of the text, without scores, which differ between processors."""
    page = tagger.render(shown_text())
    style = page.split("<style>")[1].split("</style>")[0].replace(" margin: 2rem auto;", "")
    article = page.split("<body>\n")[1].split("\n</body>")[0]
    article = re.sub(r'<h1>.*?</h1>\n| data-score="[\d.]+"| title="[^"]+"', "", article)
    width, height = SIZE
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">\n'
        f"<title>{shown_text()}</title>\n<style>{style}{BACKGROUND}\n</style>\n"
        f'<foreignObject width="{width}" height="{height}">\n'
        f'<div xmlns="http://www.w3.org/1999/xhtml" lang="zh">\n{article}\n</div>\n</foreignObject>\n</svg>\n'
    )


if __name__ == "__main__":
    PICTURE.write_text(picture(distillex.load()), encoding="utf-8")
