"""The report page: it needs nothing else, says the verdict first, and every picture has its numbers as a table."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from models.evidence.figures.summary import Summary
from models.evidence.figures.terms import Terms
from models.evidence.pages import words
from models.evidence.pages.report import render
from models.evidence.record.pair import Version
from models.html.chart import Plot, ticks
from tests.unit.test_evidence_summary import file_record, summarised

VOID = {"meta", "br", "hr", "img", "link", "input"}
OPEN_ENDED = {"!doctype"}


class Page(HTMLParser):
    """Reads a page and insists on tags that close in the order in which they were opened."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def summary_of(**how: object) -> Summary:
    return summarised([file_record(number, **how) for number in range(8)])


def test_the_page_needs_no_network_and_runs_no_script():
    page = Page(text := render(summary_of(better=0.5)))
    for _tag, attributes in page.tags:
        assert not {"src", "href", "srcset", "data", "action"} & set(attributes) or attributes.get(
            "href", ""
        ).startswith("#")
        assert not any(name.startswith("on") for name in attributes)
    assert not page.all("script")
    assert not page.all("link")
    assert "url(" not in text
    assert "@import" not in text
    assert any("default-src 'none'" in (meta.get("content") or "") for meta in page.all("meta"))


def test_the_verdict_comes_first_and_every_picture_has_its_numbers():
    page = Page(text := render(summary_of(better=0.5)))
    assert re.search(r"<h1>Staging is better\.</h1>", text)
    assert text.index("<h1>") < text.index("<svg")
    assert len(page.all("h1")) == 1
    figures = page.all("figure")
    assert [each["id"] for each in figures] == [
        "evidence",
        "difference",
        "reliability",
        "differences",
        "outputs",
        "drift",
        "slices",
    ]
    assert len(page.all("svg")) == len(figures)
    assert all(svg["role"] == "img" and len(svg["aria-label"]) > 40 for svg in page.all("svg"))
    assert text.count("<details>") == len(figures) + 1
    # what scrolls can be reached by keyboard, and says what it is
    scrolled = [each for each in page.all("div") if each.get("class") == "scroll"]
    assert all(each["tabindex"] == "0" and each["aria-label"] for each in scrolled)
    assert 'lang="en"' in text
    assert "prefers-color-scheme: dark" in text
    assert "width=device-width" in text


def test_a_drifted_column_is_drawn_with_its_counts():
    summary = summary_of(age=30.0)
    page = Page(text := render(summary))
    assert "drift-1" in [each["id"] for each in page.all("figure")]
    age = next(column for column in summary.drift if column.column == "Age")
    for name, seen in zip(age.bins, age.seen, strict=True):
        assert re.search(rf'<th scope="row">{name.replace("(", ".").replace(")", ".")}</th>.*?<td>{seen:,}</td>', text)


def test_the_numbers_on_the_page_are_those_of_the_summary():
    summary = summary_of(better=0.5)
    text = render(summary)
    assert words.percent(summary.agreement.value) in text
    assert words.points(summary.evidence.looks[-1].low) in text
    for row in summary.agreement_table:
        for count in row:
            assert f">{count:,}</td>" in text
    for measure in summary.measures.values():
        assert words.figure(measure.difference, signed=True, shares=measure is summary.measures["accuracy"]) in text
    for column in summary.drift:
        assert f"<td>{column.psi:.4f}</td>" in text


@pytest.mark.parametrize(
    ("how", "says", "step"),
    [
        ({"better": 0.5}, "Staging is better.", "promote staging --if-better"),
        ({"better": 0.02, "rows": 60}, "Not yet: about", "Look again"),
        ({"labelled": False}, "Not yet: no labelled rows so far.", "Look again"),
    ],
)
def test_the_page_says_what_to_do(how, says, step):
    text = render(summary_of(**how))
    assert f"<h1>{says}" in text
    assert step in text
    Page(text)


def test_no_worse_and_cheaper_may_be_promoted():
    summary = summarised(
        [file_record(number, rows=4_000, staging="2") for number in range(12)], terms=Terms(margin=0.02)
    )
    assert str(summary.evidence.verdict) == "no difference above 2 points"
    assert "--no-worse" in render(summary)
    dearer = replace(summary, staging_cost=summary.production_cost, production_cost=summary.staging_cost)
    assert "--no-worse" not in render(dearer)


def test_hostile_names_stay_text():
    summary = summary_of()
    evil = "<script>alert('x')</script>\"&"
    summary = replace(
        summary,
        staging=Version(evil, "2"),
        positive=evil,
        classes=(evil, "b"),
        notes=(evil,),
        drift=tuple(replace(column, column=evil) for column in summary.drift),
        slices=tuple(replace(each, level=evil) for each in summary.slices),
    )
    page = Page(text := render(summary))
    assert "<script" not in text
    assert not page.all("script")
    assert evil in "".join(page.words)


def test_long_series_are_thinned_and_keep_their_ends():
    summary = summary_of()
    look = summary.evidence.looks[-1]
    many = tuple(replace(look, rows=at + 1) for at in range(5_000))
    text = render(replace(summary, evidence=replace(summary.evidence, looks=many)))
    assert len(text) < 150_000
    assert ">1</td>" in text
    assert ">5,000</" in text


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.0, 1.0, [0, 0.2, 0.4, 0.6, 0.8, 1.0]), (-3.0, 3.0, [-2, 0, 2]), (0.2, 0.2, [0.2]), (0.0, 7e-4, None)],
)
def test_ticks_are_round_and_within(low, high, expected):
    found = ticks(low, high)
    assert all(low - 1e-12 <= value <= high + 1e-12 for value in found)
    assert 1 <= len(found) <= 6
    if expected is not None:
        assert found == pytest.approx(expected)


def test_what_lies_beyond_a_scale_is_drawn_at_its_end():
    plot = Plot((0.0, 1.0), (0.0, 1.0))
    assert plot.y(5.0) == plot.y(1.0)
    assert plot.x(-1.0) == plot.left


@pytest.mark.parametrize(
    ("log_e", "text"),
    [(0.0, "×1"), (3.6889, "×40"), (-1.0, "×0.37"), (34.5, "×10¹⁵"), (-23.03, "×10⁻¹⁰"), (8.0, "×2,981")],
)
def test_evidence_is_written_as_what_a_stake_has_become(log_e, text):
    assert words.evidence(log_e) == text


def test_figures_have_fitting_units():
    assert [words.duration(each) for each in (12.0, 0.0104, 16e-6, 0.0)] == ["12 s", "10.4 ms", "16 µs", "–"]
    assert [words.size(each) for each in (None, 12, 43_000_000, 2_000_000_000)] == ["–", "12 B", "43 MB", "2 GB"]


def test_evidence_beyond_what_a_double_holds_has_words_too():
    assert (words.evidence(float("-inf")), words.evidence(float("inf"))) == ("×0", "×∞")
