"""The page at `/`, the verdict's picture and its report: bytes with the headers that keep them from doing anything."""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from urllib.parse import unquote

from markupsafe import Markup

from edge.html.template import SHARED, template
from edge.server import Answer
from edge.signals import ProgramVitals
from edge.version import VERSION
from publisher.page import view
from publisher.page.latest import LastLook, Latest
from publisher.page.look import Looker, Seen
from transport.bucket import Bucket, BucketError
from transport.queue import Queue

HERE = Path(__file__).parent
STYLE = "".join(
    file.read_text(encoding="utf-8") for file in (SHARED / "palette.css", SHARED / "base.css", HERE / "page.css")
)
REFRESH, SOON = 5, 1  # seconds; SOON while a look is under way
HTML = "text/html; charset=utf-8"
_HASH = b64encode(sha256(STYLE.encode()).digest()).decode()
_NOTHING = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; default-src 'none'"
# No script anywhere. What comes out of the bucket was written by others: it is kept in a sandbox as well.
OF_PAGE = f"{_NOTHING}; style-src 'sha256-{_HASH}'; img-src 'self'"
OF_OTHERS = f"sandbox; {_NOTHING}; style-src 'unsafe-inline'; img-src data:"


class Page:
    """Answers for one bucket and queue, in any thread. Nothing is looked up before somebody asks."""

    def __init__(
        self,
        bucket: Bucket,
        queue: Queue,
        prefix: str,
        vitals: ProgramVitals,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._place = f"{bucket.url.rstrip('/')}/{prefix}" if prefix else bucket.url
        self._looker = Looker(bucket, queue, prefix)
        self._latest: Latest[Seen] = Latest(self._looker.look)
        self._vitals, self._now = vitals, now
        self.close = self._latest.close

    def __call__(self, path: str) -> Answer | None:
        """The answer for a path of a request; None where nothing is there."""
        if path in ("/", "/still"):
            return self._page(self._latest.get(), still=path == "/still")
        kind, _, name = path.removeprefix("/").partition("/")
        if kind not in ("verdict", "report"):
            return None
        seen, model = self._latest.get().seen, unquote(name)
        posted = next((each for each in seen.verdicts if each.verdict.model == model), None) if seen else None
        if posted is None:
            return None
        if kind == "verdict":
            body = posted.verdict.picture.encode("utf-8", "replace")
            return _answer(200, "image/svg+xml", body, OF_OTHERS, {"Cache-Control": "private, max-age=3600"})
        return self._report(model)

    def _page(self, state: LastLook[Seen], *, still: bool) -> Answer:
        now = self._now()
        notes = view.troubles([self._vitals.health(), self._vitals.readiness()])
        shown = view.LOOKING if state.seen is None else view.view(state.seen, now)
        if state.trouble:
            shown = {**shown, **view.trouble(state.trouble, state.age if state.seen else None)}
        elif state.seen:
            notes += filter(None, [view.stall(state.seen, now), view.old(state.age) if state.looking else ""])
        refresh = SOON if state.looking else REFRESH
        text = template(HERE / "page.html").render(
            **shown,
            place=self._place,
            style=Markup(STYLE),  # noqa: S704 - ours
            seen=state.seen is not None,
            age=state.age if state.seen else None,
            made=datetime.fromtimestamp(now - state.age, UTC).strftime("%H:%M:%S"),
            notes=notes,
            still=still,
            refresh=None if still else refresh,
            every=REFRESH,
            release=VERSION,
            cut=view.cut,
            span=view.span,
        )
        return _answer(200, HTML, text.encode("utf-8", "replace"), OF_PAGE)

    def _report(self, model: str) -> Answer | None:
        try:
            report = self._looker.report(model)
        except BucketError as error:
            return Answer(503, "text/plain; charset=utf-8", f"The report cannot be read: {error}\n".encode())
        return None if report is None else _answer(200, HTML, report, OF_OTHERS)


def _answer(status: int, kind: str, body: bytes, policy: str, more: Mapping[str, str] | None = None) -> Answer:
    headers = {"Content-Security-Policy": policy, "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}
    return Answer(status, kind, body, {**headers, **(more or {})})
