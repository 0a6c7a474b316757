"""Sentences a second of an exported model behind its own embedded server."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

from distillex_client import Extractor
from distillex_matcher.exported import ExportedFiles, is_teacher
from distillex_serving.embedded import EmbeddedServer, ServerOptions

BATCH = 32
TEACHER_SHARE = 10
"""A teacher gets every tenth sentence: it would take minutes otherwise."""


def served_rate(network: Path, sentences: list[str], lexicons: Path | None = None) -> float:
    """Start a server, send it all sentences, stop it.

    Parameters
    ----------
    network
        ``…/student/1/model.onnx`` or ``…/teacher/1/model.onnx`` of a folder that ``distillex export`` wrote.
    sentences
        Sent through gRPC by the client, which shares the machine's cores.
    lexicons
        Lexicon directory; by default the shipped one.
    """
    of_teacher = is_teacher(network)
    folder = network.resolve().parents[2]
    model = "extractor_teacher" if of_teacher else "extractor"
    sent = sentences[::TEACHER_SHARE] if of_teacher else sentences
    with tempfile.TemporaryDirectory() as place:
        options = ServerOptions(
            grpc_port=0,
            http_port=0,
            metrics_port=0,
            lexicon_directory=lexicons,
            student=in_place_of_student(network, Path(place)) if of_teacher else folder,
            teacher=folder if of_teacher else None,
        )
        with EmbeddedServer(options) as server, Extractor(server.grpc_url, batch_size=BATCH, model=model) as extractor:
            extractor.extract_batch(sent[: 2 * BATCH])
            began = time.perf_counter()
            extractor.extract_batch(sent)
            return len(sent) / (time.perf_counter() - began)


def in_place_of_student(teacher: Path, place: Path) -> Path:
    """Write a serving folder whose student is this network of a teacher: a server has to have one of its vocabulary."""
    files = ExportedFiles.beside(teacher)
    files.layout.save(place / "preprocess" / "1")
    files.crf.save(place / "decode" / "1" / "crf.json")
    (place / "student" / "1").mkdir(parents=True)
    shutil.copyfile(teacher, place / "student" / "1" / "model.onnx")
    return place
