"""What of the evidence counts for less than it seems: rows that came again, and rows that a model has learned from."""

from __future__ import annotations

from models.evidence.figures.gather import Gathered
from models.evidence.figures.summary import SeenBefore
from models.evidence.record.sketch import Share
from models.evidence.record.training import Training

MOST = 0.05  # of the labelled rows

Learned = tuple[Training, Training]  # what production and staging were fitted on
UNKNOWN: Learned = (Training(), Training())


def seen_before(gathered: Gathered, learned: Learned) -> SeenBefore:
    """Estimated from the ids of the labelled rows, as far as the records keep them."""
    repeated = gathered.whole.ids.repeated()
    shares = [_learned(gathered, training) for training in learned]
    doubts = []
    if repeated is not None and repeated.value > MOST:
        doubts.append(f"{_percent(repeated)} of the labelled rows have an id that an earlier row had")
    for name, share in zip(("production", "staging"), shares, strict=True):
        if share is not None and share.value > MOST:
            doubts.append(f"{name} was fitted on {_percent(share)} of the labelled rows")
    return SeenBefore(gathered.copies, gathered.copied_rows, repeated, shares[0], shares[1], tuple(doubts))


def _learned(gathered: Gathered, training: Training) -> Share | None:
    """By ids; where either side has none, by files that are the training file byte for byte."""
    by_ids = None if training.ids is None else gathered.whole.ids.share_in(training.ids)
    if by_ids is not None or not training.sha256:
        return by_ids
    labelled = sum(file.labelled for file in gathered.files)
    the_same = sum(file.labelled for file in gathered.files if file.sha256 == training.sha256)
    # That no file is the same does not say that no row is.
    return Share(the_same / labelled, 0.0, labelled) if the_same else None


def _percent(share: Share) -> str:
    spread = f" (± {200 * share.error:.1f})" if share.error else ""
    return f"{100 * share.value:.1f} %{spread}"
