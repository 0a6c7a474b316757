"""BYTES tensors of requests and answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from distillex.errors import RefusedError


def rows_of(request: Any, name: str) -> list[bytes]:
    """Return the values of an input, one a row.

    Raises
    ------
    RefusedError
        Where it is not given: where some inputs are optional, Triton counts them and does not look which are there.
    """
    tensor = pb_utils.get_input_tensor_by_name(request, name)
    if tensor is None:
        raise RefusedError(f"the input {name} is missing")
    values: list[bytes] = tensor.as_numpy().reshape(-1).tolist()
    return values


def optional_rows_of(request: Any, name: str, rows: int) -> list[bytes] | None:
    """Return the values of an optional input; None where it is not given.

    Raises
    ------
    RefusedError
        Where it has another number of rows.
    """
    if pb_utils.get_input_tensor_by_name(request, name) is None:
        return None
    values = rows_of(request, name)
    if len(values) != rows:
        raise RefusedError(f"{name} has {len(values)} rows; TEXT has {rows}")
    return values


def bytes_tensor(name: str, values: Sequence[bytes]) -> Any:
    """Return an output with one value a row. *Shape:* [B, 1]."""
    column = np.empty((len(values), 1), dtype=np.object_)
    column[:, 0] = values
    return pb_utils.Tensor(name, column)
