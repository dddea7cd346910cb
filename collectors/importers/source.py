"""A file of a past log as lines of text: compressed or not, in any of the encodings that consoles write, or standard input."""

from __future__ import annotations

import codecs
import hashlib
import io
import os
import shutil
import stat
import sys
from collections.abc import Iterator
from typing import IO, cast

from gpuwatch.errors import UsageError
from gpuwatch.text import clean

BLOCK = 1 << 18
LONGEST = 1 << 18
"""A longer line is no line of a log."""
HEAD = 1 << 16
SPOOL = 1 << 24


class Source:
    """One file. It can be read several times, standard input (``-``) too. ``label`` names GPUs without a UUID.

    No more than ``size`` bytes of it are read: a log that is still written grows between two readings.
    """

    def __init__(self, path: str, label: str = "", size: int | None = None) -> None:
        self.path, self._size = path, size
        self.name = "standard input" if path == "-" else clean(os.path.basename(path), 120)
        self.label = clean(label or ("stdin" if path == "-" else self.name), 120)
        self.tail: tuple[int, str] | None = None
        """The last line if nothing ends it, once :meth:`lines` is through."""
        self.too_long: list[int] = []
        self.broken = ""
        """Why a compressed file could not be read to its end."""
        self.count = 0
        self.head = self._head()

    def lines(self) -> Iterator[tuple[int, str]]:
        """Number (from 1) and text of each line that has an end; those over ``LONGEST`` are left out and noted."""
        self.tail, self.too_long, self.broken, self.count = None, [], "", 0
        rest, skipping, first = "", False, 1
        for chunk in self._chunks():
            lines = (rest + chunk).split("\n")
            rest = lines.pop()
            if skipping and lines:
                del lines[0]
                first, skipping = first + 1, False
            yield from enumerate(lines, first)
            first += len(lines)
            if skipping:
                rest = ""
            elif len(rest) > LONGEST:
                if len(self.too_long) < HEAD:
                    self.too_long.append(first)
                rest, skipping = "", True
        if rest:
            self.tail = first, rest
        self.count = first if rest or skipping else first - 1

    def opened(self) -> IO[bytes]:
        """The bytes, unpacked."""
        try:
            return _unpacked(self._raw(), self.path)
        except (OSError, ValueError) as problem:
            raise UsageError(f"{self.name}: cannot be read: {getattr(problem, 'strerror', None) or problem}") from None

    def _raw(self) -> io.BufferedReader:
        if self.path == "-":
            return io.BufferedReader(_View(_standard_input()))
        file = open(self.path, "rb")  # noqa: SIM115  (closed by who reads)
        return file if self._size is None else io.BufferedReader(_View(file, self._size))

    def digest(self) -> str:
        """SHA-256 of what the file holds, unpacked; of as much as can be read where it is broken."""
        found = hashlib.sha256()
        with self.opened() as raw:
            try:
                while data := raw.read(BLOCK):
                    found.update(data)
            except BROKEN:
                pass
        return found.hexdigest()

    def _chunks(self) -> Iterator[str]:
        """The text in pieces, with every kind of line end as ``\\n``."""
        decode = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(self._encoding)(self._errors), translate=True).decode
        with self.opened() as raw:
            while True:
                try:
                    data = raw.read1(BLOCK)  # type: ignore[attr-defined]
                except BROKEN as problem:
                    self.broken = f"cannot be read further: {problem}"
                    break
                if not data:
                    break
                yield decode(data)
        yield decode(b"", final=True)

    def _head(self) -> str:
        """The beginning as text; notes the encoding."""
        start = b""
        with self.opened() as raw:
            try:
                while len(start) < 4096 and (data := raw.read1(4096)):  # type: ignore[attr-defined]
                    start += data
            except BROKEN as problem:
                if not start:
                    raise UsageError(f"{self.name}: cannot be read: {clean(str(problem), 120)}") from None
        if not start:
            raise UsageError(f"{self.name}: it is empty")
        self._encoding, self._errors = _encoding(start)
        head = ""
        for chunk in self._chunks():
            head += chunk
            if len(head) >= HEAD:
                break
        return head[:HEAD]


class _View(io.RawIOBase):
    """The copy of standard input from its beginning, which stays open for the next, or the first ``size`` bytes of a file of one's own."""

    def __init__(self, copy: IO[bytes], size: int | None = None) -> None:
        self._copy, self._at, self._size = copy, 0, size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self._copy.seek(self._at)
        data = self._copy.read(len(buffer) if self._size is None else min(len(buffer), max(0, self._size - self._at)))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Parquet is read from its end."""
        if whence == io.SEEK_END:
            offset += self._copy.seek(0, io.SEEK_END) if self._size is None else self._size
        elif whence == io.SEEK_CUR:
            offset += self._at
        self._at = max(0, offset)
        return self._at

    def close(self) -> None:
        if self._size is not None:
            self._copy.close()
        super().close()


_copies: dict[int, tuple[IO[bytes], IO[bytes]]] = {}


def _standard_input() -> IO[bytes]:
    """A copy of standard input, made once: it is hashed, looked at and read, and comes only once."""
    stream = sys.stdin.buffer
    known = _copies.get(id(stream))
    if known is None or known[0] is not stream:
        import tempfile

        copy = tempfile.SpooledTemporaryFile(max_size=SPOOL)  # noqa: SIM115  (kept as long as the program)
        shutil.copyfileobj(stream, copy)
        _copies.clear()
        known = _copies[id(stream)] = stream, cast("IO[bytes]", copy)
    return known[1]


def size_of(path: str) -> int | None:
    """Bytes of a file now; ``None`` for what has no size, such as a pipe, and for what cannot be looked at."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def _unpacked(raw: io.BufferedReader, path: str) -> IO[bytes]:
    """By what the file begins with, whatever its name."""
    start = raw.peek(6)[:6]
    packed = next((kind for mark, kind in PACKED.items() if start.startswith(mark)), "")
    if not packed:
        return cast("IO[bytes]", raw)
    if path != "-":
        raw.close()
    file = raw if path == "-" else path
    if packed == "gzip":
        import gzip

        return cast("IO[bytes]", gzip.open(file, "rb"))
    if packed == "xz":
        import lzma

        return cast("IO[bytes]", lzma.open(file, "rb"))
    if packed == "bzip2":
        import bz2

        return cast("IO[bytes]", bz2.open(file, "rb"))
    raise UsageError(f"{clean(os.path.basename(path), 120)}: packed with {packed}, which is not read here", "unpack it first")


PACKED = {b"\x1f\x8b": "gzip", b"\xfd7zXZ\0": "xz", b"BZh": "bzip2", b"\x28\xb5\x2f\xfd": "zstd", b"PK\x03\x04": "zip"}


def _encoding(start: bytes) -> tuple[str, str]:
    """Encoding and error handling from the mark at the beginning, or from where its NUL bytes stand (UTF-16 without a mark)."""
    if start.startswith(b"\xef\xbb\xbf"):
        return "utf-8-sig", "surrogateescape"
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16", "replace"
    if len(start) >= 4:
        half = len(start) // 2
        even, odd = start[0::2].count(0), start[1::2].count(0)
        if odd > 0.6 * half and even < 0.1 * half:
            return "utf-16-le", "replace"
        if even > 0.6 * half and odd < 0.1 * half:
            return "utf-16-be", "replace"
    return "utf-8", "surrogateescape"


def _broken() -> tuple[type[Exception], ...]:
    import lzma
    import zlib

    return (OSError, EOFError, zlib.error, lzma.LZMAError)


BROKEN = _broken()
