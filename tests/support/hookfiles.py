"""Hook files as the agent writes them, with processes to match below a /proc made of files: nothing trains, and time stands until told."""

from __future__ import annotations

import json
import os
import shutil
import struct
from pathlib import Path
from zlib import crc32

from gpuwatch.clock import FakeClock
from gpuwatch.collectors.training import layout
from gpuwatch.collectors.training.collector import TrainingCollector
from gpuwatch.collectors.training.folders import Folders
from gpuwatch.model import Batch
from gpuwatch.names import Phase
from gpuwatch.plugin import CollectorContext, JobProcess, TrainerBoard

BTIME = 1_763_000_000
TICKS = os.sysconf("SC_CLK_TCK")
NAMESPACE = 4_026_531_836
_TEXTS = ("gpu_uuid", "agent", "torch", "model", "formula", "precision", "said")
_COUNTS = (
    *("steps", "micro", "tokens", "counted", "nonpad", "samples", "eval_tokens", "batches", "checkpoints", "compilations"),
    *("probed", "drained", "step_number", "retries", "ooms", "last_step", "first_step", "last_checkpoint"),
    *("allocated", "peak", "reserved", "split"),
)


def start_ms(start: float) -> int:
    """Unix milliseconds of a process that started so many seconds after boot."""
    return BTIME * 1000 + round(start * TICKS) * 1000 // TICKS


