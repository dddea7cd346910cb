"""A recording told second by second over two whole hours and more, and the same store with its hours sealed and its seconds trimmed."""

from __future__ import annotations

import shutil
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

from support.story import START, Hold, Story, gpu, process

from gpuwatch.model import Event
from gpuwatch.names import Context, Missing, Severity
from gpuwatch.store import connection
from gpuwatch.store.archive.seal import seal_all
from gpuwatch.store.columns import HOT_TABLES
from gpuwatch.store.hours import close_hours, close_ledger_hours

HOUR_MS = 3_600_000
FIRST_BORDER_MS = round(START * 1000) // HOUR_MS * HOUR_MS + HOUR_MS
"""15:00 UTC; the story begins at 14:32."""
END_MS = FIRST_BORDER_MS + 4_200_000


def told(path: Path, *, mig: bool = False) -> Path:
    """The whole story in the new store ``path``, all of its seconds hot. Telling takes seconds: it is told once a process."""
    path.write_bytes(_told(mig))
    return path


@lru_cache
def _told(mig: bool) -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "told.db"
        _tell(path, mig=mig).writer.close()
        return path.read_bytes()


def _tell(path: Path, *, mig: bool) -> Story:
    """98 minutes of three GPUs (or of two, one of them cut into instances) with everything that a view shows, up to 16:10 UTC."""
    boards = [gpu(0, mig_enabled=mig), gpu(1)]
    parts = [gpu(10 + i, parent_uuid="GPU-0", mig_profile="3g.40gb", compute_fraction=3 / 7) for i in range(2)] if mig else [gpu(2)]
    story = Story(path, entities=[*boards, *parts])
    story.close_minutes()
    loop, holder, third = story.gpus[:3]
    loop.util, loop.context = (lambda second: 0.9 if second % 47 < 30 else 0.0), Context.PROCESS
    loop.sample = {"sm_active_ratio": 0.6, "graphics_active_ratio": 0.7, "energy_joules": 250.0, "sm_clock_hertz": 1.5e9}
    holder.context = Context.PROCESS
    third.util, third.context = None, None
    people = [process(10), process(11, "bob", job="slurm:7"), process(12, "carol"), process(13, "dora")]
    story.holds = [Hold(people[0], 0, 3000, 0.5), Hold(people[1], 0, None, 0.2), Hold(people[2], 1, 700)]
    story.host_only = [people[3]]
    story.run(700)
    story.missing[("gpu", "GPU-1", "power_watts")] = Missing.DRIVER_ERROR
    holder.util = 0.8
    story.events.append(Event(story.now_ms, "xid", "XID 79", Severity.CRITICAL, gpu_uuid="GPU-1"))
    story.run(90)
    holder.util = 0.0
    story.run(200)  # a quiet run that will end before five minutes
    holder.util, holder.kappa_pm = (lambda second: 0.5 + second % 5 / 10), 800
    story.run(FIRST_BORDER_MS // 1000 - round(story.clock.time()) + 40)
    story.gap(7)
    story.run(300)
    third.util, third.context, third.unavailable = 0.3, Context.MEMORY_ONLY, True
    story.run(120)
    third.unavailable = False
    story.holds.append(Hold(people[3], 2, 9000, 0.3))
    holder.util = 0.0
    story.run(500)
    story.gap(400)
    story.holds = story.holds[1:]
    story.run(800)
    loop.util, loop.context = 0.0, Context.NONE
    if mig:
        story.entities.pop()
        story.gpus.pop()
    story.run(END_MS // 1000 - round(story.clock.time()))
    assert story.closer is not None
    story.closer.finish(story.now_ms)
    story.writer.commit()
    return story


def seal(source: Path, target: Path, now_ms: int, keep_from_ms: int) -> Path:
    """A copy with its hours closed and sealed, whose single rows begin at ``keep_from_ms``. The source is sealed once a process."""
    target.write_bytes(_sealed(source, source.stat().st_mtime_ns, now_ms))
    db = connection.open_write(target)
    for table in (*HOT_TABLES, "tick"):
        db.execute(f"DELETE FROM {table} WHERE tick_id IN (SELECT tick_id FROM tick WHERE ts_ms<?)", (keep_from_ms,))
    connection.close_cleanly(db)
    return target


@lru_cache(maxsize=3)
def _sealed(source: Path, _changed_ns: int, now_ms: int) -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "sealed.db"
        shutil.copy(source, path)
        db = connection.open_write(path)
        seal_all(db, now_ms)
        close_hours(db, now_ms)
        close_ledger_hours(db, now_ms)
        connection.close_cleanly(db)
        return path.read_bytes()
