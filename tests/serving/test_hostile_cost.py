"""What one caller's words cost the others: a text in which every word matches is no way to stall the server."""

from __future__ import annotations

import json
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

triton = pytest.importorskip("tritonclient.grpc")
psutil = pytest.importorskip("psutil", reason="needs psutil: pip install 'distillex[load]'")
from distillex.lexicon_server import send_command  # noqa: E402
from distillex_matcher import Lexicon  # noqa: E402
from plain_triton import extract, refusal  # noqa: E402
from server_under_test import ADMIN_TOKEN  # noqa: E402

pytestmark = pytest.mark.server

ROWS = 16
TEXT = "长" * 510
"""Every one of its substrings is a word below, up to the longest that is accepted."""
NESTED = json.dumps({"长" * length: "company" for length in range(1, 65)}, ensure_ascii=False)
NEIGHBOUR = "张三毕业于北京大学。"


@pytest.fixture(scope="module")
def hostile(served):
    """Rows with nested words of their own over a named lexicon of more of them."""
    named = Lexicon.from_words({"长" * length: "name" for length in range(1, 65)}).to_bytes()
    send_command(served.grpc_url, ADMIN_TOKEN, {"action": "push", "name": "nested"}, named)
    return {"LEXICON": [NESTED] * ROWS, "LEXICON_NAME": ["nested"] * ROWS}


def cost_of(served, connection, **optional):
    """Seconds of processors that the server takes for a few requests: they do not depend on what else runs here."""

    def taken():
        times = [psutil.Process(pid).cpu_times() for pid in {served.pid, *served.processes}]
        return sum(each.user + each.system for each in times)

    before = taken()
    for _ in range(5):
        extract(connection, [TEXT] * ROWS, **optional)
    return taken() - before


def test_a_request_whose_words_all_match_costs_at_most_a_few_times_a_plain_one(served, connection, hostile):
    cost_of(served, connection, **hostile)  # the first reads the lexicon
    # Before featurising was made to cost text plus matches: nearly twenty times.
    assert cost_of(served, connection, **hostile) < 4 * cost_of(served, connection)


def test_others_wait_for_it_no_longer_than_for_a_plain_request_of_its_length(served, connection, hostile):
    def waits(**optional):
        """Seconds of a short request while two others keep the server busy with long ones."""
        stop, begun = threading.Event(), threading.Barrier(3)

        def keep_busy():
            with triton.InferenceServerClient(served.grpc_url) as client:
                extract(client, [TEXT] * ROWS, **optional)
                begun.wait(60)
                while not stop.is_set():
                    extract(client, [TEXT] * ROWS, **optional)

        with ThreadPoolExecutor(2) as pool:
            busy = [pool.submit(keep_busy) for _ in range(2)]
            begun.wait(60)
            found = []
            for _ in range(15):
                began = time.perf_counter()
                assert extract(connection, [NEIGHBOUR]).rows[0]
                found.append(time.perf_counter() - began)
            stop.set()
            for each in busy:
                each.result()
        return statistics.median(found)

    beside_plain, beside_hostile = waits(), waits(**hostile)
    assert beside_hostile < 4 * beside_plain


def test_a_longer_word_in_a_request_is_refused_and_the_parameter_named(connection):
    words = json.dumps({"长" * 65: "company"}, ensure_ascii=False)
    message = refusal(connection, [TEXT], LEXICON=[words])
    assert message.endswith("at most 64 are accepted (max_lexicon_word_length)")
