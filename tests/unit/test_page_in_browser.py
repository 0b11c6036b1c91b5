"""The publisher's page in Chromium: hostile texts are read and do nothing, and it fits a phone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from deploy.waiting import wait_for
from edge.signals import Signals
from ledger.receipt import ModelUsed, Outcome, RowError, Source, Status
from ledger.records import RefusedVersion, record_refused
from publisher.page import latest
from publisher.page import page as pages
from publisher.page.page import Page
from tests.browser import Browser
from tests.emulators import missing
from tests.memory import MemoryBucket, MemoryQueue
from tests.unit.test_page import VERDICT, Fine, post
from transport.bucket import put

ATTACK = "<img src=/x onerror=alert(1)>"
SCRIPT = '"\'><script src="/x.js">alert(2)</script>'
NAMES = (
    f"{ATTACK}.csv",
    f"{SCRIPT}.csv",
    "javascript:alert(3).csv",
    "invoice\u202evsc.exe.csv",
    "two\nlines\tand\x1b[31m\x00.csv",
    f"{'w' * 246}.csv",
    f"{'🛩️' * 35}.csv",
    "שלום עולם.csv",
    "Z̵̡͖a̷̛l̸g̵o.csv",
    "{{ 7 * 7 }}{% raw %}.csv",
    "&lt;b&gt;&amp;.csv",
)
# What a page that obeyed a text would do: open a dialog, break its own policy, ask for what is not its own.
WATCH = """
window.seen = [];
window.alert = window.confirm = window.prompt = text => window.seen.push(String(text));
addEventListener('securitypolicyviolation', event => window.seen.push(event.violatedDirective));
addEventListener('error', event => window.seen.push('error'), true);
"""
HEADING = "document.querySelector('h1')?.textContent ?? ''"
SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 4 3"><script>alert(4)</script>'
    '<rect width="4" height="3"/></svg>'
)
REPORT = f"<!doctype html><title>report</title><p id=there>{ATTACK}</p><script>alert(5)</script><img src=/y>"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if Browser.program() is None:
        missing("there is no chromium here: install Debian's package `chromium`")
    with Browser(tmp_path_factory.mktemp("browser")) as browser:
        browser.call("Page.enable")
        browser.call("Page.addScriptToEvaluateOnNewDocument", source=WATCH)
        yield browser


@pytest.fixture
def bucket() -> MemoryBucket:
    """Hostile wherever a text can come from."""
    bucket = MemoryBucket()
    for name in NAMES:
        info = put(bucket, name, b"")
        outcome = Outcome(
            Status.REJECTED,
            Source("bucket", name, info.generation),
            ModelUsed(SCRIPT, ATTACK, ATTACK),
            finished=ATTACK,
            errors=(RowError(f"{ATTACK} {name}"),),
        )
        put(bucket, outcome.key.receipt, outcome.to_json().encode())
        put(bucket, f"waits {name}", b"")
    put(bucket, f"{ATTACK}.xlsx", b"")
    record_refused(bucket, RefusedVersion("staging", SCRIPT, ATTACK, SCRIPT, SCRIPT, SCRIPT))
    hostile = dict.fromkeys(("headline", "says", "basis", "doubt", "step", "command", "picture_says"), ATTACK)
    keys = ((SCRIPT, ATTACK),)
    verdict = replace(VERDICT, model=SCRIPT, staging=ATTACK, tone=SCRIPT, picture=SVG, picture_keys=keys, **hostile)
    post(bucket, verdict, REPORT.encode())
    return bucket


@pytest.fixture
def url(bucket: MemoryBucket) -> Iterator[str]:
    queue = MemoryQueue()
    with Signals("publisher", "127.0.0.1:0") as signals:
        signals.vitals = vitals = Fine()
        signals.pages = page = Page(bucket, queue, "", vitals)
        yield signals.url
        page.close()


def opened(browser: Browser, url: str) -> None:
    """Once it and its pictures are there."""
    browser.open(url)
    ready = f"location.href.startsWith({url!r}) && document.readyState === 'complete'"
    wait_for(lambda: browser.ask(f"{ready} && [...document.images].every(image => image.complete)"), url)


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_hostile_texts_are_shown_as_texts_and_fit(browser: Browser, url: str, width: int, scheme: str) -> None:
    phone = width < 500
    browser.call("Emulation.setDeviceMetricsOverride", width=width, height=844, deviceScaleFactor=1, mobile=phone)
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    opened(browser, f"{url}/still")

    shown = browser.ask("document.body.textContent")
    for text in (ATTACK, SCRIPT, r"invoice\u202evsc", r"two\nlines\tand\x1b[31m\x00.csv", "{{ 7 * 7 }}{% raw %}.csv"):
        assert text in shown
    assert "&lt;b&gt;&amp;.csv" in shown
    assert "49" not in browser.ask("document.querySelector('.files').textContent").split("{{")[0]
    assert browser.ask("window.seen") == []
    asked = browser.ask("performance.getEntriesByType('resource').map(each => each.name)")
    asked = {each.removeprefix(url).partition("/%22")[0] for each in asked}
    assert asked - {"/favicon.ico"} == {"/verdict"}
    assert browser.ask("[...document.images].map(image => image.naturalWidth > 0)") == [True]
    assert browser.ask("document.querySelectorAll('script, b, iframe, object').length") == 0
    # the style is obeyed, in the colours that were asked for, and nothing sticks out
    paper = browser.ask("getComputedStyle(document.documentElement).backgroundColor")
    assert paper == ("rgb(21, 23, 26)" if scheme == "dark" else "rgb(251, 250, 247)")
    assert browser.ask("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    beyond = "[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1)"
    assert browser.ask(f"{beyond}.map(e => e.className || e.tagName)") == []


@pytest.mark.parametrize("what", ["report", "verdict"])
def test_what_comes_out_of_the_bucket_runs_nothing(browser: Browser, url: str, what: str) -> None:
    opened(browser, f"{url}/still")
    place = "document.querySelector('a[href^=\"/report\"]').href" if what == "report" else "document.images[0].src"
    address = browser.ask(place)

    opened(browser, address)

    assert "alert" in browser.ask("document.documentElement.outerHTML")  # it is there, and was not obeyed
    assert [each for each in browser.ask("window.seen") if each[0].isdigit()] == []
    assert browser.ask("self.origin") == "null"


def test_it_shows_what_has_come_by_itself_and_stays_where_it_was_read(
    browser: Browser, url: str, bucket: MemoryBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "REFRESH", 1)
    monkeypatch.setattr(latest, "FRESH", 0.1)
    browser.call("Emulation.setDeviceMetricsOverride", width=390, height=600, deviceScaleFactor=1, mobile=True)
    opened(browser, f"{url}/")
    waiting = int(browser.ask(HEADING).split()[0])
    browser.ask("scrollTo(0, 700)")

    put(bucket, "came-meanwhile.csv", b"")

    wait_for(lambda: browser.ask(HEADING) == f"{waiting + 1} files wait or are being scored.", "the page refreshed")
    assert browser.ask("scrollY") == 700