class FakeTrainer:
    """One process with a hook file. Attributes are what it has counted; ``write`` puts them into the file."""

    def __init__(self, stage: Stage, pid: int, start: float, **identity: object) -> None:
        self.stage, self.pid, self.start = stage, pid, start
        self.ticks = round(start * TICKS)
        self.identity: dict[str, object] = {
            "flags": 0, "namespace": NAMESPACE, "rank": -1, "world": 0, "local": -1, "node": -1, "parallel": 0, "replicas": 1,
            "source": int(layout.DpSource.SINGLE), "kind": int(layout.TokensKind.INPUT_IDS), "parameters": 0, "trainable": 0,
            "layers": 0, "heads": 0, "width": 0, "length": 0, "flops": 0.0, "total": 0.0,
            **dict.fromkeys(_TEXTS, ""), "agent": "1", "torch": "2.13.0",
        }  # fmt: skip
        self.identity |= identity
        self.armed = stage.clock.time(), stage.clock.monotonic_ns()
        self.counts: dict[str, int] = {**dict.fromkeys(_COUNTS, 0), "step_number": -1}
        self.known = layout.SNAP_TOKENS
        self.loss = 0.0
        self.phases, self.idle = [0] * layout.PHASES, [0] * layout.PHASES
        self.phase, self.since = Phase.STARTING, self.armed[1]
        self.seq = 0
        self.path = stage.folder / f"{pid}-{self.ticks}{layout.SUFFIX}"
        self.path.write_bytes(bytes(layout.FILE_BYTES))
        self.name_itself()
        self.write()

    @property
    def key(self) -> tuple[int, int]:
        return self.pid, start_ms(self.start)

    def put(self, at: int, data: bytes) -> None:
        """Write bytes as a store into memory would."""
        with self.path.open("r+b") as file:
            file.seek(at)
            file.write(data)

    def name_itself(self, **identity: object) -> None:
        """Write the identity, with changes."""
        self.identity |= identity
        one = self.identity
        numbers = [one[name] for name in ("rank", "world", "local", "node", "parallel", "replicas", "source", "kind")]
        numbers += [one[name] for name in ("parameters", "trainable", "layers", "heads", "width", "length", "flops", "total")]
        texts = [str(one[name]).encode() for name in _TEXTS]
        clocks = round(self.armed[0] * 1e9), self.armed[1]
        head = (layout.MAGIC, layout.VERSION, layout.IDENTITY.size, one["flags"], self.pid, self.ticks, *clocks, one["namespace"])
        self.put(layout.IDENTITY_AT, sealed(layout.IDENTITY.pack(*head, *numbers, *texts, 0)))

    def write(self) -> None:
        """Publish a snapshot as of now, and the live word."""
        now = self.stage.clock.monotonic_ns()
        self._run_on(now)
        self.seq += 1
        counts = [self.counts[name] for name in _COUNTS]
        block = layout.SNAPSHOT.pack(self.seq, now, self.known, *counts, self.loss, *self.phases, *self.idle, 0)
        self.put(layout.SNAPSHOT_AT[self.seq % 2], sealed(block))
        self.live()

    def live(self) -> None:
        """Write the live word alone."""
        self.put(layout.LIVE_AT, layout.LIVE.pack(int(self.phase) << 56 | self.since))

    def _run_on(self, now: int) -> None:
        if self.phase is not Phase.ENDED:
            self.phases[self.phase] += max(0, now - max(self.since, self._booked))
        self._booked = now

    _booked = 0

    def enter(self, phase: Phase, *, publish: bool = False) -> None:
        """Another phase begins now; a snapshot comes only with ``publish``, as with a process that writes one seldom."""
        now = self.stage.clock.monotonic_ns()
        self._run_on(now)
        self.phase, self.since = phase, now
        self.write() if publish else self.live()

    def step(self, count: int = 1, *, seconds: float = 0.1, tokens: int = 1024, data: float = 0.01) -> None:
        """So many steps pass, each of ``seconds``, of which ``data`` is waiting; then a snapshot."""
        for _ in range(count):
            self.stage.clock.advance(seconds)
            self.did_step(seconds=seconds, tokens=tokens, data=data)
        self.write()

    def did_step(self, *, seconds: float = 0.1, tokens: int = 1024, data: float = 0.01) -> None:
        """One step has just ended; the clock is the caller's."""
        now = self.stage.clock.monotonic_ns()
        whole, waited = round(seconds * 1e9), round(data * 1e9)
        rest = whole - waited
        self._run_on(now - whole)
        self.phases[Phase.DATA] += waited
        self.phases[Phase.FORWARD] += rest // 4
        self.phases[Phase.BACKWARD] += rest - rest // 4
        self._booked, self.phase, self.since = now, Phase.OTHER, now
        counts = self.counts
        counts["steps"] += 1
        counts["micro"] += 1
        counts["batches"] += 1
        counts["tokens"] += tokens
        counts["first_step"] = counts["first_step"] or now
        counts["last_step"] = now
        number = counts["steps"]
        place = layout.RING_AT + number % layout.RING_STEPS * layout.STEP.size
        self.put(place, layout.STEP.pack(number, now, whole, waited, rest // 4, rest - rest // 4, 0, tokens))

    def ends(self, raised: str = "") -> None:
        """The interpreter says goodbye (the process is still there)."""
        if raised:
            self.name_itself(flags=int(str(self.identity["flags"])) | layout.FLAG_RAISED, said=raised)
        self.enter(Phase.ENDED, publish=True)

    def dies(self) -> None:
        """The process is gone, with or without a goodbye."""
        self.stage.kill(self.pid)


def sealed(block: bytes) -> bytes:
    """A block with its checksum as the last four bytes."""
    return block[:-4] + struct.pack("<I", crc32(block[:-4]))


class Stage:
    """A folder of hook files, a /proc made of files, a board and the collector, one ``tick`` at a time."""

    def __init__(self, path: Path, **options: object) -> None:
        self.clock = FakeClock(BTIME + 1000.0)
        self.proc, self.folder = path / "proc", path / "hooks"
        self.proc.mkdir()
        self.folder.mkdir(mode=0o700)
        (self.proc / "stat").write_text(f"btime {BTIME}\n")
        self.namespace("self", NAMESPACE)
        self.board = TrainerBoard()
        self.jobs: dict[int, JobProcess] = {}
        self.options = options
        self.open()

    def open(self) -> None:
        """A recorder begins to watch."""
        folders = Folders([str(self.folder)], uid=os.geteuid())
        context = CollectorContext(clock=self.clock, proc_root=self.proc, trainers=self.board, options=self.options)
        self.collector = TrainingCollector(context, folders)
        self.collector.open()

    def tick(self, seconds: float = 1.0) -> Batch:
        """Let time pass, then read."""
        self.clock.advance(seconds)
        return self.collector.collect(float(int(self.clock.time())))

    def namespace(self, pid: int | str, inode: int) -> None:
        """In which pid namespace a process is."""
        (self.proc / str(pid) / "ns").mkdir(parents=True, exist_ok=True)
        link = self.proc / str(pid) / "ns" / "pid"
        link.unlink(missing_ok=True)
        link.symlink_to(f"pid:[{inode}]")

    def process(self, pid: int, start: float, *, ppid: int = 1, state: str = "S", inner: int | None = None) -> None:
        """A process that /proc shows."""
        folder = self.proc / str(pid)
        folder.mkdir(exist_ok=True)
        rest = f"{state} {ppid} {pid} {pid} 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 {round(start * TICKS)} 0 0 0 0 0 0"
        (folder / "stat").write_text(f"{pid} (python) {rest}")
        (folder / "status").write_text(f"Name:\tpython\nNSpid:\t{pid}" + (f"\t{inner}" if inner else "") + "\nUid:\t0\n")

    def job(self, pid: int, start: float, *, root: tuple[int, float] | None = None, training: bool = True, **more: object) -> None:
        """A process on the board (and in /proc)."""
        self.process(pid, start, ppid=int(str(more.get("parent_pid") or 1)))
        key = (root[0], start_ms(root[1])) if root else (pid, start_ms(start))
        fields: dict[str, object] = {"uid": os.geteuid(), "python": True, "command": "python train.py", "name": "train.py"} | more
        self.jobs[pid] = JobProcess(pid, start_ms(start), workload=key, training=training, **fields)  # type: ignore[arg-type]
        self.board.publish(self.jobs.values())

    def trainer(self, pid: int, start: float = 900.0, *, root: tuple[int, float] | None = None, **identity: object) -> FakeTrainer:
        """A training process that is on the board, armed now."""
        self.job(pid, start, root=root)
        return FakeTrainer(self, pid, start, **identity)

    def note(self, pid: int, start: float, **facts: object) -> Path:
        """What ``gpuwatch run`` notes of its command, put in place as a whole."""
        ticks = round(start * TICKS)
        told = {"version": 1, "pid": pid, "starttime": ticks, "started_ms": start_ms(start), "attach": {"state": "waiting"}} | facts
        path = self.folder / f"{pid}-{ticks}{layout.NOTE_SUFFIX}"
        unfinished = self.folder / "unfinished"
        unfinished.write_text(json.dumps(told))
        unfinished.replace(path)
        return path

    def now_ms(self) -> int:
        """The wall clock."""
        return round(self.clock.time() * 1000)

    def kill(self, pid: int) -> None:
        """The process is gone from /proc and from the board."""
        shutil.rmtree(self.proc / str(pid), ignore_errors=True)
        self.jobs.pop(pid, None)
        self.board.publish(self.jobs.values())
