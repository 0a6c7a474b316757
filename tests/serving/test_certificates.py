"""The thread that hands renewed certificates to Envoy: nothing that fails once ends it."""

from __future__ import annotations

import contextlib
import errno
import logging
import time

import pytest
from distillex_serving.gate import certificates
from distillex_serving.gate.certificates import Certificates
from distillex_serving.tls_files import TlsFiles

trustme = pytest.importorskip("trustme")


def issue(files):
    issued = trustme.CA().issue_cert("localhost")
    for blob, path in ((issued.cert_chain_pems[0], files.certificate), (issued.private_key_pem, files.key)):
        blob.write_to_path(path)
    return issued.cert_chain_pems[0].bytes().decode()


def wait_until(is_so, timeout_s=30):
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_certificate_that_could_not_be_written_for_envoy_is_written_at_the_next_look(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(certificates, "POLL_S", 0.02)
    files = TlsFiles(tmp_path / "tls.crt", tmp_path / "tls.key")
    issue(files)
    folder = tmp_path / "envoy"
    folder.mkdir()
    write, failures = certificates.write_configuration, []

    def on_a_full_disk(path, configuration):
        if len(failures) < 3:
            failures.append(path)
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, configuration)

    watched = Certificates(files, folder)
    with contextlib.ExitStack() as ending, caplog.at_level(logging.INFO):
        ending.callback(watched.stop)
        monkeypatch.setattr(certificates, "write_configuration", on_a_full_disk)
        new = issue(files)
        wait_until(lambda: "a new certificate is in use" in caplog.text)
    assert new.splitlines()[1] in (folder / "certificate.json").read_text()
    assert caplog.text.count("No space left on device") == 1
