"""Turns a plan and a seed into a scenario: the flat table plus what no driver knows (ages, parents, workloads, the past).

Everything that follows a load is computed from the compiled load itself, so the numbers of a scenario agree with each other. Fast
quantities (GPM, memory utilization, a process' SM share) change with the load; board quantities (power, heat, clocks, links)
follow its mean over a step, as sensors do.
"""

from __future__ import annotations

from collections.abc import Iterable

from gpuwatch.collectors.simulated.compiled import IDLE_REASON, Person, Scenario
from gpuwatch.collectors.simulated.flat import PER_PROCESS_HOST, Device, Fault, FlatTable, Instance, Series, Slot, Xid
from gpuwatch.collectors.simulated.patterns import Noise, Points, means, render, squeeze, stream
from gpuwatch.collectors.simulated.plans import NO_LOOP_MS, GpuPlan, PastPlan, Plan, ProcessPlan, Work
from gpuwatch.collectors.simulated.profiles import MIG_CLASS, profile_of

MIB = 1024**2


class _Compiler:
    def __init__(self, plan: Plan, seed: int) -> None:
        self.plan, self.seed = plan, seed
        self.length = plan.loop_ms or NO_LOOP_MS
        self.grid = list(range(0, self.length, plan.step_ms))
        self.table = FlatTable(plan.name, plan.driver, plan.cuda, plan.loop_ms)
        self.people: dict[str, Person] = {}

    def noise(self, *what: object) -> Noise:
        """The noise of one quantity of this scenario."""
        return stream(self.seed, self.plan.name, *what)

    def run(self) -> Scenario:
        """Everything, in the order in which one thing needs another."""
        plan, table = self.plan, self.table
        devices = [gpu for gpu in plan.gpus for _ in range(gpu.count)]
        for index, gpu in enumerate(devices):
            self.device(index, gpu)
        for process in plan.processes:
            self.process(process)
        for device in table.devices:
            self.memory(str(device.index), devices[device.index].work)
        for instance in table.instances:
            self.memory(instance.place, devices[instance.gpu].mig[instance.device].work)
        self.host()
        table.faults = [Fault(f.at_ms, f.for_ms, f.gpu, f.kind, f.call, f.arg) for f in plan.faults]
        table.xids = [Xid(*xid) for xid in plan.xids]
        past: dict[str, list[PastPlan]] = {}
        for block in plan.past:
            for gpu_index in block.gpus:
                past.setdefault(str(gpu_index), []).append(block)
        return Scenario(plan, self.seed, table, self.people, past)

    def put(self, place: str, quantity: str, points: Points) -> None:
        """One series of a place."""
        self.table.gpu[place, quantity] = Series(*points)

    def device(self, index: int, gpu: GpuPlan) -> None:
        """One GPU with all its series but memory, and its MIG devices."""
        profile, place = profile_of(gpu.profile), str(index)
        limit = round(gpu.power_limit * 1000)
        self.table.devices.append(
            Device(
                index=index,
                profile=MIG_CLASS.get(gpu.profile, gpu.profile) if gpu.mig else gpu.profile,
                uuid=uuid("GPU", self.plan.name, self.seed, place),
                bdf=f"00000000:{0x1B + 0x10 * index & 0xFF:02X}:00.0",
                memory=profile.memory,
                reserved=profile.reserved,
                power_limit=limit,
                power_default=profile.power_limit * 1000,
                sm_clock_max=gpu.sm_clock_max,
                mem_clock_max=profile.memory_clock,
                gpm=int(profile.gpm),
                mig=int(bool(gpu.mig)),
                nvlinks=profile.nvlinks,
                name=profile.name,
            )
        )
        load = self.load(place, gpu.work)
        if not gpu.mig:
            self.put(place, "util", load)
            self.put(place, "memutil", _scaled(load, gpu.memory_factor, 100))
            if profile.gpm:
                self.fill(place, gpu.work, load)
            for quantity, share in zip(("enc", "dec"), gpu.codec, strict=True):
                self.put(place, quantity, _scaled(load, share, 100))
        self.board(place, gpu, means(load, self.grid, self.length))
        for number, instance in enumerate(gpu.mig):
            inner = f"{index}.{number}"
            name = f"{profile.name} MIG {instance.profile}"
            self.table.instances.append(
                Instance(index, number, instance.gi, instance.ci, instance.profile, uuid("MIG", self.plan.name, self.seed, inner),
                         instance.memory, int(instance.profile[0]), name)
            )  # fmt: skip
            if profile.gpm:
                self.fill(inner, instance.work, self.load(inner, instance.work))

    def load(self, place: str, work: Work) -> Points:
        """The load of a place in percent."""
        return render(work.load, self.length, self.plan.step_ms, self.noise(place, "load"), top=100)

    def fill(self, place: str, work: Work, load: Points) -> None:
        """GPM metrics in per mille, each a share of the load."""
        times, values = load
        for metric, share in {1: 1.0, **dict.fromkeys((2, 3, 5, 10, 11, 12, 13), 0.0), **work.gpm}.items():
            if not share:
                self.put(place, f"gpm.{metric}", ([0], [0]))
                continue
            noise, spread = self.noise(place, "gpm", metric), work.gpm_noise if metric != 1 else 0.0
            top = [min(round(10 * v * min(share * (1 + spread * noise()), 1.0)), 1000) if v else 0 for v in values]
            self.put(place, f"gpm.{metric}", squeeze(times, top))

    def board(self, place: str, gpu: GpuPlan, load: list[float]) -> None:
        """Power, heat, clocks, reasons and links from the mean load of each step."""
        grid, profile = self.grid, profile_of(gpu.profile)
        throttle = render(gpu.throttle_when, self.length, self.plan.step_ms, self.noise(place, "throttle"), top=100)
        lowered = means(throttle, grid, self.length) if gpu.throttle_reasons else [0.0] * len(grid)
        busy = [m >= 1 for m in load]
        held = [b and low >= 50 for b, low in zip(busy, lowered, strict=True)]
        noise = self.noise(place, "power")
        idle, full = gpu.power
        top = gpu.power_limit or full * 1.05
        power = []
        for m in load:
            n = noise()
            power.append(round(1000 * max(min(idle + (full - idle) * m / 100 + n * gpu.power_noise, top - abs(n)), 1.0)))
        self.put(place, "power_mw", squeeze(grid, power))
        self.put(place, "temp", squeeze(grid, _lagged(load, *gpu.temperature)))
        if "memory_temperature_celsius" not in profile.missing:
            self.put(place, "memtemp", squeeze(grid, _lagged(load, *gpu.memory_temperature)))
        slow, fast = gpu.sm_clock
        clocks = [round((gpu.throttle_clock or fast) if low else fast if b else slow) for b, low in zip(busy, held, strict=True)]
        self.put(place, "sm_clock", squeeze(grid, clocks))
        if profile.memory_clock:
            self.put(place, "mem_clock", ([0], [profile.memory_clock]))
        reasons = [gpu.throttle_reasons if low else 0 if b else IDLE_REASON for b, low in zip(busy, held, strict=True)]
        self.put(place, "reasons", squeeze(grid, reasons))
        self.put(place, "pstate", ([0], [0]))
        if profile.pcie_generation:
            work, rest, width = gpu.pcie_link
            self.put(place, "pcie_gen", squeeze(grid, [work if b else rest for b in busy]))
            self.put(place, "pcie_width", ([0], [width]))
        rates = {"pcie_rx": gpu.pcie[0], "pcie_tx": gpu.pcie[1]}
        if profile.nvlinks:
            self.put(place, "nvlinks_up", ([0], [gpu.nvlinks_up]))
            rates |= {"nvlink_rx": gpu.nvlink[0], "nvlink_tx": gpu.nvlink[1]}
        for quantity, rate in rates.items():
            jitter = self.noise(place, quantity)
            values = [round(rate * 1024 * m / 100 * (1 + 0.03 * jitter())) for m in load]
            self.put(place, f"{quantity}_kib_s", squeeze(grid, values))

    def process(self, plan: ProcessPlan) -> None:
        """One block of processes: its copies, with series for those that live now."""
        for copy in range(plan.copies):
            slot = plan.slot if plan.copies == 1 else f"{plan.slot}.{copy}"
            parent = plan.parent if plan.parent in self.people else f"{plan.parent}.0" if plan.parent else ""
            self.people[slot] = Person(slot, plan, parent, bool(plan.ended_ms))
            if not plan.ended_ms:
                self.lay(slot, plan)

    def lay(self, slot: str, plan: ProcessPlan) -> None:
        """The series of one process that lives now."""
        table = self.table
        table.slots.append(Slot(slot, plan.kind, plan.user, plan.job, plan.name, plan.command))
        alive = _life(plan, self.length)
        for place, gib in plan.gpus.items():
            held = round(gib * 1024) * MIB
            table.process[slot, place, "mem"] = Series(alive[0], [held if on else -1 for on in alive[1]])
            load = table.gpu.get((place, "util"))
            if load is not None:
                for quantity, share in (("sm", plan.share), ("memutil", plan.share * 0.4)):
                    table.process[slot, place, quantity] = Series(*_scaled((list(load.times), list(load.values)), share, 100))
        table.process[slot, PER_PROCESS_HOST, "alive"] = Series(*alive)
        cpu, slow_grid = self.noise(slot, "cpu"), self.grid[:: 1 if plan.cpu else len(self.grid)]
        values = [round(1000 * plan.cpu * (1 + plan.cpu_noise * cpu())) for _ in slow_grid]
        table.process[slot, PER_PROCESS_HOST, "cpu"] = Series(*squeeze(slow_grid, values))
        for quantity, value in (
            ("rss", round(plan.rss * 1024) * MIB),
            ("read_kib_s", round(plan.read * 1024)),
            ("write_kib_s", round(plan.write * 1024)),
        ):
            table.process[slot, PER_PROCESS_HOST, quantity] = Series([0], [value])

    def memory(self, place: str, work: Work) -> None:
        """What the processes hold on ``place`` together; a GPU in MIG mode holds what its instances hold."""
        held = [
            s
            for (_, at, quantity), s in self.table.process.items()
            if quantity == "mem" and (at == place or at.startswith(f"{place}."))
        ]
        times = sorted({0, *(t for series in held for t in series.times)})
        base = round(work.base_memory * 1024) * MIB
        self.put(place, "memory_used", squeeze(times, [base + sum(max(series.at(t), 0) for series in held) for t in times]))

    def host(self) -> None:
        """The series of the machine."""
        for quantity, middle in self.plan.host.values.items():
            spread = 0.0 if quantity in ("swap_used", "process_count") or not middle else self.plan.host.noise
            noise = self.noise("host", quantity)
            grid = self.grid if spread else [0]
            self.table.host[quantity] = Series(*squeeze(grid, [round(middle * (1 + spread * noise())) for _ in grid]))


