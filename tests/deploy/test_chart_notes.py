"""What helm tells whoever has installed the chart fits the TLS that was asked for."""

from __future__ import annotations

import pytest
import yaml
from chart import TLS, chart_of
from programs import output
from references import reference_problems
from server_under_test import ROOT
from tools import ToolMissingError

CALL = "distillex-client ping --url localhost:8443"
TENANTS = "--set=tenants.existingSecret=tenants"
CLIENT_CA = "--set=gate.tls.clientCaSecretName=clients"


@pytest.mark.parametrize(
    ("values", "words", "call"),
    [
        ((TLS,), "svc:8443 (TLS)", f"{CALL} --tls-ca ca.crt"),
        ((TLS, CLIENT_CA), "(TLS)", f"{CALL} --tls-ca ca.crt --tls-certificate client.crt --tls-key client.key"),
        (("--set=gate.insecure=true",), "(without TLS)", CALL),
        ((TLS, TENANTS), "(TLS)", f"DISTILLEX_METADATA='authorization=Bearer KEY' {CALL} --tls-ca ca.crt"),
    ],
    ids=["TLS", "client certificates", "insecure", "tenants"],
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


@pytest.mark.parametrize(
    ("release", "values", "service"),
    [
        ("1st", (), "d1st-distillex"),
        ("2-distillex", (), "d2-distillex"),
        ("9", ("--set=nameOverride=1e3",), "d9-1e3"),
        ("prod", (), "prod-distillex"),
        ("1st", ("--set=fullnameOverride=mine",), "mine"),
    ],
)
def test_names_begin_with_a_letter_whatever_the_release_is_called(tools, release, values, service):
    try:
        helm = tools.helm
    except ToolMissingError as error:
        pytest.skip(str(error))
    text = output([helm, "template", release, chart_of(ROOT), "--namespace=prod", TLS, *values])
    objects = [each for each in yaml.safe_load_all(text) if each]
    names = {each["metadata"]["name"] for each in objects if each["kind"] == "Service"}
    assert names == {service, f"{service}-server"}
    assert reference_problems(objects) == []
