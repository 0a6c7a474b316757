"""What helm tells whoever has installed the chart fits the TLS that was asked for."""

from __future__ import annotations

import pytest
from chart import TLS, chart_of
from programs import output
from server_under_test import ROOT
from tools import ToolMissingError

CALL = "distillex-client ping --url localhost:8443"
CLIENT_CA = "--set=gate.tls.clientCaSecretName=clients"


@pytest.mark.parametrize(
    ("values", "words", "call"),
    [
        ((TLS,), "svc:8443 (TLS)", f"{CALL} --tls-ca ca.crt"),
        ((TLS, CLIENT_CA), "(TLS)", f"{CALL} --tls-ca ca.crt --tls-certificate client.crt --tls-key client.key"),
        (("--set=gate.insecure=true",), "(without TLS)", CALL),
    ],
    ids=["TLS", "client certificates", "insecure"],
)
def test_the_notes_call_the_gate_as_it_listens(tools, values, words, call):
    try:
        helm = tools.helm
    except ToolMissingError as error:
        pytest.skip(str(error))
    said = output([helm, "install", "distillex", chart_of(ROOT), "--dry-run=client", *values])
    notes = said.partition("\nNOTES:\n")[2]
    assert words in notes
    assert call in [line.strip() for line in notes.splitlines()]
