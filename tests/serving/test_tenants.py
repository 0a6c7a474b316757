"""Tenants, with the real Envoy before the real Triton: whose key, at which rate, with which lexicons."""

from __future__ import annotations

import contextlib
import json
import re
import time
import urllib.request
from dataclasses import dataclass, replace

import pytest

tritonclient = pytest.importorskip("tritonclient.grpc")
import grpc  # noqa: E402
from distillex.command.main import application  # noqa: E402
from distillex_matcher import Lexicon  # noqa: E402
from distillex_matcher.lexicon_store import LexiconStore  # noqa: E402
from distillex_serving.embedded import EmbeddedServer  # noqa: E402
from distillex_serving.errors import PreconditionError  # noqa: E402
from distillex_serving.gate import Gate, GateLimits, put_gate_before  # noqa: E402
from distillex_serving.repository import Layout  # noqa: E402
from distillex_serving.tenants.api_keys import ApiKey  # noqa: E402
from distillex_serving.tenants.files import TenantFiles  # noqa: E402
from distillex_serving.tenants.options import tenant_files  # noqa: E402
from distillex_serving.tenants.signature import HEADER, LIFETIME_S, sign  # noqa: E402
from plain_triton import bytes_tensor  # noqa: E402
from server_under_test import ADMIN_TOKEN, LEXICONS, server_options, why_no_gate, why_no_server  # noqa: E402
from typer.testing import CliRunner  # noqa: E402

pytestmark = pytest.mark.server

TEXT = "近日，青石云科发布了新一代平台。"
SECRET = "the secret of the tests, which nobody else has"
ACME, GLOBEX, SLOW, GONE = (ApiKey.draw() for _ in range(4))


def tenants_json(**changed):
    tenants = {
        "acme": {"keys": {ACME.id: ACME.digest}, "lexicons": ["acme-*", "finance"], "push": ["acme-*"]},
        "globex": {"keys": {GLOBEX.id: GLOBEX.digest}, "lexicons": ["globex-terms"]},
        "slow": {"keys": {SLOW.id: SLOW.digest}, "lexicons": [], "texts_per_second": 0.01, "burst": 5},
        **changed,
    }
    return json.dumps({"tenants": {name: fields for name, fields in tenants.items() if fields is not None}})


@dataclass(frozen=True)
class Stack:
    gate: Gate
    server: EmbeddedServer
    files: TenantFiles

    def say(self, **changed):
        """Put another file of tenants in place."""
        new = self.files.tenants.with_name("new.json")
        new.write_text(tenants_json(**changed), encoding="utf-8")
        new.replace(self.files.tenants)


def laid_out(folder):
    """Make a directory of lexicons, one of each tenant, and the tenants' files."""
    lexicons = folder / "lexicons"
    lexicons.mkdir()
    (lexicons / "base").symlink_to(LEXICONS / "base")
    store = LexiconStore(lexicons)
    for name in ("acme-terms", "globex-terms", "finance"):
        store.install(name, compiled(), lambda lexicon: None)
    files = TenantFiles(folder / "tenants.json", folder / "secret")
    files.tenants.write_text(tenants_json(), encoding="utf-8")
    files.secret.write_text(f"{SECRET}\n", encoding="utf-8")
    return lexicons, files


@pytest.fixture(scope="module", params=[Layout.FUSED, Layout.ENSEMBLE], ids=["fused", "ensemble"])
def stack(request, tmp_path_factory):
    """A gate that knows tenants, and the server behind it, which holds a lexicon of each of them."""
    if reason := why_no_server() or why_no_gate():
        pytest.skip(reason)
    lexicons, files = laid_out(tmp_path_factory.mktemp("tenants"))
    options = server_options(lexicons, tenants=files, layout=request.param)
    gate, behind = put_gate_before(options, GateLimits())
    with EmbeddedServer(behind) as server, contextlib.closing(gate):
        gate.start()
        yield Stack(gate, server, files)


@pytest.fixture
def client(stack):
    with contextlib.closing(tritonclient.InferenceServerClient(stack.gate.grpc_url)) as client:
        yield client


@pytest.fixture
def direct(stack):
    """Past the gate."""
    with contextlib.closing(tritonclient.InferenceServerClient(stack.server.grpc_url)) as client:
        yield client


def compiled():
    return Lexicon.from_words({"青石云科": "company"}).to_bytes()


def bearer(key):
    return {"authorization": f"Bearer {key.text}"}


def call(client, texts=(TEXT,), lexicon="", **arguments):
    inputs = [bytes_tensor("TEXT", texts)]
    if lexicon:
        inputs.append(bytes_tensor("LEXICON_NAME", [lexicon] * len(texts)))
    return client.infer("extractor", inputs, client_timeout=30, **arguments)


