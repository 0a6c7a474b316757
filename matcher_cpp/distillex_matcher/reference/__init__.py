"""Slow, obvious Python versions of the C++ core: readable in one sitting, and the oracle of its tests."""

from distillex_matcher.reference.crf import best_path, best_paths, marginals, span_probability
from distillex_matcher.reference.featurizer import featurize_text
from distillex_matcher.reference.fold import fold, fold_word
from distillex_matcher.reference.matching import find_all, stands_alone
from distillex_matcher.reference.span_edges import bracket_partner, is_sound_span, sound_part
from distillex_matcher.reference.trust import keep_to_edges, obeyed_words, with_bonus

__all__ = [
    "best_path",
    "best_paths",
    "bracket_partner",
    "featurize_text",
    "find_all",
    "fold",
    "fold_word",
    "is_sound_span",
    "keep_to_edges",
    "marginals",
    "obeyed_words",
    "sound_part",
    "span_probability",
    "stands_alone",
    "with_bonus",
]
