"""Check that the files next to a network belong to it, before a wrong answer can be given."""

from __future__ import annotations

import numpy as np
import onnxruntime
from distillex_matcher.exported import ExportedFiles, NetworkSizes

INPUTS = ("INPUT_IDS", "LEXICON_TYPES", "LEXICON_WORDS", "LEXICON_WEIGHTS")
LARGEST_ID = 2**30
TOKENS = 8
QUIET = 4
"""Severity of ONNX Runtime's log at which a run may fail in silence."""


def check_network(session: onnxruntime.InferenceSession, files: ExportedFiles) -> None:
    """Check the layout and the CRF beside an exported network.

    Parameters
    ----------
    session
        Of the network.
    files
        What lies beside it.

    Raises
    ------
    LayoutError
        For another model's; the message names both files and both values.
    """
    files.check(session.get_modelmeta().custom_metadata_map, sizes_of(session, files))


def sizes_of(session: onnxruntime.InferenceSession, files: ExportedFiles) -> NetworkSizes:
    """Return what a network's shapes and accepted ids show of the files that it needs."""
    words_per_slot, labels = session.get_inputs()[1].shape[3], session.get_outputs()[0].shape[2]
    if words_per_slot != files.layout.words_per_slot:
        return NetworkSizes(vocabulary=None, types=None, words_per_slot=words_per_slot, labels=labels)
    types = _largest_id(session, INPUTS[1], len(files.layout.types))
    tokens = _largest_id(session, INPUTS[0], len(files.layout.vocabulary) - 1)
    return NetworkSizes(
        vocabulary=None if tokens is None else tokens + 1, types=types, words_per_slot=words_per_slot, labels=labels
    )


def _largest_id(session: onnxruntime.InferenceSession, name: str, expected: int) -> int | None:
    """Return the largest id that an input accepts; None where it accepts any."""
    accepted = _Probe(session, name)
    if accepted(expected) and not accepted(expected + 1):
        return expected
    if accepted(LARGEST_ID):
        return None
    low, high = 0, LARGEST_ID
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if accepted(middle) else (low, middle)
    return low


class _Probe:
    def __init__(self, session: onnxruntime.InferenceSession, name: str) -> None:
        self._session, self._name = session, name
        self._shape = (1, TOKENS, 4, session.get_inputs()[1].shape[3])
        self._options = onnxruntime.RunOptions()
        self._options.log_severity_level = QUIET

    def __call__(self, index: int) -> bool:
        words = np.zeros(self._shape, np.int32)
        # A slot without a weight is not looked up.
        weights = np.ones(self._shape, np.float32)
        feeds = dict(zip(INPUTS, (np.ones((1, TOKENS), np.int32), words, words, weights), strict=True))
        feeds[self._name] = np.full_like(feeds[self._name], index)
        try:
            self._session.run(None, feeds, self._options)
        except Exception:  # ONNX Runtime's own classes, which it does not export by name
            return False
        return True
