"""The engine around a rule that holds while a GPU is hot: when it is told, how it grows, when it clears, what is held back."""

from __future__ import annotations

import logging
from collections.abc import Iterable

import pytest
from support.rule_scene import START_MS

from gpuwatch.dataclass import replace
from gpuwatch.model import Gpu
from gpuwatch.names import Basis, Confidence, Severity
from gpuwatch.rules.engine import Engine
from gpuwatch.rules.limits import Limits
from gpuwatch.rules.looks import LOOK_MS, Facts, GpuFacts, GpuLook, JobFacts, Look, ProcessFacts, ProcessLook
from gpuwatch.rules.rule import Rule, rule
from gpuwatch.rules.scene import GpuSubject, Scene
from gpuwatch.rules.types import CLEAR, Change, Clear, Evidence, Finding, Mute, NotEvaluated, Verdict


def hot(name: str = "hot", severity: Severity = Severity.WARNING, waste: float = 0.5, window: float = 60.0, **more: object) -> Rule:
    """Holds while the newest temperature is above 80; not evaluated where it is not known; 99 is a bug of the rule."""

    def check(gpu: GpuSubject, scene: Scene) -> Verdict:
        now = gpu.now
        if now is None or now.temperature is None:
            return NotEvaluated("temperature", "gpuwatch doctor")
        if now.temperature == 99:
            raise ZeroDivisionError("nothing to divide")
        if now.temperature <= 80:
            return CLEAR
        return Finding(
            name="hot", title=f"GPU {gpu.gpu.index} is at {now.temperature:g}", severity=severity, confidence=Confidence.HIGH,
            basis=Basis.MEASURED, evidence=(Evidence("temperature", f"{now.temperature:g}"),), gpus=(gpu.id,), waste_gpus=waste,
            how="", try_first=("open the window",), then="", gain="", gain_source="", wrong_if=(),
        )  # fmt: skip

    check.__doc__ = "Hot."
    return rule(
        name, str(more.pop("code", "A9")), "gpu", phase=1, severity=severity, confidence=Confidence.HIGH, window=window, **more
    )(check)  # type: ignore[arg-type]


class Host:
    """One GPU and an engine; each look has a temperature."""

    def __init__(self, *rules: Rule, gpus: int = 1, **options: object) -> None:
        chosen = {each.id: each for each in rules or (hot(),)}
        self.engine = Engine(Limits({}), chosen, **options)  # type: ignore[arg-type]
        self.facts = Facts(gpus={n: GpuFacts(n, Gpu(f"GPU-{n}", n - 1, "H100")) for n in range(1, gpus + 1)})
        self.processes: dict[int, ProcessLook] = {}
        self.t_ms = START_MS

    def look(self, *temperatures: float | None, judge: bool = True) -> list[Change]:
        """The next ten seconds of each GPU."""
        self.t_ms += LOOK_MS
        gpus = {n: GpuLook(LOOK_MS, temperature=value) for n, value in enumerate(temperatures, 1)}
        return self.engine.add(Look(self.t_ms, gpus=gpus, processes=self.processes), self.facts, judge=judge)

    def go(self, temperatures: Iterable[float | None]) -> list[tuple[int, str]]:
        """Many looks of one GPU: (number of the look, what was told), without growing."""
        return [
            (number, change.what)
            for number, value in enumerate(temperatures, 1)
            for change in self.look(value)
            if change.what != "grown"
        ]


def test_it_is_told_at_the_second_look_and_counts_from_the_start_of_its_window() -> None:
    host = Host()
    assert host.go([70] * 6 + [90]) == []
    (change,) = host.look(90)
    found = change.finding
    assert change.what == "opened" and found.raised_ms == host.t_ms and found.started_ms == host.t_ms - 60_000
    assert found.cost_gpu_seconds == pytest.approx(0.5 * 60)
    for _ in range(6):
        host.look(90)
    assert found.cost_gpu_seconds == pytest.approx(0.5 * 120) and found.last_ms == host.t_ms
    assert host.engine.scene.is_open("hot", "gpu:GPU-1")


def test_what_was_before_the_first_look_is_not_counted() -> None:
    host = Host()
    host.go([90])
    (change,) = host.look(90)
    assert change.finding.started_ms == host.t_ms - 2 * LOOK_MS and change.finding.cost_gpu_seconds == pytest.approx(10)


