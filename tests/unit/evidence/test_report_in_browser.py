"""The report in Chromium: nothing sticks out, on a phone or a desk, with guards and several challengers in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from deploy.waiting import wait_for
from models.evidence.figures.measures.guards import Guard
from models.evidence.figures.measures.named import MeasureName
from models.evidence.figures.several import challenger
from models.evidence.figures.summarise import summarise
from models.evidence.figures.terms import Terms
from models.evidence.pages.report import render
from tests.browser import Browser
from tests.emulators import missing
from tests.unit.compared import added_up
from tests.unit.test_evidence_summary import file_record

GUARDS = tuple(map(Guard.parse, ("recall:satisfied:-2", "accuracy:-0.5")))


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("measure", ["accuracy", "log-loss", "f1"])
def test_nothing_sticks_out(tmp_path: Path, measure: str, width: int) -> None:
    if Browser.program() is None:
        missing("there is no chromium here: install Debian's package `chromium`")
    [whole] = added_up([file_record(number, better=0.3) for number in range(4)])
    summary = summarise(whole, terms=Terms(measure=MeasureName.parse(measure), guards=GUARDS, challengers=2))
    summary = replace(summary, challengers=tuple(challenger(alias, summary) for alias in ("staging", "staging-2")))
    page = tmp_path / "report.html"
    page.write_text(render(summary), encoding="utf-8")

    with Browser(tmp_path) as browser:
        browser.call("Emulation.setDeviceMetricsOverride", width=width, height=844, deviceScaleFactor=1, mobile=True)
        browser.open(page.as_uri())
        wait_for(lambda: browser.ask("document.querySelectorAll('figure svg').length > 2"), "the pictures")

        assert browser.ask("document.querySelectorAll('.stack tbody tr').length") >= 2 + 2 + 5
        assert browser.ask("document.documentElement.scrollWidth") == width
