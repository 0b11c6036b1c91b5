"""A fleet of VMs, simulated event by event: files wait for a process, VMs come and go. Pure, given its generator.

Each VM has a number of processes, each of which does one file at a time; the file that has waited longest is next. A VM
that is wanted serves after `boot` seconds; one that has to go (it is no longer wanted, or preempted) finishes what ends
within `drain` seconds and gives the rest back, which others begin again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush, heapreplace

import numpy as np

from benchmarks.fleet_arrivals import DAY, Seconds
from benchmarks.fleet_autoscaler import Autoscaler, Policy

AT_ONCE = 1 << 16  # files whose times are plain Python numbers at one time: these are quicker, and larger
REDELIVERY = 1.0  # seconds until what was given back is delivered again


@dataclass(frozen=True)
class Fleet:
    """`preemptions`: how often a VM is preempted, per day of its life."""

    processes: int
    policy: Policy
    boot: float = 90.0
    drain: float = 20.0
    preemptions: float = 0.0


@dataclass(frozen=True)
class Run:
    """What came of it, over so many `seconds`; `undelivered` has a value for each sample of the metric."""

    arrived: Seconds
    begun: Seconds
    done: Seconds
    undelivered: Seconds
    seconds: float
    vm_seconds: float
    most_vms: int
    preempted: int
    done_again: int

    @property
    def waits(self) -> Seconds:
        """From arrival to the begin of the attempt that succeeded."""
        return self.begun - self.arrived

    @property
    def latencies(self) -> Seconds:
        """From arrival to receipt."""
        return self.done - self.arrived


@dataclass
class _Vm:
    wanted_at: float
    ended: bool = False


def simulate(arrived: Seconds, services: Seconds, fleet: Fleet, random: np.random.Generator, until: float = 0.0) -> Run:
    """Lets the files that arrive at `arrived` (in order), and hold a process for `services`, pass through the fleet.

    It begins with the policy's minimum of VMs, ready, and ends `until` seconds later, or when the last file is begun.
    """
    return _Simulation(arrived, services, fleet, random, until).run()


@dataclass
class _Simulation:
    arrived: Seconds
    services: Seconds
    fleet: Fleet
    random: np.random.Generator
    until: float
    now: float = 0.0
    begun_count: int = 0  # files of `arrived` that have been begun at least once
    vms: list[_Vm] = field(default_factory=list)
    alive: int = 0
    most_vms: int = 0
    vm_seconds: float = 0.0
    preempted: int = 0
    done_again: int = 0
    # (free at, VM, file that it does until then or -1), (when, what, VM), (due, file given back)
    servers: list[tuple[float, int, int]] = field(default_factory=list)
    events: list[tuple[float, str, int]] = field(default_factory=list)
    again: list[tuple[float, int]] = field(default_factory=list)
    undelivered: list[float] = field(default_factory=list)

    def run(self) -> Run:
        self._begun = np.empty_like(self.arrived)
        self._autoscaler = Autoscaler(self.fleet.policy)
        for _ in range(self.fleet.policy.minimum):
            self._want()
        heappush(self.events, (0.0, "sample", -1))
        while self.now < self.until or self.begun_count < len(self.arrived) or self.again:
            when, what, vm = heappop(self.events)
            self._serve_until(when)
            self.now = when
            if what == "sample":
                self._sample()
            elif what == "ready":
                self._ready(vm)
            elif not self.vms[vm].ended:
                self.preempted += 1
                self._end(vm)
                self._resize()
        still = sum(self.now - vm.wanted_at for vm in self.vms if not vm.ended)
        return Run(
            arrived=self.arrived,
            begun=self._begun,
            done=self._begun + self.services,
            undelivered=np.array(self.undelivered),
            seconds=self.now,
            vm_seconds=self.vm_seconds + still,
            most_vms=self.most_vms,
            preempted=self.preempted,
            done_again=self.done_again,
        )

    def _serve_until(self, end: float) -> None:
        """Begins every file that can be begun before `end`."""
        here = int(np.searchsorted(self.arrived, end))  # those that arrive before it
        while self.servers:
            chunk = slice(self.begun_count, min(self.begun_count + AT_ONCE, here))
            reached = self._serve(self.arrived[chunk].tolist(), self.services[chunk].tolist(), end, chunk.stop == here)
            if reached or (self.begun_count == here and not self.again):
                return

    def _serve(self, arrived: list[float], services: list[float], end: float, is_last: bool) -> bool:
        """The same for the next of them; True where nothing more can be begun before `end`."""
        servers, again, first = self.servers, self.again, self.begun_count
        begun: list[float] = []
        number, count, reached = 0, len(arrived), False
        while True:
            free, vm, _ = servers[0]
            if number < count and not (again and again[0][0] <= arrived[number]):
                start = arrived[number] if arrived[number] > free else free
                if reached := start >= end:
                    break
                heapreplace(servers, (start + services[number], vm, first + number))
                begun.append(start)
                number += 1
            elif again and (number < count or is_last):
                start = max(again[0][0], free)
                if reached := start >= end:
                    break
                file = heappop(again)[1]
                self._begun[file] = start
                heapreplace(servers, (start + float(self.services[file]), vm, file))
            else:
                break
        self._begun[first : first + number] = begun
        self.begun_count = first + number
        return reached

    def _sample(self) -> None:
        waiting = int(np.searchsorted(self.arrived, self.now, side="right")) - self.begun_count + len(self.again)
        value = float(waiting + sum(1 for free, _, _ in self.servers if free > self.now))
        self.undelivered.append(value)
        self._autoscaler.sample(self.now, value)
        self._resize()
        heappush(self.events, (self.now + self.fleet.policy.sample_every, "sample", -1))

    def _resize(self) -> None:
        target = self._autoscaler.target(self.now)
        while self.alive < target:
            self._want()
        for number in range(len(self.vms) - 1, -1, -1):  # the youngest go first: they may not even serve yet
            if self.alive <= target:
                break
            if not self.vms[number].ended:
                self._end(number)

    def _want(self) -> None:
        now = self.now
        self.vms.append(_Vm(now))
        number = len(self.vms) - 1
        self.alive += 1
        self.most_vms = max(self.most_vms, self.alive)
        heappush(self.events, (now + (self.fleet.boot if now else 0.0), "ready", number))
        if self.fleet.preemptions:
            life = float(self.random.exponential(DAY / self.fleet.preemptions))
            heappush(self.events, (now + life, "preempted", number))

    def _ready(self, number: int) -> None:
        if not self.vms[number].ended:
            for _ in range(self.fleet.processes):
                heappush(self.servers, (self.now, number, -1))

    def _end(self, number: int) -> None:
        vm, deadline = self.vms[number], self.now + self.fleet.drain
        vm.ended = True
        self.alive -= 1
        mine = [server for server in self.servers if server[1] == number]
        if mine:
            self.servers = [server for server in self.servers if server[1] != number]
            heapify(self.servers)
        last = self.now
        for free, _, file in mine:
            last = max(last, min(free, deadline))
            if free > deadline:
                self.done_again += 1
                heappush(self.again, (deadline + REDELIVERY, file))
        self.vm_seconds += last - vm.wanted_at
