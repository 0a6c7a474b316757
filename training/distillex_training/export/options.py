"""The options of an export, without its imports."""

from __future__ import annotations

import enum


class Int8(str, enum.Enum):
    """What is in 8 bits."""

    NONE = "none"
    """Nothing: all in float32."""
    TABLES = "tables"
    """Embedding rows are stored in int8, those of words in float16; the arithmetic is float32."""
    DYNAMIC = "dynamic"
    """Tables, and the matrix products (convolutions are written as such) with activation ranges taken from each
    batch: results depend slightly on what shares the batch. No calibration text."""
    STATIC = "static"
    """Tables, and convolutions and products with activation ranges taken from calibration text: a text's result does
    not depend on its batch."""
