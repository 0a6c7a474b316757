"""What a Python model raises to refuse."""


class RefusedError(ValueError):
    """A request, or a row of it, is refused; the message is for the caller."""
