"""Open inputs: decompress them, and convert any encoding to UTF-8."""

from __future__ import annotations

import codecs
import contextlib
import gzip
import io
import re
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from distillex_client.batch.fingerprint import BLOCK_BYTES, Fingerprint, FingerprintedFile
from distillex_client.batch.sources import STANDARD_INPUT, Source
from distillex_client.errors import WrongUse, missing_extra

GZIP_MAGIC = b"\x1f\x8b"
# A frame, or one to be skipped, with which parallel compressors begin.
ZSTD_MAGIC = re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18")
# Small, because a few bytes of zstd can unfold to many.
ZSTD_INPUT_BYTES = 1 << 14
# The longer marks first: that of UTF-16 begins that of UTF-32.
BYTE_ORDER_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
UTF_8 = "utf-8"
CARRIAGE_RETURN_ALONE = re.compile(rb"\r[^\n]")


@dataclass
class OpenSource:
    """A source being read: its bytes, decompressed and in UTF-8, and the file itself."""

    stream: BinaryIO
    file: FingerprintedFile

    def byte_order_mark(self) -> str | None:
        """Return the encoding that the first bytes tell, where it is not UTF-8."""
        beginning = cast("io.BufferedReader", self.stream).peek(4)[:4]
        return next((name for mark, name in BYTE_ORDER_MARKS.items() if beginning.startswith(mark)), None)

    def end_lines_with_line_feeds(self) -> None:
        """Where lines end with carriage returns alone, as those of old Macs and of Excel's "Macintosh" files do."""
        beginning = cast("io.BufferedReader", self.stream).peek(BLOCK_BYTES)
        if b"\n" not in beginning and CARRIAGE_RETURN_ALONE.search(beginning):
            self.stream = _mapped(self.stream, lambda data, _final: data.replace(b"\r", b"\n"))


def check_encoding(name: str) -> str:
    """Return the codec's own name of an encoding.

    Raises
    ------
    WrongUse
        When Python has no such encoding of text.
    """
    try:
        codec = codecs.lookup(name)
        "".encode(name)
        codec.incrementaldecoder().decode(b"", True)
    except (LookupError, UnicodeError, TypeError, ValueError):
        raise WrongUse(
            f"{name!r} is not a text encoding; use utf-8, gb18030 (reads gbk and gb2312), big5, utf-16, …"
        ) from None
    return UTF_8 if codec.name == "utf-8-sig" else codec.name


@contextlib.contextmanager
def open_source(source: Source, encoding: str = UTF_8, expected: Fingerprint | None = None) -> Iterator[OpenSource]:
    """Open a source and decompress it, told by its first bytes, whatever its name.

    Parameters
    ----------
    source
        A file, or standard input.
    encoding
        As :func:`check_encoding` names it. What cannot be decoded becomes bytes that are not UTF-8.
    expected
        What an earlier run read of it.

    Raises
    ------
    OSError
        When the file cannot be opened.
    WrongUse
        When it is compressed with zstd and zstandard is not installed, or when it is not what was expected.
    """
    with contextlib.ExitStack() as stack:
        if source.name == STANDARD_INPUT:
            if sys.stdin is None:
                raise WrongUse("- is standard input, which is closed")
            opened = io.FileIO(sys.stdin.fileno(), closefd=False)
        else:
            opened = stack.enter_context(io.FileIO(Path(source.name)))
        file = FingerprintedFile(opened, source.name, expected)
        raw = io.BufferedReader(file, BLOCK_BYTES)
        stream: BinaryIO = raw
        magic = file.beginning(4)
        if magic.startswith(GZIP_MAGIC):
            # It buffers for itself: another buffer would drop what comes before a damage.
            stream = cast("BinaryIO", stack.enter_context(gzip.GzipFile(fileobj=raw)))
        elif ZSTD_MAGIC.match(magic):
            try:
                import zstandard
            except ImportError as error:
                purpose = f"{source.name} is compressed with zstd: reading it"
                raise missing_extra("zstandard", "zstd", purpose, error) from error
            reader = _ZstdFrames(raw, zstandard.ZstdDecompressor())
            stream = stack.enter_context(io.BufferedReader(reader, BLOCK_BYTES))
        if encoding != UTF_8:
            stream = _mapped(stream, _to_utf_8(encoding))
        yield OpenSource(stream, file)


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


class _Mapped(io.RawIOBase):
    """A stream whose bytes pass through a function; its last call says so."""

    def __init__(self, stream: BinaryIO, function: Callable[[bytes, bool], bytes]) -> None:
        self._stream = cast("io.BufferedReader", stream)
        self._function = function
        self._ready = b""

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer as far as bytes are there."""
        ended = False
        while not self._ready and not ended:
            data = self._stream.read1(BLOCK_BYTES)
            ended = not data
            self._ready = self._function(data, ended)
        count = min(len(buffer), len(self._ready))
        buffer[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count


def _mapped(stream: BinaryIO, function: Callable[[bytes, bool], bytes]) -> BinaryIO:
    return io.BufferedReader(_Mapped(stream, function), BLOCK_BYTES)


def _to_utf_8(encoding: str) -> Callable[[bytes, bool], bytes]:
    decoder = codecs.getincrementaldecoder(encoding)(errors=UNDECODABLE)
    # The lone surrogates that stand for bytes without meaning are not UTF-8 either, and so are found by the readers.
    return lambda data, final: decoder.decode(data, final).encode(UTF_8, "surrogatepass")


def damage_errors() -> tuple[type[Exception], ...]:
    """Return what reading a damaged file can raise: a compressed one, or UTF-16 that does not tell its byte order."""
    errors: list[type[Exception]] = [EOFError, zlib.error, OSError, UnicodeError]
    module = sys.modules.get("zstandard")
    if module is not None:
        errors.append(module.ZstdError)
    return tuple(errors)


UNDECODABLE = "distillex-undecodable"


def _lone_surrogate(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "\udcff", error.end


codecs.register_error(UNDECODABLE, _lone_surrogate)
