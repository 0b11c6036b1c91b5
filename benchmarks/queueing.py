"""Queues whose waiting time is known by a formula, to check the simulation against. Pure.

`rate`: arrivals a second (Poisson); `mean`: seconds of one service; `servers`: how many serve at once. All of them need
`rate * mean < servers`.
"""

from __future__ import annotations

import math


def utilisation(rate: float, mean: float, servers: int) -> float:
    """The share of the time that a server is busy. Raises ValueError where the queue would grow for ever."""
    busy = rate * mean / servers
    if not 0 < busy < 1:
        raise ValueError(f"{servers} servers would be busy for {busy:.0%} of the time: there is no steady state")
    return busy


def erlang_c(rate: float, mean: float, servers: int) -> float:
    """M/M/c: the probability that an arrival has to wait (Erlang 1917)."""
    busy, load = utilisation(rate, mean, servers), rate * mean
    blocked = 1.0  # Erlang B by its recursion, which overflows for no number of servers
    for count in range(1, servers + 1):
        blocked = load * blocked / (count + load * blocked)
    return blocked / (1 - busy * (1 - blocked))


def exponential_wait(rate: float, mean: float, servers: int) -> float:
    """M/M/c: the mean wait."""
    return erlang_c(rate, mean, servers) * mean / (servers - rate * mean)


def exponential_wait_exceeds(seconds: float, rate: float, mean: float, servers: int) -> float:
    """M/M/c: the probability of a wait longer than `seconds`."""
    return erlang_c(rate, mean, servers) * math.exp(-(servers / mean - rate) * seconds)


def one_server_wait(rate: float, mean: float, variation: float) -> float:
    """M/G/1: the mean wait (Pollaczek 1930, Khinchine 1932). `variation`: a service's standard deviation / its mean."""
    busy = utilisation(rate, mean, 1)
    return busy * mean * (1 + variation**2) / (2 * (1 - busy))


def constant_wait(rate: float, mean: float, servers: int) -> float:
    """M/D/c: the mean wait, nearly (Cosmetatos 1975): exact for one server, within 1 % or so for others."""
    busy = utilisation(rate, mean, servers)
    correction = (1 - busy) * (servers - 1) * (math.sqrt(4 + 5 * servers) - 2) / (16 * busy * servers)
    return exponential_wait(rate, mean, servers) / 2 * (1 + correction)


def general_wait(rate: float, mean: float, servers: int, variation: float) -> float:
    """M/G/c: the mean wait, nearly (Björklund and Elldin 1964): M/D/c and M/M/c mixed by the services' variation."""
    square = variation**2
    return square * exponential_wait(rate, mean, servers) + (1 - square) * constant_wait(rate, mean, servers)
