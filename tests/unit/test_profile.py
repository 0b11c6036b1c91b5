"""The analysis of any labelled table: its numbers, and the page and the terminal that show them."""

from __future__ import annotations

import gzip
import io
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from edge.command import main
from models.commands.profile import COMMANDS
from models.profile.analysis import NO_LABEL, Analysis, ColumnAnalysis, analyse
from models.profile.association import correlations, cramers_v
from models.profile.bins import GAP, OTHER, coarse_bins, fine_bins
from models.profile.findings import findings
from models.profile.kinds import Cells, SetAside, recognise
from models.profile.page import page
from models.profile.table import UnreadableTable, read_table
from models.profile.terminal import summary

ROWS = 400


def survey(seed: int = 0, shift: float = 0.0) -> pd.DataFrame:
    """A made-up table: text cells, as they are read from a file."""
    random = np.random.default_rng(seed)
    stars = random.integers(0, 6, ROWS)
    happy = np.where(stars >= 4, "yes", "no")
    distance = random.exponential(800, ROWS) + shift
    table = pd.DataFrame(
        {
            "id": np.arange(1, ROWS + 1),
            "stars": stars,
            "distance": distance.round(4),
            "half": (distance / 2).round(4),
            "class": random.choice(["Eco", "Business"], ROWS),
            "note": [f"free text {number}" for number in range(ROWS)],
            "always": "x",
            "happy": happy,
        }
    ).astype(str)
    table.loc[:9, "distance"] = np.nan
    return table


def column(analysis: Analysis, name: str) -> ColumnAnalysis:
    return next(column for column in analysis.columns if column.name == name)


def series(*cells: str | float | None) -> pd.Series:
    return pd.Series([None if cell is None else str(cell) for cell in cells], dtype="str")


class TestKinds:
    @pytest.mark.parametrize(
        ("name", "cells", "kind"),
        [
            ("stars", [1, 2, 3, 3, 2, 1], "level"),
            ("delay", ["1.5", "2.5", "3.5", None], "number"),
            ("minutes", list(range(0, 100, 3)) * 2, "number"),
            ("class", ["Eco", "Eco", "Business"], "text"),
            ("mostly numbers", [*(f"{n}.5" for n in range(99)), "ca. 3"], "number"),
            ("few rows, all different", [310, 1200, 560], "level"),
            ("income", [n * n * 7919 % 99991 for n in range(30)], "number"),
        ],
    )
    def test_what_a_column_holds(self, name: str, cells: list[str | float | None], kind: str) -> None:
        recognised = recognise(name, series(*cells))
        assert isinstance(recognised, Cells)
        assert recognised.kind == kind

    @pytest.mark.parametrize(
        ("name", "cells", "reason"),
        [
            ("Unnamed: 0", list(range(50)), "identifier"),
            ("row number", list(range(1000, 1050)), "identifier"),
            ("customer_id", [n * n * 37 % 99991 for n in range(50)], "identifier"),
            ("comment", [f"text {n}" for n in range(50)], "50 different values in 50 rows"),
            ("country", ["NL"] * 5, "always 'NL'"),
            ("nothing", [None, None], "every cell is a gap"),
        ],
    )
    def test_what_is_set_aside(self, name: str, cells: list[str | float | None], reason: str) -> None:
        recognised = recognise(name, series(*cells))
        assert isinstance(recognised, SetAside)
        assert reason in recognised.reason

    def test_a_stray_word_among_numbers_is_counted(self) -> None:
        recognised = recognise("delay", series(*(f"{n}.5" for n in range(99)), "late"))
        assert isinstance(recognised, Cells)
        assert recognised.unreadable == 1
        assert recognised.gaps == 0


class TestBins:
    def test_every_cell_has_one_bin_also_those_of_another_file(self) -> None:
        first = recognise("x", series("1.5", "2.5", "9.5", "100.5", None))
        second = recognise("x", series("-50.5", "2.5", "1e6", None, None))
        assert isinstance(first, Cells)
        assert isinstance(second, Cells)
        for bins in (fine_bins(first), coarse_bins(first)):
            placed = bins.place(second)
            assert placed[0] == 0
            assert placed[2] == len(bins.names) - 3
            assert [bins.names[at] for at in placed[3:]] == [GAP, GAP]

    def test_new_values_are_other(self) -> None:
        first, second = (recognise("c", series(*cells)) for cells in (["a", "b", "a"], ["a", "z", None]))
        assert isinstance(first, Cells)
        assert isinstance(second, Cells)
        bins = coarse_bins(first)
        assert [bins.names[at] for at in bins.place(second)] == ["a", OTHER, GAP]

    def test_18_and_18_point_0_are_one_level(self) -> None:
        cells = recognise("stars", series("1", "1.0", "2", " 2.00", "3"))
        assert isinstance(cells, Cells)
        assert fine_bins(cells).place(cells).tolist() == [0, 0, 1, 1, 2]

    def test_a_long_tail_does_not_flatten_the_rest(self) -> None:
        cells = recognise("delay", series(*(f"{n / 10}" for n in range(1000)), "99999.5"))
        assert isinstance(cells, Cells)
        counts = np.bincount(fine_bins(cells).place(cells))
        assert len(counts) > 15
        assert counts.max() < 150


