"""Findings, their minutes, mutes and what rules said, put into a store by hand: for tests of what reads them."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

from gpuwatch.names import Basis, Bucket, Confidence, Severity
from gpuwatch.rules.document import finding_text, said_key
from gpuwatch.rules.types import Evidence, Finding

MINUTE_MS = 60_000


def held_idle(**more: Any) -> Finding:
    """A finding as a rule gives it; everything can be said otherwise."""
    given: dict[str, Any] = {
        "name": "held idle",
        "title": "PID 4711 (bob, python -m ipykernel) holds 38 GiB and has started no work for 50 min.",
        "severity": Severity.WARNING,
        "confidence": Confidence.HIGH,
        "basis": Basis.MEASURED,
        "evidence": (
            Evidence("quiet without a break", "50 min", "30 min", "NVML utilization"),
            Evidence("GPU memory held", "38 GiB", "500 MiB", "NVML processes"),
        ),
        "gpus": (1,),
        "waste_gpus": 1.0,
        "how": "The whole quiet run, from its start, times one GPU: 50 min = 0.8 GPU·h.",
        "try_first": ("kill 4711", "del model; gc.collect(); torch.cuda.empty_cache()"),
        "then": "notebooks: c.MappingKernelManager.cull_idle_timeout = 3600",
        "gain": "all of it: one GPU for as long as it stays quiet",
        "gain_source": "this GPU's own quiet run",
        "wrong_if": ("somebody waits at a breakpoint",),
        "bucket": Bucket.HELD_IDLE,
        "measured": 1.0,
    }
    return Finding(**{**given, **more})


class Advice:
    """Writes beside whoever writes the store; ``host_id`` 1 is the first host."""

    def __init__(self, db: sqlite3.Connection, host_id: int = 1) -> None:
        self.db, self.host_id = db, host_id

    def finding(
        self,
        finding: Finding,
        *,
        rule: str,
        started_ms: int,
        last_ms: int,
        ended_ms: int | None = None,
        subject: str = "host",
        minutes: Mapping[int, tuple[int | None, int | None, int | None]] | None = None,
        **columns: Any,
    ) -> int:
        """One row (its id); ``minutes``: start of a minute in unix milliseconds -> measured, waste (per mille), cost (GPU ms)."""
        row = {
            "host_id": self.host_id,
            "rule": rule,
            "gpu_id": finding.gpus[0] if finding.gpus else 0,
            "started_ms": started_ms,
            "last_ms": last_ms,
            "ended_ms": ended_ms,
            "severity": int(finding.severity),
            "confidence_pm": None,
            "title": finding.title,
            "evidence": " · ".join(f"{each.what} {each.measured}" for each in finding.evidence),
            "advice": finding.try_first[0] if finding.try_first else "",
            "cost_gpu_ms": None if finding.waste_gpus is None else round(finding.waste_gpus * (last_ms - started_ms)),
            "cost_energy_mj": None,
            "subject": subject,
            "gpus": "",
            "detail": finding_text(finding),
            "basis": int(finding.basis),
            "waste_pm": None if finding.waste_gpus is None else round(finding.waste_gpus * 1000),
            **columns,
        }
        marks = ", ".join("?" * len(row))
        cursor = self.db.execute(f"INSERT INTO finding({', '.join(row)}) VALUES ({marks})", tuple(row.values()))
        number = int(cursor.lastrowid or 0)
        for ms, values in (minutes or {}).items():
            self.db.execute("INSERT INTO finding_minute VALUES (?,?,?,?,?)", (number, ms // 1000, *values))
        return number

    def grown(self, started_ms: int, told_ms: int, last_ms: int, waste: float) -> dict[int, tuple[int, int, int]]:
        """A finding that grows evenly, minute by minute from when it was told."""
        return {
            ms: (1000, round(waste * 1000), round(waste * (ms - started_ms)))
            for ms in range(told_ms // MINUTE_MS * MINUTE_MS, last_ms, MINUTE_MS)
        }

    def mute(self, rule: str, *, made_ms: int, **columns: Any) -> int:
        """One mute (its id)."""
        row = {"host_id": self.host_id, "rule": rule, "made_ms": made_ms, **columns}
        marks = ", ".join("?" * len(row))
        return int(self.db.execute(f"INSERT INTO mute({', '.join(row)}) VALUES ({marks})", tuple(row.values())).lastrowid or 0)

    def said(self, text: str) -> None:
        """What the rules said last."""
        self.db.execute("INSERT OR REPLACE INTO meta(key, value) VALUES (?, ?)", (said_key(self.host_id), text))

    def owner(self, user: str, *, pid: int) -> int:
        """The owner row of a user's process that is in the store (its id)."""
        user_id, proc_id = self.db.execute(
            "SELECT u.user_id, p.proc_id FROM process p JOIN user_account u ON u.user_id=p.user_id WHERE u.name=? AND p.pid=?",
            (user, pid),
        ).fetchone()
        found = self.db.execute("SELECT owner_id FROM owner WHERE host_id=? AND proc_id=?", (self.host_id, proc_id)).fetchone()
        if found:
            return int(found[0])
        sql = "INSERT INTO owner(host_id, user_id, proc_id) VALUES (?,?,?)"
        return int(self.db.execute(sql, (self.host_id, user_id, proc_id)).lastrowid or 0)
