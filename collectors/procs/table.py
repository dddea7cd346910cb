"""Every process that exists, known cheaply: new pids are looked at once, watched ones each tick, the others in turn.

One entry is one process (pid and start time); when a pid turns up with another start time the old entry is gone before the new
one is made, so nothing of one process is ever booked to the next. The raw command line is read, judged and dropped.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Collection, Iterable

from gpuwatch import procfs
from gpuwatch.collectors.procs.entry import Entry
from gpuwatch.collectors.procs.maps import imports_ml
from gpuwatch.collectors.procs.programs import classify

YOUNG_MS = 10_000
"""A process may still become another program (a shell that execs python): until this age it is looked at each tick."""
FRESH_PER_TICK = 512
REVISIT_PER_TICK = 48
REVISIT_TICKS = 5
"""On an ordinary host each process is looked at again within so many ticks; on one with thousands, 48 a tick."""
MAPS_PER_TICK, MAPS_FIRST_TICK = 8, 64
MAPS_DELAY_MS, MAPS_DELAY_MAX_MS = 2_000, 600_000


class Table:
    """The processes below one /proc. ``changed`` is True when a tick added, removed or re-judged one that may belong to a job."""

    def __init__(self, root: str, btime: int, own_pid: int) -> None:
        self.root, self.btime, self.own_pid = root, btime, own_pid
        self.entries: dict[int, Entry] = {}
        self.hidden: set[int] = set()
        """Pids that are listed but whose stat line is refused (hidepid=1)."""
        self.count = 0
        self.changed = True
        self.above: frozenset[int] = frozenset()
        """The ancestors of all jobs: which job it is and how far it goes depends on them."""
        self._watched: Collection[int] = ()
        self._gpu: Collection[int] = ()
        self.just_read: dict[int, list[str]] = {}
        """The arguments that this tick has read, by pid; dropped when the tick ends."""
        self._turn: deque[int] = deque()
        self._young: set[int] = set()
        self._first = True

    def refresh(self, now_ms: int, watched: Collection[int], gpu: Collection[int]) -> None:
        """Bring all entries up to date; those in ``watched`` and ``gpu`` are read in any case."""
        self._watched, self._gpu = watched, gpu
        alive = procfs.pids(self.root)
        present = frozenset(alive)
        self.count = len(alive)
        for pid in [pid for pid in self.entries if pid not in present]:
            self._drop(pid)
        self.hidden &= present
        fresh = [pid for pid in alive if pid not in self.entries and pid not in self.hidden]
        if not self._first and len(fresh) > FRESH_PER_TICK:
            fresh = fresh[:FRESH_PER_TICK]
        must = (set(watched) | set(gpu) | set(itertools.islice(self._young, FRESH_PER_TICK))) & present
        for pid in itertools.chain(must | set(fresh), self._next_in_turn(must)):
            self._read(pid, now_ms)
        self._scan_maps(now_ms)
        self._first = False

    def _next_in_turn(self, skip: Collection[int]) -> Iterable[int]:
        turn = list(itertools.islice(self._turn, min(REVISIT_PER_TICK, -(-len(self._turn) // REVISIT_TICKS))))
        self._turn.rotate(-len(turn))
        return [pid for pid in turn if pid not in skip and (pid in self.entries or pid in self.hidden)]

    def _drop(self, pid: int) -> None:
        entry = self.entries.pop(pid)
        self._young.discard(pid)
        self._touch(entry, entry.ppid)
        if len(self._turn) > 2 * len(self.entries) + REVISIT_PER_TICK:
            self._turn = deque(self.entries)

    def _read(self, pid: int, now_ms: int) -> None:
        entry = self.entries.get(pid)
        kept = entry.kept_stat if entry is not None else None
        try:
            stat = procfs.parse_stat(kept.read_once()) if kept is not None else procfs.read_stat(self.root, pid)
        except PermissionError:
            if pid not in self.hidden:
                self.hidden.add(pid)
                self._turn.append(pid)
            return
        except (OSError, ValueError):
            if pid in self.entries:
                self._drop(pid)
            return
        self.hidden.discard(pid)
        if entry is not None and entry.start_ticks != stat.start_ticks:
            self._drop(pid)
            entry = None
        if entry is None:
            entry = Entry(pid, stat.start_ticks, procfs.start_ms(self.btime, stat.start_ticks))
            self.entries[pid] = entry
            self._turn.append(pid)
            self._young.add(pid)
        parent, ended = entry.ppid, entry.ended
        renamed = entry.update(stat)
        if parent != entry.ppid or ended != entry.ended:
            self._touch(entry, parent, entry.ppid)
        if entry.kernel:
            self._young.discard(pid)
            return
        if renamed or pid in self._young:
            self._judge(entry)
        if now_ms - entry.start_ms > YOUNG_MS and pid in self._young:
            self._young.discard(pid)
            entry.facts_stale = True  # a last look: its user and cgroup may have changed without a new command line

    def _touch(self, entry: Entry, *parents: int) -> None:
        """This process has changed: jobs change with it if it is in or above one, below one, or the seed of one.

        On a busy host hundreds of others come and go, and planning anew costs more than all reading.
        """
        pid, watched = entry.pid, self._watched
        if entry.is_ml or pid in watched or pid in self.above or pid in self._gpu or any(above in watched for above in parents):
            self.changed = True

    def _judge(self, entry: Entry) -> None:
        raw = entry.read_command(self.root)
        mark = hash((entry.comm, raw))
        if mark == entry.judged:
            return
        entry.judged, entry.facts_stale = mark, True
        argv = self.just_read[entry.pid] = entry.arguments(raw)
        program = classify(argv, entry.comm) if entry.pid != self.own_pid else classify(("gpuwatch",), "gpuwatch")
        if program != entry.program:
            self._touch(entry, entry.ppid)
            entry.program, entry.ranked = program, None
            self._touch(entry)

    def _scan_maps(self, now_ms: int) -> None:
        """Look for ML libraries in python processes that the command line did not tell, a few per tick, new ones first.

        While a process is young it is looked at every two seconds, later less and less often.
        """
        budget = MAPS_FIRST_TICK if self._first else MAPS_PER_TICK
        for entry in reversed(self.entries.values()):
            program = entry.program
            if entry.ml or not program.python or program.supervisor or program.ml or now_ms < entry.maps_due_ms:
                continue
            if entry.pid in self._gpu:  # it is watched anyway, and maps of such processes are long
                continue
            if budget == 0:
                break
            budget -= 1
            young = now_ms - entry.start_ms <= YOUNG_MS
            entry.maps_delay_ms = MAPS_DELAY_MS if young else min(entry.maps_delay_ms * 2 or MAPS_DELAY_MS, MAPS_DELAY_MAX_MS)
            entry.maps_due_ms = now_ms + entry.maps_delay_ms
            if imports_ml(self.root, entry.pid):
                entry.ml = self.changed = True
