"""The ``distillex`` command."""