class TestAssociation:
    def test_cramers_v_of_independence_and_of_a_copy(self) -> None:
        assert cramers_v(np.array([[100, 200], [50, 100]])) == 0
        assert cramers_v(np.array([[100, 0], [0, 50]])) == pytest.approx(1, abs=0.01)
        assert cramers_v(np.array([[100, 50]])) == 0

    def test_it_sees_what_no_straight_line_shows(self) -> None:
        # the label stands at both ends of the scale
        assert cramers_v(np.array([[0, 50], [50, 0], [50, 0], [0, 50]])) > 0.95

    def test_correlations_name_the_value_that_counts_as_1(self) -> None:
        analysis = analyse(survey(), "happy")
        names = analysis.correlated
        assert "happy = yes" in names
        pair = analysis.correlation[names.index("distance"), names.index("half")]
        assert pair == pytest.approx(1, abs=1e-3)
        assert correlations([])[0] == []


class TestAnalysis:
    def test_the_counts_are_those_of_the_table(self) -> None:
        table = survey()
        analysis = analyse(table, "happy")
        assert (analysis.rows, analysis.width, analysis.gap_cells, analysis.copies) == (ROWS, 8, 10, 0)
        assert analysis.classes == ("no", "yes")
        assert {column.name for column in analysis.aside} == {"id", "note", "always"}
        stars = column(analysis, "stars")
        assert analysis.columns[0] is stars  # what says most comes first
        expected = pd.crosstab(table["stars"], table["happy"]).to_numpy()
        assert stars.counts[:6].tolist() == expected.tolist()
        for one in analysis.columns:
            assert one.counts.sum(axis=0).tolist() == list(analysis.class_rows)
        assert column(analysis, "distance").gaps == 10

    def test_rows_without_a_label_are_a_class_of_their_own(self) -> None:
        table = survey()
        table.loc[:4, "happy"] = np.nan
        analysis = analyse(table, "happy")
        assert analysis.classes == ("no", "yes", NO_LABEL)
        assert analysis.class_rows[2] == 5

    def test_without_a_label_there_is_no_association(self) -> None:
        analysis = analyse(survey().drop(columns="happy"), None)
        assert {one.association for one in analysis.columns} == {None}
        assert "Without a label" in page(analysis, "x")

    def test_copies_are_told_whatever_their_identifier(self) -> None:
        table = survey()
        table.loc[7, table.columns != "id"] = table.loc[3, table.columns != "id"]
        assert analyse(table, "happy").copies == 1

    def test_drift_is_seen_where_it_is(self) -> None:
        second = survey(seed=1, shift=900.0).drop(columns="class").assign(extra="new")
        comparison = analyse(survey(), "happy", second).comparison
        assert comparison is not None
        grades = {drift.name: drift.grade for drift in comparison.drifts}
        assert grades == {"stars": "stable", "distance": "major", "half": "major", "happy": "stable"}
        assert comparison.only_first == ("class",)
        assert comparison.only_second == ("extra",)

    @pytest.mark.parametrize("rows", [1, 2, 3])
    def test_a_few_rows_are_enough(self, rows: int) -> None:
        table = survey().head(rows)
        analysis = analyse(table, "happy", table)
        assert page(analysis, "x", "y").startswith("<!doctype html>")


class TestFindings:
    def test_what_could_spoil_a_model_is_said(self) -> None:
        table = survey()
        table["answer"] = table["happy"].map({"yes": "1", "no": "0"})
        said = "\n".join(findings(analyse(table, "happy", survey(seed=2, shift=2000.0))))
        assert "answer almost gives the label away" in said
        assert "distance and half say nearly the same" in said or "half and distance say nearly the same" in said
        assert "distance has 10 gaps (2.5 %)" in said
        assert "distance drifted" in said
        assert "the second file lacks answer" in said
        assert "stars = 5: 100.0 % yes" in said

    def test_a_rare_class_is_said(self) -> None:
        table = survey()
        table["happy"] = ["yes"] * 20 + ["no"] * (ROWS - 20)
        assert any("yes is rare: 20 rows" in sentence for sentence in findings(analyse(table, "happy")))


HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</style><svg onload=alert(1)>",
    "$\\frac{1}$",
    "--><b>",
    "\x1b]0;owned\x07\x9b2J",
    "\u202egpj.exe",
]


