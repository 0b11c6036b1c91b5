"""What of the evidence counts for less than it seems: rows that came again, and rows that a model has learned from."""

from __future__ import annotations

from models.evidence.gather import Gathered
from models.evidence.sketch import Share, Sketch
from models.evidence.summary import SeenBefore

MOST = 0.05  # of the labelled rows

Learned = tuple[Sketch | None, Sketch | None]  # production's and staging's training ids, where they were kept
UNKNOWN: Learned = (None, None)


def seen_before(gathered: Gathered, learned: Learned) -> SeenBefore:
    """Estimated from the ids of the labelled rows, as far as the records keep them."""
    ids = gathered.whole.ids
    repeated = ids.repeated()
    shares = [None if training is None else ids.share_in(training) for training in learned]
    doubts = []
    if repeated is not None and repeated.value > MOST:
        doubts.append(
            f"{_percent(repeated)} of the labelled rows have an id that an earlier row had: the same rows count again"
        )
    for name, share in zip(("production", "staging"), shares, strict=True):
        if share is not None and share.value > MOST:
            doubts.append(f"{name} was fitted on {_percent(share)} of the labelled rows: they are no evidence for it")
    return SeenBefore(gathered.copies, gathered.copied_rows, repeated, shares[0], shares[1], tuple(doubts))


def _percent(share: Share) -> str:
    spread = f" (± {200 * share.error:.1f})" if share.error else ""
    return f"{100 * share.value:.1f} %{spread}"
