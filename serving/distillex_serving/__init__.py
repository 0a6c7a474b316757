"""Serving: the embedded Triton server, and lexicons on a running server."""
