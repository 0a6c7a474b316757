"""Serving: the embedded Triton server, its models, and repositories for other Triton servers."""
