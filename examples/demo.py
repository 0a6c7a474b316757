"""Extract from examples/news.txt in this process, then the same through the embedded server; show what was found.

Run by ``make demo``. Writes ``reports/demo.html``.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    import distillex

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "examples" / "news.txt"
PAGE = ROOT / "reports" / "demo.html"
NEW_WORD = "闪电鲸"
SENTENCE = f"昨天，{NEW_WORD}宣布在杭州设立研发中心。"


def show_entities(console: Console, entities: list[distillex.Entity]) -> None:
    """Print one row an entity, and the count of each type."""
    table = Table("start", "end", "type", "text", "score", title=f"{len(entities)} entities in {DOCUMENT.name}")
    for entity in entities:
        table.add_row(str(entity.start), str(entity.end), entity.type, entity.text, f"{entity.score:.2f}")
    console.print(table)
    counts = Counter(entity.type for entity in entities)
    console.print(", ".join(f"{kind} {count}" for kind, count in counts.most_common()))


def show_dynamic_vocabulary(console: Console, extract: Callable[..., list[distillex.Entity]]) -> bool:
    """Extract the same sentence before and after a word is added, for one call; True when that made it an entity."""
    seen = []
    console.print(f"\nA word that the model has never seen: {SENTENCE}")
    for lexicon in (None, {NEW_WORD: "company"}):
        found = extract(SENTENCE, lexicon=lexicon)
        seen.append((NEW_WORD, "company") in {(entity.text, entity.type) for entity in found})
        shown = ", ".join(f"{entity.text} [{entity.type} {entity.score:.2f}]" for entity in found)
        word = f"lexicon={{'{NEW_WORD}': 'company'}}"
        console.print(f"  {'with' if lexicon else 'without'} {word}: {shown}", markup=False)
    return seen == [False, True]


def extract_from_server(console: Console, text: str) -> list[distillex.Entity]:
    """Start the server, extract from a document through it, stop it."""
    from distillex_client import Extractor
    from distillex_serving.embedded import EmbeddedServer, ServerOptions

    started = time.monotonic()
    with EmbeddedServer(ServerOptions(grpc_port=0, http_port=0, metrics_port=0)) as server:
        console.print(f"\nTriton is ready after {time.monotonic() - started:.1f} s: gRPC {server.grpc_url}")
        with Extractor(server.grpc_url) as extractor:
            began = time.monotonic()
            entities = extractor.extract_document(text)
            seconds = time.monotonic() - began
    console.print(f"{len(entities)} entities in {seconds * 1000:.0f} ms; the server is stopped")
    return entities


def main() -> int:
    """Run the demo; 0 when both ways found the same, every offset is exact, and the added word changed the result."""
    console = Console(width=100 if not sys.stdout.isatty() else None)
    text = DOCUMENT.read_text(encoding="utf-8")
    started = time.monotonic()
    import distillex

    tagger = distillex.load()
    began = time.monotonic()
    console.print(f"The student is ready after {began - started:.2f} s, in this process")
    entities = tagger.extract_document(text)
    seconds = time.monotonic() - began
    show_entities(console, entities)
    console.print(f"{len(text):,} characters in {seconds * 1000:.0f} ms")
    changed = show_dynamic_vocabulary(console, tagger.extract)
    same = extract_from_server(console, text) == entities
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(distillex.render(text, entities, title="Distillex demo"), encoding="utf-8")
    console.print(f"\nThe text with its entities highlighted: {PAGE.relative_to(ROOT)}")
    exact = all(text[entity.start : entity.end] == entity.text for entity in entities)
    return 0 if entities and exact and changed and same else 1


if __name__ == "__main__":
    sys.exit(main())
