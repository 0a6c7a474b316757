"""Extraction from files of any size on this machine's cores: ``distillex_client.batch`` with models for a server.

::

    extract_files ─▶ calls of a batch each ─▶ Workers ─▶ worker process: its own model, one thread
    (distillex_client)     (threads)             └─────▶ worker process …

Processes, because beside the network there is Python to run for each text, which threads of one process would run one
after the other; and because a text that kills a process then costs that process and itself alone.
"""

from distillex.batch.local import LocalExtraction

__all__ = ["LocalExtraction"]
