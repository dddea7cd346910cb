"""The queries that reproduce the number of a finding, for SQLite and PostgreSQL, over the public views of docs/schema.md."""

from __future__ import annotations

from gpuwatch.rules.scene import GpuSubject, JobSubject


def text(value: str) -> str:
    """A text as SQL writes it."""
    return "'" + value.replace("'", "''") + "'"


def of_gpus(columns: str, gpus: tuple[GpuSubject, ...] | list[GpuSubject], seconds: float, view: str = "v_gpu_minute") -> str:
    """These columns of GPUs over the newest ``seconds`` of minutes or hours."""
    uuids = ", ".join(text(gpu.gpu.uuid) for gpu in gpus)
    since = f"t >= (SELECT max(t) FROM {view}) - {seconds:.0f}"
    return f"SELECT t, gpu_index, {columns} FROM {view} WHERE gpu_uuid IN ({uuids}) AND {since} ORDER BY t, gpu_index"


def of_job(columns: str, job: JobSubject, seconds: float, view: str = "v_workload_minute") -> str:
    """These columns of a workload over the newest ``seconds`` of minutes or hours."""
    return f"SELECT t, {columns} FROM {view} WHERE {is_job(job)} AND t >= (SELECT max(t) FROM {view}) - {seconds:.0f} ORDER BY t"


def is_job(job: JobSubject) -> str:
    """The condition that names a workload."""
    f = job.facts
    return f"root_pid = {f.root_pid} AND root_start_ms = {f.root_start_ms} AND port = {f.port}"
