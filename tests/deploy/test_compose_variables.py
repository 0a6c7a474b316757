"""Variables that the compose file passes on, where nobody has set them."""

from __future__ import annotations

import re

import yaml
from distillex_serving.tracing import TRACED_OF
from server_under_test import ROOT


def test_without_variables_the_server_traces_nothing(monkeypatch):
    from own_commands import options_of

    compose = yaml.safe_load((ROOT / "deploy/compose/compose.yaml").read_text(encoding="utf-8"))
    server = compose["services"]["server"]
    for name, value in server["environment"].items():
        default = re.fullmatch(rf"\$\{{{name}:-(.*)\}}", value)
        assert default is not None
        monkeypatch.setenv(name, default[1])
    options = options_of(server["command"])
    assert not options["trace_endpoint"]
    assert options["trace_every"] == TRACED_OF
    monkeypatch.setenv("DISTILLEX_TRACE_ENDPOINT", "http://jaeger:4318")
    assert options_of(server["command"])["trace_endpoint"] == "http://jaeger:4318"
