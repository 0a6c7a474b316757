"""A plain Triton client: what a program knows that has nothing of ours, so that tests do not lean on our client."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton


@dataclass(frozen=True)
class Answer:
    """ENTITIES (parsed) and LEXICON_VERSION of each row."""

    rows: list[Any]
    versions: list[str]


def bytes_tensor(name: str, rows: Sequence[str | bytes], shape: Sequence[int] | None = None) -> triton.InferInput:
    values = np.array([row.encode() if isinstance(row, str) else row for row in rows], dtype=object)
    values = values.reshape(shape if shape is not None else (len(rows), 1))
    tensor = triton.InferInput(name, list(values.shape), "BYTES")
    tensor.set_data_from_numpy(values)
    return tensor


def extract(client: triton.InferenceServerClient, texts: Sequence[str | bytes], **optional: Sequence[str]) -> Answer:
    inputs = [bytes_tensor("TEXT", texts), *(bytes_tensor(name, rows) for name, rows in optional.items())]
    result = client.infer("extractor", inputs, client_timeout=30)
    return Answer(
        rows=[json.loads(row) for row in result.as_numpy("ENTITIES").reshape(-1)],
        versions=[row.decode() for row in result.as_numpy("LEXICON_VERSION").reshape(-1)],
    )


def refusal(client: triton.InferenceServerClient, texts: Sequence[str | bytes], **optional: Sequence[str]) -> str:
    """The message of the INVALID_ARGUMENT with which the server refuses a request."""
    with pytest.raises(triton.InferenceServerException) as caught:
        extract(client, texts, **optional)
    error = caught.value
    assert error.status() == "StatusCode.INVALID_ARGUMENT", error
    message: str = error.message()
    for forbidden in ("\n", "Traceback", ".py", str(Path.cwd())):
        assert forbidden not in message
    return message.removeprefix("in ensemble 'extractor', ")