class Tags(HTMLParser):
    """Every tag of a page, with its attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


class TestPage:
    def test_texts_of_the_file_stay_texts(self) -> None:
        random = np.random.default_rng(0)
        table = pd.DataFrame({name: random.choice([*HOSTILE, "[bold]b[/nonsense]"], 60) for name in HOSTILE})
        table["\x00\x1b[31mlabel"] = random.choice(HOSTILE[:2], 60)
        analysis = analyse(table, "\x00\x1b[31mlabel", table.replace(HOSTILE[2], "<i>new</i>"))
        tags = Tags()
        tags.feed(shown := page(analysis, HOSTILE[0], HOSTILE[-1]))
        assert not [sign for sign in shown if not sign.isprintable() and sign != "\n"]
        assert {tag for tag, _ in tags.seen}.isdisjoint({"script", "img", "iframe", "object", "link", "base"})
        for _, attributes in tags.seen:
            assert not [name for name in attributes if name.startswith("on")]
            for address in ("src", "href", "xlink:href"):
                assert (attributes.get(address) or "#").startswith("#")
        out = io.StringIO()
        for part in summary(analysis, HOSTILE[0]):
            Console(file=out, width=200).print(part)
        assert HOSTILE[0] in out.getvalue()

    def test_it_needs_no_network_and_no_script(self) -> None:
        shown = page(analyse(survey(), "happy", survey(1)), "train.csv", "test.csv")
        tags = Tags()
        tags.feed(shown)
        policy = [attributes["content"] for tag, attributes in tags.seen if attributes.get("http-equiv")]
        assert policy == ["default-src 'none'; style-src 'unsafe-inline'"]
        assert "@import" not in shown
        assert "url(http" not in shown
        drawn = Counter(attributes.get("class", tag) for tag, attributes in tags.seen if tag in {"svg", "table"})
        assert drawn["svg"] == 2  # two columns of numbers
        assert (drawn["values"], drawn["matrix"]) == (2, 1)  # two of values, and the correlations

    def test_numbers_of_the_analysis_are_in_it(self) -> None:
        shown = page(analyse(survey(), "happy"), "train.csv")
        for text in (">400<", "10 gaps", "an identifier: another whole number in every row", "What stands out"):
            assert text in shown


class TestFiles:
    def test_a_file_with_bom_gaps_and_gzip(self, tmp_path: Path) -> None:
        content = "\ufeff,happy,delay\n0,yes,NA\n1,no,\n2,,3.5\n"
        (tmp_path / "a.csv").write_text(content, encoding="utf-8")
        (tmp_path / "a.csv.gz").write_bytes(gzip.compress(content.encode()))
        plain, packed = (read_table(tmp_path / name) for name in ("a.csv", "a.csv.gz"))
        assert plain.equals(packed)
        assert list(plain.columns)[1:] == ["happy", "delay"]
        assert plain.isna().sum().tolist() == [0, 1, 2]

    @pytest.mark.parametrize(
        ("content", "told"),
        [
            (b"", "is empty"),
            (b"a,b\n", "has a header and no rows"),
            (b"a,b\n1,2,3,4\n", "none of its 1 rows can be read; the first, row 1 has 4 fields, the header has 2"),
            (b"a\n\xff\xfe\n", "the first, row 1, column 'a' is not UTF-8 text"),
            (b"PK\x03\x04", "cannot be read: the file is a zip archive"),
        ],
    )
    def test_files_that_are_no_tables(self, tmp_path: Path, content: bytes, told: str) -> None:
        (tmp_path / "x.csv").write_bytes(content)
        with pytest.raises(UnreadableTable, match=told):
            read_table(tmp_path / "x.csv")

    def test_rows_that_are_none_are_counted_and_the_first_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "x.csv").write_bytes(b"a,b\n1,2\n1,2,3,4\n5,\xff\n6,NA\n")
        told: list[str] = []
        table = read_table(tmp_path / "x.csv", told.append)
        assert table.to_numpy().tolist() == [["1", "2"], ["6", None]]
        assert told == ["x.csv: 2 of 4 rows are left out; the first, row 2 has 4 fields, the header has 2"]

    def test_labels_that_do_not_fit(self) -> None:
        with pytest.raises(UnreadableTable, match=r"no column 'satisfaction' \(there are: 'id', .*--label ''"):
            analyse(survey(), "satisfaction")
        with pytest.raises(UnreadableTable, match=r"'note' has 400 different values.*--label"):
            analyse(survey(), "note")


class TestCommand:
    def test_it_writes_the_page_and_prints_the_summary(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        survey().to_csv(tmp_path / "train.csv", index=False)
        survey(1, shift=2000.0).to_csv(tmp_path / "new.csv", index=False)
        with (tmp_path / "new.csv").open("a") as file:
            file.write("too,few\n")
        out = tmp_path / "deep" / "page.html"
        arguments = [str(tmp_path / "train.csv"), "--against", str(tmp_path / "new.csv"), "--label", "happy"]
        assert main("models", "", COMMANDS, arguments=["profile", *arguments, "--out", str(out)]) == 0
        told = capsys.readouterr()
        assert "new.csv: 1 of 401 rows are left out; the first, row 401 has 2 fields" in told.err
        printed = told.out
        assert "400 rows, 8 columns" in printed
        assert "major" in printed
        assert str(out) in printed
        assert "Drift: new.csv" in out.read_text()

    def test_a_refusal_is_one_line_and_writes_nothing(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        out = tmp_path / "page.html"
        assert main("models", "", COMMANDS, arguments=["profile", str(tmp_path / "no.csv"), "--out", str(out)]) == 1
        assert "there is no such file" in capsys.readouterr().err
        assert not out.exists()
