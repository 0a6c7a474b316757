"""``distillex tenant``: the file that it writes, and that no key stands in it; what a wrong file is told."""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat

import pytest
from distillex.command.main import application
from distillex_serving.errors import ExpiredError, ForgedError
from distillex_serving.tenants.api_keys import KEY, ApiKey
from distillex_serving.tenants.authorizer import Authorizer
from distillex_serving.tenants.files import TenantFiles
from distillex_serving.tenants.rates import Rates
from distillex_serving.tenants.signature import LIFETIME_S, read_secrets, sign, tenant_of
from distillex_serving.tenants.tenant_file import Rate, Tenant, Tenants
from distillex_serving.tenants.watched_file import WatchedFile
from typer.testing import CliRunner

SECRET = b"x" * 32


@pytest.fixture
def tenant(tmp_path):
    def run(*arguments):
        done = CliRunner().invoke(
            application, [*map(str, ("tenant", *arguments, "--tenants", tmp_path / "tenants.json"))]
        )
        return done.exit_code, done.output.strip()

    return run


@pytest.fixture
def read(tmp_path):
    return lambda: Tenants.read((tmp_path / "tenants.json").read_bytes())


def test_a_key_is_printed_once_and_kept_as_a_hash(tenant, read, tmp_path):
    code, key = tenant("add", "acme", "--lexicon", "finance", "--lexicon", "acme-*", "--texts-per-second", "50")
    assert code == 0
    assert KEY.fullmatch(key)
    assert key.split("_")[2] not in (tmp_path / "tenants.json").read_text(encoding="utf-8")
    acme = read().with_key(key)
    assert (acme.name, acme.rate) == ("acme", Rate(50, 100))
    assert [acme.lexicons.allow(name) for name in ("finance", "acme-1", "acme", "finance2")] == [
        True,
        True,
        False,
        False,
    ]
    assert key.split("_")[2] not in tenant("list")[1]


def test_a_key_is_rotated_by_a_second_one(tenant, read):
    first, second = tenant("add", "acme")[1], tenant("key", "acme")[1]
    assert {read().with_key(key).name for key in (first, second)} == {"acme"}
    assert tenant("revoke", "acme", first.split("_")[1]) == (0, "")
    assert read().with_key(first) is None
    assert read().with_key(second) is not None
    assert tenant("remove", "acme") == (0, "")
    assert read().with_key(second) is None


