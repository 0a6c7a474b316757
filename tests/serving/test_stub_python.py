"""Models see the modules that the process sees which starts the server, and none that lie about by chance."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

pytest.importorskip("tritonclient.grpc")
from distillex_client import Extractor
from distillex_serving.embedded import EmbeddedServer
from server_under_test import LEXICONS, REPOSITORY, server_options, why_no_server

pytestmark = pytest.mark.server


@pytest.fixture
def options():
    if reason := why_no_server():
        pytest.skip(reason)
    return server_options()


def test_a_module_on_the_path_of_this_process_is_found(options, monkeypatch, tmp_path):
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "only_on_our_path.py").touch()
    monkeypatch.syspath_prepend(tmp_path / "path")
    shutil.copytree(REPOSITORY, tmp_path / "model_repository")
    model = tmp_path / "model_repository" / "extractor" / "1" / "model.py"
    model.write_text(model.read_text(encoding="utf-8") + "\nimport only_on_our_path\n", encoding="utf-8")
    with EmbeddedServer(dataclasses.replace(options, repository=tmp_path / "model_repository")) as server:
        assert server.is_ready()


def test_files_in_the_working_folder_are_no_modules(options, monkeypatch, tmp_path):
    for name in ("numpy", "json", "distillex_matcher"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('of the working folder')\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with EmbeddedServer(options) as server, Extractor(server.grpc_url) as extractor:
        assert extractor.extract("华为技术有限公司")


def test_relative_paths_are_those_of_this_process(options, monkeypatch, tmp_path):
    trustme = pytest.importorskip("trustme", reason="trustme is not installed")
    from distillex_client import Tls
    from distillex_serving.tls_files import TlsFiles

    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "certificate.pem")
    (tmp_path / "model_repository").symlink_to(REPOSITORY)
    (tmp_path / "lexicons").symlink_to(LEXICONS)
    monkeypatch.chdir(tmp_path)
    relative = dataclasses.replace(
        options,
        repository=Path("model_repository"),
        lexicon_directory=Path("lexicons"),
        tls=TlsFiles(Path("certificate.pem"), Path("key.pem"), Path("ca.pem")),
    )
    client = authority.issue_cert("client@example.org")
    client.private_key_pem.write_to_path(tmp_path / "client-key.pem")
    client.cert_chain_pems[0].write_to_path(tmp_path / "client.pem")
    tls = Tls(Path("ca.pem"), Path("client.pem"), Path("client-key.pem"))
    with EmbeddedServer(relative) as server, Extractor(server.grpc_url, tls=tls) as extractor:
        assert extractor.extract("华为技术有限公司")
