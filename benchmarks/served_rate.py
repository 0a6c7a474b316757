"""Sentences a second of an exported model behind its own embedded server."""

from __future__ import annotations

import time
from pathlib import Path

from distillex.locations import shipped_lexicons
from distillex_client import Extractor
from distillex_serving.embedded import EmbeddedServer, ServerOptions

BATCH = 32
TEACHER_SHARE = 10
"""A teacher gets every tenth sentence: it would take minutes otherwise."""
LONGEST_S = 15.0
"""What takes longer is a teacher, or as slow."""


def served_rate(folder: Path, sentences: list[str], lexicons: Path | None = None) -> float:
    """Start a server, send it all sentences, stop it.

    Parameters
    ----------
    folder
        What ``distillex export`` wrote of a student or a teacher; either is served as ``extractor``.
    sentences
        Sent through gRPC by the client, which shares the machine's cores.
    lexicons
        Lexicon directory; by default the shipped one.
    """
    options = ServerOptions(
        grpc_port=0, http_port=0, metrics_port=0, student=folder, lexicon_directory=lexicons or shipped_lexicons()
    )
    with EmbeddedServer(options) as server, Extractor(server.grpc_url, batch_size=BATCH) as extractor:
        _seconds(extractor, sentences[:BATCH])
        first = sentences[: 2 * BATCH]
        slow = _seconds(extractor, first) / len(first) * len(sentences) > LONGEST_S
        sent = sentences[::TEACHER_SHARE] if slow else sentences
        return len(sent) / _seconds(extractor, sent)


def _seconds(extractor: Extractor, sentences: list[str]) -> float:
    began = time.perf_counter()
    extractor.extract_batch(sentences)
    return time.perf_counter() - began
