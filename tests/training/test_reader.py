"""Bytes of a hook file: what is read of good ones, and that nothing in bad ones is believed or fails."""

from __future__ import annotations

import math
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.hookfiles import FakeTrainer, Stage, sealed

from gpuwatch.collectors.training import layout, reader
from gpuwatch.measure import measures, quantise
from gpuwatch.names import Phase
from gpuwatch.training import TrainingSample

NANOSECONDS = st.integers(0, 2**63 - 1)


def head(trainer: FakeTrainer) -> bytes:
    return trainer.path.read_bytes()[: reader.HEAD_BYTES]


def test_a_whole_file_is_read_as_it_was_written(stage: Stage) -> None:
    trainer = stage.trainer(
        50, rank=1, world=4, local=1, node=0, parallel=2, replicas=2, source=2, parameters=124_000_000, flops=7.5e8, total=1000.0,
        gpu_uuid="GPU-1", model="GPT\x1b[31m", length=1024, precision="bf16",
    )  # fmt: skip
    trainer.loss, trainer.known = 2.5, layout.SNAP_TOKENS | layout.SNAP_LOSS
    trainer.step(3)
    one, counters = reader.identity(head(trainer)), reader.counters(head(trainer))
    assert one is not None and counters is not None
    assert (one.pid, one.rank, one.world, one.data_parallel, one.replicas) == (50, 1, 4, 2, 2)
    assert (one.data_parallel_source, one.parameters, one.flops_per_token, one.total_steps) == ("mesh", 124_000_000, 7.5e8, 1000)
    assert (one.model, one.gpu_uuid, one.precision) == ("GPT·[31m", "GPU-1", "bf16")
    assert (counters.steps, counters.tokens, counters.loss, counters.step_number) == (3, 3072, 2.5, None)
    assert reader.live(head(trainer)) == (Phase.OTHER, trainer.since)


def test_what_is_not_known_is_none(stage: Stage) -> None:
    trainer = stage.trainer(50)
    one = reader.identity(head(trainer))
    assert one is not None
    assert (one.rank, one.world, one.local_rank, one.data_parallel, one.parameters, one.flops_per_token) == (None,) * 6


def test_the_newest_whole_snapshot_counts(stage: Stage) -> None:
    trainer = stage.trainer(50)
    trainer.step()
    before = reader.counters(head(trainer))
    trainer.step()
    newest = layout.SNAPSHOT_AT[trainer.seq % 2]
    trainer.put(newest + 40, b"\xff")  # it is being written
    assert reader.counters(head(trainer)) == before
    assert before is not None and reader.counters(head(trainer), before.seq) is None


@pytest.mark.parametrize(
    ("at", "data", "said"),
    [
        (0, b"GWTX", "does not begin"),
        (4, struct.pack("<H", 2), "version 2"),
        (6, struct.pack("<H", 400), "400 bytes"),
    ],
)
def test_a_file_of_another_kind_or_version_is_refused_in_words(stage: Stage, at: int, data: bytes, said: str) -> None:
    trainer = stage.trainer(50)
    trainer.put(at, data)
    with pytest.raises(reader.Foreign, match=said):
        reader.identity(head(trainer))
    batches = [stage.tick() for _ in range(6)]
    assert [event.kind for batch in batches for event in batch.events] == ["hook_file_ignored"]
    assert not any(batch.training_samples for batch in batches)


def test_a_file_that_is_only_being_made_is_waited_for(stage: Stage) -> None:
    trainer = stage.trainer(50)
    made = trainer.path.read_bytes()
    trainer.path.write_bytes(b"")
    assert not stage.tick().events
    trainer.path.write_bytes(bytes(layout.FILE_BYTES))
    assert not stage.tick().training_samples
    trainer.path.write_bytes(made)
    (sample,) = stage.tick().training_samples
    assert sample.pid == 50


def test_a_file_that_never_says_whose_it_is_is_said_once(stage: Stage) -> None:
    stage.trainer(50).path.write_bytes(bytes(layout.FILE_BYTES))
    events = [event for _ in range(15) for event in stage.tick().events]
    assert [event.kind for event in events] == ["hook_file_ignored"] and "damaged" in events[0].detail


def test_an_identity_that_is_being_rewritten_does_not_unmake_the_one_before(stage: Stage) -> None:
    trainer = stage.trainer(50, model="GPT")
    trainer.step()
    stage.tick()
    trainer.put(200, b"\xff\xff")
    trainer.step()
    (sample,) = stage.tick().training_samples
    assert sample.rank_steps_total == 1


@given(data=st.binary(max_size=reader.HEAD_BYTES + 64))
@settings(max_examples=60, deadline=None)
def test_random_bytes_never_fail(data: bytes) -> None:
    data = (layout.MAGIC + data).ljust(reader.HEAD_BYTES, b"\0")
    try:
        assert reader.identity(data) is None
    except reader.Foreign:
        pass
    reader.live(data)
    assert reader.counters(data) is None


@given(
    numbers=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=42, max_size=42),
    head=st.tuples(NANOSECONDS, NANOSECONDS, st.integers(0, 63)),
    loss=st.floats(),
)
@settings(max_examples=60, deadline=None)
def test_hostile_numbers_under_a_right_checksum_are_bounded(numbers: list[int], head: tuple[int, int, int], loss: float) -> None:
    block = sealed(layout.SNAPSHOT.pack(*head, *numbers[:22], loss, *numbers[22:], 0))
    data = bytes(layout.SNAPSHOT_AT[0]) + block
    found = reader.counters(data.ljust(reader.HEAD_BYTES, b"\0"))
    assert found is None or (0 <= found.tokens <= reader.MOST and min(found.phases) >= 0)


class Hostile:
    """A process that may write anything, read by the collector each second."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.trainer = stage.trainer(50, world=2, rank=0)

    def write(self, seq: int, at_ns: int, values: list[int], loss: float) -> None:
        counts, phases = values[:22], values[22:32]
        block = layout.SNAPSHOT.pack(seq, at_ns, 63, *counts, loss, *phases, *phases, 0)
        self.trainer.put(layout.SNAPSHOT_AT[seq % 2], sealed(block))


@given(
    writes=st.lists(
        st.tuples(
            st.integers(0, 9),
            st.one_of(st.integers(0, 2**62), st.integers(10**12, 10**12 + 10**10)),
            st.lists(st.one_of(st.integers(-1, 2**62), st.integers(0, 5000)), min_size=32, max_size=32),
            st.floats(),
            st.integers(0, 2**64 - 1),
            st.sampled_from((-3600.0, 0.0, 3600.0)),
        ),
        min_size=1,
        max_size=6,
    )
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_process_makes_the_collector_fail_or_tell_a_negative_rate(
    tmp_path_factory: pytest.TempPathFactory, writes: list
) -> None:
    stage = Stage(tmp_path_factory.mktemp("hostile"))
    hostile = Hostile(stage)
    for seq, at_ns, values, loss, live, step in writes:
        hostile.write(seq, at_ns, values, loss)
        hostile.trainer.put(layout.LIVE_AT, layout.LIVE.pack(live))
        stage.clock.advance(0.0, step=step)
        for sample in stage.tick().training_samples:
            for name in measures(TrainingSample):
                value = getattr(sample, name)
                assert value is None or name == "loss" or value >= 0, name
            assert all(value is None or abs(value) < 2**63 for value in quantise(sample))
            assert sample.loss is None or math.isfinite(sample.loss)
    stage.collector.close()