def test_a_single_look_is_not_told_unless_the_rule_says_so() -> None:
    assert Host().go([90, 70, 90, 70]) == []
    assert Host(hot(confirms_at_once=True)).go([90]) == [(1, "opened")]


def test_it_grows_once_a_minute() -> None:
    host = Host()
    told = [change.what for _ in range(20) for change in host.look(90)]
    assert told.count("opened") == 1 and told.count("grown") == 3


def test_it_clears_when_most_looks_of_half_its_window_say_so_and_not_within_a_minute() -> None:
    assert Host().go([90, 90, 70, 70, 70, 70, 70, 70, 70]) == [(2, "opened"), (8, "cleared")]
    host = Host()
    assert host.go([90] * 10 + [70, 90, 90, 70, 90, 90, 70, 90, 90]) == [(2, "opened")], "a flutter is one finding"
    told = host.go([70, 70, 70])
    assert told == [(2, "cleared")]


def test_a_cleared_one_was_there_until_it_last_held() -> None:
    host = Host()
    for value in [90] * 12:
        host.look(value)
    held_ms = host.t_ms
    told = [change for _ in range(4) for change in host.look(70)]
    assert [change.what for change in told] == ["cleared"] and told[0].finding.ended_ms == held_ms


def test_it_is_told_again_after_a_window_then_after_two() -> None:
    host = Host(hot(window=60))
    spell = [90] * 8 + [70] * 3
    first = host.go(spell)
    assert [what for _, what in first] == ["opened", "cleared"]
    assert host.go([90] * 4) == [], "one window after it cleared"
    assert [what for _, what in host.go([90] * 12 + [70] * 4)] == ["opened", "cleared"]
    assert host.go([90] * 9) == [], "two windows"
    assert [what for _, what in host.go([90] * 4)] == ["opened"]


def test_a_missing_signal_keeps_an_open_finding_for_ten_minutes() -> None:
    host = Host()
    assert host.go([90] * 3 + [None] * 59) == [(2, "opened")]
    (standing,) = host.engine.standings
    assert standing.verdict == NotEvaluated("temperature", "gpuwatch doctor") and standing.where == "GPU 0"
    assert host.go([None] * 3) == [(2, "cleared")]


def test_nothing_is_said_of_a_process_in_its_first_five_minutes() -> None:
    host = Host()
    host.facts = Facts(host.facts.gpus, {7: ProcessFacts(7, 7, START_MS, user="ana", workload_id=3)}, {3: JobFacts(3, "training")})
    host.processes = {7: ProcessLook(LOOK_MS, {1: (1e9, None)})}
    assert host.go([90] * 29) == []
    assert host.go([90] * 3) == [(2, "opened")]
    assert host.engine.standings[0].where == "GPU 0 · ana"
    assert next(iter(host.engine.open.values())).workload_id == 3
    young = Host(hot(code="F1"))
    young.facts, young.processes = host.facts, host.processes
    assert young.go([90, 90]) == [(2, "opened")], "hardware is not given time"


def test_a_rule_that_raises_judges_nothing_and_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    host = Host(hot("broken"), hot("sound"))
    with caplog.at_level(logging.ERROR, "gpuwatch.rules"):
        host.look(99)
        host.look(99)
    said = {standing.rule: standing.verdict for standing in host.engine.standings}
    assert said["broken"] == NotEvaluated("the rule failed: ZeroDivisionError: nothing to divide")
    assert len([r for r in caplog.records if "broken" in r.message]) == 1, "once, not at each look"
    assert [change.finding.rule for _ in range(2) for change in host.look(90)] == ["broken", "sound"]


@pytest.mark.parametrize("given", [None, "hot", float("nan"), -1.0])
def test_what_is_no_verdict_is_a_rule_that_failed(given: object) -> None:
    odd = hot("odd", waste=given) if isinstance(given, float) else replace(hot("odd"), check=lambda _gpu, _scene: given)
    host = Host(odd, hot("sound"))  # type: ignore[arg-type]
    assert [change.finding.rule for _ in range(2) for change in host.look(90)] == ["sound"]
    said = {standing.rule: standing.verdict for standing in host.engine.standings}
    assert said["odd"] == NotEvaluated("the rule failed: TypeError: what it gave is no verdict")


