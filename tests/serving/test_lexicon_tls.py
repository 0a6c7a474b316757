"""Lexicon administration of a server that speaks TLS; the token is not sent where others can read it."""

from __future__ import annotations

import shutil

import pytest

pytest.importorskip("tritonclient.grpc")
trustme = pytest.importorskip("trustme", reason="trustme is not installed")
from distillex.command.lexicon import app as lexicon_app  # noqa: E402
from distillex.lexicon_server import send_command, stays_here  # noqa: E402
from distillex_client import Tls  # noqa: E402
from distillex_client.errors import TlsError  # noqa: E402
from distillex_serving.embedded import EmbeddedServer, TlsFiles  # noqa: E402
from server_under_test import ADMIN_TOKEN, server_options  # noqa: E402
from typer.testing import CliRunner  # noqa: E402

LIST = {"action": "list"}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    trustme.CA().cert_pem.write_to_path(folder / "stranger.pem")
    for name, identity in (("server", "127.0.0.1"), ("caller", "admin@example.org")):
        issued = authority.issue_cert(identity)
        issued.private_key_pem.write_to_path(folder / f"{name}-key.pem")
        issued.cert_chain_pems[0].write_to_path(folder / f"{name}.pem")
    return folder


@pytest.fixture(scope="module")
def tls_server(lexicon_directory, files, tmp_path_factory):
    directory = tmp_path_factory.mktemp("lexicons")
    (directory / "base").mkdir()
    shutil.copy(lexicon_directory / "base" / "1.lex", directory / "base")
    (directory / "base" / "CURRENT").write_text("1\n")
    tls = TlsFiles(files / "server.pem", files / "server-key.pem", files / "ca.pem")
    with EmbeddedServer(server_options(directory, tls=tls)) as running:
        yield running


def lexicon(*arguments, token=ADMIN_TOKEN):
    return CliRunner().invoke(lexicon_app, list(map(str, arguments)), env={"DISTILLEX_ADMIN_TOKEN": token})


@pytest.mark.server
def test_every_command_reaches_a_server_that_demands_certificates(tls_server, files, tmp_path):
    words = tmp_path / "words.tsv"
    words.write_text("青石云科\tcompany\n", encoding="utf-8")
    caller = ["--tls-ca", files / "ca.pem", "--tls-certificate", files / "caller.pem"]
    options = ["--url", tls_server.grpc_url, *caller, "--tls-key", files / "caller-key.pem"]
    for version in (1, 2, 3):
        done = lexicon("push", "encrypted", words, *options)
        assert done.stdout.strip() == f"encrypted@{version}: 1 words in use"
    assert lexicon("rollback", "encrypted", *options).stdout.strip() == "encrypted@2 is in use"
    assert lexicon("prune", "encrypted", "--keep", 1, *options).stdout.strip() == (
        "encrypted: 0 versions removed, kept: 1, 2, 3"
    )
    assert "encrypted" in lexicon("list", *options).output
    refused = lexicon("push", "base", words, *options)
    assert refused.exit_code == 1
    assert "would replace its 337,061 words by 1" in refused.output
    assert lexicon("push", "base", words, "--replace-base", *options).stdout.strip() == "base@2: 1 words in use"
    assert lexicon("rollback", "base", *options).stdout.strip() == "base@1 is in use"


@pytest.mark.server
def test_a_server_with_tls_and_a_caller_without_are_told_apart(tls_server, files):
    url = tls_server.grpc_url
    with pytest.raises(TlsError, match=r"the server speaks TLS: give the client tls=Tls"):
        send_command(url, ADMIN_TOKEN, LIST)
    with pytest.raises(TlsError, match=r"the server demands a client certificate: Tls\(certificate="):
        send_command(url, ADMIN_TOKEN, LIST, tls=Tls(files / "ca.pem"))
    for tls in (Tls(), Tls(files / "stranger.pem")):
        with pytest.raises(TlsError, match=r"CERTIFICATE_VERIFY_FAILED"):
            send_command(url, ADMIN_TOKEN, LIST, tls=tls)
    with pytest.raises(TlsError, match=r"nothing\.pem: no certificates of authorities in PEM"):
        send_command(url, ADMIN_TOKEN, LIST, tls=Tls(files / "nothing.pem"))


@pytest.mark.parametrize(
    "address", ["192.0.2.1:8001", "triton.example:8001", "dns:///triton.example:8001", "[2001:db8::1]:1"]
)
def test_the_token_is_not_sent_to_another_machine_in_clear(address):
    with pytest.raises(TlsError, match="the admin token would travel there in clear: --tls"):
        send_command(address, ADMIN_TOKEN, LIST)
    done = lexicon("list", "--url", address)
    assert done.exit_code == 1
    assert "--insecure-token sends it all the same" in done.output


@pytest.mark.server
def test_it_is_sent_in_clear_to_those_who_say_so(server):
    # The same machine, by an address that may be of any of its networks.
    address = server.grpc_url.replace("127.0.0.1", "0.0.0.0")
    with pytest.raises(TlsError, match="in clear"):
        send_command(address, ADMIN_TOKEN, LIST)
    assert "lexicons" in send_command(address, ADMIN_TOKEN, LIST, insecure_token=True)


def test_addresses_of_this_machine_are_known():
    for address in (
        "127.0.0.1:1",
        "127.8.8.8:1",
        "localhost:1",
        "[::1]:1",
        "dns:///LOCALHOST:1",
        "ipv4:127.0.0.1:1",
        "ipv6:[::1]:1",
        "unix:/tmp/socket",
    ):
        assert stays_here(address)
    for address in (
        "0.0.0.0:1",
        "10.0.0.1:1",
        "localhost.example:1",
        "127.0.0.1.example:1",
        "[::]:1",
        "ipv4:127.0.0.1:1,10.0.0.1:1",
        "nonsense",
        "",
    ):
        assert not stays_here(address)


def test_without_a_token_nothing_is_sent():
    done = lexicon("list", "--url", "127.0.0.1:1", token="")
    assert done.exit_code == 1
    assert "no token given: --admin-token-file or DISTILLEX_ADMIN_TOKEN" in done.output


def test_a_certificate_without_its_key_is_refused():
    done = lexicon("list", "--url", "127.0.0.1:1", "--tls-certificate", "a.pem")
    assert done.exit_code == 1
    assert "certificate and key are given together, or neither" in done.output