def versions(answer):
    return [row.decode() for row in answer.as_numpy("LEXICON_VERSION").reshape(-1)]


def refusal(made, *arguments, **keywords):
    with pytest.raises(tritonclient.InferenceServerException) as caught:
        made(*arguments, **keywords)
    message = caught.value.message().removeprefix("in ensemble 'extractor', ")
    return caught.value.status().removeprefix("StatusCode."), message


def test_each_tenant_uses_its_lexicons(client):
    assert versions(call(client, headers=bearer(ACME), lexicon="acme-terms")) == ["base@1+acme-terms@1"]
    assert versions(call(client, headers=bearer(ACME), lexicon="finance")) == ["base@1+finance@1"]
    assert versions(call(client, headers=bearer(GLOBEX), lexicon="globex-terms")) == ["base@1+globex-terms@1"]
    assert versions(call(client, headers=bearer(SLOW), lexicon="base")) == ["base@1"]


def test_a_lexicon_of_somebody_else_is_answered_like_one_that_does_not_exist(client):
    forbidden = refusal(call, client, headers=bearer(ACME), lexicon="globex-terms")
    assert forbidden == (
        "INVALID_ARGUMENT",
        "LEXICON_NAME: no lexicon 'globex-terms' is there for this caller; there are: acme-terms, finance",
    )
    for name in ("globex-tools", "acme-tools"):
        missing = refusal(call, client, headers=bearer(ACME), lexicon=name)
        assert missing == (forbidden[0], forbidden[1].replace("globex-terms", name))


def test_what_one_may_use_another_of_the_same_batch_may_not(client, direct):
    names = ["acme-terms", "globex-terms", "finance", ""]
    inputs = [bytes_tensor("TEXT", [TEXT] * 4), bytes_tensor("LEXICON_NAME", names)]
    seen = {}
    for key in (ACME, GLOBEX):
        answer = client.infer("extractor", inputs, headers=bearer(key))
        seen[key] = ["error" in json.loads(row) for row in answer.as_numpy("ENTITIES").reshape(-1).tolist()]
        said = b"".join(answer.as_numpy("ENTITIES").reshape(-1).tolist()).decode()
        assert ("acme-terms, finance" in said) == (key is ACME)
    assert seen == {ACME: [False, True, False, False], GLOBEX: [True, False, True, False]}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer "},
        {"authorization": f"Basic {ACME.text}"},
        bearer(GONE),
        {"authorization": f"Bearer {ACME.text[:-1]}{'0' if ACME.text[-1] != '0' else '1'}"},
        # The id of a key is no secret.
        {"authorization": f"Bearer dx_{ACME.id}_{'0' * 64}"},
        {HEADER: sign("acme", SECRET.encode(), time.time() + 60)},
    ],
    ids=["none", "empty", "another scheme", "of nobody", "wrong", "id alone", "a header of the caller's own"],
)
def test_without_a_key_nothing_but_the_health_check_is_answered(client, stack, headers):
    assert refusal(call, client, headers=headers)[0] == "UNAUTHENTICATED"
    assert refusal(client.get_model_metadata, "extractor", headers=headers)[0] == "UNAUTHENTICATED"
    assert refusal(client.is_server_ready, headers=headers)[0] == "UNAUTHENTICATED"
    with grpc.insecure_channel(stack.gate.grpc_url) as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        assert check(b"", timeout=10) == b"\x08\x01"  # SERVING


def test_a_header_that_a_caller_sends_is_not_the_one_that_arrives(client):
    forged = {HEADER: sign("globex", SECRET.encode(), time.time())}
    answer = call(client, headers=bearer(ACME) | forged, lexicon="acme-terms")
    assert versions(answer) == ["base@1+acme-terms@1"]
    assert refusal(call, client, headers=bearer(ACME) | forged, lexicon="globex-terms")[0] == "INVALID_ARGUMENT"


def test_a_parameter_of_the_header_s_name_is_refused(client):
    status, said = refusal(call, client, headers=bearer(ACME), parameters={HEADER: "v1.globex"}, lexicon="acme-terms")
    assert (status, "more than once" in said) == ("INVALID_ARGUMENT", True)


def by_grpc(direct, stack, headers, lexicon):
    return call(direct, headers=headers, lexicon=lexicon)


def by_parameter(direct, stack, headers, lexicon):
    return call(direct, parameters=headers, lexicon=lexicon)


