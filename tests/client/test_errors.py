"""Each thing that can go wrong raises its own documented error, in both twins, against the real server."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("tritonclient.grpc")
from distillex_client import (
    AccessDenied,
    AsyncExtractor,
    DeadlineExceeded,
    Extractor,
    ExtractorError,
    InvalidRequest,
    InvalidText,
    ModelNotFound,
    Retries,
    ServerError,
    ServerUnavailable,
    Tls,
    TlsError,
    tls_probe,
)
from distillex_client import errors as documented
from distillex_client.errors import error_from_status
from distillex_serving.embedded import EmbeddedServer
from distillex_serving.tls_files import TlsFiles
from server_under_test import server_options

ONCE = Retries(attempts=1)
TEXT = "华为技术有限公司在上海。"


@pytest.fixture(params=["sync", "async"])
def extract(request):
    """Make a client, send one text (or call ``method``), close the client."""

    def extract_sync(url, text=TEXT, *, method="extract", options=None, **settings):
        with Extractor(url, **settings) as extractor:
            return getattr(extractor, method)(text, **(options or {}))

    async def extract_async(url, text=TEXT, *, method="extract", options=None, **settings):
        async with AsyncExtractor(url, **settings) as extractor:
            return await getattr(extractor, method)(text, **(options or {}))

    if request.param == "sync":
        return extract_sync
    return lambda *arguments, **options: asyncio.run(extract_async(*arguments, **options))


@pytest.fixture(scope="module")
def authority():
    return pytest.importorskip("trustme", reason="trustme is not installed").CA()


@pytest.fixture(scope="module")
def certificates(authority, tmp_path_factory):
    """PEM files: ``ca``, ``stranger`` (another authority), and certificate and key of server, client and ``other``."""
    import trustme

    folder = tmp_path_factory.mktemp("certificates")
    stranger = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    stranger.cert_pem.write_to_path(folder / "stranger.pem")
    for name, issuer, identities in (
        ("server", authority, ("127.0.0.1", "triton.example")),
        ("client", authority, ("client@example.org",)),
        ("other", stranger, ("client@example.org",)),
    ):
        issued = issuer.issue_cert(*identities)
        issued.private_key_pem.write_to_path(folder / f"{name}-key.pem")
        issued.cert_chain_pems[0].write_to_path(folder / f"{name}.pem")
    return folder


def start(lexicons, certificates, client_ca=None):
    files = TlsFiles(certificates / "server.pem", certificates / "server-key.pem", client_ca)
    return EmbeddedServer(dataclasses.replace(server_options(lexicons), tls=files))


@pytest.fixture(scope="module")
def tls_server(lexicon_directory, certificates):
    with start(lexicon_directory, certificates) as running:
        yield running


@pytest.fixture(scope="module")
def mutual_tls_server(lexicon_directory, certificates):
    with start(lexicon_directory, certificates, certificates / "ca.pem") as running:
        yield running


@pytest.mark.server
@pytest.mark.parametrize(
    ("text", "options", "error", "message"),
    [
        ("", {}, InvalidText, "the text is empty"),
        ("甲" * 511, {}, InvalidText, "has 511 characters; at most 510 are accepted"),
        (b"\xe5\xbc\xa0\xff", {}, InvalidText, r"not UTF-8 \(byte 3\)"),
        ("a\ud800", {}, InvalidText, r"not UTF-8 \(byte 1\)"),
        ("a\0b", {}, InvalidText, "NUL"),
        ("甲", {"lexicon": {"甲": "planet"}}, InvalidRequest, "unknown lexicon type 'planet'; known types: .*company"),
        ("甲", {"lexicon_name": "nowhere"}, InvalidRequest, "no lexicon 'nowhere' is installed"),
    ],
)
def test_a_bad_request_is_refused_with_its_reason(server, extract, text, options, error, message):
    with pytest.raises(error, match=message) as raised:
        extract(server.grpc_url, text, options={**options, "request_id": "bad-1"})
    assert type(raised.value) is error
    assert raised.value.__cause__.status() == "StatusCode.INVALID_ARGUMENT"
    assert raised.value.request_id == "bad-1"


@pytest.mark.server
def test_a_bad_lexicon_of_many_texts_is_an_invalid_request_not_an_invalid_text(server, extract):
    for options in ({"lexicon": {"甲": "planet"}}, {"lexicon_name": "nowhere"}):
        for method, texts in (("extract_batch", ["甲", "乙"]), ("extract_document", "甲。乙。")):
            with pytest.raises(InvalidRequest, match=r"planet|nowhere") as raised:
                extract(server.grpc_url, texts, method=method, options=options)
            assert type(raised.value) is InvalidRequest


@pytest.mark.server
@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("第一句。\n第二\0句。", r"characters 5 to 10: the text .*NUL"),
        ("第一句。第\ud800二句。", r"characters 4 to 9: the text is not UTF-8"),
        ("第一句。".encode() + b"\xff", r"the text is not UTF-8 \(byte 12\)"),
    ],
)
def test_a_bad_place_in_a_document_is_named(server, extract, document, message):
    with pytest.raises(InvalidText, match=message):
        extract(server.grpc_url, document, method="extract_document")


@pytest.mark.server
@pytest.mark.parametrize("settings", [{"model": "nothing"}, {"model_version": "99"}])
def test_a_wrong_model_or_version_is_not_found(server, extract, settings):
    for method, text in (("extract", TEXT), ("extract_batch", [TEXT])):
        with pytest.raises(ModelNotFound, match=r"unknown model: '(nothing|extractor)'") as raised:
            extract(server.grpc_url, text, method=method, **settings)
        assert raised.value.__cause__.status() == "StatusCode.NOT_FOUND"


@pytest.mark.server
def test_an_expired_deadline_is_told(server, extract):
    for settings, options in (({"timeout_s": 0.0001}, {}), ({}, {"timeout_s": 0.0001}), ({}, {"timeout_s": 0})):
        with pytest.raises(DeadlineExceeded):
            extract(server.grpc_url, options=options, **settings)


def test_a_wrong_host_is_unavailable(extract, nobody):
    for url, message in ((nobody, "refused"), ("nowhere.invalid:8001", "nowhere.invalid")):
        with pytest.raises(ServerUnavailable, match=f"(?s){message}.*2 attempts") as raised:
            extract(url, retries=Retries(attempts=2, first_delay_s=0.01))
        assert raised.value.__cause__.status() == "StatusCode.UNAVAILABLE"


def test_a_host_that_is_silent_costs_no_more_than_the_deadline(extract):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(DeadlineExceeded):
            extract(url, timeout_s=0.3)
        for method, texts in (("extract", TEXT), ("extract_batch", [TEXT]), ("extract_document", TEXT)):
            with pytest.raises(DeadlineExceeded):
                extract(url, texts, method=method, options={"timeout_s": 0.3})


def test_a_server_that_hangs_up_without_speaking_tls_is_unavailable(extract):
    with socket.create_server(("127.0.0.1", 0)) as rude:

        def hang_up():
            while True:
                try:
                    rude.accept()[0].close()
                except OSError:
                    return

        thread = threading.Thread(target=hang_up)
        thread.start()
        try:
            with pytest.raises(ServerUnavailable):
                extract(f"127.0.0.1:{rude.getsockname()[1]}", retries=ONCE, timeout_s=5)
        finally:
            rude.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.server
def test_tls_and_mutual_tls_are_spoken(tls_server, mutual_tls_server, certificates, extract):
    ca = certificates / "ca.pem"
    mutual = Tls(ca, certificates / "client.pem", certificates / "client-key.pem")
    plain = extract(tls_server.grpc_url, tls=Tls(ca))
    assert "华为技术有限公司" in [entity.text for entity in plain]
    assert extract(mutual_tls_server.grpc_url, tls=mutual) == plain


@pytest.mark.server
def test_a_client_without_tls_is_told_that_the_server_speaks_it(tls_server, mutual_tls_server, extract):
    for url in (tls_server.grpc_url, mutual_tls_server.grpc_url):
        with pytest.raises(TlsError, match=r"the server speaks TLS: give the client tls=Tls") as raised:
            extract(url)
        assert raised.value.__cause__.status() == "StatusCode.UNAVAILABLE"


@pytest.mark.server
def test_a_client_with_tls_at_a_server_without_is_told(server, certificates, extract):
    with pytest.raises(TlsError, match="WRONG_VERSION_NUMBER"):
        extract(server.grpc_url, tls=Tls(certificates / "ca.pem"))


@pytest.mark.server
def test_a_server_certificate_of_another_authority_is_not_accepted(tls_server, certificates, extract):
    for tls in (Tls(certificates / "stranger.pem"), Tls()):
        with pytest.raises(TlsError, match="CERTIFICATE_VERIFY_FAILED"):
            extract(tls_server.grpc_url, tls=tls)


@pytest.mark.server
def test_a_missing_or_strange_client_certificate_is_told(mutual_tls_server, certificates, extract):
    ca = certificates / "ca.pem"
    other = Tls(ca, certificates / "other.pem", certificates / "other-key.pem")
    for tls, message in ((Tls(ca), "demands a client certificate"), (other, "demands another client certificate")):
        with pytest.raises(TlsError, match=message):
            extract(mutual_tls_server.grpc_url, tls=tls)


def test_a_server_that_stops_between_two_handshakes_does_not_demand_a_certificate(certificates):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.pem", certificates / "server-key.pem")
    error = ServerUnavailable("failed to connect: Socket closed")
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        url = f"127.0.0.1:{listener.getsockname()[1]}"

        def shake_hands_once():
            connection = listener.accept()[0]
            # Nobody is let in any more before the first one is through.
            listener.close()
            with context.wrap_socket(connection, server_side=True):
                pass

        once = pool.submit(shake_hands_once)
        assert tls_probe.named(error, url, Tls(certificates / "ca.pem")) is error
        once.result()


@pytest.mark.server
def test_a_certificate_for_another_name_needs_that_name(tls_server, certificates, extract):
    ca, url = certificates / "ca.pem", f"localhost:{tls_server.grpc_port}"
    with pytest.raises(TlsError, match="Hostname Verification"):
        extract(url, tls=Tls(ca))
    assert extract(url, tls=Tls(ca, server_name="triton.example"))


def test_bad_pem_files_are_named_before_anything_is_sent(certificates, tmp_path):
    junk = tmp_path / "junk.pem"
    junk.write_text("junk", encoding="utf-8")
    client, key = certificates / "client.pem", certificates / "client-key.pem"
    for tls, message in (
        (Tls(tmp_path / "missing.pem"), "missing.pem: no certificates.*No such file"),
        (Tls(junk), "junk.pem: no certificates"),
        (Tls(None, client, junk), "client.pem, .*junk.pem: no certificate with its key"),
        (Tls(None, client, certificates / "other-key.pem"), "other-key.pem: no certificate with its key"),
        (Tls(None, client), "certificate and key are given together"),
        (Tls(None, None, key), "certificate and key are given together"),
    ):
        with pytest.raises(TlsError, match=message):
            Extractor(tls=tls)


@pytest.mark.parametrize(
    ("status", "message", "error"),
    [
        ("UNAUTHENTICATED", "no token", AccessDenied),
        ("PERMISSION_DENIED", "wrong token", AccessDenied),
        ("UNAVAILABLE", "This protocol is restricted, expecting header 'triton-grpc-protocol-key'", AccessDenied),
        ("UNAVAILABLE", "Exceeds maximum queue size", ServerUnavailable),
        ("RESOURCE_EXHAUSTED", "slow down", ServerUnavailable),
        ("RESOURCE_EXHAUSTED", "the request has more than 8,388,608 bytes (--max-request-mib)", InvalidRequest),
        ("RESOURCE_EXHAUSTED", "Received message larger than max (9 vs. 4)", InvalidRequest),
        ("INTERNAL", "in ensemble 'extractor', out of memory", ServerError),
        ("INTERNAL", "in ensemble 'extractor', Stub process 'student_0_1' is not healthy.", ServerUnavailable),
        ("INTERNAL", "Failed to process the request(s), message: Stub process is not healthy.", ServerUnavailable),
        ("", "something", ServerError),
    ],
)
def test_every_status_has_its_error(status, message, error):
    raised = error_from_status(status, message)
    assert type(raised) is error
    assert "in ensemble" not in str(raised)


def test_the_tree_drawn_in_the_module_is_the_tree_of_the_classes():
    drawn = [line for line in documented.__doc__.splitlines() if "──" in line]
    tree = {line.replace("│", " ").replace("├── ", "").replace("└── ", "").split()[0] for line in drawn}
    classes = {c.__name__ for c in vars(documented).values() if isinstance(c, type) and issubclass(c, ExtractorError)}
    assert tree == classes - {"ExtractorError"}
