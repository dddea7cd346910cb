"""The end of a growing file: whole lines, a bounded amount at a time, through truncation, rotation and deletion, and only files."""

from __future__ import annotations

import errno
import os
import socket
import stat
from pathlib import Path

import pytest

from gpuwatch.clock import FakeClock
from gpuwatch.collectors.training.logs import tail as module
from gpuwatch.collectors.training.logs.line import MAX_LINE
from gpuwatch.collectors.training.logs.tail import FLOOD_BYTES, START_BYTES, TICK_BYTES, Chunk, NotFollowed, Tail, open_regular


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "train.log"


def add(path: Path, data: bytes) -> None:
    with open(path, "ab") as file:
        file.write(data)


def later(tail: Tail, clock: FakeClock, seconds: float = 1.0) -> Chunk:
    clock.advance(seconds)
    return tail.read()


def test_whole_lines_come_once_and_a_partial_one_when_it_is_whole(log: Path, clock: FakeClock) -> None:
    log.write_bytes(b"one\ntwo\nthr")
    tail = Tail(str(log), clock)
    assert tail.read() == Chunk((b"one", b"two"), 0, joined=True)
    assert later(tail, clock) == Chunk()
    add(log, b"ee\r\nbar\rbar\r\n\n\nlast")
    assert later(tail, clock).lines == (b"three", b"bar", b"bar")
    tail.close()


def test_it_starts_near_the_end_with_a_whole_line(log: Path, clock: FakeClock) -> None:
    log.write_bytes(b"".join(b"line %012d\n" % number for number in range(20_000)))
    first = Tail(str(log), clock).read()
    assert sum(map(len, first.lines)) <= START_BYTES
    assert first.lines[-1] == b"line 000000019999"
    assert all(len(line) == 17 for line in first.lines)
    assert first.joined and first.skipped_bytes == 0


def test_a_file_that_is_not_there_yet_is_found_later(log: Path, clock: FakeClock) -> None:
    tail = Tail(str(log), clock)
    assert tail.read() == Chunk()
    assert tail.problem == "No such file or directory"
    log.write_bytes(b"one\n")
    assert later(tail, clock, 1.0) == Chunk()
    assert later(tail, clock, 5.0).lines == (b"one",)
    assert tail.problem == ""


def test_truncation_starts_again_at_the_beginning(log: Path, clock: FakeClock) -> None:
    log.write_bytes(b"one\ntwo\nhalf of")
    tail = Tail(str(log), clock)
    tail.read()
    log.write_bytes(b"new\n")
    assert later(tail, clock) == Chunk((b"new",), 0, joined=False)


def test_rotation_reads_the_old_file_to_its_end_and_then_the_new_one(log: Path, clock: FakeClock) -> None:
    log.write_bytes(b"one\n")
    tail = Tail(str(log), clock)
    tail.read()
    add(log, b"last of the old\n")
    log.rename(log.with_suffix(".1"))
    log.write_bytes(b"first of the new\n")
    assert later(tail, clock, 5.0).lines == (b"last of the old",)
    assert later(tail, clock) == Chunk((b"first of the new",), 0, joined=False)


def test_a_link_that_points_to_another_old_log_is_joined_near_its_end(tmp_path: Path, log: Path, clock: FakeClock) -> None:
    link = tmp_path / "latest.log"
    log.write_bytes(b"one\n")
    link.symlink_to(log)
    tail = Tail(str(link), clock)
    tail.read()
    other = tmp_path / "other.log"
    other.write_bytes(b"old\n" * START_BYTES)
    link.unlink()
    link.symlink_to(other)
    later(tail, clock, 6.0)
    chunk = later(tail, clock)
    assert chunk.joined and chunk.skipped_bytes == 0
    assert len(chunk.lines) == START_BYTES // 4 - 1
    add(other, b"new\n")
    assert later(tail, clock) == Chunk((b"new",), 0, joined=False)


def test_a_deleted_file_is_still_followed(log: Path, clock: FakeClock) -> None:
    log.write_bytes(b"one\n")
    with open(log, "ab") as writer:
        tail = Tail(str(log), clock)
        tail.read()
        log.unlink()
        writer.write(b"two\n")
        writer.flush()
        assert later(tail, clock, 6.0).lines == (b"two",)


def test_a_path_that_becomes_a_pipe_is_left_alone(log: Path, clock: FakeClock) -> None:
    log.write_bytes(b"one\n")
    tail = Tail(str(log), clock)
    tail.read()
    log.unlink()
    os.mkfifo(log)
    assert later(tail, clock, 6.0) == Chunk()
    with pytest.raises(OSError) as caught:
        os.open(log, os.O_WRONLY | os.O_NONBLOCK)
    assert caught.value.errno == errno.ENXIO


