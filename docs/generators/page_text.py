"""Markdown of the forge made into Markdown of the site: links, and pipes in tables."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

FENCE = re.compile(r"^\s*(```|~~~)")
LINK = re.compile(r"(?P<label>!?\[[^\]]*\])\((?P<target>[^)\s]+)\)")
ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|#|/")
CODE = re.compile(r"`[^`]+`")


def with_site_links(markdown: str, source: str, page: str, pages: Mapping[str, str], root: Path) -> str:
    """Return a page whose relative links lead to pages of the site, or name the file where it is not one.

    Parameters
    ----------
    markdown
        The page's text.
    source
        Its file in the source tree, such as ``"docs/how-to/gpu.md"``.
    page
        Its place in the site, such as ``"how-to/gpu.md"``.
    pages
        Files of the source tree → their places in the site.
    root
        The source tree.

    Returns
    -------
    str
        The text. A link to nothing stays as it is: the build refuses it.
    """

    def led(found: re.Match[str]) -> str:
        label, target = found["label"], found["target"]
        if ELSEWHERE.match(target):
            return found[0]
        path, hash_sign, anchor = target.partition("#")
        file = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        if file in pages:
            there = posixpath.relpath(pages[file], posixpath.dirname(page) or ".")
            return f"{label}({there}{hash_sign}{anchor})"
        if label.startswith("!") or file.startswith("..") or not (root / file).exists():
            return found[0]
        text = label[1:-1]
        return f"`{file}`" if file.endswith(text.strip("`").rstrip("/")) else f"{text} (`{file}`)"

    return "".join(line if is_code else LINK.sub(led, line) for line, is_code in _lines(markdown))


def plain_table_pipes(markdown: str) -> str:
    """Return a page in whose tables a pipe within code has no backslash: the forge wants one there, MkDocs none."""

    def plain(line: str) -> str:
        return CODE.sub(lambda code: code[0].replace("\\|", "|"), line) if line.startswith("|") else line

    return "".join(line if is_code else plain(line) for line, is_code in _lines(markdown))


def _lines(markdown: str) -> Iterator[tuple[str, bool]]:
    """Yield each line, and whether it belongs to a code block."""
    inside = False
    for line in markdown.splitlines(keepends=True):
        is_fence = FENCE.match(line) is not None
        yield line, inside or is_fence
        inside ^= is_fence
