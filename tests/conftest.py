"""What tests of several parts share: embedded servers (the shipped models, a lexicon directory of their own, free
ports), and a browser.
"""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from distillex_serving.embedded import EmbeddedServer
from distillex_serving.repository import Layout
from server_under_test import LEXICONS, server_options, why_no_server

if "PYTEST_XDIST_WORKER" in os.environ:
    # A worker and what it starts have one core: more threads would only wait for those of the other workers.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

FOLDER_GROUPS = {"deploy": "deploy", "docs": "docs", "load": "server"}
SERVERS = frozenset(("server", "ensemble", "served", "serving", "connection"))
"""Fixtures that start a server."""
TRAINED = frozenset(("toy_student", "toy_teacher"))
"""Fixtures that train a model."""
LONGEST_FIRST = ("training", "server", "docs", "deploy", "fast")
"""Groups in the order in which workers take their modules: what is left for the end is short."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give every test the marker of its group, as :func:`group_of` says; ``fast`` where nothing else is said.

    For several workers, modules with slow tests come first, then the others by their group.
    """
    modules: dict[Path, tuple[bool, int]] = {}
    for item in items:
        group = group_of(item)
        if item.get_closest_marker(group) is None:
            item.add_marker(group)
        rank = (item.get_closest_marker("slow") is None, LONGEST_FIRST.index(group))
        modules[item.path] = min(rank, modules.get(item.path, rank))
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: modules[item.path])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give a module to one worker, in the order above, and all of deploy/ to the same: they share tools and servers."""
    from xdist.scheduler import LoadFileScheduling

    class Modules(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            module: str = super()._split_scope(nodeid)
            return "tests/deploy" if module.startswith("tests/deploy/") else module

    config.option.loadscopereorder = False
    return Modules(config, log)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Say in the report (``--junit-xml``) to which group a test belongs: ``tests/group_times.py`` adds them up."""
    item.user_properties.append(("group", group_of(item)))


def group_of(item: pytest.Item) -> str:
    """Return one of ``server``, ``training``, ``deploy``, ``docs``, ``fast``."""
    folder = item.path.relative_to(Path(__file__).parent).parts[0]
    if folder in FOLDER_GROUPS:
        return FOLDER_GROUPS[folder]
    used = set(getattr(item, "fixturenames", ()))
    if item.get_closest_marker("server") or used & SERVERS:
        return "server"
    if item.get_closest_marker("training") or used & TRAINED:
        return "training"
    return "fast"


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


@pytest.fixture
def nobody() -> Iterator[str]:
    """host:port at which nobody answers: connections are refused, and no other process can take the port meanwhile."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{bound.getsockname()[1]}"


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A browser without a window, driven by Selenium."""
    chromium, driver = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("Chromium or its driver is missing (Debian: apt-get install chromium-driver)")
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (
        "headless",
        "no-sandbox",
        "disable-gpu",
        "disable-quic",
        "no-first-run",
        "disable-background-networking",
        "disable-component-update",
        "disable-sync",
        f"user-data-dir={tmp_path_factory.mktemp('chromium')}",
    ):
        options.add_argument(f"--{flag}")
    running = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield running
    running.quit()
