"""``/slots`` of llama.cpp: its numbers, and nothing else of it. Builds of several years; some of them put prompts in there."""

from __future__ import annotations

from collections import deque

from gpuwatch.collectors.inference.engines.ledger import TaskKey
from gpuwatch.collectors.inference.engines.once import document, number
from gpuwatch.dataclass import NamedTuple

MOST = 4096


class Slot(NamedTuple):
    """One slot. ``prompt`` and ``cached`` are tokens of its prompt computed and taken from the cache so far, ``held`` those it keeps in
    the KV cache; ``None`` where the build does not tell."""

    key: TaskKey
    busy: bool
    decoded: int
    size: int | None
    prompt: int | None
    cached: int | None
    held: int | None


def read_slots(body: bytes) -> list[Slot]:
    """The slots; raises ``ValueError`` with one line for what is none of llama.cpp's."""
    try:
        found = document(body)
    except ValueError:
        found = None
    if not isinstance(found, list) or not 0 < len(found) <= MOST:
        raise ValueError("/slots is not what llama.cpp gives")
    return [_slot(one) for one in found]


def _slot(one: object) -> Slot:
    identity = number(one.get("id")) if isinstance(one, dict) else None
    if not isinstance(one, dict) or identity is None:
        raise ValueError("/slots is not what llama.cpp gives")
    busy = one.get("is_processing", one.get("state") == 1)  # "state" until the end of 2024
    following = one.get("next_token")
    if isinstance(following, list):  # one object until 2025
        following = following[0] if following else None
    decoded = number(following.get("n_decoded")) if isinstance(following, dict) else None
    task = number(one.get("id_task"))
    return Slot(
        key=(identity, -1 if task is None else task),
        busy=busy is True,
        decoded=decoded or 0,
        size=number(one.get("n_ctx")),
        prompt=number(one.get("n_prompt_tokens_processed")),
        cached=number(one.get("n_prompt_tokens_cache")),
        held=number(one.get("n_prompt_tokens")),
    )


class Stale:
    """Takes out of ``decoded`` what an older build still shows of the slot's task before.

    Builds that do not tell how much of the prompt is done leave the old number there until the first token of the new task. There a
    task that turns up counts from what it shows, and from 0 once the number has fallen.
    """

    def __init__(self) -> None:
        self._from: dict[TaskKey, int] | None = None

    def corrected(self, slots: list[Slot]) -> list[Slot]:
        """The slots with ``decoded`` that is the present task's."""
        if any(slot.prompt is not None for slot in slots):
            return slots
        known, self._from = self._from, {}
        corrected = []
        for slot in slots:
            if known is None or not slot.busy:
                start = 0 if known is None else known.get(slot.key, 0)
            else:
                start = known.get(slot.key, slot.decoded)
            start = 0 if slot.decoded < start else start
            self._from[slot.key] = start
            corrected.append(slot._replace(decoded=slot.decoded - start))
        return corrected


class Turnover:
    """Whether more of what slots do is lost between two looks than is seen, at this look or in the last ``SPAN_NS`` taken together.

    The span matters where requests are short: looks between which one came and went tell nothing, and those between which none did
    tell a true 0. These alone would be taken for what the server does.
    """

    SPAN_NS = 60_000_000_000

    def __init__(self) -> None:
        self._before: dict[int, Slot] = {}
        self._looks: deque[tuple[int, int, int]] = deque()
        """(when, tasks that were seen to go on, tasks that came or went unseen)."""

    def look(self, slots: list[Slot], now_ns: int) -> bool:
        """True where, for each two tasks that go on, more than one has come or gone unseen since the look before, or in the span."""
        before, self._before = self._before, {slot.key[0]: slot for slot in slots}
        seen = unseen = 0
        for slot in slots:
            known = before.get(slot.key[0])
            if known is None or known.key == slot.key:
                seen += slot.busy
                unseen += known is not None and known.busy and not slot.busy and slot.decoded < known.decoded
            else:
                unseen += 1  # also where it was free: others may have come and gone before this one
        looks = self._looks
        looks.append((now_ns, seen, unseen))
        while looks[0][0] <= now_ns - self.SPAN_NS:
            looks.popleft()
        return unseen * 2 > seen or sum(each[2] for each in looks) * 2 > sum(each[1] for each in looks)
