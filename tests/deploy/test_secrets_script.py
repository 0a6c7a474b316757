"""``secrets.sh`` of the compose file: certificates that a client trusts, and nothing of one's own is overwritten."""

from __future__ import annotations

import ssl
import stat
import subprocess

import pytest
from compose import make_secrets
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