def test_what_is_not_given_stays(tenant, read):
    key = tenant("add", "acme", "--lexicon", "finance", "--push", "acme-*", "--texts-per-second", "5", "--burst", "7")[
        1
    ]
    assert tenant("set", "acme", "--lexicon", "none") == (0, "")
    acme = read().with_key(key)
    assert (acme.lexicons.patterns, acme.push.patterns, acme.rate) == ((), ("acme-*",), Rate(5, 7))
    assert tenant("set", "acme", "--texts-per-second", "10") == (0, "")
    assert read().with_key(key).rate == Rate(10, 20)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("add", "Acme"), "'Acme' is not a tenant's name"),
        (("add", "globex", "--lexicon", "../etc"), "'../etc' is neither the name of a lexicon nor a beginning"),
        (("add", "globex", "--texts-per-second", "0"), "texts_per_second 0.0: a number above 0 is accepted"),
        (("add", "globex", "--burst", "3"), "burst needs texts_per_second"),
        (("add", "acme"), "'acme' already exists"),
        (("key", "globex"), "there is no tenant 'globex'; there are: acme"),
        (("revoke", "acme", "12345678"), "acme has no key '12345678'; it has: "),
    ],
)
def test_what_cannot_be_done_changes_nothing(tenant, tmp_path, arguments, says):
    tenant("add", "acme")
    before = (tmp_path / "tenants.json").read_bytes()
    code, output = tenant(*arguments)
    assert code == 2
    assert says in output
    assert (tmp_path / "tenants.json").read_bytes() == before


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "the file is not JSON"),
        ("[]", "the file must be JSON like"),
        ('{"tenants": {}, "tenant": {}}', "the file must be JSON like"),
        ('{"tenants": {"a": {}, "a": {}}}', "holds the key 'a' twice"),
        ('{"tenants": {"a": {"lexicon": []}}}', "a: unknown field 'lexicon'; keys, lexicons"),
        ('{"tenants": {"a": {"lexicons": "x"}}}', "a: lexicons: a list of names"),
        ('{"tenants": {"a": {"keys": {"12345678": "dx_12345678_secret"}}}}', "a: the key '12345678': 8 hexadecimal"),
        ('{"tenants": {"a": {"texts_per_second": true}}}', "a: texts_per_second True: a number above 0"),
        (
            json.dumps({"tenants": {name: {"keys": {"12345678": "0" * 64}} for name in "ab"}}),
            "the key 12345678 is a's and b's",
        ),
    ],
)
def test_a_wrong_file_is_told_what_is_wrong(content, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        Tenants.read(content.encode())


@pytest.mark.parametrize(
    "content",
    [
        '{"tenants": {"KEY": {}}}',
        '{"tenants": {"KEY": {}, "KEY": {}}}',
        '{"tenants": {"a": {"KEY": []}}}',
        '{"tenants": {"a": {"keys": {"KEY": "KEY"}}}}',
        '{"tenants": {"a": {"keys": {"12345678": "KEY"}}}}',
        '{"tenants": {"a": {"lexicons": ["KEY"]}}}',
        '{"tenants": {"a": {"burst": "KEY"}}}',
    ],
)
def test_a_key_that_stands_in_the_file_does_not_stand_in_what_is_said_of_it(content):
    key = ApiKey.draw()
    with pytest.raises(ValueError, match=r".") as refused:
        Tenants.read(content.replace("KEY", key.text).encode())
    said = str(refused.value)
    assert key.text.rpartition("_")[2][:8] not in said
    assert key.text not in said


def test_a_key_in_the_place_of_its_id_is_not_repeated(tenant):
    key = ApiKey.draw()
    tenant("add", "acme")
    _, output = tenant("revoke", "acme", key.text)
    assert key.id in output
    assert key.text.rpartition("_")[2][:8] not in "".join(output.split())


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_who_may_read_the_file_stays_and_the_umask_says_it_of_a_new_one(tenant, tmp_path, umask, mode):
    file = tmp_path / "tenants.json"
    before = os.umask(umask)
    try:
        tenant("add", "acme")
        assert stat.S_IMODE(file.stat().st_mode) == mode
        file.chmod(0o640)
        tenant("add", "globex")
        assert os.umask(umask) == umask
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert Tenants.read(file.read_bytes()).by_name.keys() == {"acme", "globex"}


def test_a_rate_is_kept_over_time_and_shared_by_gates():
    now = [0.0]
    acme, other = Tenant("acme", rate=Rate(10, 20)), Tenant("other", rate=Rate(10, 20))
    one, half = Rates(1, lambda: now[0]), Rates(2, lambda: now[0])
    taken = {}
    for name, rates in (("one", one), ("half", half)):
        now[0], taken[name] = 0.0, 0
        for _ in range(1000):
            taken[name] += rates.admit(acme)
            now[0] += 0.01
    # 10 seconds: what a full bucket held, and ten (five) a second.
    assert taken == {"one": pytest.approx(120, abs=1), "half": pytest.approx(60, abs=1)}
    assert sum(one.admit(other) for _ in range(30)) == 20


@pytest.fixture
def limited(tmp_path):
    """Make an authorizer of a tenant with a rate; what asks it for a call of so many texts, and its clock."""
    with contextlib.ExitStack() as stack:

        def limited(gates=1, **rate):
            now, key = [0.0], ApiKey.draw()
            files = TenantFiles(tmp_path / "tenants.json", tmp_path / "secret")
            files.tenants.write_text(json.dumps({"tenants": {"acme": {"keys": {key.id: key.digest}, **rate}}}))
            files.secret.write_bytes(SECRET)
            authorizer = Authorizer(files, tmp_path / "socket", Rates(gates, lambda: now[0]))
            stack.callback(authorizer.stop)

            def call(texts):
                status, said = authorizer.authorize("/inference", f"Bearer {key.text}")
                return authorizer.charge(said, texts - 1)[0] if status == 200 and texts > 1 else status

            return call, now

        yield limited


@pytest.mark.parametrize(("per_second", "gates"), [(10, 1), (30, 1), (50, 2), (0.5, 1)])
def test_a_request_larger_than_the_bucket_is_let_through_and_waited_for(limited, per_second, gates):
    call, now = limited(gates, texts_per_second=per_second)
    assert call(64) == 200
    one_is_left = (65 - max(1.0, 2 * per_second / gates)) / (per_second / gates)
    now[0] = one_is_left - 0.01
    assert (call(1), call(64)) == (429, 429)
    now[0] = one_is_left
    assert call(64) == 200


def test_a_large_request_passes_beside_single_texts_and_the_rate_holds(limited):
    call, now = limited(texts_per_second=10)
    sent = large = 0
    for step in range(1000):  # 100 seconds
        now[0] = step * 0.1
        if step % 10 == 0 and call(64) == 200:
            sent, large = sent + 64, large + 1
        sent += call(1) == 200
    assert large >= 5
    assert sent <= 20 + 100 * 10 + 64


def test_a_signature_holds_for_its_tenant_its_secret_and_its_time():
    signed = sign("acme", SECRET, 1000.0)
    assert tenant_of(signed, [b"y" * 32, SECRET], 1000.0 + LIFETIME_S) == "acme"
    for wrong in (signed.replace("acme", "acmf"), signed[:-1], f"{signed}0", "", signed.replace("v1", "v2")):
        with pytest.raises(ForgedError):
            tenant_of(wrong, [SECRET], 1000.0)
    later = signed.replace(str(1000 + LIFETIME_S), str(1001 + LIFETIME_S))
    with pytest.raises(ForgedError):
        tenant_of(later, [SECRET], 1000.0)
    with pytest.raises(ForgedError):
        tenant_of(signed, [b"y" * 32], 1000.0)
    with pytest.raises(ForgedError):
        tenant_of(signed, [SECRET], 0.0)
    with pytest.raises(ExpiredError):
        tenant_of(signed, [SECRET], 1010.0 + LIFETIME_S)


@pytest.mark.parametrize(("content", "says"), [(b"\n", "holds no secret"), (b"short\n", "has 5 bytes; at least 32")])
def test_a_secret_that_is_none_is_refused_and_not_shown(content, says):
    with pytest.raises(ValueError, match=says) as caught:
        read_secrets(content)
    assert "short" not in str(caught.value)


def test_a_watched_file_may_be_replaced_written_or_turned_to_another(tmp_path):
    old, new, link = tmp_path / "old", tmp_path / "new", tmp_path / "link"
    old.write_bytes(b"1")
    new.write_bytes(b"2")
    link.symlink_to(old)
    watched = WatchedFile(link, int)
    assert watched.content() == 1
    turned = tmp_path / "turned"
    turned.symlink_to(new)
    turned.replace(link)
    assert watched.content() == 2
    new.write_bytes(b"33")
    assert watched.content() == 33
    new.write_bytes(b"nothing")
    assert watched.content() == 33
    new.unlink()
    assert watched.content() == 33
    new.write_bytes(b"4")
    assert watched.content() == 4
