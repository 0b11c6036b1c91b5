"""What the page says of what was seen, in words. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from ledger.receipt import Outcome, Status
from publisher.page.look import Posted, Seen
from publisher.status import Overview, WaitingInput

WAITS_LONG = 60.0  # seconds without any receipt, though a file waits
SHOWN_WAITING = 8
TONES = ("staging", "production", "none", "open")


@dataclass(frozen=True)
class When:
    """A moment as text, and how many seconds ago it was; None where the text tells no moment."""

    text: str
    since: float | None


LOOKING: Mapping[str, Any] = {"title": "Looking", "lead": "The bucket is listed for the first time."}
"""What the template is given before anything was seen."""


def view(seen: Seen, now: float) -> dict[str, Any]:
    """What the template is given for what was seen; `now` in seconds since 1970."""
    status = seen.overview
    title, lead, command, tone = _headline(status, now)
    return {
        "title": title,
        "lead": lead,
        "command": command,
        "tone": tone,
        "tiles": _tiles(status),
        "files": [_file(outcome, now) for outcome in status.newest],
        "waiting": [_waits(one, seen, now) for one in status.oldest_unanswered[:SHOWN_WAITING]],
        "more_waiting": status.unanswered - len(status.oldest_unanswered[:SHOWN_WAITING]),
        "versions": [
            {"name": one.name, "version": one.version, "when": _when(one.last_used, now)} for one in status.models
        ],
        "refused": [vars(one) | {"when": _when(one.time, now)} for one in status.refused],
        "others": status.first_not_inputs,
        "more_others": status.not_inputs - len(status.first_not_inputs),
        "verdicts": [_verdict(posted, status, now) for posted in seen.verdicts],
    }


def trouble(text: str, age: float | None) -> dict[str, Any]:
    """What stands in the place of the headline where a look failed; `age` of what was seen last, None for nothing."""
    older = f" What follows was so {span(age)} ago." if age is not None else ""
    lead = f"{text.rstrip('.')}.{older}"
    return {"title": "The bucket or the queue does not answer", "lead": lead, "command": "", "tone": "alarm"}


def old(age: float) -> str:
    """A note where what is shown is no longer new; empty as a rule."""
    return f"This is how it was {span(age)} ago; the bucket is being listed." if age >= WAITS_LONG else ""


def stall(seen: Seen, now: float) -> str:
    """A note where files wait and no receipt has come for long; empty as a rule."""
    status = seen.overview
    if not status.oldest_unanswered or now - status.oldest_unanswered[0].since < WAITS_LONG:
        return ""
    last = [when.since for one in status.newest if (when := _when(one.finished, now)).since is not None]
    if last and min(last) < WAITS_LONG:
        return ""
    ended = f"no receipt was written for {span(min(last))}" if last else "no file has a receipt"
    oldest = span(now - status.oldest_unanswered[0].since)
    return f"A file has waited for {oldest}, and {ended}: is a worker running?"


def _headline(status: Overview, now: float) -> tuple[str, str, str, str]:
    """Title, what follows it, a command, and the tone."""
    if not status.inputs and not status.receipts:
        copy = "gcloud storage cp" if "://" in status.bucket else "cp"
        return (
            "No file has come yet",
            "Drop a CSV file into the bucket, and its predictions will lie in output/:",
            f"{copy} flights.csv {status.bucket.rstrip('/')}/",
            "",
        )
    if not status.unanswered:
        return "Nothing waits", f"{_files(status.inputs)} in the bucket, each with its receipt.", "", "calm"
    waits = "waits or is" if status.unanswered == 1 else "wait or are"
    rest = f"Of {_files(status.inputs)} in the bucket."
    if status.oldest_unanswered:
        rest += f" The oldest came {span(max(0.0, now - status.oldest_unanswered[0].since))} ago."
    return f"{_files(status.unanswered)} {waits} being scored", rest, "", "busy"


def _tiles(status: Overview) -> list[tuple[str, str, str]]:
    backlog = status.backlog
    oldest = backlog.oldest_waiting_seconds
    waits = "the queue does not tell" if backlog.waiting is None else f"the oldest for {span(oldest)}" if oldest else ""
    ended = ", ".join(f"{count:,} {name}" for name, count in status.by_status.items())
    tiles = [
        ("In the queue", _number(backlog.waiting), waits),
        (
            "With workers",
            _number(backlog.leased),
            f"{status.claimed:,} scored, being recorded" if status.claimed else "",
        ),
        ("Inputs", f"{status.inputs:,}", f"{status.unanswered:,} without a receipt"),
        ("Receipts", f"{status.receipts:,}", f"of the newest {status.looked_at:,}: {ended}" if ended else ""),
    ]
    return [*tiles, ("Dead letters", _number(backlog.dead), "wait to become receipts")] if backlog.dead else tiles


def _file(outcome: Outcome, now: float) -> dict[str, Any]:
    again = f" (re-scoring {outcome.source.rescore})" if outcome.source.rescore else ""
    return {
        "name": f"{outcome.source.name}{again}",
        "status": outcome.status.value,
        "rows": f"{outcome.rows:,}" if outcome.status is Status.SCORED else "",
        "model": outcome.model.name if outcome.model else "",
        "version": outcome.model.version if outcome.model else "",
        "reason": _reason(outcome),
        "when": _when(outcome.finished, now),
    }


def _reason(outcome: Outcome) -> str:
    if outcome.status is Status.SCORED:
        if not outcome.rejected_rows:
            return ""
        kinds = ", ".join(f"{rows:,} {kind}" for kind, rows in outcome.rejected.items())
        rows = "1 row" if outcome.rejected_rows == 1 else f"{outcome.rejected_rows:,} rows"
        return f"{rows} not scored{f': {kinds}' if kinds else ''}"
    if outcome.status is Status.SUPERSEDED:
        return "a newer content of this file was scored"
    return outcome.errors[0].message if outcome.errors else "no reason is known"


def _waits(one: WaitingInput, seen: Seen, now: float) -> dict[str, Any]:
    failed = seen.failures.get(one.name)
    return {
        "name": one.name,
        "size": size(one.size),
        "when": _moment(one.since, now),
        "failed": f"attempt {failed.attempt} failed: {failed.error}" if failed else "",
    }


def _verdict(posted: Posted, status: Overview, now: float) -> dict[str, Any]:
    verdict, model = posted.verdict, quote(posted.verdict.model, safe="")
    used = next((one.version for one in status.models if one.name == verdict.model), verdict.production)
    step, command = verdict.step, verdict.command
    if used != verdict.production:
        step, command = f"Version {used} scores the files now: this verdict was reached before it did.", ""
    return {
        "said": verdict,
        "step": step,
        "command": command,
        "tone": verdict.tone if verdict.tone in TONES else "open",
        "written": _moment(posted.written, now),
        "report": f"/report/{model}",
        "picture": f"/verdict/{model}?{posted.written:.3f}",
    }


def _when(text: str, now: float) -> When:
    """Of a time in RFC 3339, as a receipt has it."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return When(text, None)
    return When(text, max(0.0, now - (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()))


def _moment(at: float, now: float) -> When:
    return When(datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds"), max(0.0, now - at))


def span(seconds: float) -> str:
    """A time in the largest unit that fits it, like `12 s`, `5 min`, `3 h` or `2 days`."""
    for length, unit in ((172_800, "days"), (7_200, "h"), (120, "min")):
        if seconds >= length:
            return f"{seconds / {'days': 86_400, 'h': 3_600, 'min': 60}[unit]:.0f} {unit}"
    return f"{seconds:.0f} s"


def size(count: float) -> str:
    """A number of bytes, like `12 kB`."""
    if count == 1:
        return "1 byte"
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" or count >= 10 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} GB"


def cut(text: str, most: int) -> str:
    """At most so many characters; the end stays, for the ending of a name tells what it is."""
    if len(text) <= most:
        return text
    tail = min(12, most // 3)
    return f"{text[: most - tail - 1]}…{text[-tail:]}"


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count:,} files"


def _number(count: int | None) -> str:
    return "?" if count is None else f"{count:,}"


def troubles(checks: Sequence[Mapping[str, str]]) -> list[str]:
    """What is wrong with the publisher, in words."""
    return [f"The publisher: {wrong}." for check in checks for wrong in check.values() if wrong]
