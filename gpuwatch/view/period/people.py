"""Who the users and processes of a report are, looked up after everything has been summed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gpuwatch.dataclass import NamedTuple
from gpuwatch.store.window import Window

_AT_ONCE = 900


class Identity(NamedTuple):
    """One process."""

    pid: int
    start_ms: int
    name: str
    command: str
    user: str | None
    job: str
    workload: str
    first_ms: int
    last_ms: int


_USERS = "SELECT u.user_id, {user} FROM user_account u WHERE u.user_id IN ({ids})"
_PROCESSES = (
    "SELECT p.proc_id, p.pid, p.start_ms, p.name, p.command, {user}, p.job, coalesce(w.name, ''), p.first_ms, p.last_ms FROM process p "
    "LEFT JOIN user_account u ON u.user_id=p.user_id LEFT JOIN workload w ON w.workload_id=p.workload_id WHERE p.proc_id IN ({ids})"
)
_USER = "CASE WHEN u.name<>'' THEN u.name WHEN u.uid IS NOT NULL THEN 'uid '||u.uid END"


def _parts(ids: Iterable[int]) -> Iterable[Sequence[int]]:
    wanted = sorted(set(ids))
    for start in range(0, len(wanted), _AT_ONCE):
        yield wanted[start : start + _AT_ONCE]


def users(window: Window, user_ids: Iterable[int]) -> dict[int, str | None]:
    """user_id -> the name; ``None`` when it is not known."""
    out: dict[int, str | None] = {}
    for part in _parts(user_ids):
        out.update(window.rows(_USERS.format(user=_USER, ids=",".join(map(str, part))), ()))
    return out


def processes(window: Window, proc_ids: Iterable[int]) -> dict[int, Identity]:
    """proc_id -> who that is; processes that were forgotten are left out."""
    out: dict[int, Identity] = {}
    for part in _parts(proc_ids):
        for proc_id, *rest in window.rows(_PROCESSES.format(user=_USER, ids=",".join(map(str, part))), ()):
            out[proc_id] = Identity(*rest)
    return out
