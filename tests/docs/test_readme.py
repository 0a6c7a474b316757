"""The README and the client's: pictures, figures, commands and code are those of today."""

from __future__ import annotations

import importlib
import re
import sys
import xml.etree.ElementTree as ElementTree

import pytest
from page_code import DOCS, ROOT, blocks

pytest.importorskip("onnxruntime", reason="needs onnxruntime: pip install 'distillex[serve]'")
import distillex
from distillex.model_manifest import read_manifest
from distillex.models import DEFAULT_MODEL

README = (ROOT / "README.md").read_text(encoding="utf-8")
XHTML = "{http://www.w3.org/1999/xhtml}"


@pytest.fixture(scope="module")
def tagger():
    return distillex.load()


@pytest.fixture(scope="module")
def generator():
    sys.path.insert(0, str(DOCS / "generators"))
    try:
        return importlib.import_module("readme_picture")
    finally:
        sys.path.pop(0)


def test_the_picture_is_what_render_makes_of_the_text_today(generator, tagger):
    drawn = generator.PICTURE.read_text(encoding="utf-8")
    assert drawn == generator.picture(tagger), "run: python docs/generators/readme_picture.py"
    assert f"]({generator.PICTURE.relative_to(ROOT).as_posix()})" in README


def test_the_picture_shows_the_entities_of_its_text(generator, tagger):
    root = ElementTree.parse(generator.PICTURE).getroot()
    text = "".join(root.find(f".//{XHTML}article/{XHTML}div").itertext())
    assert text == generator.shown_text()
    marks = [(mark.get("data-type"), "".join(mark.itertext())) for mark in root.findall(f".//{XHTML}div/{XHTML}mark")]
    assert marks == [(entity.type, entity.text) for entity in tagger.extract(text)]
    assert len({kind for kind, _ in marks}) >= 4


def test_it_begins_with_the_two_commands():
    assert re.match(r"# Distillex\n\n```bash\nmake demo +#.*\nmake test +#.*\n```\n", README)


def test_the_default_model_has_its_own_figures_in_the_table():
    [row] = re.findall(r"^\| \*\*Distillex\*\*.*$", README, re.MULTILINE)
    entry = read_manifest(ROOT / "models")[f"student-{DEFAULT_MODEL}"]
    network = entry.files["model.onnx"].bytes / 1e6
    assert f"`{DEFAULT_MODEL}`" in row
    assert f"| {entry.scores[0].value}," in row
    assert f"{network:.1f} MB" in row


@pytest.mark.server
def test_the_clients_readme_runs_as_it_stands(server, capsys):
    python, printed = [block for block in blocks(ROOT / "client" / "README.md") if block.language in ("python", "text")]
    exec(python.content.replace("127.0.0.1:8001", server.grpc_url), {})
    assert capsys.readouterr().out == printed.content


def test_the_clients_readme_has_no_relative_link():
    targets = re.findall(r"\]\(([^)]+)\)", (ROOT / "client" / "README.md").read_text(encoding="utf-8"))
    assert [target for target in targets if not target.startswith("https://")] == []
