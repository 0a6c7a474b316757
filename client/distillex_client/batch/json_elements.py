"""The elements of a JSON array, one at a time: an array may be larger than the memory."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_MARK = re.compile(rb'["\[\]{},]')
_WHITE_SPACE = b" \t\r\n"


class JsonElements:
    """Cut an array into the bytes of its elements, at the commas between them; what is in them is not looked at.

    Parameters
    ----------
    blocks
        What follows the ``[``.
    largest_bytes
        An element that has more is passed over and comes out as None.

    Attributes
    ----------
    problem
        After the last element: why the array is not whole; None where it is.
    """

    def __init__(self, blocks: Iterable[bytes], largest_bytes: int) -> None:
        self._blocks = iter(blocks)
        self._largest_bytes = largest_bytes
        self._pieces: list[bytes] = []
        self._size_bytes = 0
        self._count = 0
        self.problem: str | None = None

    def __iter__(self) -> Iterator[bytes | None]:
        depth = 0
        in_string = escaped = False
        for block in self._blocks:
            start = position = 0
            if escaped:
                position, escaped = 1, False
            while True:
                if in_string:
                    quote = block.find(b'"', position)
                    is_escaped = _ends_with_escape(block, position, len(block) if quote < 0 else quote)
                    if quote < 0:
                        escaped = is_escaped
                        break
                    in_string = is_escaped
                    position = quote + 1
                    continue
                found = _MARK.search(block, position)
                if found is None:
                    break
                mark = found[0]
                position = found.end()
                if mark == b'"':
                    in_string = True
                elif mark in b"[{":
                    depth += 1
                elif depth and mark in b"]}":
                    depth -= 1
                elif depth == 0 and mark in b",]":
                    self._keep(block[start : found.start()])
                    start = position
                    if mark == b"," or self._count or not self._is_blank():
                        yield self._take()
                    if mark == b"]":
                        self._check_rest(block[position:])
                        return
            self._keep(block[start:])
        if not self._is_blank():
            yield self._take()
        self.problem = "the array has no end: the file is cut off, or a quote or bracket is not closed"

    def _keep(self, piece: bytes) -> None:
        self._size_bytes += len(piece)
        if self._size_bytes <= self._largest_bytes:
            self._pieces.append(piece)
        else:
            self._pieces.clear()

    def _is_blank(self) -> bool:
        return self._size_bytes <= self._largest_bytes and not b"".join(self._pieces).strip(_WHITE_SPACE)

    def _take(self) -> bytes | None:
        element = None if self._size_bytes > self._largest_bytes else b"".join(self._pieces)
        self._pieces = []
        self._size_bytes = 0
        self._count += 1
        return element

    def _check_rest(self, rest: bytes) -> None:
        while not rest.strip(_WHITE_SPACE):
            try:
                rest = next(self._blocks)
            except StopIteration:
                return
        self.problem = "something follows the end of the array, and is not read"


def _ends_with_escape(block: bytes, begin: int, end: int) -> bool:
    """Tell whether a backslash escapes what stands at ``end``: an odd number of them stands before it."""
    return (end - begin - len(block[begin:end].rstrip(b"\\"))) % 2 == 1
