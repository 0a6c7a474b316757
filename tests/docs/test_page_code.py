"""The code blocks of tutorials and how-to pages run as they stand there, against the real server where they call one.

A tutorial is one session: its blocks share a working folder and a Python session. So do those of each section of a
how-to page. A ``text`` block says what the block before it prints. A block that cannot run here has a comment above it
that says why.
"""

from __future__ import annotations

import json
import re
import shlex

import pytest
from llm_server import llm_server
from page_code import DOCS, MODULES, ROOT, Block, Reader, blocks, logical_lines

ADDRESS, ENDPOINT = "127.0.0.1:8001", "http://127.0.0.1:8000/v1"
NEEDED = {
    "In a FastAPI service": ("fastapi", "httpx2"),
    "Over a Parquet lake": ("pyarrow", "ray"),
    "Export": ("spacy",),
}
TRAINS = ("own-labels", "llm-labels")
PAGES = sorted([DOCS / "index.md", *DOCS.glob("tutorials/*.md"), *DOCS.glob("how-to/*.md")])
SHELL_COMMAND = re.compile(r"(distillex|distillex-client|pip|python|docker|kubectl|helm|curl) (?!\w+:)")


def sessions() -> dict[str, list[Block]]:
    """Page, or page and section → its blocks that run, if any does."""
    found: dict[str, list[Block]] = {}
    for page in PAGES:
        for block in blocks(page):
            name = page.stem if page.parent.name == "tutorials" else f"{page.stem}: {block.section}"
            if block.not_run is None and block.language:
                found.setdefault(name, []).append(block)
    return {name: each for name, each in found.items() if {block.language for block in each} - {"text"}}


SESSIONS = sessions()


@pytest.fixture
def run_session(request, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(name: str) -> Reader:
        for module in NEEDED.get(name.partition(": ")[2], ()):
            pytest.importorskip(module, reason=f"{module} is not installed")
        replaced = {}
        if any(ADDRESS in block.content for block in SESSIONS[name]):
            pytest.importorskip("tritonclient.grpc")
            replaced[ADDRESS] = request.getfixturevalue("server").grpc_url
        if any(ENDPOINT in block.content for block in SESSIONS[name]):
            replaced[ENDPOINT] = request.getfixturevalue("llm")
        PREPARED.get(name, nothing)(tmp_path)
        reader = Reader(tmp_path)
        for block in SESSIONS[name]:
            source = block.content
            for old, new in replaced.items():
                source = source.replace(old, new)
            reader.run(block.language, source, f"{name}, line {block.line}")
        return reader

    return run


@pytest.fixture(scope="session")
def llm():
    with llm_server() as url:
        yield url


def nothing(folder):
    """Most sessions begin in an empty folder."""


def a_clone(folder):
    """The tutorials that train are read in a clone."""
    pytest.importorskip("torch", reason="needs torch: pip install 'distillex[train]'")
    (folder / "models").mkdir()
    for name in ("training", "lexicons", *(f"models/{path.name}" for path in (ROOT / "models").glob("student-*"))):
        (folder / name).symlink_to(ROOT / name)


def labelled_files(folder):
    """A student of one's own, labelled and raw sentences, and what Label Studio exports."""
    pytest.importorskip("torch", reason="needs torch: pip install 'distillex[train]'")
    from distillex.models import find_model

    texts = [f"{name}在{city}工作。" for name in ("张伟", "李娜", "赵敏") for city in ("北京", "上海", "广州", "深圳")]
    records = [{"text": text, "entities": [{"start": 0, "end": 2, "type": "name"}]} for text in texts]
    (folder / "models").mkdir()
    (folder / "models" / "student-mine").symlink_to(find_model("cluener"))
    (folder / "data").mkdir()
    lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    (folder / "data" / "train.jsonl").write_text(lines, encoding="utf-8")
    (folder / "raw.txt").write_text("华为在深圳发布新手机。\n复旦大学明天开学。\n", encoding="utf-8")
    span = {"from_name": "label", "to_name": "text", "type": "labels"}
    value = {"start": 0, "end": 2, "text": "张伟", "labels": ["name"]}
    task = {"data": {"text": "张伟来了。"}, "annotations": [{"result": [{**span, "value": value}]}]}
    (folder / "labelled.json").write_text(json.dumps([task], ensure_ascii=False), encoding="utf-8")


PREPARED = {
    "own-labels": a_clone,
    "llm-labels": a_clone,
    "formats: Labelled data: formats, annotation tools, what to label next": labelled_files,
    "formats: Export": labelled_files,
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name,
            marks=[
                *([pytest.mark.server] if any(ADDRESS in block.content for block in each) else []),
                *([pytest.mark.slow] if name in TRAINS else []),
            ],
        )
        for name, each in SESSIONS.items()
    ],
)
def test_the_code_of_each_session_runs(run_session, name):
    run_session(name)


