"""The view of nothing: what a screen shows before the first sample, or when the store cannot be read."""

from __future__ import annotations

from gpuwatch.view.types import RecordingView, SpanView, View


def empty_view(now_ms: int, notices: tuple[str, ...] = (), holder_pid: int | None = None) -> View:
    """A view without host, GPUs or recording; ``notices`` say why."""
    return View(
        at_ms=now_ms,
        now_ms=now_ms,
        host=None,
        recording=RecordingView(False, holder_pid, None, None, 1.0, False, ""),
        span=SpanView(now_ms, now_ms, None),
        gpus=(),
        processes=(),
        workloads=(),
        ledger=None,
        today=None,
        waste_now_gpus=None,
        findings=(),
        events=(),
        sources=(),
        notices=notices,
    )
