"""`python -m benchmarks.fleet`: how long files wait, how many VMs that takes and what they cost, by simulation.

docs/scaling.md has what it is for, and where its figures come from.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import product

import numpy as np
from pydantic import Field
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from benchmarks.fleet_arrivals import DAY, Arrivals, draw_services
from benchmarks.fleet_autoscaler import Policy
from benchmarks.fleet_simulation import Fleet, Run, simulate
from benchmarks.queueing import general_wait
from edge.command import Command, main


@dataclass(frozen=True)
class Result:
    """One line of the table. Times in seconds, costs in US dollars a day."""

    files_per_day: float
    assignment: float
    min_vms: int
    undelivered_mean: float
    undelivered_most: float
    wait_mean: float
    wait_mean_formula: float | None
    latency_p50: float
    latency_p99: float
    latency_most: float
    vms_mean: float
    vms_most: int
    preempted: int
    done_again: int
    vm_cost: float
    call_cost: float


class FleetBench(Command):
    """Backlog, latency, VMs and cost per day of an autoscaled fleet, by simulation; lists give a line for each."""

    files_per_day: list[float] = Field([100_000], description="files a day, bursts included; e.g. 1e3,1e5")
    assignment: list[float] = Field([1_000], description="single_instance_assignment: undelivered messages per VM")
    min_vms: list[int] = Field([1], description="VMs that are always there")
    max_vms: int = Field(50, ge=1, description="VMs at most")
    processes: int = Field(4, ge=1, description="scoring processes of a VM")
    cpu_ms: float = Field(90.0, gt=0, description="processor time of a file, with its shadow (benchmarks.cpu)")
    calls_ms: float = Field(160.0, ge=0, description="how long its process waits for Cloud Storage")
    variation: float = Field(0.5, ge=0, description="standard deviation of a file's time, divided by its mean")
    days: float = Field(1.0, gt=0, description="how long the simulation lasts")
    swing: float = Field(0.7, ge=0, le=1, description="how far the rate at noon is above the mean")
    bursts: float = Field(0.0, ge=0, description="bursts a day")
    burst_files: int = Field(0, ge=0, description="files of a burst")
    burst_seconds: float = Field(60.0, gt=0, description="how long a burst lasts")
    sample_delay: float = Field(120.0, ge=0, description="how old a sample is when the autoscaler sees it")
    stabilisation: float = Field(600.0, ge=0, description="for how long the autoscaler keeps what it once wanted")
    boot: float = Field(90.0, ge=0, description="from wanting a VM to its first file: boot, pull, load")
    drain: float = Field(20.0, ge=0, description="UNDERSTUDY_DRAIN_SECONDS")
    preemptions: float = Field(0.2, ge=0, description="how often a spot VM is preempted, per day of its life")
    vm_hour: float = Field(0.027, ge=0, description="US dollars for an hour of a VM")
    million_calls: float = Field(27.11, ge=0, description="US dollars for the calls of a million files (docs/cloud.md)")
    seed: int = Field(1, description="of everything that is left to chance")
    as_json: bool = Field(False, alias="json", description="print JSON and nothing else")

    def run(self) -> int:
        try:
            results = list(self.results())
        except ValueError as error:
            print(f"benchmarks.fleet: {error}", file=sys.stderr)
            return 2
        if self.as_json:
            print(json.dumps([asdict(result) for result in results], indent=2))
        else:
            console = Console(width=160)
            console.print(table(results))
        return 0

    def results(self) -> Iterator[Result]:
        """One for each combination of the lists. Raises ValueError where the options contradict each other."""
        for files, assignment, minimum in product(self.files_per_day, self.assignment, self.min_vms):
            yield self._one(files, assignment, minimum)

    def _one(self, files: float, assignment: float, minimum: int) -> Result:
        if minimum > self.max_vms:
            raise ValueError(f"--min-vms {minimum} is more than --max-vms {self.max_vms}")
        random = np.random.default_rng(self.seed)
        mean = (self.cpu_ms + self.calls_ms) / 1000
        pattern = Arrivals(files, self.swing, self.bursts, self.burst_files, self.burst_seconds)
        arrived = pattern.draw(self.days, random)
        policy = Policy(
            assignment,
            minimum,
            self.max_vms,
            sample_delay=self.sample_delay,
            stabilisation=self.stabilisation,
        )
        fleet = Fleet(self.processes, policy, self.boot, self.drain, self.preemptions)
        services = draw_services(len(arrived), mean, self.variation, random)
        run = simulate(arrived, services, fleet, random, self.days * DAY)
        return self._result(run, policy, files, mean)

    def _result(self, run: Run, policy: Policy, files: float, mean: float) -> Result:
        nothing = not len(run.arrived)
        p50, p99, most = (0.0, 0.0, 0.0) if nothing else np.percentile(run.latencies, (50, 99, 100)).tolist()
        vms = run.vm_seconds / run.seconds
        return Result(
            files_per_day=files,
            assignment=policy.assignment,
            min_vms=policy.minimum,
            undelivered_mean=float(run.undelivered.mean()),
            undelivered_most=float(run.undelivered.max()),
            wait_mean=0.0 if nothing else float(run.waits.mean()),
            wait_mean_formula=self._formula(policy, files, mean),
            latency_p50=p50,
            latency_p99=p99,
            latency_most=most,
            vms_mean=vms,
            vms_most=run.most_vms,
            preempted=run.preempted,
            done_again=run.done_again,
            vm_cost=vms * 24 * self.vm_hour,
            call_cost=files / 1e6 * self.million_calls,
        )

    def _formula(self, policy: Policy, files: float, mean: float) -> float | None:
        """The mean wait that theory gives, where there is a theory: a fixed fleet, and nothing but single files."""
        if policy.minimum != policy.maximum or self.swing or self.bursts or self.preemptions:
            return None
        return general_wait(files / DAY, mean, policy.minimum * self.processes, self.variation)


def table(results: list[Result]) -> Table:
    """Readable in a terminal, and in Markdown."""
    shown = Table(box=MARKDOWN)
    names = "files a day|per VM|min VMs|backlog, most|latency p50|p99|most|VMs, mean|most|preempted|done again"
    for name in (*names.split("|"), "VMs, $ a day", "calls, $ a day"):
        shown.add_column(name, justify="right")
    for one in results:
        shown.add_row(
            f"{one.files_per_day:,.0f}",
            f"{one.assignment:,.0f}",
            f"{one.min_vms}",
            f"{one.undelivered_most:,.0f}",
            *(duration(seconds) for seconds in (one.latency_p50, one.latency_p99, one.latency_most)),
            f"{one.vms_mean:.2f}",
            f"{one.vms_most}",
            f"{one.preempted}",
            f"{one.done_again}",
            f"{one.vm_cost:,.2f}",
            f"{one.call_cost:,.2f}",
        )
    for one in results:
        if one.wait_mean_formula is not None:
            shown.caption = f"mean wait {1000 * one.wait_mean:.1f} ms; by formula {1000 * one.wait_mean_formula:.1f} ms"
    return shown


def duration(seconds: float) -> str:
    """Two digits that matter, and a unit."""
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds >= 1 else f"{1000 * seconds:.0f} ms"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


if __name__ == "__main__":
    sys.exit(main("benchmarks.fleet", FleetBench.__doc__ or "", {}, default=FleetBench))