def test_muted_ones_are_open_and_say_so() -> None:
    host = Host(mutes=[Mute("hot", "gpu:GPU-1", until_ms=START_MS + 60_000)])
    told = [(change.what, change.finding.muted) for _ in range(2) for change in host.look(90)]
    assert told == [("opened", True), ("muted", True)] or told == [("opened", False), ("muted", True)]
    assert [what for _, what in host.go([90] * 6)] == ["unmuted"]
    host.engine.mutes = (Mute("", command="train.py"),)
    assert host.go([90]) == [], "of another command line"


def test_three_findings_of_a_gpu_are_told_in_a_day_and_a_worse_one_takes_a_place() -> None:
    mild = [hot(f"mild-{n}", Severity.NOTICE, waste=0.1 * n) for n in range(1, 6)]
    host = Host(*mild, hot("worse", Severity.WARNING), hot("worst", Severity.CRITICAL))
    told = [change.finding.rule for _ in range(3) for change in host.look(90) if change.what == "opened"]
    assert told[:3] == ["mild-1", "mild-2", "mild-3"]
    assert "worst" in told and "worse" in told
    assert told == ["mild-1", "mild-2", "mild-3", "mild-4", "mild-5", "worse", "worst"], "each ranks above the lowest of the three"
    meek = Host(*reversed(mild))
    assert [c.finding.rule for _ in range(3) for c in meek.look(90) if c.what == "opened"] == ["mild-5", "mild-4", "mild-3"]
    held = {s.rule: s.verdict for s in meek.engine.standings}
    assert isinstance(held["mild-1"], Clear) and held["mild-1"].why.startswith("held back")


def test_another_engine_goes_on_with_what_was_open() -> None:
    first = Host()
    first.go([90] * 10)
    (known,) = first.engine.open.values()
    second = Host(known=[known])
    second.t_ms = first.t_ms
    assert second.go([90] * 3) == [] and known.raised_ms == START_MS + 20_000
    assert second.go([70] * 5) == [(2, "cleared")]


def test_another_engine_counts_and_waits_as_the_one_before() -> None:
    rules = [hot(f"mild-{n}", Severity.NOTICE, waste=0.5 - 0.1 * n) for n in range(4)]
    first = Host(*rules[:3])
    told = [change.finding for _ in range(3) for change in first.look(90) if change.what == "opened"]
    first.go([70] * 12)
    assert len(told) == 3 and all(found.ended_ms for found in told)
    for known, expected in (((), ["mild-0", "mild-1", "mild-2"]), (told, [])):
        second = Host(*rules, known=known)
        second.t_ms = max(found.ended_ms or 0 for found in told) + 20_000
        assert [c.finding.rule for _ in range(3) for c in second.look(90) if c.what == "opened"] == expected


def test_over_a_gap_nothing_is_known_to_have_been_wasted() -> None:
    host = Host()
    host.go([90] * 10)
    (known,) = host.engine.open.values()
    cost = known.cost_gpu_seconds
    short, long = Host(known=[known]), Host(known=[known])
    short.t_ms = host.t_ms + 300_000
    assert short.go([90]) == [] and known.cost_gpu_seconds == pytest.approx(cost + 0.5 * 60), "a minute of the five at most"
    long.t_ms, held_ms = short.t_ms + 3_600_000, known.last_ms
    assert long.go([90] * 3) == [(1, "cleared"), (2, "opened")], "after an hour it is another one"
    assert known.ended_ms == held_ms


def test_what_is_gone_is_over() -> None:
    host = Host()
    host.go([90] * 10)
    host.facts = Facts()
    assert [change.what for change in host.look()] == ["cleared"]
    assert host.engine.standings == [] and not host.engine.open


def test_what_was_before_is_remembered_and_not_judged() -> None:
    host = Host()
    assert [host.look(90, judge=False) for _ in range(5)] == [[]] * 5
    assert len(host.engine.scene.gpus[1].series.looks(60)) == 5
    assert host.go([90, 90]) == [(2, "opened")]


def test_the_same_looks_give_the_same_words() -> None:
    spell = [90, 90, 90, None, 70, 90] * 20
    one, other = Host(hot(), hot("long", window=1800)), Host(hot(), hot("long", window=1800))
    assert [other.look(value) for value in spell] == [one.look(value) for value in spell]
