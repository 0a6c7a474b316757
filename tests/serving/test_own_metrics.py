"""The models' own metrics on Triton's metrics port: what they count, and that nothing of a caller's stands in them."""

from __future__ import annotations

import math
import re
import shutil
import time
import urllib.request
from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("tritonclient.grpc", reason="tritonclient is not installed")
import tritonclient.grpc as triton
from distillex.models import find_model
from distillex_client import Extractor
from distillex_matcher import CrfParameters, Lexicon
from distillex_matcher.exported import CRF_FILE
from distillex_matcher.lexicon_store import LexiconStore
from distillex_serving.embedded import EmbeddedServer
from distillex_serving.processes import command_line, session_members
from distillex_serving.repository import Layout
from distillex_serving.triton_command import TritonCommand
from plain_triton import bytes_tensor, extract, refusal
from server_under_test import LEXICONS, REPOSITORY, server_options, why_no_server

pytestmark = pytest.mark.server

SERIES = re.compile(r"^(?P<name>distillex_\w+)\{(?P<labels>.*)\} (?P<value>\S+)$", re.MULTILINE)
REASONS = ("empty", "too_long", "not_utf8", "lexicon", "lexicon_name", "trust", "request", "other")
TEXTS = ["张三毕业于北京大学。", "青石云科在上海发布了新产品。"]


def told(server):
    """(name, labels) → value of what is exported, but for what is no number."""
    with urllib.request.urlopen(server.metrics_url, timeout=10) as answer:
        found = SERIES.finditer(answer.read().decode())
    values = {(each["name"], each["labels"]): float(each["value"]) for each in found}
    return {each: value for each, value in values.items() if not math.isnan(value)}


def wait_for(server, holds, timeout_s=30):
    """Return what is told as soon as it holds; models tell what they have counted every second or so."""
    deadline = time.monotonic() + timeout_s
    while not holds(now := told(server)):
        assert time.monotonic() < deadline, now
        time.sleep(0.1)
    return now


def settled(server, calm_s=2.5):
    """Return what is told once all is told that other tests' texts have added: when it stays the same."""
    now, since = told(server), time.monotonic()
    while time.monotonic() - since < calm_s:
        time.sleep(0.1)
        if (later := told(server)) != now:
            now, since = later, time.monotonic()
    return now


def changed(before, after):
    counters = [each for each in after if each[0].endswith("_total")]
    return {each: after[each] - before.get(each, 0) for each in counters if after[each] != before.get(each, 0)}


def series(name, **labels):
    said = ",".join(f'{label}="{value}"' for label, value in {"model": "extractor", **labels}.items())
    return (f"distillex_{name}_total", said)


def test_texts_and_what_is_found_and_refused_are_counted_without_a_callers_strings(served, connection):
    texts = [*TEXTS, '他说"type":"movie"，《三体》也是。']
    before = settled(served)
    with Extractor(served.grpc_url) as extractor:
        found = [*extractor.extract_batch(TEXTS, lexicon={"青石云科": "company", "新产品": "game"})]
        found.append(extractor.extract(texts[2]))
    for bad, optional in (
        ("", {}),
        ("长" * 511, {}),
        (b"\xff", {}),
        ("甲", {"LEXICON": ['{"甲": "no such type"}']}),
        ("甲", {"LEXICON_NAME": ["nobody-installed-this"]}),
        ("甲", {"TRUST": ["blindly"]}),
    ):
        refusal(connection, [bad], **optional)
        extract(connection, [bad, bad], **{name: rows * 2 for name, rows in optional.items()})
    # An ensemble has no step that begins without TEXT.
    with pytest.raises(triton.InferenceServerException, match=r"TEXT is missing|deadlock"):
        connection.infer("extractor", [bytes_tensor("LEXICON", ["{}"])], client_timeout=30)
    types = Counter(entity.type for entities in found for entity in entities)
    assert types["company"]
    expected = {
        series("texts"): 3,
        series("characters"): sum(map(len, texts)),
        series("request_lexicon_words"): 4,
        **{series("entities", type=name): count for name, count in types.items()},
        **{series("refused_rows", reason=reason): 3 for reason in REASONS[:6]},
        series("refused_rows", reason="request"): 1 if served.options.layout is Layout.FUSED else 0,
    }
    expected = {each: count for each, count in expected.items() if count}
    wait_for(served, lambda now: changed(before, now) == expected)
    # And no more comes.
    after = settled(served)
    assert changed(before, after) == expected
    check_labels(after, served.options.lexicon_directory)