def by_stream(direct, stack, headers, lexicon):
    import queue

    answers = queue.Queue()
    direct.start_stream(lambda result, error: answers.put((result, error)), headers=headers)
    try:
        inputs = [bytes_tensor("TEXT", [TEXT]), bytes_tensor("LEXICON_NAME", [lexicon])]
        direct.async_stream_infer("extractor", inputs)
        result, error = answers.get(timeout=30)
    finally:
        direct.stop_stream()
    if error is not None:
        raise error
    return result


def by_http(direct, stack, headers, lexicon):
    http = pytest.importorskip("tritonclient.http")
    with http.InferenceServerClient(stack.server.http_url.removeprefix("http://")) as client:
        inputs = []
        for name, value in (("TEXT", TEXT), ("LEXICON_NAME", lexicon)):
            tensor = http.InferInput(name, [1, 1], "BYTES")
            tensor.set_data_from_numpy(bytes_array(value))
            inputs.append(tensor)
        # What Triton's HTTP forwards, it forwards as it was written.
        return client.infer("extractor", inputs, headers={name.title(): value for name, value in headers.items()})


def bytes_array(value):
    import numpy as np

    return np.array([[value.encode()]], dtype=object)


DOORS = [by_grpc, by_parameter, by_stream, by_http]


@pytest.mark.parametrize("door", DOORS)
def test_at_every_door_of_triton_the_signature_counts(direct, stack, door):
    now = time.time()
    good = {HEADER: sign("acme", SECRET.encode(), now)}
    assert versions(door(direct, stack, good, "acme-terms")) == ["base@1+acme-terms@1"]
    for headers, says in (
        ({}, "no lexicon 'acme-terms' is there for this caller; there are: none"),
        (good | {HEADER: good[HEADER].replace("acme", "globex")}, "was not signed by this deployment's gate"),
        ({HEADER: sign("acme", b"some other secret of as many bytes", now)}, "was not signed"),
        ({HEADER: sign("acme", SECRET.encode(), now + 600)}, "was not signed"),
        ({HEADER: sign("nobody", SECRET.encode(), now)}, "the tenant 'nobody' is not known"),
        ({HEADER: "v1.acme"}, "was not signed"),
        ({HEADER: sign("acme", SECRET.encode(), now - LIFETIME_S - 10)}, "has expired"),
    ):
        with pytest.raises(tritonclient.InferenceServerException) as caught:
            door(direct, stack, headers, "acme-terms")
        assert says in str(caught.value)


def test_metrics_tell_no_name_of_a_lexicon_that_a_tenant_may_push(stack):
    deadline, said = time.monotonic() + 60, ""
    while "distillex_lexicons_installed" not in said or 'lexicon="finance"' not in said:
        assert time.monotonic() < deadline
        with urllib.request.urlopen(stack.server.metrics_url, timeout=10) as answer:
            said = answer.read().decode()
    assert set(re.findall(r'lexicon="([^"]*)"', said)) >= {"base", "finance"}
    assert "acme" not in said
    number = int(float(re.search(r"^distillex_lexicons_installed(?:{})? (\S+)$", said, re.MULTILINE)[1]))
    assert number >= 4


def test_a_request_that_is_refused_as_a_whole_is_counted_as_one(direct, stack):
    def counted():
        with urllib.request.urlopen(stack.server.metrics_url, timeout=10) as answer:
            said = answer.read().decode()
        return int(re.search(r'distillex_refused_rows_total\{model="extractor",reason="request"\} (\d+)', said)[1])

    def settled():
        # Triton is told every second: what earlier tests had refused may be on its way.
        value, since = counted(), time.monotonic()
        while time.monotonic() < since + 3:
            time.sleep(0.1)
            if (current := counted()) != value:
                value, since = current, time.monotonic()
        return value

    before, now = settled(), time.time()
    forged = {HEADER: sign("acme", b"some other secret of as many bytes", now)}
    assert refusal(call, direct, [TEXT] * 3, headers=forged)[0] == "INVALID_ARGUMENT"
    deadline = time.monotonic() + 60
    while counted() != before + 1:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    # Neither is wrong with the request.
    late = {HEADER: sign("acme", SECRET.encode(), now - LIFETIME_S - 10)}
    assert refusal(call, direct, headers=late)[0] == "UNAVAILABLE"
    assert refusal(call, direct, [""], headers={HEADER: sign("acme", SECRET.encode(), now)})[0] == "INVALID_ARGUMENT"
    refusal(call, direct, headers=forged)
    while counted() < before + 2:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert counted() == before + 2


