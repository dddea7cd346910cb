"""The checks behind ``doctor``: each has a stable id, one result line and, where something can be done, the command that does it."""

from __future__ import annotations

import grp
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpuwatch import __version__, format
from gpuwatch.dataclass import dataclass
from gpuwatch.errors import StoreError, UsageError
from gpuwatch.names import Missing, ServerState
from gpuwatch.settings import known_keys

if TYPE_CHECKING:
    from gpuwatch.runtime import Runtime
    from gpuwatch.view.types import GpuView, View

_FIX = {
    Missing.NO_PERMISSION: "run the recorder as root, or ask for the permission named by the driver",
    Missing.NOT_SUPPORTED: "",
    Missing.DRIVER_ERROR: "look for the driver's own message: dmesg | grep -i nvrm",
}

_FINE = (ServerState.UP, ServerState.STARTING, ServerState.NO_METRICS)
"""States of a server that nobody need do anything about."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at. ``state``: ok, missing, warn, info."""

    id: str
    group: str
    title: str
    state: str
    result: str
    fix: str = ""


def collect(runtime: Runtime) -> list[Check]:
    """All checks, in the order they are read best."""
    from gpuwatch.view.build import build_view

    found = [*_program(), *_who()]
    try:
        with runtime.observe() as window:
            view = build_view(window, now_ms=runtime.now_ms(), tz=runtime.tz, terms=runtime.terms)
    except StoreError as error:
        found.append(Check("store.readable", "store", "readable", "missing", error.message, error.hint))
    else:
        found += [*_sources(view), *_servers(view), *_gpus(view)]
    return [*found, *_processes(runtime), *_training(runtime), *_store(runtime), *_rules(runtime), *_terminal(runtime)]


def settings_rows(runtime: Runtime) -> list[tuple[str, Any, str]]:
    """(key, value in force, source or empty for a default) of every setting."""
    rows = []
    for key, _ in known_keys():
        section, name = key.split(".", 1)
        value = getattr(getattr(runtime.settings, section), name)
        rows.append((key, value, runtime.loaded.sources.get(key, "")))
    return [*rows, *_listed(runtime)]


def _listed(runtime: Runtime) -> Iterator[tuple[str, Any, str]]:
    """What is configured as a list of the user's own: servers to ask, prices of GPUs."""
    sources = runtime.loaded.sources
    for target in runtime.settings.targets:
        from gpuwatch.collectors.inference.configured import configured

        key = f"key from ${target.token_env}" if target.token_env else ""
        ignored = [f"not asked: {problem.partition(': ')[2]}" for problem in configured({"targets": [target.options()]})[1]]
        facts = ", ".join(fact for fact in (target.name, target.engine, key, *ignored) if fact)
        yield "inference.target", target.url + (f" ({facts})" if facts else ""), sources.get(f"inference.target {target.url}", "")
    for listed in runtime.settings.gpu_prices:
        steps = ", ".join(f"{step.price:g}" + (f" from {step.since}" if step.since else "") for step in listed.steps)
        yield f"price.{listed.pattern}", steps, sources.get(f"price.{listed.pattern}", "")


def _rules(runtime: Runtime) -> Iterator[Check]:
    """Whether a recorder of this configuration would look for waste."""
    try:
        advice = runtime.advice
    except UsageError as error:
        yield Check("rules.configured", "rules", "configuration", "missing", error.message, error.hint or "correct that line")
        return
    changed = [(len(advice.limits), "limit is", "limits are", "changed"), (len(advice.off), "rule is", "rules are", "off")]
    told = "".join(f"; {count} {one if count == 1 else many} {how}" for count, one, many, how in changed if count)
    if advice.enabled:
        yield Check("rules.configured", "rules", "configuration", "ok", f"look for waste while a recorder runs{told}")
    else:
        yield Check(
            "rules.configured", "rules", "configuration", "warn", "switched off: nobody looks for waste", "[rules] enabled = true"
        )


def _program() -> Iterator[Check]:
    version = f"gpuwatch {__version__}, Python {platform.python_version()}, {platform.system()} {platform.release()}"
    yield Check("program", "program", "version", "ok", version)


def _who() -> Iterator[Check]:
    groups = []
    for gid in os.getgroups():
        try:
            groups.append(grp.getgrgid(gid).gr_name)
        except KeyError:
            groups.append(str(gid))
    root = os.geteuid() == 0
    yield Check(
        "who.user", "who looks", "user", "info", f"uid {os.geteuid()}{' (root)' if root else ''}, groups {', '.join(groups) or '-'}"
    )
    inside = Path("/.dockerenv").exists() or Path("/run/.containerenv").exists() or bool(os.environ.get("KUBERNETES_SERVICE_HOST"))
    text = "yes: only this container's processes are visible unless it shares the host's pid namespace" if inside else "no"
    yield Check("who.container", "who looks", "container", "info", text)


def _sources(view: View) -> Iterator[Check]:
    for source in view.sources:
        good = source.state == "ok"
        yield Check(
            f"source.{source.name}",
            "sources",
            source.name,
            "ok" if good else "missing",
            source.detail or source.state,
            "" if good else source.hint,
        )


