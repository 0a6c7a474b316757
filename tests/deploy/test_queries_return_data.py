"""Every query of the dashboard and every alert, before a real Prometheus that scrapes a real server and gate."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
import threading
import time
import urllib.parse
import urllib.request

import pytest

pytest.importorskip("tritonclient.grpc", reason="tritonclient is not installed")
import yaml
from distillex_client import Extractor, InvalidText
from distillex_matcher import Lexicon
from distillex_matcher.lexicon_store import LexiconStore
from distillex_serving.embedded import EmbeddedServer
from distillex_serving.gate import Gate, GateOptions, Servers
from distillex_serving.preconditions import free_port
from monitoring import RULES, alert_queries, dashboard_queries
from server_under_test import LEXICONS, ROOT, server_options, why_no_gate, why_no_server

pytestmark = pytest.mark.server

PATIENCE_S = 120
THRESHOLD = re.compile(r"\s*(>=|>|<|==)\s*[\d.]+(\s*\*\s*\d+)?\s*$")
"""At the end of an alert: without it, the alert has the number that it judges."""
NOTHING_WITHOUT_A_FAULT = {
    "DistillexAbsent": "tells that there is no server; where one is, it has nothing to tell",
    "DistillexGateAbsent": "tells the same of gates",
}


class Prometheus:
    """The real one, with the configuration of the compose file: its jobs and rules, but these targets, every second."""

    def __init__(self, program, folder, targets):
        configuration = yaml.safe_load((ROOT / "deploy/compose/prometheus.yml").read_text(encoding="utf-8"))
        configuration["global"] = dict.fromkeys(configuration["global"], "1s")
        configuration["rule_files"] = [str(ROOT / RULES)]
        for job in configuration["scrape_configs"]:
            del job["dns_sd_configs"]
            job["static_configs"] = [{"targets": [targets.pop(job["job_name"])]}]
        assert not targets
        file = folder / "prometheus.yml"
        file.write_text(yaml.safe_dump(configuration), encoding="utf-8")
        address = f"127.0.0.1:{free_port()}"
        self.url = f"http://{address}/api/v1"
        command = [program, f"--config.file={file}", f"--storage.tsdb.path={folder}", f"--web.listen-address={address}"]
        self._log = (folder / "log").open("w")
        self.process = subprocess.Popen(command, stdout=self._log, stderr=self._log)

    def ask(self, what, **parameters):
        with urllib.request.urlopen(f"{self.url}/{what}?{urllib.parse.urlencode(parameters)}", timeout=30) as answer:
            said = json.load(answer)
        assert said["status"] == "success", said
        return said["data"]

    def values(self, query):
        """The numbers that a query returns, but for those that are none."""
        result = self.ask("query", query=query)["result"]
        numbers = [float(each["value"][1]) for each in result]
        return [number for number in numbers if not math.isnan(number)]

    def stop(self):
        self.process.terminate()
        self.process.wait(60)
        self._log.close()


@pytest.fixture(scope="module")
def prometheus(tools, tmp_path_factory):
    """Scrapes a server and a gate, through which some calls go, good and bad, as long as the tests run."""
    from tools import ToolMissingError

    if reason := why_no_server() or why_no_gate():
        pytest.skip(reason)
    try:
        program = tools.prometheus
    except ToolMissingError as error:
        pytest.skip(str(error))
    lexicons = tmp_path_factory.mktemp("lexicons")
    shutil.copytree(LEXICONS / "base", lexicons / "base")
    LexiconStore(lexicons).install("finance", Lexicon.from_words({"青石云科": "company"}).to_bytes(), lambda _: None)
    stop = threading.Event()

    def call(address):
        with Extractor(address) as extractor:
            while not stop.wait(0.2):
                extractor.extract("张三毕业于北京大学。", lexicon={"张三": "name"}, lexicon_name="finance")
                with pytest.raises(InvalidText):
                    extractor.extract("")

    with EmbeddedServer(server_options(lexicons)) as server:
        gate = Gate(
            GateOptions("127.0.0.1", 0, status_port=free_port()), upstream=Servers("127.0.0.1", server.grpc_port)
        )
        targets = {
            "distillex": f"127.0.0.1:{server.metrics_port}",
            "distillex-gate": f"127.0.0.1:{gate.options.status_port}",
        }
        running = Prometheus(program, tmp_path_factory.mktemp("prometheus"), targets)
        try:
            gate.start()
            caller = threading.Thread(target=call, args=(gate.grpc_url,))
            caller.start()
            deadline = time.monotonic() + PATIENCE_S
            # Each rule has been judged once, and each rate has two points.
            while not _has_begun(running):
                assert time.monotonic() < deadline, "Prometheus did not begin"
                assert running.process.poll() is None
                time.sleep(0.2)
            yield running
            stop.set()
            caller.join()
        finally:
            stop.set()
            running.stop()
            gate.close()


def _has_begun(prometheus):
    try:
        return bool(prometheus.values("rate(nv_inference_request_success[1m])"))
    except OSError:
        return False


def _title(parameter):
    """Of a panel or an alert: the test's name has it, and leaves the query out."""
    return "" if re.search(r"[({]", parameter) else parameter


def wait_for_values(prometheus, query):
    deadline = time.monotonic() + PATIENCE_S
    while not (values := prometheus.values(query)) and time.monotonic() < deadline:
        time.sleep(0.5)
    return values


@pytest.mark.parametrize(("title", "query"), dashboard_queries(ROOT), ids=_title)
def test_a_panel_has_data(prometheus, title, query):
    assert wait_for_values(prometheus, query), f"{title}: {query}"


@pytest.mark.parametrize(("alert", "query"), alert_queries(ROOT), ids=_title)
def test_an_alert_judges_a_number_and_is_still_while_nothing_is_wrong(prometheus, alert, query):
    if alert not in NOTHING_WITHOUT_A_FAULT:
        number, found = THRESHOLD.subn("", query)
        assert found == 1
        assert wait_for_values(prometheus, number), number
    # Every second call is a bad text.
    if alert != "DistillexErrorRate":
        assert not prometheus.values(query)


def test_prometheus_judges_every_rule_without_complaint(prometheus):
    rules = [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]
    assert [rule["name"] for rule in rules] == [alert for alert, _ in alert_queries(ROOT)]
    deadline = time.monotonic() + PATIENCE_S
    while any(rule["health"] == "unknown" for rule in rules) and time.monotonic() < deadline:
        time.sleep(0.5)
        rules = [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]
    assert {(rule["health"], rule.get("lastError")) for rule in rules} == {("ok", None)}


def test_the_targets_are_up_under_the_names_of_the_jobs(prometheus):
    assert prometheus.values('up{job="distillex"}') == prometheus.values('up{job="distillex-gate"}') == [1.0]