def test_every_block_runs_or_says_why_not():
    languages = {"python", "bash", "yaml", "text", ""}
    for page in PAGES:
        for block in blocks(page):
            assert block.language in languages, f"{page.name}:{block.line}: {block.language!r}"
            if block.language in ("text", ""):
                command = SHELL_COMMAND.match(block.content)
                assert not command, f"{page.name}:{block.line}: a command in a block that does not run: ```bash"
    assert {path.stem for path in DOCS.glob("tutorials/*.md")} <= set(SESSIONS)


def commands_of(line: str) -> list[list[str]]:
    """Return the calls of our commands in a line of a shell, each as its words."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;()<>")
    lexer.whitespace_split, lexer.commenters = True, "#"
    found: list[list[str]] = [[]]
    for word in lexer:
        if set(word) <= set("|&;()<>"):
            found.append([])
        else:
            found[-1].append(word)
    return [words for words in found if words and words[0] in MODULES]


def unknown_word(words: list[str]) -> str | None:
    """Return the first command or option of a call that there is not."""
    from distillex.command.main import application
    from distillex_client.cli import app
    from typer.main import get_command

    command = get_command(application if words[0] == "distillex" else app)
    context = command.context_class(command, info_name=words[0])
    rest = words[1:]
    while hasattr(command, "list_commands") and rest and not rest[0].startswith("-"):
        name, *rest = rest
        if (child := command.get_command(context, name)) is None:
            return name
        command = child
        context = command.context_class(command, info_name=name, parent=context)
    known = {option for each in command.get_params(context) for option in (*each.opts, *each.secondary_opts)}
    given = [word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)]
    return next((option for option in given if option not in known), None)


@pytest.mark.parametrize("page", [*sorted(DOCS.glob("[!n]*/*.md")), ROOT / "README.md", ROOT / "client" / "README.md"])
def test_commands_that_a_page_shows_exist_with_their_options(page):
    for block in blocks(page):
        if block.language != "bash":
            continue
        for line in logical_lines(block.content):
            if "distillex" not in line:
                continue
            try:
                calls = commands_of(line)
            except ValueError:  # a quotation that goes on in the next line: such a block is one that runs
                assert block.not_run is None, f"{page.name}:{block.line}: {line}"
                continue
            for words in calls:
                assert unknown_word(words) is None, f"{page.name}:{block.line}: {unknown_word(words)} in {line}"


def test_the_service_answers_with_entities_and_turns_errors_into_statuses(run_session):
    app = run_session("client: In a FastAPI service").namespace["app"]
    from fastapi.testclient import TestClient

    with TestClient(app) as client:
        answer = client.post("/entities", json={"text": "华为技术有限公司在上海。" * 100})
        assert answer.status_code == 200
        assert {"start": 0, "end": 8, "type": "company", "text": "华为技术有限公司"}.items() <= answer.json()[0].items()
        refused = client.post("/entities", json={"text": "a\0b"})
        assert refused.status_code == 422
        assert "NUL" in refused.json()["error"]


def test_the_notebook_shows_the_highlighted_text(run_session):
    shown = run_session("client: In a notebook").last_value._repr_html_()
    assert 'data-type="company"' in shown
    assert "华为技术有限公司</mark>" in shown


def test_the_page_names_every_error_of_a_call_and_no_other():
    from distillex_client import errors

    page = (DOCS / "how-to" / "client.md").read_text(encoding="utf-8")
    table = page.split("## What each error means")[1].split("## ")[0]
    named = set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE))
    classes = {c.__name__ for c in vars(errors).values() if isinstance(c, type) and issubclass(c, Exception)}
    of_batches = {name for name in classes if issubclass(getattr(errors, name), errors.BatchError)}
    assert named == classes - of_batches - {"ExtractorError"}
    assert "`BatchError`" in table