def compile_plan(plan: Plan, seed: int) -> Scenario:
    """The scenario of a plan. The same plan and seed give the same scenario, on every machine."""
    return _Compiler(plan, seed).run()


def uuid(kind: str, name: str, seed: int, place: str) -> str:
    """A stable UUID that looks like the driver's."""
    import hashlib

    h = hashlib.sha256(f"{kind}/{name}/{seed}/{place}".encode()).hexdigest()
    return f"{kind}-{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:32]}"


def _scaled(points: Points, share: float, top: int) -> Points:
    times, values = points
    return squeeze(times, [min(round(v * share), top) for v in values])


def _lagged(load: Iterable[float], idle: float, full: float) -> list[int]:
    """Heat follows the load slowly; it begins where the loop's mean would hold it."""
    load = list(load)
    out: list[int] = []
    now = idle + (full - idle) * (sum(load) / len(load)) / 100
    for m in load:
        now += 0.15 * (idle + (full - idle) * m / 100 - now)
        out.append(round(now))
    return out


def _life(plan: ProcessPlan, length: int) -> Points:
    """When the process runs within the loop, as 0 and 1."""
    if not plan.born_ms and not plan.lives_ms:
        return [0], [1]
    end = min(plan.born_ms + plan.lives_ms, length) if plan.lives_ms else length
    times, values = ([0], [1]) if plan.born_ms == 0 else ([0, plan.born_ms], [0, 1])
    if end < length:
        times.append(end)
        values.append(0)
    return times, values
