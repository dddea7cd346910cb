"""llama.cpp at the moment: ``/slots`` at each look, corrected by the counters of ``/metrics``, which is read seldom.

What a request did between the last look at its slot and its end is found by the page alone. While that is much, because requests are
short, slots are looked at only together with the page, so that each row is right for its own time; while it is little, each look counts.

Either may be off. The page alone is read as its table says (counted at the end of requests). The slots alone lose the ends of requests,
and tell nothing while more of these are lost than are seen going on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gpuwatch.collectors.inference.engine import Engine
from gpuwatch.collectors.inference.engines.ledger import NO_TASKS, Ledger, TaskKey
from gpuwatch.collectors.inference.engines.llamacpp import METRICS, PREFIX, PROPS, SLOTS
from gpuwatch.collectors.inference.engines.once import facts_of
from gpuwatch.collectors.inference.engines.slots import Slot, Stale, Turnover, read_slots
from gpuwatch.collectors.inference.page import Wanted, read_page
from gpuwatch.collectors.inference.reading import Answer, Reader, Reading
from gpuwatch.collectors.inference.table_reader import TableReader
from gpuwatch.model import FieldSource
from gpuwatch.names import Quality

METRICS_EVERY_NS = 5_000_000_000
"""Each read of the page shortens the window of the server's own gauges for everyone who reads them."""
OFF = (404, 501)
FEW_TOKENS, LITTLE, MUCH = 20.0, 0.1, 0.05
"""Share of the tokens of a time between two reads of the page that only the page told: below ``LITTLE`` slots are looked at in between
too, where it was found without such looks; above ``MUCH``, with them, no longer. Of fewer tokens nothing is concluded."""
COUNTERS = {
    "output_tokens_total": "tokens_predicted_total",
    "prefill_tokens_total": "prompt_tokens_total",
    "cached_tokens_total": "prompt_tokens_cached_total",
    "drafts_total": "spec_decode_num_drafts_total",
    "draft_tokens_total": "spec_decode_num_draft_tokens_total",
    "accepted_tokens_total": "spec_decode_num_accepted_tokens_total",
    "itl_count_total": "tokens_predicted_total",
    "itl_sum_seconds": "tokens_predicted_seconds_total",
}
WAITING = "requests_deferred"
WANTED = Wanted((PREFIX,), [PREFIX + name for name in {*COUNTERS.values(), WAITING}])
FROM_SLOTS = {
    "output_tokens_total": "/slots next_token.n_decoded",
    "prefill_tokens_total": "/slots n_prompt_tokens_processed",
    "cached_tokens_total": "/slots n_prompt_tokens_cache",
}
_HELD = "/slots n_prompt_tokens of busy slots / n_ctx"
GAUGES = {
    "running_requests": ("/slots is_processing", Quality.EXACT),
    "waiting_requests": (f"{PREFIX}{WAITING}, 0 while a slot is free", Quality.EXACT),
    "kv_cache_ratio": (_HELD, Quality.ESTIMATED),
    "kv_cache_fullest_ratio": (_HELD, Quality.ESTIMATED),
}
"""Where they are from when the slots are read, and how they are counted; counts are then all estimated: see ``_tell``."""


