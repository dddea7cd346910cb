"""Spans of a past log without rows: of one GPU, or of the whole host where all its GPUs are silent together."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from gpuwatch.dataclass import NamedTuple


class Gap(NamedTuple):
    """From the last row before to the first after it, unix milliseconds; ``gpu_id`` 0: the whole host."""

    gpu_id: int
    t0_ms: int
    t1_ms: int


def joined(gaps: Iterable[Gap], gpus: Collection[int], reach_ms: int) -> list[Gap]:
    """Gaps that all ``gpus`` share, begun and ended within ``reach_ms`` of each other, become one of the host."""
    groups: list[list[Gap]] = []
    for gap in sorted(gaps, key=lambda gap: (gap.t1_ms, gap.gpu_id)):
        group = groups[-1] if groups else []
        near = group and abs(gap.t0_ms - group[0].t0_ms) <= reach_ms and gap.t1_ms - group[0].t1_ms <= reach_ms
        if near and all(gap.gpu_id != other.gpu_id for other in group):
            group.append(gap)
        else:
            groups.append([gap])
    out: list[Gap] = []
    for group in groups:
        start, end = max(gap.t0_ms for gap in group), min(gap.t1_ms for gap in group)
        if start < end and {gap.gpu_id for gap in group} >= set(gpus):
            out.append(Gap(0, start, end))
        else:
            out.extend(group)
    return out
