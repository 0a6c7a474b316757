"""What is raised to refuse a text or its lexicons."""


class RefusedError(ValueError):
    """A text is refused, or what came with it; the message is for the caller."""
