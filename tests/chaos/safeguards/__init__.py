"""The table of safeguards: the lines that keep each invariant of docs/design.md, and the tests that miss them."""

from __future__ import annotations

from dataclasses import replace

from tests.chaos.safeguards import delivery, evidence, meaning, receivers, registration, told, trust
from tests.chaos.safeguards.safeguard import Safeguard as Safeguard

SAFEGUARDS = (
    *delivery.SAFEGUARDS,
    *meaning.SAFEGUARDS,
    *told.SAFEGUARDS,
    *trust.SAFEGUARDS,
    *(replace(one, nightly=True) for one in (*evidence.SAFEGUARDS, *registration.SAFEGUARDS, *receivers.SAFEGUARDS)),
)
