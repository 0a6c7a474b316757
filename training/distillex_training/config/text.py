"""What a model counts as a word, a sentence and a letter."""

from __future__ import annotations

import dataclasses

from distillex_matcher import TextRules

from distillex_training.config.values import Switch, settings

NEW_TEXT_RULES = TextRules(word_boundaries=True, sentence_periods=True)
"""Of a new layout, where the configuration says nothing: text of Chinese characters alone has the same features."""


@settings(frozen=True)
class TextConfig:
    """What the model counts as a word, a sentence and a letter (docs/explanation/architecture.md)."""

    word_boundaries: Switch | None = None
    """Lexicon words that hold letters of a script with spaces (Latin, Greek, Cyrillic, …) match only where they are no
    part of a longer word. Of a new model true."""
    sentence_periods: Switch | None = None
    """Documents are cut after periods that end sentences of such scripts, too. Of a new model true."""
    lowercase: Switch | None = None
    """Capital letters are read as small ones. Of a new model true."""

    def rules(self, earlier: TextRules | None) -> TextRules:
        """Return the rules of a run.

        Parameters
        ----------
        earlier
            Of the layout that the run keeps; None: it makes a new one.

        Raises
        ------
        ValueError
            Where another rule than the kept one is said; names the key.
        """
        said = {name: value for name, value in dataclasses.asdict(self).items() if value is not None}
        if earlier is None:
            return dataclasses.replace(NEW_TEXT_RULES, **said)
        for name, value in said.items():
            if value != getattr(earlier, name):
                kept, given = (str(each).lower() for each in (getattr(earlier, name), value))
                raise ValueError(
                    f"data.text.{name} is {given}; the model that this run begins with or learns from says {kept}, and "
                    "its features are kept: leave the key out"
                )
        return earlier
