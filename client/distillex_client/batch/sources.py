"""The files of a batch run: names and globs, compressed or not."""

from __future__ import annotations

import contextlib
import enum
import glob
import gzip
import io
import sys
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from distillex_client.batch.errors import WrongUse, missing_extra

STANDARD_INPUT = "-"
GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
COMPRESSION_SUFFIXES = (".gz", ".zst", ".zstd")
FINGERPRINT_BYTES = 1 << 20
BUFFER_BYTES = 1 << 18
# Small, because a few bytes of zstd can unfold to many.
ZSTD_INPUT_BYTES = 1 << 14


class InputFormat(str, enum.Enum):
    """Forms of input."""

    TXT = "txt"
    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


SUFFIXES = {
    ".jsonl": InputFormat.JSONL,
    ".ndjson": InputFormat.JSONL,
    ".csv": InputFormat.CSV,
    ".parquet": InputFormat.PARQUET,
}


@dataclass(frozen=True)
class Source:
    """One file, or standard input."""

    name: str
    format: InputFormat
    size_bytes: int
    """As it lies on the disk; 0 where that is not known."""

    def fingerprint(self) -> list[str | int]:
        """Name, size and a checksum of the first MiB: enough to notice that a file was changed before a resume."""
        if self.name == STANDARD_INPUT:
            return [self.name]
        try:
            with Path(self.name).open("rb") as stream:
                return [self.name, self.size_bytes, zlib.crc32(stream.read(FINGERPRINT_BYTES))]
        except OSError:
            return [self.name, -1]


def find_sources(names: Sequence[str], form: InputFormat | None) -> list[Source]:
    """Turn names and globs into sources, the files of a glob in the order of their names.

    Raises
    ------
    WrongUse
        When a glob matches nothing. A single file that does not exist is met when it is read.
    """
    sources = []
    for name in names:
        if name == STANDARD_INPUT:
            sources.append(Source(name, form or InputFormat.TXT, 0))
            continue
        found = [name]
        if glob.has_magic(name) and not Path(name).exists():
            found = sorted(path for path in glob.iglob(name, recursive=True) if Path(path).is_file())  # noqa: PTH207
            if not found:
                raise WrongUse(f"{name}: no file matches")
        for path in found:
            size = Path(path).stat().st_size if Path(path).is_file() else 0
            sources.append(Source(path, form or _format_of(path), size))
    if sum(source.name == STANDARD_INPUT for source in sources) > 1:
        raise WrongUse("- stands twice among the inputs: standard input can be read once")
    return sources


def _format_of(name: str) -> InputFormat:
    path = Path(name.lower())
    if path.suffix in COMPRESSION_SUFFIXES:
        path = path.with_suffix("")
    return SUFFIXES.get(path.suffix, InputFormat.TXT)


@dataclass
class OpenSource:
    """A source being read: its bytes, decompressed, and how far the file itself was read."""

    stream: BinaryIO
    raw: BinaryIO | None

    def consumed_bytes(self) -> int:
        """Bytes of the file read so far, compressed ones where it is compressed."""
        return 0 if self.raw is None else self.raw.tell()


@contextlib.contextmanager
def open_source(source: Source) -> Iterator[OpenSource]:
    """Open a source and decompress it, told by its first bytes, whatever its name.

    Raises
    ------
    OSError
        When the file cannot be opened.
    WrongUse
        When it is compressed with zstd and zstandard is not installed.
    """
    with contextlib.ExitStack() as stack:
        if source.name == STANDARD_INPUT:
            raw = cast("io.BufferedReader", sys.stdin.buffer)
        else:
            raw = io.BufferedReader(stack.enter_context(Path(source.name).open("rb", buffering=0)), BUFFER_BYTES)
        stream: BinaryIO = raw
        magic = raw.peek(4)[:4]
        if magic.startswith(GZIP_MAGIC):
            # It buffers for itself: another buffer would drop what comes before a damage.
            stream = cast("BinaryIO", stack.enter_context(gzip.GzipFile(fileobj=raw)))
        elif magic == ZSTD_MAGIC:
            try:
                import zstandard
            except ImportError as error:
                purpose = f"{source.name} is compressed with zstd: reading it"
                raise missing_extra("zstandard", "zstd", purpose, error) from error
            reader = _ZstdFrames(raw, zstandard.ZstdDecompressor())
            stream = stack.enter_context(io.BufferedReader(reader, BUFFER_BYTES))
        yield OpenSource(stream, None if source.name == STANDARD_INPUT else raw)


class _ZstdFrames(io.RawIOBase):
    """Frames of zstd, one after the other; zstandard's own reader ends without a word where the last one is cut off."""

    def __init__(self, raw: BinaryIO, decompressor: Any) -> None:
        self._raw = raw
        self._decompressor = decompressor
        self._frame = decompressor.decompressobj()
        self._at_start = True
        self._input = b""
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer as far as bytes are there."""
        while not self._ready:
            data = self._input or self._raw.read(ZSTD_INPUT_BYTES)
            self._input = b""
            if not data:
                if not self._at_start:
                    raise EOFError("the zstd stream is cut off")
                return 0
            self._ready = memoryview(self._frame.decompress(data))
            self._at_start = False
            if self._frame.eof:
                self._input = self._frame.unused_data
                self._frame = self._decompressor.decompressobj()
                self._at_start = True
        count = min(len(buffer), len(self._ready))
        buffer[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count


def damage_errors() -> tuple[type[Exception], ...]:
    """Return what reading a damaged compressed file can raise."""
    errors: list[type[Exception]] = [EOFError, zlib.error, OSError]
    module = sys.modules.get("zstandard")
    if module is not None:
        errors.append(module.ZstdError)
    return tuple(errors)
