"""The engine: looks in, changes of findings out. Patience, hysteresis, mutes and caps live around it, not in the rules."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from zlib import crc32

from gpuwatch.rules.catalogue import LIMITS, RULES
from gpuwatch.rules.course import Course, course_of
from gpuwatch.rules.limits import Limits
from gpuwatch.rules.looks import LOOK_MS, Facts, Look
from gpuwatch.rules.mutes import muted
from gpuwatch.rules.patience import PATIENCE_SECONDS, too_young, waits
from gpuwatch.rules.ranking import Places
from gpuwatch.rules.rule import Rule
from gpuwatch.rules.scene import GpuSubject, JobSubject, Scene
from gpuwatch.rules.sound import sound
from gpuwatch.rules.types import Change, Clear, Finding, Mute, NotEvaluated, OpenFinding, Standing, Verdict

Subject = GpuSubject | JobSubject | None
Key = tuple[str, str]
HOST = "host"
_SHORT_SECONDS, _TURNS = 120, 3
"""Rules with a longer window are asked every 30 seconds, each at its own one of three looks."""
_PIECE = 4
"""So many questions are one piece of work."""
_MINUTE_MS = 60_000
_GAP_MS = 600_000
"""After so long without a row (or a window, if that is longer) an open finding is not continued."""


class Engine:
    """Judges every rule on every subject after each look. The same looks give the same changes, whoever feeds them.

    ``known`` are findings of another engine, in the order in which it told them: those that were open when it stopped go on, those that
    had cleared keep their place among the three of a GPU and day, and the wait before they are told again. ``mutes`` can be replaced
    at any time. A rule that raises is not evaluated from then on until it answers again, and the others go on.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        rules: Mapping[str, Rule] | None = None,
        *,
        known: Iterable[OpenFinding] = (),
        mutes: Iterable[Mute] = (),
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self.scene = Scene(limits or Limits(LIMITS), patience_seconds)
        chosen = {rule.id: rule for rule in RULES.values() if rule.on} if rules is None else rules
        self.rules: dict[str, Rule] = dict(chosen)
        self._turns = [[(rule, waits(rule)) for rule in self.rules.values() if _due(rule, turn)] for turn in range(_TURNS)]
        self.mutes: tuple[Mute, ...] = tuple(mutes)
        self.open: dict[Key, OpenFinding] = {}
        self._patience = patience_seconds
        self._courses: dict[Key, Course] = {}
        self._said: dict[Key, tuple[Subject, Verdict]] = {}
        self._places = Places()
        self._judged_ms: dict[Key, int] = {}
        self._failed: set[str] = set()
        for finding in known:
            self._resume(finding)

    def _resume(self, found: OpenFinding) -> None:
        rule = self.rules.get(found.rule)
        if rule is None:
            return  # turned off since: whoever stores findings closes what is not continued
        key = (found.rule, found.subject)
        course = self._courses.setdefault(key, course_of(rule))
        course.opened(found.raised_ms)
        self._places.take(key, found.finding, found.raised_ms)
        if found.ended_ms is not None:
            course.cleared(found.ended_ms)
            return
        self.open[key] = found
        self.scene.open.add(key)
        self.scene.started[key] = found.started_ms
        self._judged_ms[key] = found.last_ms

    # ------------------------------------------------------------------------------------------------------------- looks

    def add(self, look: Look, facts: Facts, *, judge: bool = True) -> list[Change]:
        """Take a look and judge it at once. ``judge`` False: only remember it (what was before the engine starts)."""
        return [change for changes in self.steps(look, facts, judge=judge) for change in changes]

    def steps(self, look: Look, facts: Facts, *, judge: bool = True) -> Iterator[list[Change]]:
        """The same in pieces of a few hundred microseconds each, so that no tick of the recorder has it all."""
        self.scene.feed(look, facts)
        yield []
        if not judge:
            return
        asked, changes = 0, list[Change]()
        asked_about = {about: self._asked_about(about) for about in ("gpu", "job", "host")}
        for rule, patient in self._turns[look.t_ms // LOOK_MS % _TURNS]:
            for subject, key, young in asked_about[rule.about]:
                self._ask(rule, subject, (rule.id, key), patient and young, changes)
                asked += 1
                if asked % _PIECE == 0:
                    yield changes
                    changes = []
        self._sweep(changes)
        yield changes

    @property
    def standings(self) -> list[Standing]:
        """What each rule said last of each subject that is there."""
        return [self._standing(rule, key, subject, verdict) for (rule, key), (subject, verdict) in self._said.items()]

    # ----------------------------------------------------------------------------------------------------------- judging

    def _asked_about(self, about: str) -> list[tuple[Subject, str, bool]]:
        """The subjects of this look with their keys, and whether they are too young for patient rules."""
        return [(one, _key(one), too_young(one, self.scene, self._patience)) for one in self.scene.subjects(about)]

    def _ask(self, rule: Rule, subject: Subject, key: Key, young: bool, changes: list[Change]) -> None:
        """One rule about one subject."""
        t_ms = self.scene.t_ms
        verdict = self._verdict(rule, subject, key, young)
        course = self._courses.get(key)
        if course is None:
            if not isinstance(verdict, Finding):
                self._said[key] = (subject, verdict)
                return
            course = self._courses[key] = course_of(rule)
        if isinstance(verdict, NotEvaluated):
            course.miss(t_ms)
        else:
            course.judge(t_ms, isinstance(verdict, Finding))
        known = self.open.get(key)
        if known is not None and isinstance(verdict, Finding) and t_ms - known.last_ms > max(course.window_ms, _GAP_MS):
            self._clear(key, t_ms, changes)  # nobody saw it for so long: what holds now is another one
            known, course.not_before_ms = None, 0
        if known is not None:
            self._go_on(known, course, verdict, changes)
        elif isinstance(verdict, Finding) and course.may_open(t_ms, at_once=rule.confirms_at_once):
            if self._places.free(key, verdict, t_ms):
                self._open(rule, subject, key, verdict, changes)
            else:
                verdict = Clear("held back: three findings of this GPU that rank above it were told today")
        elif isinstance(verdict, Finding):
            verdict = Clear("it holds, and is told when it goes on")
        self._said[key] = (subject, verdict)

    def _verdict(self, rule: Rule, subject: Subject, key: Key, young: bool) -> Verdict:
        if young and key not in self.open:
            return Clear("younger than the patience that a start is given")
        try:
            verdict: Verdict = rule.check(subject, self.scene)
            if not isinstance(verdict, Finding | Clear | NotEvaluated) or (isinstance(verdict, Finding) and not sound(verdict)):
                raise TypeError("what it gave is no verdict")
        except Exception as error:  # the border to rules, a plugin's too: one that fails judges nothing, all others go on
            if rule.id not in self._failed:
                self._failed.add(rule.id)
                logging.getLogger("gpuwatch.rules").exception("rule %s failed on %s", rule.id, key[1])
            return NotEvaluated(f"the rule failed: {type(error).__name__}: {error}"[:200])
        self._failed.discard(rule.id)
        return verdict

    def _open(self, rule: Rule, subject: Subject, key: Key, finding: Finding, changes: list[Change]) -> None:
        t_ms = self.scene.t_ms
        since = finding.since_ms if finding.since_ms is not None else max(t_ms - round(rule.window * 1000), _seen_ms(subject))
        since = min(max(since, self._born_ms(subject)), t_ms)
        cost = finding.cost_gpu_seconds
        if cost is None:
            cost = (finding.waste_gpus or 0.0) * (t_ms - since) / 1000
        found = OpenFinding(
            rule=rule.id,
            subject=key[1],
            finding=finding,
            started_ms=since,
            raised_ms=t_ms,
            last_ms=t_ms,
            cost_gpu_seconds=cost,
        )
        self._tell_whose(found, subject)
        self.open[key] = found
        self.scene.open.add(key)
        self.scene.started[key] = found.started_ms
        self._courses[key].opened(t_ms)
        self._places.take(key, finding, t_ms)
        self._judged_ms[key] = t_ms
        changes.append(Change("opened", found))
        self._mute(found, changes)

    def _go_on(self, known: OpenFinding, course: Course, verdict: Verdict, changes: list[Change]) -> None:
        t_ms, key = self.scene.t_ms, (known.rule, known.subject)
        if isinstance(verdict, Finding):
            before = self._judged_ms.get(key, known.last_ms)
            seen_ms = min(max(0, t_ms - before), _MINUTE_MS)  # a time that nobody recorded costs nothing that is known
            grown = known.cost_gpu_seconds + (verdict.waste_gpus or 0.0) * seen_ms / 1000
            same_run = verdict.cost_gpu_seconds is not None and (verdict.since_ms or 0) <= known.started_ms + _MINUTE_MS
            known.cost_gpu_seconds = max(known.cost_gpu_seconds, verdict.cost_gpu_seconds or 0.0) if same_run else grown
            minute = known.last_ms // _MINUTE_MS
            known.finding, known.last_ms = verdict, t_ms
            if t_ms // _MINUTE_MS != minute:
                changes.append(Change("grown", known))
        elif course.has_cleared(t_ms) or course.is_lost(t_ms):
            self._clear(key, t_ms, changes)
            return
        self._judged_ms[key] = t_ms
        self._mute(known, changes)

    def _clear(self, key: Key, t_ms: int, changes: list[Change]) -> None:
        known = self.open.pop(key)
        self.scene.open.discard(key)
        self.scene.started.pop(key, None)
        self._judged_ms.pop(key, None)
        known.ended_ms = max(known.last_ms, known.started_ms)
        self._courses[key].cleared(t_ms)
        changes.append(Change("cleared", known))

    def _mute(self, found: OpenFinding, changes: list[Change]) -> None:
        now = muted(self.mutes, found.rule, found.subject, found.command, self.scene.t_ms)
        if now != found.muted:
            found.muted = now
            changes.append(Change("muted" if now else "unmuted", found))

    def _sweep(self, changes: list[Change]) -> None:
        """What is about somebody who is not there any more is over; what was said of him is forgotten."""
        there = {HOST, *(gpu.key for gpu in self.scene.gpus.values()), *(job.key for job in self.scene.jobs.values())}
        for key in [key for key in self.open if key[1] not in there]:
            self._clear(key, self.scene.t_ms, changes)
        for table in (self._said, self._courses):
            for key in [key for key in table if key[1] not in there]:
                del table[key]

    # --------------------------------------------------------------------------------------------------------------- who

    def _standing(self, rule: str, key: str, subject: Subject, verdict: Verdict) -> Standing:
        where, gpus = self._where(subject)
        return Standing(rule, key, where, verdict, gpus)

    def _where(self, subject: Subject) -> tuple[str, tuple[int, ...]]:
        if subject is None:
            return HOST, ()
        if isinstance(subject, GpuSubject):
            user = next((p.facts.user for p in self.scene.holders(subject) if p.facts.user), "")
            return " · ".join(word for word in (subject.label, user) if word), (subject.id,)
        return " · ".join(word for word in (subject.label, subject.facts.user) if word), tuple(gpu.id for gpu in subject.gpus)

    def _tell_whose(self, found: OpenFinding, subject: Subject) -> None:
        """Whose finding it is: the workload, its main process, the command line."""
        if isinstance(subject, JobSubject):
            main = next(iter(subject.on_gpus or subject.processes), None)
            found.workload_id, found.command = subject.facts.workload_id, subject.facts.command
        else:
            main = next(iter(self.scene.holders(subject)), None) if subject is not None else None
            found.workload_id = main.facts.workload_id if main else 0
        if main is not None:
            found.proc_id, found.command = main.facts.proc_id, found.command or main.facts.command

    def _born_ms(self, subject: Subject) -> int:
        return subject.facts.root_start_ms if isinstance(subject, JobSubject) else 0


def _seen_ms(subject: Subject) -> int:
    """Since when it is looked at: nothing is known of before."""
    watched = [subject] if isinstance(subject, GpuSubject) else subject.gpus if subject is not None else ()
    return min((first for gpu in watched if (first := gpu.series.first_ms) is not None), default=0)


def _due(rule: Rule, turn: int) -> bool:
    return rule.window <= _SHORT_SECONDS or rule.confirms_at_once or crc32(rule.id.encode()) % _TURNS == turn


def _key(subject: Subject) -> str:
    return HOST if subject is None else subject.key
