"""Errors of lexicons, layouts and decoding.

::

    MatcherError
    ├── LexiconError              a lexicon, a word list or an entry is wrong; raised by the C++ core too
    │   ├── UnknownLexiconError   no lexicon of that name, or no such version, is installed
    │   └── LexiconNameError      a name that no lexicon may have
    └── LayoutError               a file of a model's layout or CRF is missing or wrong
"""

from __future__ import annotations


class MatcherError(ValueError):
    """Base of all errors of this package."""


class LexiconError(MatcherError):
    """A lexicon file, entry or type is invalid; the message names the value and what is accepted."""


class UnknownLexiconError(LexiconError):
    """No lexicon of that name, or no such version, is installed."""


class LexiconNameError(LexiconError):
    """A name does not match the closed pattern."""


class LayoutError(MatcherError):
    """A model's features.json, vocabulary.txt or crf.json is missing or wrong; the message names the file."""
