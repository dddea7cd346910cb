"""Loads a TOML scenario into a checked plan. ``names()`` lists those that come with the program."""

from __future__ import annotations

from pathlib import Path

from gpuwatch.collectors.simulated import blocks, server_block, training_block
from gpuwatch.collectors.simulated.plans import NO_LOOP_MS, Plan
from gpuwatch.collectors.simulated.reader import Reader, check
from gpuwatch.errors import UsageError

FOLDER = Path(__file__).parent / "scenarios"
DEFAULT = "lab"

_MOST_STEPS = 100_000
_MOST_GPUS, _MOST_PROCESSES = 64, 10_000
_TOP = ("title", "driver", "cuda", "loop", "step", "host", "gpus", "processes", "past", "faults", "xids")


def names() -> list[str]:
    """The scenarios that come with the program."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load(name: str) -> Plan:
    """The plan of a built-in scenario, or of a ``.toml`` file by its path. Raises :class:`UsageError`."""
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    if not name.endswith(".toml"):
        check({name: 1}, names(), "scenario")
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot read the scenario {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"cannot read the scenario {path}: it is not UTF-8 text") from None
    return parse(text, path.stem)


def parse(text: str, name: str) -> Plan:
    """The plan of a TOML text. Raises :class:`UsageError` with the place and the nearest known key."""
    import tomllib

    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"scenario {name}: {error}") from None
    r = Reader(table, name, _TOP)
    loop = r.span("loop", 1_200_000)
    step = r.span("step", 5000)
    if loop < 0 or step <= 0:
        raise UsageError(f"{name}: loop and step must be positive")
    if (loop or NO_LOOP_MS) > _MOST_STEPS * step:
        raise UsageError(f"{name}: more than {_MOST_STEPS} steps in a loop", "make step longer or loop shorter")
    gpus = blocks.gpus(r.rows("gpus"))
    if sum(gpu.count for gpu in gpus) > _MOST_GPUS:
        raise UsageError(f"{name}: more than {_MOST_GPUS} GPUs")
    count, places = sum(gpu.count for gpu in gpus), blocks.places(gpus)
    processes = [blocks.process(row, f"processes[{i}]", places) for i, row in enumerate(r.rows("processes"))]
    if sum(process.copies for process in processes) > _MOST_PROCESSES:
        raise UsageError(f"{name}: more than {_MOST_PROCESSES} processes")
    return Plan(
        name=name,
        title=r.text("title"),
        driver=r.word("driver", "590.48.01"),
        cuda=r.whole("cuda", 13010),
        loop_ms=loop,
        step_ms=step,
        host=blocks.host(table.get("host", {})),
        gpus=gpus,
        processes=training_block.checked(server_block.checked(blocks.unique(processes), gpus)),
        past=tuple(blocks.past(row, f"past[{i}]", places) for i, row in enumerate(r.rows("past"))),
        faults=tuple(blocks.fault(row, f"faults[{i}]", count) for i, row in enumerate(r.rows("faults"))),
        xids=tuple(blocks.xid(row, f"xids[{i}]", count) for i, row in enumerate(r.rows("xids"))),
    )