def test_an_expired_header_is_a_reason_to_try_again(direct):
    late = {HEADER: sign("acme", SECRET.encode(), time.time() - LIFETIME_S - 10)}
    assert refusal(call, direct, headers=late)[0] == "UNAVAILABLE"


@pytest.mark.parametrize(("headers", "status"), [(bearer(ACME), "UNIMPLEMENTED"), ({}, "UNAUTHENTICATED")])
def test_the_gate_offers_no_streams(stack, headers, status):
    with grpc.insecure_channel(stack.gate.grpc_url) as channel:
        stream = channel.stream_stream("/inference.GRPCInferenceService/ModelStreamInfer")
        with pytest.raises(grpc.RpcError) as caught:
            list(stream(iter([b""]), metadata=list(headers.items()), timeout=30))
    assert caught.value.code().name == status


def test_the_rate_of_one_tenant_is_not_another_s(client, stack):
    stack.say(slow={"keys": {SLOW.id: SLOW.digest}, "texts_per_second": 0.01, "burst": 3})
    assert call(client, headers=bearer(SLOW)) is not None
    assert call(client, [TEXT] * 64, headers=bearer(SLOW)) is not None  # of which 62 are owed
    for texts in ([TEXT], [TEXT] * 64):
        status, said = refusal(call, client, texts, headers=bearer(SLOW))
        assert status == "RESOURCE_EXHAUSTED"
        assert said == "more texts than slow may send (0.01 a second, 3 at once)"
    assert versions(call(client, [TEXT] * 64, headers=bearer(ACME))) == ["base@1"] * 64


def test_keys_and_rights_change_without_a_restart(client, stack):
    new = ApiKey.draw()
    keys = {ACME.id: ACME.digest, new.id: new.digest}
    assert refusal(call, client, headers=bearer(new))[0] == "UNAUTHENTICATED"
    stack.say(acme={"keys": keys, "lexicons": ["finance"]})
    try:
        for key in (ACME, new):
            assert versions(call(client, headers=bearer(key), lexicon="finance")) == ["base@1+finance@1"]
        assert "there are: finance" in refusal(call, client, headers=bearer(new), lexicon="acme-terms")[1]
        stack.say(acme={"keys": {new.id: new.digest}, "lexicons": ["finance"]})
        assert refusal(call, client, headers=bearer(ACME))[0] == "UNAUTHENTICATED"
        assert call(client, headers=bearer(new)) is not None
        # A file that is broken changes nothing.
        stack.files.tenants.write_text('{"tenants": ', encoding="utf-8")
        assert call(client, headers=bearer(new)) is not None
    finally:
        stack.say()
    assert call(client, headers=bearer(ACME), lexicon="acme-terms") is not None


def test_the_secret_is_changed_in_three_steps_without_a_refusal(client, direct, stack):
    old, new = SECRET, "another secret of the tests, as long as that"
    try:
        for lines in ([old, new], [new, old], [new]):
            stack.files.secret.write_text("\n".join(lines), encoding="utf-8")
            assert versions(call(client, headers=bearer(ACME), lexicon="finance")) == ["base@1+finance@1"]
        signed = {HEADER: sign("acme", old.encode(), time.time())}
        assert "was not signed" in refusal(call, direct, headers=signed)[1]
    finally:
        stack.files.secret.write_text(SECRET, encoding="utf-8")


def administer(client, command, key, token="", content=None):
    inputs = [bytes_tensor("TOKEN", [token], [1]), bytes_tensor("COMMAND", [json.dumps(command)], [1])]
    if content is not None:
        inputs.append(bytes_tensor("CONTENT", [content], [1]))
    answer = client.infer("lexicons", inputs, headers=bearer(key), client_timeout=30)
    return json.loads(answer.as_numpy("RESULT").reshape(-1)[0])


def test_a_tenant_administers_its_own_lexicons_alone(client):
    pushed = administer(client, {"action": "push", "name": "acme-new"}, ACME, content=compiled())
    assert pushed["name"] == "acme-new"
    assert versions(call(client, headers=bearer(ACME), lexicon="acme-new")) == [f"base@1+acme-new@{pushed['version']}"]
    shown = administer(client, {"action": "list"}, ACME)["lexicons"]
    assert [line["name"] for line in shown] == ["acme-new", "acme-terms"]
    for action in ({"action": "push"}, {"action": "rollback"}, {"action": "prune", "keep": 1}, {"action": "remove"}):
        for name in ("globex-terms", "finance", "base", "unheard-of"):
            status, said = refusal(administer, client, {**action, "name": name}, ACME, content=compiled())
            assert status == "INVALID_ARGUMENT"
            assert said == f'this caller may not change the lexicon "{name}"; it may change: acme-*'
    assert refusal(administer, client, {"action": "rollback", "name": "acme-none"}, ACME)[1] == (
        'no lexicon "acme-none" is installed'
    )
    assert (
        "it may change: none"
        in refusal(administer, client, {"action": "push", "name": "globex-terms"}, GLOBEX, content=compiled())[1]
    )


