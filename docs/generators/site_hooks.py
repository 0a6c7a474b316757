"""What the documentation site adds to the pages of docs/: pages made by programs, pictures, and links to other files.

MkDocs calls the functions ``on_…`` as it builds (mkdocs.yml names this file).
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from api_pages import PACKAGES, api_page
from command_page import command_page
from error_page import error_page
from page_text import plain_table_pipes, with_site_links
from result_pictures import TRUST, draw_pictures, models_page

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
PICTURES = "notebook/images"
GENERATED: dict[str, Callable[[], str]] = {
    "reference/commands.md": command_page,
    "reference/errors.md": error_page,
    "notebook/models.md": models_page,
    **{f"reference/{package}.md": partial(api_page, package) for package in PACKAGES},
}
"""Pages that are not in git, and who makes each."""
TAKEN_OVER = {
    "CONTRIBUTING.md": "project/contributing.md",
    "RELEASING.md": "project/releasing.md",
    "CHANGELOG.md": "project/changes.md",
}
"""Files of the source tree that are pages of the site as well. So is the card of each model."""
CARDS = "Model cards"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the models' cards, as many as there are, into the navigation."""
    assert config.nav is not None
    (cards,) = [entry for part in config.nav for entries in part.values() for entry in entries if CARDS in entry]
    cards[CARDS] = [{Path(card).parent.name: page} for card, page in _cards().items()]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is made at the build."""
    from mkdocs.structure.files import File

    for page, make in GENERATED.items():
        files.append(File.generated(config, page, content=make()))
    for source, page in _taken_over().items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    for picture in draw_pictures(ROOT / "build" / "docs-pictures"):
        files.append(File.generated(config, f"{PICTURES}/{picture.name}", abs_src_path=str(picture)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Lead links to where the site has their files, and show the pictures that a page asks for by a comment."""
    taken_over = _taken_over()
    pages = {f"docs/{file.src_uri}": file.src_uri for file in files} | taken_over
    here = page.file.src_uri
    source = next((file for file, uri in taken_over.items() if uri == here), f"docs/{here}")
    trust = posixpath.relpath(f"{PICTURES}/{TRUST}", posixpath.dirname(here) or ".")
    markdown = markdown.replace("<!-- picture: trust -->", f"![F1 and recall by λ]({trust})")
    return plain_table_pipes(with_site_links(markdown, source, here, pages, ROOT))


def _cards() -> dict[str, str]:
    return {
        card.relative_to(ROOT).as_posix(): f"models/{card.parent.name}.md"
        for card in sorted((ROOT / "models").glob("*/README.md"))
    }


def _taken_over() -> dict[str, str]:
    return TAKEN_OVER | _cards()
