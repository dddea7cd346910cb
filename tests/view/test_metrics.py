"""The metrics document names every measure, reason, state and part."""

from __future__ import annotations

import pytest

from gpuwatch.ledger.ratios import PART_OF, WASTE
from gpuwatch.ledger.ratios import Part as LedgerPart
from gpuwatch.model import GpuSample, HostSample, ProcessSample, measures
from gpuwatch.names import Bucket, Missing, State
from gpuwatch.view import parts
from gpuwatch.view.metrics import metrics_document


def test_everything_measured_is_in_the_document() -> None:
    text = metrics_document()
    for sample in (GpuSample, ProcessSample, HostSample):
        assert [name for name, m in measures(sample).items() if f"| `{name}` | {m.unit} | {m.help} |" not in text] == []
    for word in (*Missing, *State):
        assert f"| `{word.label}` |" in text
    for part in parts.PARTS:
        assert f"| {part.word} |" in text


@pytest.mark.parametrize("grouping", [parts.PARTS, parts.BUCKETS])
def test_every_bucket_is_in_exactly_one_part(grouping: tuple[parts.Part, ...]) -> None:
    buckets = [bucket for part in grouping for bucket in part.buckets]
    assert sorted(buckets) == sorted(Bucket)


def test_the_parts_of_the_view_are_those_of_the_ledger() -> None:
    assert [part.word for part in parts.PARTS] == [part.value for part in LedgerPart]
    assert {bucket: part.word for part in parts.PARTS for bucket in part.buckets} == {b: p.value for b, p in PART_OF.items()}
    assert parts.WASTE == WASTE
