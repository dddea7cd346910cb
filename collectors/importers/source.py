"""A file of a past log as lines of text: compressed or not, in any of the encodings that consoles write, or standard input."""

from __future__ import annotations

import codecs
import hashlib
import io
import os
import shutil
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
    """One file. It can be read several times, standard input (``-``) too. ``label`` names GPUs without a UUID."""

    def __init__(self, path: str, label: str = "") -> None:
        self.path = path
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
        if self.path == "-":
            return cast("IO[bytes]", io.BufferedReader(_View(_standard_input())))
        try:
            return _unpacked(self.path)
        except (OSError, ValueError) as problem:
            raise UsageError(f"{self.name}: cannot be read: {getattr(problem, 'strerror', None) or problem}") from None

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
    """The copy of standard input from its beginning; closing it leaves the copy open for the next."""

    def __init__(self, copy: IO[bytes]) -> None:
        self._copy, self._at = copy, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self._copy.seek(self._at)
        data = self._copy.read(len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


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


def _unpacked(path: str) -> IO[bytes]:
    ending = path.lower()
    if ending.endswith(".gz"):
        import gzip

        return cast("IO[bytes]", gzip.open(path, "rb"))
    if ending.endswith(".xz"):
        import lzma

        return cast("IO[bytes]", lzma.open(path, "rb"))
    if ending.endswith(".bz2"):
        import bz2

        return cast("IO[bytes]", bz2.open(path, "rb"))
    if ending.endswith((".zst", ".zip")):
        raise UsageError(f"{clean(os.path.basename(path), 120)}: packed in a way that is not read here", "unpack it first")
    return open(path, "rb")


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
