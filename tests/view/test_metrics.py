"""The metrics document names every measure, reason, state and part."""

from __future__ import annotations

import pytest

from gpuwatch.measure import measures
from gpuwatch.model import GpuSample, HostSample, ProcessSample
from gpuwatch.names import Bucket, Cause, Missing, State, Tier
from gpuwatch.view import parts
from gpuwatch.view.metrics import metrics_document


def test_everything_measured_is_in_the_document() -> None:
    text = metrics_document()
    for sample in (GpuSample, ProcessSample, HostSample):
        assert [name for name, m in measures(sample).items() if f"| `{name}` | {m.unit} | {m.help} |" not in text] == []
    for word in (*Missing, *State, *Bucket, *(cause for cause in Cause if cause), *Tier):
        assert f"| `{word.label}` |" in text
    for part in parts.PARTS:
        assert f"| {part.word} |" in text


@pytest.mark.parametrize("grouping", [parts.PARTS, parts.BUCKETS])
def test_every_bucket_is_in_exactly_one_part(grouping: tuple[parts.Part, ...]) -> None:
    buckets = [bucket for part in grouping for bucket in part.buckets]
    assert sorted(buckets) == sorted(Bucket)