def test_the_operator_s_token_is_for_every_lexicon(client):
    everything = administer(client, {"action": "list"}, GLOBEX, token=ADMIN_TOKEN)["lexicons"]
    assert {"base", "acme-terms", "globex-terms", "finance"} <= {line["name"] for line in everything}
    assert refusal(administer, client, {"action": "list"}, ACME, token="wrong")[1] == "the admin token is wrong"


def test_the_command_pushes_with_an_api_key(stack, tmp_path):
    words, key = tmp_path / "words.tsv", tmp_path / "key"
    words.write_text("青石云科\tcompany\n", encoding="utf-8")
    key.write_text(f"{ACME.text}\n", encoding="utf-8")

    def push(name):
        where = ("--url", stack.gate.grpc_url, "--api-key-file", str(key))
        return CliRunner().invoke(application, ["lexicon", "push", name, str(words), *where])

    assert "acme-pushed@1: 1 words in use" in push("acme-pushed").output
    refused = push("globex-terms")
    assert refused.exit_code == 1
    assert 'may not change the lexicon "globex-terms"' in refused.output.replace("\n", " ")


def test_our_client_says_what_a_key_is_refused_for_and_waits_for_a_rate(stack):
    from distillex_client import AccessDenied, Extractor, Retries, ServerUnavailable

    with Extractor(stack.gate.grpc_url, metadata=bearer(ACME)) as extractor:
        assert extractor.extract(TEXT, lexicon_name="acme-terms")
    with Extractor(stack.gate.grpc_url, metadata=bearer(GONE)) as extractor, pytest.raises(AccessDenied, match="key"):
        extractor.extract(TEXT)
    impatient = Retries(attempts=1)
    try:
        stack.say(slow={"keys": {SLOW.id: SLOW.digest}, "texts_per_second": 0.001, "burst": 1})
        with (
            Extractor(stack.gate.grpc_url, metadata=bearer(SLOW), retries=impatient) as extractor,
            pytest.raises(ServerUnavailable, match="more texts than slow may send"),
        ):
            [extractor.extract(TEXT) for _ in range(3)]
        stack.say(slow={"keys": {SLOW.id: SLOW.digest}, "texts_per_second": 20, "burst": 1})
        with Extractor(stack.gate.grpc_url, metadata=bearer(SLOW)) as extractor:
            assert all(extractor.extract(TEXT) is not None for _ in range(4))
    finally:
        stack.say()


def test_a_gate_whose_authorizer_is_gone_lets_nothing_through(stack):
    gate = Gate(replace(stack.gate.options, port=0), upstream=stack.gate.upstream)
    with contextlib.closing(gate):
        gate.start()
        gate._authorizer.stop()
        gate._authorizer = None
        with contextlib.closing(tritonclient.InferenceServerClient(gate.grpc_url)) as client:
            assert refusal(call, client, headers=bearer(ACME))[0] == "UNAVAILABLE"


def test_serve_puts_the_tenants_before_and_behind_its_gate(serving, tmp_path):
    if reason := why_no_gate():
        pytest.skip(reason)
    lexicons, files = laid_out(tmp_path)
    told = ("--tenants", str(files.tenants), "--tenant-secret-file", str(files.secret))
    server = serving("--host", "0.0.0.0", "--lexicon-dir", str(lexicons), *told)
    url = server.wait_for(r"ready: gRPC (127\.0\.0\.1:\d+) \(through the gate\)")[1]
    with contextlib.closing(tritonclient.InferenceServerClient(url)) as client:
        assert refusal(call, client)[0] == "UNAUTHENTICATED"
        assert versions(call(client, headers=bearer(ACME), lexicon="finance")) == ["base@1+finance@1"]
        assert refusal(call, client, headers=bearer(ACME), lexicon="globex-terms")[0] == "INVALID_ARGUMENT"


def test_one_file_without_the_other_is_refused(tmp_path):
    _, files = laid_out(tmp_path)
    for options, says in (
        ((files.tenants, None), "--tenants and --tenant-secret-file are given together"),
        ((files.tenants, tmp_path / "nothing"), "nothing: No such file"),
        ((files.secret, files.secret), "secret: the file is not JSON"),
    ):
        with pytest.raises(PreconditionError) as caught:
            tenant_files(*options)
        assert says in str(caught.value)
