"""``secrets.sh`` of the compose file: certificates that a client trusts, and nothing of one's own is overwritten."""

from __future__ import annotations

import ipaddress
import os
import shutil
import ssl
import stat
import subprocess

import pytest
from compose import make_secrets
from distillex_serving.tenants.signature import read_secrets
from distillex_serving.tls_files import TlsFiles
from server_under_test import ROOT

x509 = pytest.importorskip("cryptography.x509")


def test_the_certificate_is_for_the_given_names_and_signed_by_the_written_authority(tmp_path):
    folder = make_secrets(ROOT, tmp_path)
    TlsFiles(folder / "tls.crt", folder / "tls.key", folder / "ca.crt").check()
    certificate = x509.load_pem_x509_certificate((folder / "tls.crt").read_bytes())
    authority = x509.load_pem_x509_certificate((folder / "ca.crt").read_bytes())
    certificate.verify_directly_issued_by(authority)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "distillex.example"]
    assert ssl.create_default_context(cafile=str(folder / "ca.crt")).get_ca_certs()


def test_secrets_are_closed_to_others_and_drawn_anew_for_each_folder(tmp_path):
    folders = [make_secrets(ROOT, tmp_path / name) for name in map(str, range(2)) if (tmp_path / name).mkdir() is None]
    for folder in folders:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE((folder / "ca.key").stat().st_mode) == 0o600
    for name in ("admin_token", "grafana_password", "tls.key"):
        # Containers read them under another user.
        assert stat.S_IMODE((folders[0] / name).stat().st_mode) == 0o644
        first, second = ((folder / name).read_text(encoding="utf-8") for folder in folders)
        assert first != second
        assert len(first.strip()) >= 32


def test_files_that_are_there_stay(tmp_path):
    folder = make_secrets(ROOT, tmp_path)
    (folder / "tls.crt").write_text("of my own", encoding="utf-8")
    (folder / "admin_token").write_text("of my own", encoding="utf-8")
    subprocess.run(["sh", tmp_path / "secrets.sh"], check=True)
    assert (folder / "tls.crt").read_text(encoding="utf-8") == "of my own"
    assert (folder / "admin_token").read_text(encoding="utf-8") == "of my own"


@pytest.fixture
def run(tmp_path):
    """Run a copy of the script with names, where wanted with another openssl; return how it ended."""
    script, programs = tmp_path / "secrets.sh", tmp_path / "programs"
    shutil.copy(ROOT / "deploy/compose/secrets.sh", script)
    programs.mkdir()

    def run(*names, openssl=""):
        if openssl:
            (programs / "openssl").write_text(f"#!/bin/sh\n{openssl}\n", encoding="utf-8")
            (programs / "openssl").chmod(0o755)
        else:
            (programs / "openssl").unlink(missing_ok=True)
        environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
        return subprocess.run(["sh", script, *names], capture_output=True, text=True, env=environment)

    return run


def written(tmp_path):
    return sorted(path.name for path in (tmp_path / "secrets").iterdir())


@pytest.mark.parametrize("fails", ["req -x509", "req -new", "x509", "rand"])
def test_a_run_that_failed_says_why_and_the_next_one_makes_all(run, tmp_path, fails):
    real = shutil.which("openssl")
    pattern = fails.replace(" ", r"\ ")
    failing = f"""case "$*" in {pattern}*) echo 'no entropy' >&2; exit 1;; esac\nexec {real} "$@" """
    done = run(openssl=failing)
    assert (done.returncode, done.stderr) == (1, "no entropy\n")
    pair = ["ca.crt", "ca.key", "tls.crt", "tls.key"]
    assert written(tmp_path) == (pair if fails == "rand" else [])
    done = run()
    assert (done.returncode, done.stderr) == (0, "")
    assert written(tmp_path) == ["admin_token", *pair[:2], "grafana_password", "tenants", *pair[2:]]
    folder = tmp_path / "secrets"
    TlsFiles(folder / "tls.crt", folder / "tls.key", folder / "ca.crt").check()
    assert len((folder / "admin_token").read_text(encoding="utf-8").strip()) == 48


@pytest.mark.parametrize(("there", "missing"), [("tls.crt", "tls.key"), ("tls.key", "tls.crt")])
def test_one_half_of_a_pair_is_named_and_left_as_it_is(run, tmp_path, there, missing):
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / there).write_text("of my own", encoding="utf-8")
    done = run()
    assert done.returncode == 1
    assert f"secrets/{there} is there, secrets/{missing} is not" in done.stderr
    assert written(tmp_path) == [there]
    assert (tmp_path / "secrets" / there).read_text(encoding="utf-8") == "of my own"


def test_a_new_certificate_is_of_the_authority_that_clients_trust(run, tmp_path):
    folder = tmp_path / "secrets"
    assert run().returncode == 0
    authority, first = ((folder / name).read_bytes() for name in ("ca.crt", "tls.crt"))
    for name in ("tls.crt", "tls.key"):
        (folder / name).unlink()
    assert run("new-name.example").returncode == 0
    assert (folder / "ca.crt").read_bytes() == authority
    assert (folder / "tls.crt").read_bytes() != first
    TlsFiles(folder / "tls.crt", folder / "tls.key", folder / "ca.crt").check()
    certificate = x509.load_pem_x509_certificate((folder / "tls.crt").read_bytes())
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority))


@pytest.mark.parametrize("missing", ["ca.crt", "ca.key"])
def test_half_an_authority_is_not_replaced_unseen(run, tmp_path, missing):
    assert run().returncode == 0
    for name in ("tls.crt", "tls.key", missing):
        (tmp_path / "secrets" / name).unlink()
    before = written(tmp_path)
    done = run()
    assert done.returncode == 1
    assert "ca.crt and ca.key: one of them is missing" in done.stderr
    assert written(tmp_path) == before


def test_the_secret_of_the_gate_is_one_that_the_gate_takes(run, tmp_path):
    assert run().returncode == 0
    secret = (tmp_path / "secrets/tenants/secret").read_bytes()
    assert read_secrets(secret) == (secret.strip(),)


def test_addresses_of_both_kinds_are_addresses_in_the_certificate(run, tmp_path):
    assert run("2001:db8::7", "192.0.2.7", "my-host").returncode == 0
    certificate = x509.load_pem_x509_certificate((tmp_path / "secrets/tls.crt").read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "my-host"]
    addresses = ["127.0.0.1", "2001:db8::7", "192.0.2.7"]
    assert names.get_values_for_type(x509.IPAddress) == list(map(ipaddress.ip_address, addresses))


def test_a_name_that_is_no_name_is_refused_with_the_words_of_openssl(run, tmp_path):
    done = run("my-host:8443")
    assert done.returncode == 1
    assert "my-host:8443" in done.stderr
    assert written(tmp_path) == []