def test_a_flood_is_skipped_and_said(log: Path, clock: FakeClock) -> None:
    log.write_bytes(b"one\n")
    tail = Tail(str(log), clock)
    tail.read()
    with open(log, "ab") as file:
        file.truncate(4 << 30)  # four GiB of nothing: no disk is used
    add(log, b"\nafter\nend\n")
    chunk = later(tail, clock)
    assert chunk.skipped_bytes == (4 << 30) + 11 - FLOOD_BYTES - 4
    assert chunk.lines == (b"after", b"end")
    add(log, b"x" * 99 + b"\n" + b"more\n" * (TICK_BYTES // 5 - 100))
    chunk = later(tail, clock)
    assert chunk.skipped_bytes == 0 and chunk.lines[-1] == b"more"


def test_a_line_without_an_end_costs_no_memory_and_ends(log: Path, clock: FakeClock) -> None:
    log.write_bytes(b"one\n")
    tail = Tail(str(log), clock)
    tail.read()
    for _ in range(8):
        add(log, b"y" * 50_000)
        assert later(tail, clock).lines == ()
        assert len(tail._partial) <= MAX_LINE
    add(log, b"\nshort\n" + b"z" * (MAX_LINE + 1) + b"\nend\n")
    assert later(tail, clock).lines == (b"short", b"end")


def test_binary_bytes_come_as_they_are(log: Path, clock: FakeClock) -> None:
    log.write_bytes(b"")
    tail = Tail(str(log), clock)
    tail.read()
    add(log, bytes(range(256)) + b"\nend\n")
    assert later(tail, clock).lines[-1] == b"end"


@pytest.mark.parametrize("sort", ["a pipe", "a socket", "a directory", "a terminal or another device"])
def test_what_is_no_regular_file_is_never_opened(
    sort: str, tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "it"
    if sort == "a pipe":
        os.mkfifo(path)
    elif sort == "a directory":
        path.mkdir()
    elif sort == "a socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
    else:
        path = Path("/dev/null")
    opened: list[int] = []
    real = os.open

    def watched(name: str, flags: int, *rest: int) -> int:
        opened.append(flags)
        return real(name, flags, *rest)

    monkeypatch.setattr(module.os, "open", watched)
    tail = Tail(str(path), clock)
    assert tail.read() == Chunk()
    assert tail.problem == sort
    assert opened and all(flags & os.O_PATH for flags in opened)


def test_the_file_of_another_user_is_not_read(log: Path) -> None:
    log.write_bytes(b"one\n")
    with pytest.raises(NotFollowed, match="another user's file"):
        open_regular(str(log), os.getuid() + 1)
    os.close(open_regular(str(log), os.getuid()))


def test_links_are_followed_and_judged_by_what_is_there(tmp_path: Path, log: Path, clock: FakeClock) -> None:
    log.write_bytes(b"one\n")
    link = tmp_path / "latest.log"
    link.symlink_to(log)
    assert Tail(str(link), clock, os.getuid()).read().lines == (b"one",)
    with open(log, "ab") as writer:
        assert Tail(f"/proc/self/fd/{writer.fileno()}", clock).read().lines == (b"one",)


def test_reading_leaves_no_trace(log: Path, clock: FakeClock) -> None:
    log.write_bytes(b"one\n")
    os.utime(log, (1_000_000_000, 1_000_000_000))
    before = log.stat()
    tail = Tail(str(log), clock)
    tail.read()
    after = log.stat()
    assert (before.st_atime_ns, before.st_mtime_ns, before.st_ctime_ns) == (after.st_atime_ns, after.st_mtime_ns, after.st_ctime_ns)
    assert tail.changed_at == 1_000_000_000


def test_what_is_not_in_memory_is_waited_for_at_the_next_call(log: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    log.write_bytes(b"one\n")
    tail = Tail(str(log), clock)
    real, asked, answers = os.preadv, [], [errno.EAGAIN, errno.EAGAIN, errno.EOPNOTSUPP]

    def cold(fd: int, buffers: list[bytearray], offset: int, flags: int = 0) -> int:
        asked.append(flags)
        if flags and answers:
            raise OSError(answers.pop(0), "cold")
        return real(fd, buffers, offset)

    monkeypatch.setattr(module.os, "preadv", cold)
    assert tail.read().lines == ()
    assert tail.problem == "on a disk that has not answered yet"
    assert later(tail, clock).lines == ()
    chunk = later(tail, clock)
    assert chunk.lines == (b"one",)
    assert tail.problem == ""
    assert chunk.joined, "what was there at the beginning is old, however late it comes"
    assert asked == [os.RWF_NOWAIT, os.RWF_NOWAIT, os.RWF_NOWAIT, 0]


def test_an_error_of_the_disk_is_said_and_tried_again(log: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    log.write_bytes(b"one\n")
    tail = Tail(str(log), clock)

    def broken(*_: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(module.os, "preadv", broken)
        assert tail.read() == Chunk()
        assert tail.problem == "Input/output error"
    assert later(tail, clock).lines == (b"one",)


def test_nothing_stays_open(log: Path, clock: FakeClock) -> None:
    log.write_bytes(b"one\n")
    before = set(os.listdir("/proc/self/fd"))
    tail = Tail(str(log), clock)
    tail.read()
    assert stat.S_ISREG(os.fstat(tail._fd).st_mode)
    tail.close()
    tail.close()
    assert set(os.listdir("/proc/self/fd")) == before
