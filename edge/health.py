"""When a program counts as stalled. Pure: figures in, what stands still out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Liveness:
    """How far a worker is, in seconds until now.

    `since_look`: since its loop last looked for work, None before the first time; `since_done`: since a message was
    done with or given back, or work began; `youngest_in_hand`: since the message in hand that came last was taken, None
    where none is; `oldest_waiting`: since the oldest message that waits was published, None where none waits or the
    queue cannot tell; `queue_trouble`: what is wrong with a queue that cannot tell, in words.
    """

    since_look: float | None = None
    since_done: float = 0.0
    youngest_in_hand: float | None = None
    oldest_waiting: float | None = None
    queue_trouble: str = ""


def what_stalls(seen: Liveness, stalled: float, one_file: float) -> str:
    """What stands still, in words, or nothing: something was processed lately, is under way, or nothing waits.

    `stalled`: how many seconds without any progress are too many; `one_file`: how long one file may take.
    """
    if seen.since_look is not None and seen.since_look > stalled:
        return f"the worker has not looked for work for {seen.since_look:.0f} s"
    if seen.youngest_in_hand is not None:
        # A file under way is progress until it has taken longer than any file may.
        if min(seen.since_done, seen.youngest_in_hand) > stalled + one_file:
            return f"nothing was done for {seen.since_done:.0f} s with what is in hand"
        return ""
    if seen.queue_trouble and seen.since_done > stalled:
        return f"nothing has come for {seen.since_done:.0f} s: {seen.queue_trouble}"
    if seen.oldest_waiting is not None and min(seen.since_done, seen.oldest_waiting) > stalled:
        return f"messages have waited for {seen.oldest_waiting:.0f} s, and none was done for {seen.since_done:.0f} s"
    return ""


def overdue(since: float, interval: float, stalled: float, what: str) -> str:
    """For what is done every `interval` seconds: what stands still, in words, or nothing."""
    return f"{what} has made no progress for {since:.0f} s" if since > interval + stalled else ""
