"""The embedded servers that all tests share: the shipped models, a lexicon directory of their own, free ports."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from distillex_serving.embedded import EmbeddedServer
from distillex_serving.repository import Layout
from server_under_test import LEXICONS, server_options, why_no_server


@pytest.fixture(scope="session")
def lexicon_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the shipped lexicons, to push to; both servers read it."""
    if reason := why_no_server():
        pytest.skip(reason)
    directory = tmp_path_factory.mktemp("lexicons")
    shutil.copytree(LEXICONS / "base", directory / "base")
    return directory


@pytest.fixture(scope="session")
def server(lexicon_directory: Path) -> Iterator[EmbeddedServer]:
    """A running server: ``grpc_url`` (host:port), ``http_url``, ``metrics_url``."""
    with EmbeddedServer(server_options(lexicon_directory)) as running:
        yield running


@pytest.fixture(scope="session")
def ensemble(lexicon_directory: Path) -> Iterator[EmbeddedServer]:
    """The same, the pipeline divided into three models."""
    with EmbeddedServer(server_options(lexicon_directory, layout=Layout.ENSEMBLE)) as running:
        yield running