def check_labels(values, lexicon_directory):
    """Each is of a closed set; none is a string that a caller has sent."""
    store = LexiconStore(lexicon_directory)
    allowed = {
        "model": {"extractor", "extractor_teacher"},
        "type": set(CrfParameters.load(find_model("cluener") / CRF_FILE).entity_types),
        "reason": set(REASONS),
        "lexicon": {*store.names(), *store.once_removed()},
    }
    seen = set()
    for _, labels in values:
        for label, value in re.findall(r'(\w+)="([^"]*)"', labels):
            assert value in allowed[label]
            seen.add(label)
    assert seen == allowed.keys()


@pytest.fixture
def lexicons(tmp_path):
    """A directory of its own: what is installed and broken here is not other tests' business."""
    if reason := why_no_server():
        pytest.skip(reason)
    shutil.copytree(LEXICONS / "base", tmp_path / "base")
    return tmp_path


def test_lexicons_are_told_with_the_version_in_use_and_when_it_was_installed(lexicons):
    store = LexiconStore(lexicons)
    content = Lexicon.from_words({"青石云科": "company"}).to_bytes()

    def version_and_time(now):
        kinds = ("distillex_lexicon_version", "distillex_lexicon_installed_timestamp_seconds")
        return tuple(now.get((kind, 'lexicon="finance"')) for kind in kinds)

    with EmbeddedServer(server_options(lexicons)) as server:
        wait_for(server, lambda now: now.get(("distillex_lexicon_version", 'lexicon="base"')) == 1)
        for version in (1, 2):
            store.install("finance", content, lambda lexicon: None)
            now = wait_for(server, lambda now, version=version: version_and_time(now)[0] == version)
            assert version_and_time(now)[1] == pytest.approx((lexicons / f"finance/{version}.lex").stat().st_mtime)
        # One that cannot be read is not used.
        (lexicons / "finance/3.lex").write_bytes(b"broken")
        (lexicons / "finance/CURRENT").write_text("3")
        store.install("games", content, lambda lexicon: None)
        now = wait_for(server, lambda now: ("distillex_lexicon_version", 'lexicon="games"') in now)
        assert version_and_time(now)[0] == 2
        shutil.rmtree(lexicons / "finance")
        wait_for(server, lambda now: version_and_time(now) == (None, None))


def test_counts_of_several_processes_add_up_and_go_on_when_a_model_is_loaded_again(tmp_path, lexicons, monkeypatch):
    shutil.copytree(REPOSITORY, tmp_path / "repository")
    configuration = tmp_path / "repository/extractor/configs/cpu.pbtxt"
    text = configuration.read_text(encoding="utf-8")
    assert text.count("count: 1") == 1
    # No warm-up: Triton counts its text too.
    configuration.write_text(text.replace("count: 1", "count: 2").split("model_warmup")[0], encoding="utf-8")
    closed = TritonCommand.arguments

    def opened(self):
        kept = [each for each in closed(self) if not re.match("--(model-control|http-restricted)", each)]
        return [*kept, "--model-control-mode=explicit", "--load-model=*"]

    monkeypatch.setattr(TritonCommand, "arguments", opened)
    sent = 0
    with (
        EmbeddedServer(server_options(lexicons, repository=tmp_path / "repository")) as server,
        Extractor(server.grpc_url, batch_size=1) as extractor,
    ):
        served = next(Path(command_line(server.pid)[1].partition("=")[2]).glob("extractor/config.pbtxt"))
        for tokens in (4096, 4097):
            if tokens != 4096:
                loaded = set(session_members(server.pid))
                served.write_text(served.read_text(encoding="utf-8").replace('"4096"', f'"{tokens}"'), encoding="utf-8")
                ask = f"{server.http_url}/v2/repository/models/extractor/load"
                urllib.request.urlopen(urllib.request.Request(ask, b"{}"), timeout=60).close()
                # Each of its two processes is a new one.
                assert len(set(session_members(server.pid)) - loaded) >= 2
            extractor.extract_batch(TEXTS * 20)
            sent += 40
            wait_for(server, lambda now, sent=sent: now.get(series("texts")) == sent)
        assert server.is_alive()
