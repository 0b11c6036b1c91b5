"""`new_data_filenames.txt`: one line per file taken, whoever else writes."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context

from structlog.testing import capture_logs

from ledger.names import Key
from transport.event import Generation
from worker.handle import FilenamesLog


def test_a_line_has_time_generation_and_name(tmp_path):
    path = tmp_path / "names.txt"
    log = FilenamesLog(str(path))

    log.append(Key("flights of May.csv", Generation(7)))
    log.append(Key("ü.csv.gz", Generation(7, 2)))

    first, second = path.read_text(encoding="utf-8").splitlines()
    time, generation, name = first.split(" ", 2)
    assert abs(datetime.fromisoformat(time) - datetime.now(UTC)) < timedelta(minutes=5)
    assert (generation, name) == ("7", "flights of May.csv")
    assert second.split(" ", 2)[1:] == ["7.2", "ü.csv.gz"]


def test_what_stands_in_the_file_stays(tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("earlier\n")

    FilenamesLog(str(path)).append(Key("a.csv", Generation(1)))

    assert path.read_text().startswith("earlier\n")
    assert len(path.read_text().splitlines()) == 2


def append_many(path, name, times):
    log = FilenamesLog(path)
    for n in range(times):
        log.append(Key(name, Generation(n)))


def test_lines_of_many_processes_do_not_mix(tmp_path):
    # Given three processes with names of very different lengths
    path = str(tmp_path / "names.txt")
    names = ["a.csv", "b" * 500 + ".csv", "ü" * 500 + ".csv"]

    with ProcessPoolExecutor(3, get_context("spawn")) as pool:
        list(pool.map(append_many, [path] * 3, names, [200] * 3))

    # Then every line is whole
    lines = [line.split(" ", 2) for line in (tmp_path / "names.txt").read_text(encoding="utf-8").splitlines()]
    assert len(lines) == 600
    for name in names:
        assert [int(generation) for _, generation, found in lines if found == name] == list(range(200))


def test_an_empty_path_turns_it_off(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    FilenamesLog("").append(Key("a.csv", Generation(1)))

    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_costs_a_warning_and_not_the_scoring(tmp_path):
    with capture_logs() as logs:
        FilenamesLog(str(tmp_path / "no such folder" / "names.txt")).append(Key("a.csv", Generation(1)))

    assert [(log["event"], log["file"]) for log in logs] == [("file name not logged", "a.csv")]
