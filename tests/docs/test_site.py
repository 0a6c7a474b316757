"""The documentation site builds, strictly: links and anchors are checked, and what programs make is in it."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys

import pytest
from page_code import DOCS, ROOT

pytest.importorskip("mkdocs", reason="needs mkdocs: pip install 'distillex[dev]'")
pytest.importorskip("mkdocstrings", reason="needs mkdocstrings: pip install 'distillex[dev]'")
pytest.importorskip("torch", reason="the page of commands reads those of training: pip install 'distillex[train]'")
from distillex.command.main import COMMANDS


def build(folder, *arguments):
    # With --quiet MkDocs would hear no warning, and so pass.
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder, *arguments],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    done = build(folder)
    assert done.returncode == 0, done.stderr
    return folder


def page(site, name):
    return (site / name / "index.html").read_text(encoding="utf-8")


def test_every_page_is_built_and_can_be_searched(site):
    index = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))
    found = {entry["location"].partition("#")[0] for entry in index["docs"]}
    written = {path.relative_to(DOCS).with_suffix("").as_posix() for path in DOCS.rglob("*.md")}
    assert {f"{name.removesuffix('index').rstrip('/')}/".lstrip("/") for name in written} <= found
    assert {"reference/commands/", "reference/errors/", "notebook/models/", "project/changes/"} <= found


def test_every_command_stands_in_the_reference_with_its_options(site):
    commands = page(site, "reference/commands")
    for name in COMMANDS:
        assert f'id="distillex-{name}"' in commands
    for name in ("distillex-lexicon-push", "distillex-data-convert", "distillex-client-extract"):
        assert f'id="{name}"' in commands
    serve = commands.split('id="distillex-serve"')[1].split("<h3")[0]
    for option in ("--student", "--host", "--grpc-port", "--no-gate"):
        assert f"<code>{option}</code>" in serve


def test_every_error_of_the_client_stands_below_the_one_that_it_derives_from(site):
    from distillex_client import errors

    section = page(site, "reference/errors").split('id="distillex_clienterrors"')[1].split("<h2")[0]
    classes = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, Exception)]
    assert len(classes) > 5
    for each in classes:
        assert f"<code>{each.__name__}</code>" in section
    below = section.split("<code>ExtractorError</code></strong>")[1]
    assert re.search(
        r"<ul>.*<code>InvalidRequest</code></strong>.*<ul>.*<code>InvalidText</code></strong>", below, re.S
    )


@pytest.mark.parametrize("package", ["distillex", "distillex_client", "distillex_matcher"])
def test_all_that_a_package_exports_is_in_its_reference(site, package):
    text = page(site, f"reference/{package}")
    for name in importlib.import_module(package).__all__:
        assert re.search(rf'id="{package}\.{name}"|#\w+\.{name}"|<code>{name}</code>', text), name


def test_pictures_are_drawn_of_the_figures_that_are_kept(site):
    shown = re.findall(r'<img[^>]*src="([^"]+\.png)"', page(site, "notebook/models") + page(site, "explanation/trust"))
    assert len(shown) > 3
    for source in shown:
        assert (site / "notebook" / "images" / source.rpartition("/")[2]).read_bytes().startswith(b"\x89PNG")


def test_a_reader_s_browser_asks_no_other_server(site):
    loaded = re.compile(
        r'<(script|img|iframe|source)[^>]*\ssrc="(https?:)?//|<link[^>]*rel="(stylesheet|preload)[^>]*//'
    )
    for file in site.rglob("*.html"):
        assert not loaded.search(file.read_text(encoding="utf-8")), file


@pytest.mark.parametrize("link", ["[gone](gone.md)", "[gone](other.md#gone)", "[gone](#gone)", "[gone](/other.md)"])
def test_a_link_to_nothing_fails_the_build(tmp_path, link):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text(f"# Page\n\n{link}, [found](other.md#heading)\n", encoding="utf-8")
    (tmp_path / "docs" / "other.md").write_text("# Other\n\n## Heading\n", encoding="utf-8")
    configuration = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    validation = re.search(r"^validation:\n(?:  .*\n)+", configuration, re.MULTILINE)
    (tmp_path / "mkdocs.yml").write_text(f"site_name: Toy\n{validation[0]}", encoding="utf-8")
    refused = build(tmp_path / "site", "--config-file", tmp_path / "mkdocs.yml")
    assert refused.returncode == 1
    assert "gone" in refused.stderr or "/other.md" in refused.stderr


def test_links_lead_to_pages_or_name_the_file(monkeypatch):
    monkeypatch.syspath_prepend(DOCS / "generators")
    from page_text import plain_table_pipes, with_site_links

    pages = {"docs/how-to/gpu.md": "how-to/gpu.md", "CONTRIBUTING.md": "project/contributing.md"}
    page = "[a](../../CONTRIBUTING.md#x) [Makefile](../../Makefile) [the file](../../Makefile) [b](c.md)\n"
    page += "```\n[a](../../CONTRIBUTING.md)\n```\n"
    assert with_site_links(page, "docs/how-to/gpu.md", "how-to/gpu.md", pages, ROOT) == (
        "[a](../project/contributing.md#x) `Makefile` the file (`Makefile`) [b](c.md)\n"
        "```\n[a](../../CONTRIBUTING.md)\n```\n"
    )
    assert plain_table_pipes("| `a\\|b` \\| |\n`a\\|b`\n") == "| `a|b` \\| |\n`a\\|b`\n"
