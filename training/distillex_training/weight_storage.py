"""How the weights of a model directory can be stored."""

from __future__ import annotations

from enum import Enum


class Storage(str, Enum):
    """How weights are stored. They are float32 again once they are read; the CRF is always float32."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    INT8_TABLES = "int8-tables"
    """Embedding rows of a student's characters and bigrams in int8, with one scale a row, as the exported network has
    them; all other weights in float16. The exported network is the same as that of the weights in float16."""