class LlamaCppReader:
    """See the module's docstring."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._page: Reader = TableReader(engine)
        self._off: set[str] = set()
        self._metrics_ns: int | None = None
        self._props_due: bool | None = None
        self._facts: dict[str, str | int] = {}
        self._waiting: float | None = None
        self._stale, self._turnover = Stale(), Turnover()
        self._between = False
        """Whether slots are looked at between two reads of the page."""
        self._told = self._told_late = 0.0
        self._ledgers = {name: Ledger() for name in COUNTERS}

    def paths(self, now_ns: int) -> Sequence[str]:
        """The page when it is due, before the slots (see ``Ledger``); once, instead of the page, what the server says of itself."""
        due = self._metrics_ns is None or now_ns - self._metrics_ns >= METRICS_EVERY_NS
        slots = () if SLOTS in self._off else (SLOTS,)
        if METRICS in self._off or not due:
            if self._props_due and slots:
                return (*slots, PROPS)
            return slots if self._between or METRICS in self._off else ()
        return (METRICS, PROPS) if self._props_due and not slots else (METRICS, *slots)

    def read(self, answers: Sequence[Answer], now_ns: int) -> Reading:
        """A reading of the slots and, when it was asked, the page."""
        by_path = {answer.path: answer for answer in answers}
        self._learn(by_path, now_ns)
        page, slots = (self._good(by_path.get(path)) for path in (METRICS, SLOTS))
        if slots is not None:
            reading = self._of_slots(self._stale.corrected(read_slots(slots.body)), page, now_ns)
        elif page is not None and SLOTS in self._off:
            reading = self._page.read([page], now_ns)
            reading.hint = "start llama-server without --no-slots for the figures of the moment"
        else:
            raise ValueError("/slots of llama.cpp did not come")
        reading.facts = {**reading.facts, **self._facts}
        return reading

    @staticmethod
    def _good(answer: Answer | None) -> Answer | None:
        return answer if answer is not None and answer.status == 200 else None

    def _learn(self, by_path: Mapping[str, Answer], now_ns: int) -> None:
        """What is off, when the page was asked, and what the server says of itself."""
        self._off |= {path for path in (METRICS, SLOTS) if path in by_path and by_path[path].status in OFF}
        if METRICS in by_path:
            self._metrics_ns = now_ns
        if PROPS in by_path:
            self._props_due = False
            if by_path[PROPS].status == 200:
                self._facts |= facts_of(by_path[PROPS].body, self._engine.once[PROPS])
                name = str(self._facts.pop("served_model", "")).rpartition("/")[2]
                if name and not name.startswith("sha256-"):  # a blob of Ollama, which knows its name
                    self._facts["served_model"] = name
        elif self._props_due is None:
            self._props_due = True

    def _of_slots(self, slots: list[Slot], page: Answer | None, now_ns: int) -> Reading:
        numbers = None if page is None else self._numbers(page.body)
        reading = Reading()
        told = self._counts(slots, numbers)
        lost = self._turnover.look(slots, now_ns) and METRICS in self._off
        for name, given in told.items():
            live = FROM_SLOTS.get(name)
            family = PREFIX + COUNTERS[name]
            source = family if live is None else live if METRICS in self._off else f"{live}, corrected by {family}"
            self._tell(reading, name, given, source)
        if {"prefill_tokens_total", "cached_tokens_total"} <= told.keys():
            computed, cached = told["prefill_tokens_total"], told["cached_tokens_total"]
            both = None if computed is None or cached is None else computed + cached
            for name in ("prompt_tokens_total", "prefix_query_tokens_total"):
                self._tell(reading, name, both, "prompt tokens computed + taken from the cache")
            self._tell(reading, "prefix_hit_tokens_total", cached, "as cached tokens")
        if lost:
            reading.amounts.clear()
        self._gauges(reading, slots, numbers)
        reading.hint = self._engine.metrics_off if METRICS in self._off else ""
        return reading

    def _tell(self, reading: Reading, name: str, given: float | None, source: str) -> None:
        """A count, and where it is from also while it is not known yet."""
        if given is not None:
            reading.amounts[name] = given
        self._say(reading, name, source, Quality.ESTIMATED)

    @staticmethod
    def _say(reading: Reading, name: str, source: str, quality: Quality) -> None:
        reading.sources[name] = FieldSource(name, quality, source)

    @staticmethod
    def _numbers(body: bytes) -> dict[str, float]:
        page = read_page(body, WANTED)
        good = {name: of_name.get(()) for name, of_name in page.series.items() if name not in page.spoiled}
        return {name.removeprefix(PREFIX): value for name, value in good.items() if value is not None and value >= 0}

    def _counts(self, slots: list[Slot], numbers: Mapping[str, float] | None) -> dict[str, float | None]:
        """Fields that are told: how much since the look before, ``None`` if there was none."""
        counts: dict[str, float | None] = {}
        for name, ledger in self._ledgers.items():
            total = None if numbers is None else numbers.get(COUNTERS[name])
            running, ended = self._tasks(name, slots)
            new = ledger.look(total, running, ended)
            if ledger.anchored or running or ended:
                counts[name] = new
        if METRICS not in self._off:
            self._settle_pace(counts.get("output_tokens_total") or 0.0, page_read=numbers is not None)
        return counts

    def _settle_pace(self, new: float, *, page_read: bool) -> None:
        """Decide whether looks between two reads of the page tell enough."""
        self._told += new
        self._told_late += self._ledgers["output_tokens_total"].corrected if new else 0.0
        if page_read and self._told >= FEW_TOKENS:
            self._between = self._told_late < self._told * (MUCH if self._between else LITTLE)
        if page_read:
            self._told = self._told_late = 0.0

    @staticmethod
    def _tasks(name: str, slots: list[Slot]) -> tuple[Mapping[TaskKey, float], Mapping[TaskKey, float]]:
        """(tasks that the server's counter does not hold yet, tasks that it does). It counts the computed prompt when that is done,
        the cached one when the task begins, and the rest when the task ends."""
        if name == "output_tokens_total":
            return {slot.key: slot.decoded for slot in slots if slot.busy}, {
                slot.key: slot.decoded for slot in slots if not slot.busy
            }
        if name == "prefill_tokens_total":
            told = [slot for slot in slots if slot.prompt is not None]
            prompting = {slot.key: float(slot.prompt or 0) for slot in told if slot.busy and not slot.decoded}
            return prompting, {slot.key: float(slot.prompt or 0) for slot in told if slot.key not in prompting}
        if name == "cached_tokens_total":
            return NO_TASKS, {slot.key: float(slot.cached or 0) for slot in slots if slot.cached is not None}
        return NO_TASKS, NO_TASKS

    def _gauges(self, reading: Reading, slots: list[Slot], numbers: Mapping[str, float] | None) -> None:
        busy = [slot for slot in slots if slot.busy]
        reading.gauges["running_requests"] = len(busy)
        self._say(reading, "running_requests", *GAUGES["running_requests"])
        free = len(busy) < len(slots)
        if numbers is not None:
            self._waiting = numbers.get(WAITING)
        elif free:
            self._waiting = None  # what the page said before says nothing of who comes once no slot is free
        waiting = 0.0 if free else self._waiting
        if waiting is not None:
            reading.gauges["waiting_requests"] = waiting
        self._say(reading, "waiting_requests", *GAUGES["waiting_requests"])
        sizes = [slot.size for slot in slots if slot.size]
        reading.facts["max_running_requests"] = len(slots)
        if len(sizes) == len(slots):
            reading.facts |= {"max_model_tokens": max(sizes), "kv_cache_tokens": sum(sizes)}
            if all(slot.held is not None for slot in busy):
                reading.gauges["kv_cache_ratio"] = min(1.0, sum(slot.held or 0 for slot in busy) / sum(sizes))
                fullest = max((slot.held or 0) / (slot.size or 1) for slot in slots if slot.busy) if busy else 0.0
                reading.gauges["kv_cache_fullest_ratio"] = min(1.0, fullest)
                for name in ("kv_cache_ratio", "kv_cache_fullest_ratio"):
                    self._say(reading, name, *GAUGES[name])
