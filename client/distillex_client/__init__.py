"""Client of a Distillex server.

Offsets are Unicode code points in the caller's own text, end-exclusive:
``text[entity.start:entity.end] == entity.text``.
"""

from distillex_client.aio import AsyncExtractor
from distillex_client.documents import split_document
from distillex_client.entity import Entity, Extraction
from distillex_client.errors import (
    AccessDenied,
    DeadlineExceeded,
    ExtractorError,
    InvalidRequest,
    InvalidText,
    ModelNotFound,
    ServerError,
    ServerUnavailable,
    TlsError,
)
from distillex_client.extractor import Extractor
from distillex_client.options import Retries, Tls
from distillex_client.render import render, render_terminal

__all__ = [
    "AccessDenied",
    "AsyncExtractor",
    "DeadlineExceeded",
    "Entity",
    "Extraction",
    "Extractor",
    "ExtractorError",
    "InvalidRequest",
    "InvalidText",
    "ModelNotFound",
    "Retries",
    "ServerError",
    "ServerUnavailable",
    "Tls",
    "TlsError",
    "render",
    "render_terminal",
    "split_document",
]
