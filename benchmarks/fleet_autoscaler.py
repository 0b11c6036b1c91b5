"""How many VMs a managed instance group wants: Compute Engine's autoscaler on the number of undelivered messages.

What is known of it is in docs/scaling.md, with its sources; the rest is left out: quotas, zones that are sold out.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Policy:
    """`assignment`: undelivered messages per VM. Scaling in follows the most that was wanted in `stabilisation` s.

    The metric is a sample taken every `sample_every` seconds, seen `sample_delay` seconds later.
    """

    assignment: float
    minimum: int = 0
    maximum: int = 10
    sample_every: float = 60.0
    sample_delay: float = 120.0
    stabilisation: float = 600.0

    def size(self, undelivered: float) -> int:
        """What one sample asks for."""
        return min(self.maximum, max(self.minimum, math.ceil(undelivered / self.assignment)))


@dataclass
class Autoscaler:
    """Told each sample as it is taken, in order; says what the group's size should be."""

    policy: Policy
    _unseen: deque[tuple[float, float]] = field(default_factory=deque)
    _wanted: deque[tuple[float, int]] = field(default_factory=deque)

    def sample(self, now: float, undelivered: float) -> None:
        """The metric's value at this moment."""
        self._unseen.append((now, undelivered))

    def target(self, now: float) -> int:
        """The size wanted now: what the newest visible sample asks for, or more where more was asked for lately."""
        while self._unseen and self._unseen[0][0] <= now - self.policy.sample_delay:
            self._wanted.append((now, self.policy.size(self._unseen.popleft()[1])))
        while len(self._wanted) > 1 and self._wanted[0][0] < now - self.policy.stabilisation:
            self._wanted.popleft()
        return max((size for _, size in self._wanted), default=self.policy.minimum)
