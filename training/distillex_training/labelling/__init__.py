"""Labelled files from a language model behind an endpoint, or from a teacher or student (``distillex label``)."""