def _servers(view: View) -> Iterator[Check]:
    """Inference servers: whether they tell their numbers, and what would make them."""
    for workload in view.workloads:
        server = workload.inference
        if server is None:
            continue
        up = server.state is ServerState.UP
        place = server.url or server.detail or server.state.label
        result = f"{server.engine} {place}" if up else f"{server.engine}: {server.detail or server.state.label}"
        state = "ok" if up and not server.hint else "info" if server.state in _FINE else "missing"
        yield Check(f"server.{workload.root_pid}.{workload.port}", "servers", workload.name or "server", state, result, server.hint)


def _gpus(view: View) -> Iterator[Check]:
    if not view.gpus:
        yield Check(
            "gpu", "GPUs", "GPUs", "missing", "none seen", "nvidia-smi should list them; in a container start it with --gpus all"
        )
        return
    if view.host and view.host.driver_version:
        yield Check("driver", "GPUs", "driver", "ok", f"{view.host.driver_version}, CUDA {view.host.cuda_version or '?'}")
    for gpu in view.gpus:
        yield Check(f"gpu.{gpu.gpu_index}", "GPUs", f"GPU {gpu.gpu_index}", "ok", f"{gpu.name} {gpu.mig_profile}".strip())
        yield from _gpu_details(gpu)


def _gpu_details(gpu: GpuView) -> Iterator[Check]:
    prefix = f"gpu.{gpu.gpu_index}"
    gpm = gpu.details.get("gpm_supported")
    if gpm is False:
        text = "SM, tensor and memory-bandwidth activity need Hopper or newer: busy time stays 'busy, quality unknown'"
        yield Check(f"{prefix}.gpm", "GPUs", "  GPM", "missing", text)
    elif gpm:
        yield Check(f"{prefix}.gpm", "GPUs", "  GPM", "ok", "SM, tensor and memory-bandwidth activity are measured")
    if gpu.mig_enabled:
        yield Check(f"{prefix}.mig", "GPUs", "  MIG", "info", "on: utilization exists per instance only through GPM")
    if gpu.details.get("persistence_mode") is False:
        fix = "sudo nvidia-smi -pm 1"
        yield Check(
            f"{prefix}.persistence", "GPUs", "  persistence", "warn", "off: the driver unloads when nothing uses the GPU", fix
        )
    by_reason: dict[Missing, list[str]] = {}
    for name, reason in sorted(gpu.missing.items()):
        by_reason.setdefault(reason, []).append(name)
    for reason, names in by_reason.items():
        words = reason.label.replace("_", " ")
        yield Check(f"{prefix}.{reason.label}", "GPUs", f"  {words}", "missing", ", ".join(names), _FIX.get(reason, ""))


def _processes(runtime: Runtime) -> Iterator[Check]:
    if runtime.simulated:
        return
    from gpuwatch.collectors.procs.visibility import visibility

    for number, line in enumerate(visibility(runtime.context("procs"))):
        yield Check(f"processes.{number}", "processes", "visible" if not number else "", "info", line)


def _training(runtime: Runtime) -> Iterator[Check]:
    if not runtime.simulated:
        from gpuwatch.commands import checks_training

        yield from checks_training.checks(runtime.environ, os.geteuid())


def _store(runtime: Runtime) -> Iterator[Check]:
    from gpuwatch.store.opening import disk_room, kept_free

    place = runtime.place
    yield Check("store.path", "store", "path", "info", f"{place.path}   from {place.source}")
    if place.notice:
        yield Check("store.notice", "store", "notice", "warn", place.notice)
    yield from _schema(place.path)
    folder = place.path.parent
    while not os.path.exists(folder):
        folder = folder.parent
    writable = os.access(place.path if os.path.exists(place.path) else folder, os.W_OK)
    fix = "" if writable else "choose another place: gpuwatch --store PATH"
    yield Check(
        "store.writable",
        "store",
        "writable",
        "ok" if writable else "missing",
        "yes" if writable else "no: read only for this user",
        fix,
    )
    free, total = disk_room(folder)
    low = free < kept_free(total)
    yield Check(
        "store.space", "store", "free space", "warn" if low else "ok", format.gib(free) + " GiB", "free some space" if low else ""
    )
    holder = runtime.lease_holder()
    text = f"running, pid {holder}" if holder else "none: history is kept only while a screen is open"
    fix = "" if holder else "gpuwatch record --print-unit user"
    yield Check("recorder", "store", "recorder", "ok" if holder else "missing", text, fix)


def _schema(path: Path) -> Iterator[Check]:
    from gpuwatch.store.columns import SCHEMA_VERSION
    from gpuwatch.store.connection import file_schema

    found = file_schema(path)
    if not found or found == SCHEMA_VERSION:
        return
    if found < SCHEMA_VERSION:
        text, fix = f"{found}, of an older gpuwatch: read only", "restart the recorder; where none runs: gpuwatch db upgrade"
    else:
        text, fix = f"{found}, of a newer gpuwatch: never written by this one", "update gpuwatch"
    yield Check("store.schema", "store", "schema", "warn", text, fix)


def _terminal(runtime: Runtime) -> Iterator[Check]:
    size = shutil.get_terminal_size()
    encoding = (getattr(sys.__stderr__, "encoding", "") or "?").upper()
    term = runtime.environ.get("TERM", "none")
    color = runtime.environ.get("COLORTERM", "")
    yield Check(
        "terminal", "terminal", "terminal", "info", f"{term} {color}".strip() + f", {size.columns}x{size.lines}, {encoding}"
    )
