"""spaCy's ``.spacy`` files (``DocBin``), by spaCy itself."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from distillex_training.data.formats.reading import Labelled, Reading, Source
from distillex_training.data.formats.writing import Output, write_with
from distillex_training.data.records import GoldSpan, Record, overlaps
from distillex_training.errors import DataError

GROUP = "sc"
"""The group of spans that may overlap which spaCy's span categorizer reads."""
MAGIC = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
"""A file is compressed by zlib."""


def read_docbin(source: Source) -> Reading:
    """Read the documents' ``ents``; of one that has none but spans of the group ``sc``, those.

    Raises
    ------
    DataError
        Without spaCy, or for a file that it does not read.
    """
    _require_spacy(source.path)
    from spacy.tokens import DocBin
    from spacy.vocab import Vocab

    reading = Reading(source.path, source.options)
    try:
        documents = list(DocBin().from_bytes(source.content).get_docs(Vocab()))
    except Exception as error:  # whatever zlib, msgpack or spaCy raise for bytes that are none
        raise DataError(f"{source.path}: spaCy does not read it as a DocBin: {error}") from None
    for number, document in enumerate(documents, start=1):
        spans = list(document.ents) or list(document.spans.get(GROUP, ()))
        labelled: list[Labelled] = [(GoldSpan(s.start_char, s.end_char, s.label_), s.text) for s in spans]
        unlabelled = not spans and len(document) and not document.has_annotation("ENT_IOB") and not document.spans
        reasons = ["this text is not labelled (neither ents nor spans)"] if unlabelled else []
        reading.add(number, document.text, labelled, reasons)
    return reading.finish(counts_tokens=True)


def write_docbin(records: Sequence[Record], output: Output) -> None:
    """Write documents, a token a character; overlapping spans go to the group ``sc``.

    Raises
    ------
    DataError
        Without spaCy.
    """
    _require_spacy(output.path)
    from spacy.tokens import DocBin
    from spacy.vocab import Vocab

    vocabulary = Vocab()
    documents = DocBin(attrs=["ENT_IOB", "ENT_TYPE", "SPACY"], store_user_data=False)
    for record in records:
        documents.add(_document(record, vocabulary))
    write_with(output.path, lambda path: path.write_bytes(documents.to_bytes()))


def _document(record: Record, vocabulary: Any) -> Any:
    from spacy.tokens import Doc, Span

    document = Doc(vocabulary, words=list(record.text), spaces=[False] * len(record.text))
    spans = [Span(document, each.start, each.end, label=each.type) for each in record.spans]
    if overlaps(record.spans):
        document.spans[GROUP] = spans
    else:
        document.set_ents(spans, default="outside")
    return document


def _require_spacy(path: Path) -> None:
    if importlib.util.find_spec("spacy") is None:
        raise DataError(f"{path}: a .spacy file needs spaCy: pip install 'distillex[spacy]'")
