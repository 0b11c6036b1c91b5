"""The simulated fleet: against queues whose waiting time is known, and against what can be counted by hand."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t as student

from benchmarks import queueing
from benchmarks.fleet import FleetBench
from benchmarks.fleet_arrivals import DAY, Arrivals, Seconds, draw_services
from benchmarks.fleet_autoscaler import Autoscaler, Policy
from benchmarks.fleet_simulation import REDELIVERY, Fleet, Run, simulate
from edge.command import main

FILES, WARM_UP, BATCHES = 400_000, 20_000, 38
SECOND_MEAN = 0.2


def fixed(servers: int) -> Fleet:
    """A fleet of one VM that nothing happens to."""
    return Fleet(processes=servers, policy=Policy(assignment=1, minimum=1, maximum=1))


def waits(servers: int, busy: float, services: Seconds, seed: int) -> Seconds:
    """Waiting times of a queue with Poisson arrivals that keep its servers so busy, once it is under way."""
    random = np.random.default_rng(seed)
    rate = busy * servers / SECOND_MEAN
    arrived = np.cumsum(random.exponential(1 / rate, FILES))
    return simulate(arrived, services, fixed(servers), random).waits[WARM_UP:]


def interval(values: Seconds) -> tuple[float, float]:
    """Mean and half width of its 99.9 % confidence interval: means of long batches are nearly independent."""
    means = np.array([batch.mean() for batch in np.array_split(values, BATCHES)])
    return float(means.mean()), float(student.ppf(0.9995, BATCHES - 1) * means.std(ddof=1) / math.sqrt(BATCHES))


def exponential(seed: int) -> Seconds:
    return np.random.default_rng(seed).exponential(SECOND_MEAN, FILES)


@pytest.mark.parametrize(("servers", "busy"), [(1, 0.5), (4, 0.8), (8, 0.85)])
def test_exponential_services_wait_as_erlang_says(servers, busy):
    rate = busy * servers / SECOND_MEAN
    found = waits(servers, busy, exponential(seed=2), seed=1)

    wanted = {
        "mean": (found, queueing.exponential_wait(rate, SECOND_MEAN, servers)),
        "some wait": ((found > 1e-12) * 1.0, queueing.erlang_c(rate, SECOND_MEAN, servers)),
        "a long wait": (
            (found > SECOND_MEAN) * 1.0,
            queueing.exponential_wait_exceeds(SECOND_MEAN, rate, SECOND_MEAN, servers),
        ),
    }
    for what, (values, formula) in wanted.items():
        mean, half_width = interval(values)
        assert abs(mean - formula) < half_width, (what, mean, formula)
        assert half_width < 0.3 * formula, f"{what}: an interval so wide ({half_width}) would let anything pass"


@pytest.mark.parametrize("variation", [0.0, 0.5, 2.0])
def test_one_server_waits_as_pollaczek_and_khinchine_say(variation):
    services = draw_services(FILES, SECOND_MEAN, variation, np.random.default_rng(4))

    mean, half_width = interval(waits(1, 0.6, services, seed=3))

    formula = queueing.one_server_wait(0.6 / SECOND_MEAN, SECOND_MEAN, variation)
    assert abs(mean - formula) < half_width < 0.2 * formula, (mean, formula)


@pytest.mark.parametrize(("servers", "variation"), [(2, 0.0), (8, 0.0), (8, 0.5)])
def test_several_servers_wait_nearly_as_the_approximations_say(servers, variation):
    services = draw_services(FILES, SECOND_MEAN, variation, np.random.default_rng(6))

    mean, half_width = interval(waits(servers, 0.8, services, seed=5))

    formula = queueing.general_wait(0.8 * servers / SECOND_MEAN, SECOND_MEAN, servers, variation)
    assert abs(mean - formula) < half_width + 0.03 * formula, (mean, formula, half_width)
    assert half_width < 0.2 * formula


def test_the_formulas_agree_where_they_meet_and_with_textbook_values():
    assert queueing.erlang_c(rate=1.0, mean=1.0, servers=2) == pytest.approx(1 / 3)
    assert queueing.erlang_c(rate=0.7, mean=1.0, servers=1) == pytest.approx(0.7)
    assert queueing.exponential_wait(0.7, 1.0, 1) == pytest.approx(queueing.one_server_wait(0.7, 1.0, 1.0))
    assert queueing.constant_wait(0.7, 1.0, 1) == pytest.approx(queueing.one_server_wait(0.7, 1.0, 0.0))
    assert queueing.erlang_c(rate=990.0, mean=1.0, servers=1000) == pytest.approx(0.6559, abs=5e-3)
    with pytest.raises(ValueError, match="no steady state"):
        queueing.erlang_c(rate=2.0, mean=1.0, servers=2)


def test_littles_law_holds_for_an_autoscaled_fleet_too():
    random = np.random.default_rng(7)
    arrived = Arrivals(500_000, swing=0.7).draw(1, random)
    services = draw_services(len(arrived), 0.3, 0.5, random)

    run = simulate(arrived, services, Fleet(2, Policy(500, 1, 6), preemptions=5), random, DAY)

    assert run.preempted > 3
    assert run.undelivered.mean() == pytest.approx(len(arrived) / run.seconds * run.latencies.mean(), rel=0.05)


def test_files_arrive_as_often_as_wanted_and_when():
    random = np.random.default_rng(8)
    arrived = Arrivals(30_000, swing=0.6, bursts=5, burst_files=600, burst_seconds=30).draw(20, random)

    assert (np.diff(arrived) >= 0).all()
    assert len(arrived) == pytest.approx(600_000, rel=0.05)
    hours = np.bincount(((Arrivals(30_000, swing=0.6).draw(20, random) % DAY) // 3600).astype(int), minlength=24)
    by_day = hours[6:18].sum() / hours.sum()
    assert by_day == pytest.approx(0.5 + 0.6 / math.pi, abs=0.003)  # the integral of 1 - 0.6 cos over the day's half
    assert hours[11:13].sum() == pytest.approx(hours.sum() / 12 * 1.6, rel=0.02)
    burst = Arrivals(1_000, bursts=1, burst_files=1_000, burst_seconds=30).draw(1, np.random.default_rng(1))
    assert len(burst) % 1_000 == 0
    with pytest.raises(ValueError, match="more than 1,000 a day"):
        Arrivals(1_000, bursts=2, burst_files=1_000)


def test_services_have_the_mean_and_the_variation_that_were_wanted():
    drawn = draw_services(1_000_000, 0.21, 0.5, np.random.default_rng(9))

    assert drawn.mean() == pytest.approx(0.21, rel=0.005)
    assert drawn.std() / drawn.mean() == pytest.approx(0.5, rel=0.02)


class TestAutoscaler:
    POLICY = Policy(assignment=10, minimum=1, maximum=5, sample_every=60, sample_delay=120, stabilisation=600)

    def test_a_sample_counts_when_it_is_seen_and_is_kept_for_a_while(self):
        autoscaler, sizes = Autoscaler(self.POLICY), []
        for minute in range(16):
            autoscaler.sample(60 * minute, 25 if minute == 1 else 0)
            sizes.append(autoscaler.target(60 * minute))

        # taken in minute 1, seen in minute 3, kept until minute 13
        assert sizes == [1, 1, 1, *[3] * 11, 1, 1]

    @pytest.mark.parametrize(("undelivered", "size"), [(0, 1), (10, 1), (11, 2), (50, 5), (10_000, 5)])
    def test_it_rounds_up_and_stays_within_its_bounds(self, undelivered, size):
        assert self.POLICY.size(undelivered) == size


def single(arrives: float, takes: float, fleet: Fleet, until: float = 3600.0) -> Run:
    return simulate(np.array([arrives]), np.array([takes]), fleet, np.random.default_rng(0), until)


def test_from_nothing_the_first_file_waits_for_the_metric_and_the_boot():
    run = single(30.0, 0.5, Fleet(2, Policy(50, 0, 3), boot=90))

    # sampled at 60, seen at 180, the VM serves at 270
    assert run.begun.tolist() == [270.0]
    assert run.latencies.tolist() == [240.5]
    # the last sample with the file is that of 240, seen at 360 and kept for 600 s: the VM goes at 1020
    assert (run.vm_seconds, run.most_vms) == (1020 - 180, 1)


def test_a_preempted_vm_gives_back_what_it_cannot_finish():
    random = np.random.default_rng(10)
    arrived = np.sort(random.random(200) * DAY)
    fleet = Fleet(2, Policy(1, 2, 2), boot=60, drain=20, preemptions=40)

    run = simulate(arrived, np.full(200, 300.0), fleet, random, DAY)

    assert run.preempted > 50
    assert run.done_again > 20
    assert (run.latencies >= 300 - 1e-9).all()
    assert (run.begun >= run.arrived).all()
    assert 1.5 * DAY < run.vm_seconds <= 2 * run.seconds + run.preempted * fleet.drain


class Lives:
    """Chance that is none: the first VM is preempted after 100 s, the next one never."""

    def __init__(self) -> None:
        self._lives = iter((100.0, 1e9))

    def exponential(self, _mean: float) -> float:
        return next(self._lives)


@pytest.mark.parametrize(("takes", "begun"), [(20.5, 99.0), (21.5, 160.0)], ids=["finished", "given back"])
def test_a_preempted_vm_finishes_what_ends_within_its_drain(takes, begun):
    fleet = Fleet(1, Policy(1, 1, 1), boot=60, drain=20, preemptions=1)

    run = simulate(np.array([99.0]), np.array([takes]), fleet, Lives(), 600)

    # preempted at 100; given back at 120, when another VM is on its way, which serves at 160
    assert run.begun.tolist() == [begun]
    assert (run.preempted, run.done_again) == (1, begun > 99)
    assert begun == 99 or begun > 120 + REDELIVERY


@settings(max_examples=60)
@given(st.integers(1, 5), st.floats(0.2, 0.99), st.integers(0, 2**32 - 1))
def test_no_process_does_two_files_at_once_and_the_longest_waiting_is_next(servers, busy, seed):
    random = np.random.default_rng(seed)
    arrived = np.cumsum(random.exponential(1 / (busy * servers), 300))
    services = random.exponential(1.0, 300)

    run = simulate(arrived, services, fixed(servers), random)

    assert (np.diff(run.begun) >= 0).all()
    for begun in run.begun:
        assert ((run.begun <= begun) & (run.done > begun)).sum() <= servers
    idle = run.begun > run.arrived  # who waited began when somebody ended
    assert np.isin(np.round(run.begun[idle], 9), np.round(run.done, 9)).all()


def test_the_command_says_the_same_as_json_and_as_a_table(capsys):
    arguments = ["--files-per-day", "1000,50000", "--assignment", "20", "--min-vms", "0,1", "--json"]
    assert main("benchmarks.fleet", "", {}, default=FleetBench, arguments=arguments) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(one["files_per_day"], one["min_vms"]) for one in found] == [(1e3, 0), (1e3, 1), (5e4, 0), (5e4, 1)]
    assert all(one["latency_p50"] <= one["latency_p99"] <= one["latency_most"] for one in found)
    assert found[0]["vm_cost"] < found[1]["vm_cost"]

    assert main("benchmarks.fleet", "", {}, default=FleetBench, arguments=arguments[:-1]) == 0
    lines = [line.split("|") for line in capsys.readouterr().out.splitlines() if line.count("|") > 3]
    assert len(lines) == 2 + len(found)
    assert [float(line[-3]) for line in lines[2:]] == [pytest.approx(one["vm_cost"], abs=0.005) for one in found]


def test_a_fixed_fleet_is_shown_beside_the_formula(capsys):
    fixed_fleet = ["--min-vms", "1", "--max-vms", "1", "--swing", "0", "--preemptions", "0"]
    arguments = ["--files-per-day", "1000000", *fixed_fleet, "--json"]

    assert main("benchmarks.fleet", "", {}, default=FleetBench, arguments=arguments) == 0

    [found] = json.loads(capsys.readouterr().out)
    assert found["wait_mean"] == pytest.approx(found["wait_mean_formula"], rel=0.1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--min-vms", "9", "--max-vms", "3"], "--min-vms 9 is more than --max-vms 3"),
        (["--bursts", "3", "--burst-files", "100000"], "more than 100,000 a day"),
        (["--cpu-ms", "0"], "--cpu-ms"),
    ],
)
def test_options_that_make_no_sense_are_refused(arguments, said, capsys):
    assert main("benchmarks.fleet", "", {}, default=FleetBench, arguments=arguments) == 2
    assert said in capsys.readouterr().err
