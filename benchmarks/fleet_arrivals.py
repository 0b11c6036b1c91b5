"""When files arrive, and how long each takes: what a simulated fleet has to deal with. Pure, given its generator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

DAY = 86_400.0
Seconds = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Arrivals:
    """Files per day, bursts included; between them they come one by one, more at noon than at midnight.

    `swing`: by how much the rate at noon is above the mean, and at midnight below (0 to 1). `bursts`: how many a day,
    at moments of chance, each of `burst_files` files within `burst_seconds`.
    """

    per_day: float
    swing: float = 0.0
    bursts: float = 0.0
    burst_files: int = 0
    burst_seconds: float = 60.0

    def __post_init__(self) -> None:
        if self.bursts * self.burst_files > self.per_day:
            raise ValueError(f"{self.bursts:g} bursts of {self.burst_files:,} are more than {self.per_day:,.0f} a day")

    def draw(self, days: float, random: np.random.Generator) -> Seconds:
        """The times of all arrivals in so many days, in order."""
        steady = random.poisson((self.per_day - self.bursts * self.burst_files) * days)
        begins = random.random((random.poisson(self.bursts * days), 1)) * days * DAY
        bursts = begins + random.random((len(begins), self.burst_files)) * self.burst_seconds
        return np.sort(np.concatenate([self._one_by_one(random.random(steady) * days), bursts.ravel()]))

    def _one_by_one(self, places: Seconds) -> Seconds:
        """Turns uniform places in days into times at which the daily cycle has had its share of the files."""
        hours = np.linspace(0.0, 1.0, 24 * 60 + 1)
        share = hours - self.swing * np.sin(2 * np.pi * hours) / (2 * np.pi)  # of 1 - swing * cos: least at midnight
        whole = np.floor(places)
        return (whole + np.interp(places - whole, share, hours)) * DAY


def draw_services(count: int, mean: float, variation: float, random: np.random.Generator) -> Seconds:
    """Seconds that each of `count` files holds a process: lognormal, or constant where `variation` is 0.

    `variation`: their standard deviation divided by their mean.
    """
    if variation == 0:
        return np.full(count, mean)
    square = np.log1p(variation**2)
    return random.lognormal(np.log(mean) - square / 2, np.sqrt(square), count)
