"""Links of the files that people read on the forge, and mentions of pages in code, lead to what is there."""

from __future__ import annotations

import re

import pytest
from page_code import DOCS, ROOT

slugs = pytest.importorskip("pymdownx.slugs", reason="needs mkdocs-material: pip install 'distillex[dev]'")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
MENTION = re.compile(r"\bdocs/[\w./-]+\.(?:md|json|yml)(?:#[\w-]+)?")
READ_ON_THE_FORGE = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "RELEASING.md", "client/README.md")),
    *sorted(ROOT.glob("models/*/README.md")),
    *sorted(ROOT.glob("training/**/README.md")),
]
MADE_BY_THE_BUILD = {"docs/reference/commands.md", "docs/reference/errors.md", "docs/notebook/models.md"}
CODE = (
    "benchmarks",
    "client",
    "deploy",
    "examples",
    "load_tests",
    "matcher_cpp",
    "model_repository",
    "models",
    "runtime",
)
CODE += ("release", "serving", "tests", "training")
ENDINGS = {".py", ".pyi", ".cpp", ".hpp", ".inc", ".lua", ".pbtxt", ".yml", ".yaml", ".toml", ".sh", ".md", ".in"}


def anchors(page):
    slug = slugs.slugify(case="lower")
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return {slug(re.sub(r"[`*]", "", title), "-") for title in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}


def problem(file, anchor):
    """Say what is wrong with a link to a file of the tree, or with its anchor."""
    if not file.exists():
        return "is not there"
    if anchor and file.suffix == ".md" and anchor not in anchors(file):
        return f"has no heading #{anchor}"
    return None


@pytest.mark.parametrize("page", READ_ON_THE_FORGE, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_of_pages_on_the_forge_lead_somewhere(page):
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        wrong = problem((page.parent / path).resolve() if path else page, anchor)
        assert wrong is None, f"{target} {wrong}"


def test_pages_that_code_and_configurations_name_are_there():
    roots = [path for name in CODE for path in (ROOT / name).rglob("*") if path.suffix in ENDINGS]
    named = [
        (path, mention)
        for path in [*roots, ROOT / "Makefile", ROOT / "pyproject.toml", ROOT / "mkdocs.yml", *DOCS.rglob("*.md")]
        if path.is_file() and "notebook" not in path.parts
        for mention in MENTION.findall(path.read_text(encoding="utf-8", errors="replace"))
    ]
    assert len(named) > 50
    for path, mention in named:
        page, _, anchor = mention.partition("#")
        wrong = None if page in MADE_BY_THE_BUILD else problem(ROOT / page, anchor)
        assert wrong is None, f"{path.relative_to(ROOT)} names {mention}, which {wrong}"
