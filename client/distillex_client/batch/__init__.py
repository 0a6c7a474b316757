"""Extraction from files of any size: read, extract, write, in order, resumable.

::

    sources ─▶ readers ─▶ chunks ─▶ pipeline ─▶ writers ─▶ OUTPUT
    (files,    (records,   (records  (requests    (and the bad records' side file)
    gzip,      bad ones     cut the   in flight)      │
    zstd)      named)       same way                  ▼
                            each time)            checkpoint

The chunk is the unit of everything: it is read, sent, written and counted as one, and a run is resumed at the end of
one. Chunks depend on the input alone, so that a resumed run sends the same requests as an uninterrupted one.
"""

from distillex_client.batch.connection import Connection
from distillex_client.batch.extraction import Caller, CallOptions, ExtractionSource
from distillex_client.batch.options import BatchOptions
from distillex_client.batch.run import Summary, extract_files
from distillex_client.batch.writers import OutputFormat
from distillex_client.errors import BatchStopped, WrongUse

__all__ = [
    "BatchOptions",
    "BatchStopped",
    "CallOptions",
    "Caller",
    "Connection",
    "ExtractionSource",
    "OutputFormat",
    "Summary",
    "WrongUse",
    "extract_files",
]
