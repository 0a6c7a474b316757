"""What ``distillex serve`` is given and cannot use is named in one sentence, before anything is started."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("tritonclient.grpc")
from distillex_client import Extractor
from distillex_serving import preconditions
from distillex_serving.addresses import own_address, reachable
from distillex_serving.embedded import EmbeddedServer
from distillex_serving.errors import PreconditionError
from distillex_serving.repository import Layout
from distillex_serving.tls_files import TlsFiles
from server_under_test import ROOT, server_options, why_no_server

needs_ipv6 = pytest.mark.skipif(not Path("/proc/net/if_inet6").is_file(), reason="this machine has no IPv6")


@pytest.fixture
def refusal():
    """Start a server with options that cannot be used; return the sentence."""
    if reason := why_no_server():
        pytest.skip(reason)

    def start(**changes):
        server = EmbeddedServer(server_options(**changes))
        with pytest.raises(PreconditionError) as raised:
            server.start()
        assert server.pid is None
        assert "\n" not in str(raised.value)
        return str(raised.value)

    return start


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"grpc_port": 70000}, "--grpc-port 70000: ports are numbers from 1 to 65535"),
        ({"http_port": -1}, "--http-port -1: ports are numbers from 1 to 65535"),
        ({"grpc_port": 18001, "metrics_port": 18001}, "--grpc-port and --metrics-port are both 18001"),
        (
            {"host": "nowhere.invalid"},
            "--host 'nowhere.invalid' cannot be used: it is neither an address nor a known host name",
        ),
        ({"host": ""}, "--host '' cannot be used"),
        ({"host": "127.0.0.1:8001"}, "--host '127.0.0.1:8001' cannot be used"),
        ({"host": "192.0.2.7"}, "--host '192.0.2.7' cannot be used: 192.0.2.7 is no address of this machine"),
        ({"host": "2001:db8::7"}, "--host '2001:db8::7' cannot be used"),
        (
            {"layout": Layout.TENSORRT},
            "--layout tensorrt: the embedded server has no such backend; 'distillex repository'",
        ),
        ({"start_timeout_s": 0.0}, "--start-timeout 0: a number of seconds above 0"),
        ({"start_timeout_s": float("nan")}, "--start-timeout nan"),
        ({"lexicon_directory": Path("/nowhere")}, "/nowhere: the directory of lexicons does not exist"),
        ({"lexicon_directory": Path("/proc")}, "/proc: no lexicon 'base' is installed there"),
        (
            {"repository": Path(__file__)},
            r"test_start_messages\.py: the folder of the models' configurations is not a folder",
        ),
        ({"teacher": Path("/nowhere")}, r"/nowhere/model\.onnx: missing; 'distillex export' writes it"),
        ({"repository": ROOT / "docs"}, r"docs/extractor/configs/cpu\.pbtxt: missing; the layout 'fused' needs it"),
    ],
)
def test_an_option_that_cannot_be_used_is_named(refusal, changes, sentence):

    assert re.search(sentence, refusal(**changes))


@pytest.fixture(scope="module")
def pem(tmp_path_factory):
    """PEM files: ``server`` and ``other``, certificate and key each."""
    trustme = pytest.importorskip("trustme", reason="trustme is not installed")
    folder = tmp_path_factory.mktemp("pem")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    for name in ("server", "other"):
        issued = authority.issue_cert("127.0.0.1")
        issued.private_key_pem.write_to_path(folder / f"{name}-key.pem")
        issued.cert_chain_pems[0].write_to_path(folder / f"{name}.pem")
    (folder / "junk.pem").write_bytes(b"\xff junk")
    (folder / "cut.pem").write_text("-----BEGIN CERTIFICATE-----\nMIIB\n", encoding="ascii")
    return folder


def test_bad_tls_files_are_named(refusal, pem):
    certificate, key = pem / "server.pem", pem / "server-key.pem"
    for files, sentence in (
        (TlsFiles(pem / "none.pem", key), f"--tls-certificate {pem}/none.pem: No such file or directory"),
        (TlsFiles(pem, key), f"--tls-certificate {pem}: Is a directory"),
        (TlsFiles(pem / "junk.pem", key), f"--tls-certificate {pem}/junk.pem: this is not a certificate in PEM"),
        (TlsFiles(key, certificate), f"--tls-certificate {key}: this is not a certificate in PEM"),
        (TlsFiles(certificate, pem / "junk.pem"), f"--tls-key {pem}/junk.pem: this is not a private key in PEM"),
        (TlsFiles(certificate, pem / "other-key.pem"), f"--tls-key {pem}/other-key.pem is not the key of"),
        (TlsFiles(pem / "cut.pem", key), f"{pem}/cut.pem, {key}: no certificate with its key"),
        (TlsFiles(certificate, key, pem / "none.pem"), f"--tls-client-ca {pem}/none.pem: No such file"),
        (TlsFiles(certificate, key, pem / "cut.pem"), f"--tls-client-ca {pem}/cut.pem: no certificates in PEM"),
    ):
        assert refusal(tls=files).startswith(sentence)


def test_an_encrypted_key_is_refused_without_asking_for_its_password(refusal, pem, tmp_path):
    serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    plain = serialization.load_pem_private_key((pem / "server-key.pem").read_bytes(), None)
    for form in (serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL):
        encrypted = plain.private_bytes(
            serialization.Encoding.PEM, form, serialization.BestAvailableEncryption(b"secret")
        )
        (tmp_path / "key.pem").write_bytes(encrypted)
        sentence = refusal(tls=TlsFiles(pem / "server.pem", tmp_path / "key.pem"))
        assert sentence.startswith(f"--tls-key {tmp_path}/key.pem: the key is encrypted")


def test_a_temporary_folder_that_cannot_be_written_to_is_named(refusal, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    assert refusal() == (
        f"no folder can be made in {tmp_path}/none (No such file or directory): set TMPDIR to a folder that can be "
        "written to"
    )


@pytest.mark.parametrize("name", ["with a blank", "té", "quo'te"])
def test_a_temporary_folder_whose_name_triton_does_not_take_is_named(refusal, monkeypatch, tmp_path, name):
    (tmp_path / name).mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / name))
    assert f"{name}" in refusal()
    assert "in its name that Triton does not take: set TMPDIR" in refusal()


def serve(*arguments, before="", cwd=None):
    """Run ``distillex serve`` in a shell, after a command of the shell."""
    command = f'{before} exec "$0" -m distillex.command.main serve "$@"'
    # Told to take free ports, in case it should start against expectation.
    ports = ["--grpc-port", "0", "--http-port", "0", "--metrics-port", "0"]
    return subprocess.run(
        ["bash", "-c", command, sys.executable, *arguments, *ports],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=60,
        env=os.environ | {"COLUMNS": "200"},
    )


@pytest.mark.parametrize(
    ("before", "arguments", "sentence"),
    [
        ("ulimit -n 64;", (), "a process may open 64 files here; the server needs 256"),
        ('rmdir "$PWD";', (), "the working folder cannot be used"),
        ('rmdir "$PWD";', ("--repository", "here"), "the working folder cannot be used"),
        ("", ("--tls-client-ca", "ca.pem"), "--tls-client-ca needs --tls-certificate and --tls-key"),
        ("", ("--student", ""), "unknown student ''"),
        ("", ("--student", "planet"), "unknown student 'planet'; known students: cluener"),
        ("", ("--student", "./planet"), "planet: there is no such folder"),
        ("", ("--teacher", "."), ".: model.onnx, features.json, vocabulary.txt, crf.json missing"),
        ("", ("--repository", "nothing"), "nothing: the folder of the models' configurations does not exist"),
        ("", ("--layout", "onnxruntime"), "the embedded server has no such backend"),
        (r"printf '\xff' > token;", ("--admin-token-file", "token"), "token: the file is not UTF-8"),
        (r"printf 'a\nb' > token;", ("--admin-token-file", "token"), "token: the token has to be one line"),
    ],
)
def test_the_command_ends_with_2_and_one_sentence(tmp_path, before, arguments, sentence):
    if reason := why_no_server():
        pytest.skip(reason)
    folder = tmp_path / "folder"
    folder.mkdir()
    ended = serve(*arguments, before=before, cwd=folder)
    assert ended.returncode == 2
    assert sentence in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.server
@pytest.mark.parametrize(
    ("host", "address"),
    [
        pytest.param("::1", "[::1]", marks=needs_ipv6),
        pytest.param("[::1]", "[::1]", marks=needs_ipv6),
        pytest.param("::", "[::1]", marks=needs_ipv6),
        ("127.0.0.2", "127.0.0.2"),
        ("localhost", "localhost"),
    ],
)
def test_every_form_of_address_is_served_grpc_and_http(host, address):
    if reason := why_no_server():
        pytest.skip(reason)
    options = server_options(host=host, expose_http=True)
    with EmbeddedServer(options) as server, Extractor(server.grpc_url) as extractor:
        assert server.grpc_url == f"{address}:{server.grpc_port}"
        assert server.http_url == f"http://{address}:{server.http_port}"
        assert extractor.extract("华为技术有限公司")
        assert server.is_ready()


def test_names_and_wildcards_become_addresses():
    assert own_address("localhost") == "127.0.0.1"
    assert own_address("0.0.0.0") == "0.0.0.0"
    assert reachable("0.0.0.0", 1) == "127.0.0.1:1"
    assert reachable("::", 1) == "[::1]:1"


@needs_ipv6
def test_a_busy_port_of_an_ipv6_address_is_named(refusal):
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as busy:
        port = busy.getsockname()[1]
        assert f"the grpc port {port} on ::1 cannot be used" in refusal(host="::1", grpc_port=port)


def test_a_free_port_is_none_that_the_system_hands_out_to_connections(monkeypatch, tmp_path):
    first, last = map(int, preconditions.PORT_RANGE.read_text().split())
    drawn = {preconditions.free_port() for _ in range(20)}
    assert len(drawn) > 1
    assert not [port for port in drawn if first <= port <= last]
    # Where it hands out all of them, or they are taken, any that is free has to do.
    monkeypatch.setattr(preconditions, "PORT_RANGE", tmp_path / "range")
    preconditions.PORT_RANGE.write_text("1024\t65535\n")
    assert preconditions.free_port() >= 1024
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        monkeypatch.setattr(preconditions, "PORT_RANGE", tmp_path / "none")
        monkeypatch.setattr(preconditions, "DRAWN_PORTS", [busy.getsockname()[1]] * 100)
        assert preconditions.free_port() != busy.getsockname()[1]
