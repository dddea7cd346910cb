"""The composition root: puts settings, clock, collectors, recorder, store and view together for the commands.

Everything heavy is imported where it is needed; a command that only reads a live store imports no collector.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import tzinfo
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpuwatch import __version__, settings
from gpuwatch.clock import Clock, SystemClock
from gpuwatch.errors import UsageError, nearest

if TYPE_CHECKING:
    import sqlite3

    from gpuwatch.plugin import Collector, CollectorContext, ServerBoard, TrainerBoard, WatchedPids
    from gpuwatch.recorder.advice_settings import AdviceSettings
    from gpuwatch.store.deleting import Keep
    from gpuwatch.store.location import Location
    from gpuwatch.store.window import Window
    from gpuwatch.store.writer import StoreWriter
    from gpuwatch.view.terms import Terms

logger = logging.getLogger("gpuwatch.runtime")

GPM_PAUSE_SECONDS = 0.12
"""GPM values are differences of two readings at least 100 ms apart (NVML documentation)."""


class Runtime:
    """What one run of the program works with."""

    def __init__(self, args: argparse.Namespace, environ: Mapping[str, str], clock: Clock, loaded: settings.Loaded) -> None:
        self.args = args
        self.environ = environ
        self.clock = clock
        self.loaded = loaded
        self.settings = loaded.settings
        self._closing: list[Any] = []

    @classmethod
    def from_args(cls, args: argparse.Namespace, environ: Mapping[str, str], clock: Clock | None = None) -> Runtime:
        """Load the settings for parsed arguments. Raises :class:`UsageError`."""
        options = {
            "store.path": None,  # --store is a place of its own: it wins over GPUWATCH_STORE, a setting does not
            "record.interval_seconds": getattr(args, "interval", None),
            "screen.ascii": getattr(args, "ascii", None),
            "screen.colors": getattr(args, "colors", None),
            "screen.read_only": getattr(args, "read_only", None),
            "screen.timezone": args.tz,
        }
        loaded = settings.load(options, environ=environ, config=args.config)
        if args.demo is not None and not args.demo.endswith(".toml"):
            from gpuwatch.collectors.simulated.scenario import names

            if args.demo not in names():
                raise UsageError(f"unknown scenario '{args.demo}'{nearest(args.demo, names())}")
        return cls(args, environ, clock or SystemClock(), loaded)

    def close(self) -> None:
        """Undo what was opened, newest first (temporary stores, children)."""
        while self._closing:
            self._closing.pop()()

    # ----------------------------------------------------------------------------------------------------- time and place

    def now_ms(self) -> int:
        """Unix milliseconds."""
        return round(self.clock.time() * 1000)

    @cached_property
    def tz(self) -> tzinfo | None:
        """The zone for clocks that are shown; ``None`` is the system's. Raises :class:`UsageError` for an unknown one."""
        name = self.settings.screen.timezone
        if not name:
            return None
        from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise UsageError(f"unknown time zone '{name}'", "write it as in Europe/Berlin or UTC") from None

    @property
    def simulated(self) -> bool:
        """Whether this run is a demo."""
        return self.args.demo is not None

    @cached_property
    def demo_epoch(self) -> int:
        """Unix second of scenario time 0, one for past and present: midnight UTC, so that the same seed and span give the same
        rows whenever they are made."""
        return int(self.clock.time()) // 86_400 * 86_400

    @cached_property
    def place(self) -> Location:
        """Where the store is, and why. A demo has a temporary one of its own unless ``--store`` names another."""
        from gpuwatch.store.location import Location, locate

        if self.simulated and self.args.store is None:
            import shutil
            import tempfile

            folder = tempfile.mkdtemp(prefix="gpuwatch-demo-")
            self._closing.append(lambda: shutil.rmtree(folder, ignore_errors=True))
            return Location(Path(folder) / "demo.db", "demo")
        return locate(
            option=self.args.store,
            environ=self.environ,
            config=self.settings.store.path or None,
            uid=os.getuid(),
            writing=getattr(self.args, "command", None) in ("record", "import"),
        )

    def store_path(self) -> Path:
        """The file to read: what a live recorder writes for the store, else the store. For a demo it is filled first."""
        from gpuwatch.store.connection import exists
        from gpuwatch.store.lease import holder

        path = self.place.path
        if self.simulated and not exists(path):
            self.fill_demo()
        found = holder(path)
        return found.store(path) if found else path

    def lease_holder(self) -> int | None:
        """Pid of the recorder that holds the store, or ``None``."""
        from gpuwatch.store.lease import holder

        found = holder(self.place.path)
        return found.pid if found else None

    def recorder_notice(self) -> str:
        """Why the recording is not where it should be, as the recorder says; empty if it is, or if there is none."""
        from gpuwatch.store.lease import holder

        found = holder(self.place.path)
        said = found.info.get("notice") if found else None
        return said if isinstance(said, str) else ""

    # ----------------------------------------------------------------------------------------------------------- sources

    def context(
        self,
        name: str,
        pids: WatchedPids | None = None,
        servers: ServerBoard | None = None,
        trainers: TrainerBoard | None = None,
    ) -> CollectorContext:
        """What the collector of that name is given."""
        from gpuwatch.plugin import CollectorContext, ServerBoard, TrainerBoard, WatchedPids

        options = dict(self.settings.collector_options.get(name, {}))
        options["command_lines"] = self.settings.privacy.command_lines
        if name == "inference":
            options["targets"] = [target.options() for target in self.settings.targets]
        if name == "simulated":
            options |= {"scenario": self.args.demo, "seed": self.args.seed, "speed": self.args.speed, "epoch": self.demo_epoch}
        log = logging.getLogger(f"gpuwatch.collectors.{name}")
        return CollectorContext(
            clock=self.clock,
            logger=log,
            gpu_pids=pids or WatchedPids(),
            servers=servers or ServerBoard(),
            trainers=trainers or TrainerBoard(),
            options=options,
        )

    def collector_names(self) -> Sequence[str]:
        """The collectors that this run uses."""
        if self.simulated:
            return ("simulated",)
        asked = self.settings.inference.enabled
        return [name for name in self.settings.record.collectors if asked or name != "inference"]

    @cached_property
    def terms(self) -> Terms:
        """Limits and prices, for whoever builds a view."""
        from gpuwatch.view.inference_types import Slo
        from gpuwatch.view.terms import Terms

        limits, price = self.settings.inference, self.settings.price
        slo = Slo(limits.ttft_seconds, limits.itl_seconds, limits.target_ratio)
        if price.kwh is None and not self.settings.gpu_prices:  # so for most, who need not load how a list is read
            return Terms(slo)
        from gpuwatch.configured import price_list

        return Terms(slo, price_list(price.currency, price.kwh, self.settings.gpu_prices, self.tz))

    @cached_property
    def advice(self) -> AdviceSettings:
        """What the configuration says of rules. Raises :class:`UsageError` for a rule or a limit that there is not."""
        from gpuwatch.ruled import advice_settings

        return advice_settings(self.settings.rules, self.loaded.sources, self.settings.inference)

    def collectors(self) -> list[Collector]:
        """All collectors, made but not opened; one that cannot be loaded becomes a source that says so."""
        from gpuwatch.plugin import ServerBoard, TrainerBoard, WatchedPids
        from gpuwatch.recorder import load_collectors

        pids, servers, trainers = WatchedPids(), ServerBoard(), TrainerBoard()
        names = list(self.collector_names())
        found = load_collectors(names, {name: self.context(name, pids, servers, trainers) for name in names})
        for collector in found:
            collector.interval_seconds *= self.settings.record.interval_seconds
        return found

    # ---------------------------------------------------------------------------------------------------------- recording

    @staticmethod
    def boot_id() -> str:
        """The kernel's id of this boot, empty where there is none."""
        try:
            return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        except OSError:
            return ""

    def open_writer(self, path: Path | str) -> StoreWriter:
        """Open a store for writing; the caller holds its lease (or it is in memory)."""
        from gpuwatch.store.writer import StoreWriter

        mode = 0o640 if str(path).startswith("/var/lib/") else 0o600
        return StoreWriter.open(
            path,
            clock=self.clock,
            simulated=self.simulated,
            scenario=self.args.demo or "",
            version=__version__,
            mode=mode,
            max_mb=self.settings.store.max_mb,
        )

    def keep(self) -> Keep:
        """How long what is kept, by the settings."""
        from gpuwatch.store.deleting import Keep

        return Keep(**{name: getattr(self.settings.store, name) for name in Keep._fields})

    def record(self, stop: threading.Event, *, duration: float | None, wait_for_lease: bool, talk: bool) -> int:
        """Record until ``stop`` is set or ``duration`` seconds are over; wait for the lease first if somebody else has it."""
        from gpuwatch.recording import Recording

        return Recording(self, talk=talk).run(stop, duration=duration, wait_for_lease=wait_for_lease)

    # ---------------------------------------------------------------------------------------------------------- observing

    @contextmanager
    def observe(self) -> Iterator[Window]:
        """A window on what is so now: a live recorder's store, the store that ``--store`` names, else one sample of this host."""
        from gpuwatch.store.connection import exists
        from gpuwatch.store.window import Window

        path = self.store_path()
        named = self.args.store is not None or self.simulated or self.lease_holder() is not None
        if named and exists(path):
            with Window(path) as window:
                yield window
            return
        connection = self.sample_once()
        try:
            yield Window(connection)
        finally:
            connection.close()

    def sample_once(self) -> sqlite3.Connection:
        """One tick of all collectors into a store in memory, plus a second one 120 ms later where GPM needs two readings.

        The second has a grid second of its own, but its amounts are those of the time that really passed.
        """
        from gpuwatch.recorder import Recorder

        writer = self.open_writer(":memory:")
        recorder = Recorder(self.collectors(), writer, self.clock, boot_id=self.boot_id())
        now, began = float(int(self.clock.time())), self.clock.monotonic_ns()
        recorder.run_once(now)
        writer.commit()
        passed_ms = 0
        if writer.connection.execute("SELECT count(*) FROM gpu WHERE gpm_supported=1").fetchone()[0]:
            self.clock.wait(threading.Event(), GPM_PAUSE_SECONDS)
            passed_ms = (self.clock.monotonic_ns() - began) // 1_000_000
            fastest = {one.name for one in recorder.sources if one.interval == recorder.period and not one.follows}
            # What is read less often would be due by the parity of the second; of a training such a moment tells nothing: steps are longer.
            recorder.run_once(now + 1, only=fastest)
        recorder.end()
        for table in ("gpu_sample", "process_sample", "host_sample"):
            writer.connection.execute(f"UPDATE {table} SET dt_ms=? WHERE dt_ms>0", (passed_ms,))
        return writer.connection

    def fill_demo(self) -> None:
        """Back-fill a demo's own store with a day of history, once; it appears under its name when it is whole."""
        path = self.place.path
        if path.exists():
            return
        from gpuwatch.recorder.backfill import backfill

        unfinished = path.with_name(path.name + ".part")
        writer = self.open_writer(unfinished)
        try:
            backfill(writer, self.context("simulated"), now=int(self.clock.time()))
        finally:
            writer.close()
        os.replace(unfinished, path)

    # ---------------------------------------------------------------------------------------------------------- the screen

    def replay(self, at_ms: int, host_id: int | None = None) -> int:
        """The screen at an instant of what the store holds (of its own host, or another); nothing is recorded."""
        from gpuwatch import tui
        from gpuwatch.past import PastSource

        source = PastSource(self, self.store_path(), host_id)
        self._closing.append(source.close)
        screen = self.settings.screen
        options = tui.TuiOptions(
            read_only=True,
            ascii_only=screen.ascii,
            colors=screen.colors,
            tz=self.tz,
            mouse=not self.args.no_mouse,
            signal_off="Signals are off: this is a replay.",
            first_steps=False,
            at_ms=at_ms,
            mute_off="Muting is off: this is a replay.",
            explain=self._explain,
        )
        return tui.run(source, options=options)

    def show_screen(self) -> int:
        """The live screen on this store, with a recorder of its own where none is."""
        from gpuwatch.childrecorder import ChildRecorder
        from gpuwatch.live import LiveSource

        _ = self.advice  # what the configuration says wrong of rules is told here, not by a recorder that nobody sees
        child = None if self.args.no_record else ChildRecorder(self.recorder_command())
        source = LiveSource(self, self.place.path, child, self.clock.monotonic_ns)
        self._closing.append(source.close)
        source.changed()  # the recorder starts before the screen's libraries are imported
        from gpuwatch import tui
        from gpuwatch.choices import first_steps_hidden, hide_first_steps
        from gpuwatch.signals import send_signal

        screen = self.settings.screen
        no_signals = self._no_signals()
        options = tui.TuiOptions(
            read_only=bool(no_signals),
            ascii_only=screen.ascii,
            colors=screen.colors,
            interval=self.settings.record.interval_seconds,
            tz=self.tz,
            mouse=not self.args.no_mouse,
            on_hangup=source.close,
            signal=None if no_signals else send_signal,
            signal_off=no_signals,
            first_steps=not first_steps_hidden(self.environ),
            hide_first_steps=partial(hide_first_steps, self.environ),
            retry=source.retry,
            mute=None if screen.read_only else source.mute,
            mute_off="Muting is off: gpuwatch was started read-only.",
            explain=self._explain,
        )
        return tui.run(source, options=options)

    def _explain(self, rule: str) -> str:
        """The manual page of a rule under the configured limits."""
        from gpuwatch.ruled import manual_of

        return manual_of(rule, self.settings.rules.limits)

    def _no_signals(self) -> str:
        """Why the screen must not send signals, in one sentence; empty when it may."""
        if self.simulated:
            return "Signals are off: the processes of a demo are not real."
        if os.geteuid() == 0:
            return "Signals are off: as root a slip could end anybody's work."
        return "Signals are off: gpuwatch was started read-only." if self.settings.screen.read_only else ""

    def recorder_command(self, *options: str) -> list[str]:
        """The command line of a recorder for this store that ends with this program. ``-P``: nothing of the working directory."""
        command = [sys.executable, "-P", "-m", "gpuwatch", "record", "--child", *options, "--store", str(self.place.path)]
        if self.simulated:
            command += [f"--demo={self.args.demo}", "--seed", str(self.args.seed), "--speed", str(self.args.speed)]
        if self.args.config:
            command += ["--config", self.args.config]
        if self.args.debug is not None:
            command.append(f"--debug={self.args.debug}")
        return command
