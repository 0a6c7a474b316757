"""The server that tests run against: where its files lie, why it may be missing, how it is started."""

from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path
from typing import Any

from distillex_serving import preconditions
from distillex_serving.embedded import ServerOptions
from distillex_serving.errors import PreconditionError
from distillex_serving.gate.gate import find_envoy

ROOT = Path(__file__).resolve().parents[1]
REPOSITORY = ROOT / "model_repository"
ADMIN_TOKEN = "a token for the tests alone"
LEXICONS = ROOT / "lexicons"


def why_no_server() -> str | None:
    """Reason why the embedded server cannot be started here, or None."""
    if importlib.util.find_spec("tritonclient") is None:
        return "tritonclient is not installed: pip install 'tritonclient[grpc]'"
    try:
        preconditions.find_triton()
        preconditions.find_libpython()
        preconditions.check_numpy()
        preconditions.check_onnxruntime()
    except PreconditionError as error:
        return str(error)
    return None


def why_no_gate() -> str | None:
    """Reason why the gate cannot be started here, or None."""
    try:
        find_envoy()
    except PreconditionError as error:
        return str(error)
    return None


def server_options(lexicon_directory: Path = LEXICONS, **changed: Any) -> ServerOptions:
    """Options of a server on free ports; ``changed`` are fields of them."""
    options = ServerOptions(
        lexicon_directory=lexicon_directory, grpc_port=0, http_port=0, metrics_port=0, admin_token=ADMIN_TOKEN
    )
    return dataclasses.replace(options, **changed)
