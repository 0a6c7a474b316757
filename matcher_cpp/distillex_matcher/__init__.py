"""The C++ core of Distillex and its Python face: matching, features, labels, CRF decoding.

All offsets are Unicode code points, end-exclusive. Training and serving both call this package, so that the feature
layout, the label scheme and the decoding rules cannot drift apart.
"""

from distillex_matcher._core import (
    MAX_WORD_LENGTH,
    CrfDecoder,
    DoubleArrayTrie,
    Featurizer,
    LabelScheme,
    Lexicon,
    TrustedWords,
    __version__,
    hash_word,
    is_word,
    normalize,
    parse_trust,
)
from distillex_matcher.errors import LayoutError, LexiconError
from distillex_matcher.layout import CrfParameters, FeatureLayout, TextRules
from distillex_matcher.records import Features, LexiconEntry, Matches, Refusal, Spans

__all__ = [
    "MAX_WORD_LENGTH",
    "CrfDecoder",
    "CrfParameters",
    "DoubleArrayTrie",
    "FeatureLayout",
    "Features",
    "Featurizer",
    "LabelScheme",
    "LayoutError",
    "Lexicon",
    "LexiconEntry",
    "LexiconError",
    "Matches",
    "Refusal",
    "Spans",
    "TextRules",
    "TrustedWords",
    "__version__",
    "hash_word",
    "is_word",
    "normalize",
    "parse_trust",
]
