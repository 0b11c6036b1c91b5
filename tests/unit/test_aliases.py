"""Moves of the aliases and their history."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from edge.command import main
from models.commands import aliases as moving
from models.commands import listing
from models.registry.advice import advice
from models.registry.aliases import (
    OUTSIDE,
    Aliases,
    Move,
    MoveRefused,
    before_last_move,
    complete,
    move,
    read_move,
    tag_of,
)
from models.registry.client import Registry
from models.registry.spec import GRAPH_FILE
from tests.unit.registered import MODEL, good_files, graph, new_registry, register

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
Run = Callable[..., int]


def at(minute: int, alias: str, came_from: str | None, to: str | None) -> Move:
    return Move(alias, came_from, to, NOON + timedelta(minutes=minute), "ada", "because")


class TestRecord:
    def test_what_is_written_is_read_back_in_utc(self) -> None:
        tokyo = NOON.astimezone(timezone(timedelta(hours=9)))
        made = Move("production", "3", "4", tokyo, "Ada <b>", 'why "not" — é\n')
        key, value = tag_of(made)
        assert key == "understudy.move.20260301T120000.000000Z.production"
        assert json.loads(value)["from"] == "3"
        assert read_move(key, value) == made

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("accuracy", "0.9"),
            ("understudy.move.x", ""),
            ("understudy.move.x", "[]"),
            ("understudy.move.x", '{"alias": "production"}'),
            ("understudy.move.x", '{"alias": "a", "from": null, "to": "1", "when": 5, "by": "", "why": ""}'),
        ],
    )
    def test_other_tags_and_damaged_ones_are_no_moves(self, key: str, value: str) -> None:
        assert read_move(key, value) is None


class TestHistory:
    def test_recorded_moves_come_in_time_order(self) -> None:
        second, first = at(2, "production", "1", "2"), at(1, "production", None, "1")
        assert complete([second, first], {"production": "2"}) == [first, second]

    def test_a_move_made_elsewhere_shows_between_the_moves_that_saw_it(self) -> None:
        first, second = at(1, "production", None, "1"), at(2, "production", "5", "2")
        unseen = Move("production", "1", "5", None, "", OUTSIDE)
        assert complete([first, second], {"production": "2"}) == [first, unseen, second]

    def test_a_move_made_elsewhere_shows_after_the_last_one(self) -> None:
        first = at(1, "production", None, "1")
        assert complete([first], {"production": "3", "canary": "2"}) == [
            first,
            Move("canary", None, "2", None, "", OUTSIDE),
            Move("production", "1", "3", None, "", OUTSIDE),
        ]

    def test_an_alias_taken_away_elsewhere_shows_too(self) -> None:
        first = at(1, "staging", None, "1")
        assert complete([first], {}) == [first, Move("staging", "1", None, None, "", OUTSIDE)]

    def test_before_the_last_move(self) -> None:
        moves = [at(1, "production", None, "1"), at(2, "production", "1", "2"), at(3, "staging", "8", "9")]
        assert before_last_move(moves, "production") == "1"
        assert before_last_move(moves[:1], "production") is None
        assert before_last_move([], "production") is None


@pytest.fixture
def uri(tmp_path: Path) -> str:
    """A registry with versions 1, 2 and 3; none has an alias."""
    address = new_registry(tmp_path)
    for number in "123":
        register(address, tmp_path / number, good_files(float(number)))
    return address


@pytest.fixture
def aliases(uri: str) -> Aliases:
    return Aliases(Registry(uri, MODEL), "ada")


@pytest.fixture
def run(uri: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)

    def command(*arguments: str) -> int:
        return main("models", "", {**listing.COMMANDS, **moving.COMMANDS}, arguments=arguments)

    return command


def standing(uri: str) -> dict[str, str]:
    return dict(Registry(uri, MODEL).aliases())


class TestMoves:
    def test_a_move_is_made_and_remembered(self, uri: str, aliases: Aliases) -> None:
        move(aliases.registry.client, MODEL, "production", "1", who="train", why="the first forest", when=NOON)
        made = aliases.point("production", "2", "better", NOON + timedelta(minutes=1))
        assert standing(uri) == {"production": "2"}
        assert made == Move("production", "1", "2", NOON + timedelta(minutes=1), "ada", "better")
        assert aliases.history() == [Move("production", None, "1", NOON, "train", "the first forest"), made]

    def test_a_registry_of_other_models_is_not_told_to_train(self, uri: str, aliases: Aliases) -> None:
        other = Aliases(Registry(uri, "penguins"), "ada")
        with pytest.raises(MoveRefused, match=f"set UNDERSTUDY_MODEL, or --model: this registry has the model {MODEL}"):
            other.point("production", "1", "", NOON)
        assert advice(aliases.registry) == "`python -m models promote VERSION`, of versions 1, 2, 3"

    def test_refusals_leave_everything_as_it_was(self, uri: str, aliases: Aliases) -> None:
        aliases.point("production", "1", "", NOON)
        with pytest.raises(MoveRefused, match=r"has no version 9; there are 1, 2, 3"):
            aliases.point("production", "9", "", NOON)
        with pytest.raises(MoveRefused, match="version 1 is production already"):
            aliases.point("production", "1", "", NOON)
        with pytest.raises(MoveRefused, match=r"no version is staging.*python -m models stage VERSION"):
            aliases.swap("", NOON)
        with pytest.raises(MoveRefused, match="nothing to roll back to"):
            aliases.rollback("", NOON)
        assert standing(uri) == {"production": "1"}
        assert len(aliases.history()) == 1

    def test_swap_moves_production_first(self, uri: str, aliases: Aliases) -> None:
        aliases.point("production", "1", "", NOON)
        aliases.point("staging", "2", "", NOON)
        moved = aliases.swap("won", NOON + timedelta(hours=1))
        assert [(made.alias, made.came_from, made.to) for made in moved] == [
            ("production", "1", "2"),
            ("staging", "2", "1"),
        ]
        assert standing(uri) == {"production": "2", "staging": "1"}
        assert aliases.history()[-2:] == list(moved)

    def test_swap_of_one_version_with_itself_is_refused(self, aliases: Aliases) -> None:
        aliases.point("production", "1", "", NOON)
        aliases.point("staging", "1", "", NOON)
        with pytest.raises(MoveRefused, match="version 1 is both"):
            aliases.swap("", NOON)

    def test_rollback_undoes_the_last_move_also_one_made_elsewhere(self, uri: str, aliases: Aliases) -> None:
        aliases.point("production", "1", "", NOON)
        aliases.registry.client.set_registered_model_alias(MODEL, "production", "3")
        back = aliases.rollback("complaints", NOON + timedelta(hours=1))
        assert (back.came_from, back.to) == ("3", "1")
        assert standing(uri) == {"production": "1"}
        # A second one undoes the first.
        assert aliases.rollback("", NOON + timedelta(hours=2)).to == "3"

    def test_rollback_to_a_deleted_version_is_refused(self, uri: str, aliases: Aliases) -> None:
        aliases.point("production", "1", "", NOON)
        aliases.point("production", "2", "", NOON + timedelta(hours=1))
        aliases.registry.client.delete_model_version(MODEL, "1")
        with pytest.raises(MoveRefused, match="has no version 1"):
            aliases.rollback("", NOON + timedelta(hours=2))
        assert standing(uri) == {"production": "2"}


class TestCommands:
    def test_the_way_of_two_versions(self, uri: str, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("promote", "1", "--why", "first", "--who", "grace") == 0
        assert run("stage", "2") == 0
        assert run("swap", "--why", "won the week") == 0
        assert run("rollback", "--why", "lost the week") == 0
        assert standing(uri) == {"production": "1", "staging": "1"}
        capsys.readouterr()
        assert run("history", "--json") == 0
        moves = json.loads(capsys.readouterr().out)
        assert [(made["alias"], made["from"], made["to"], made["why"]) for made in moves] == [
            ("production", None, "1", "first"),
            ("staging", None, "2", ""),
            ("production", "1", "2", "won the week"),
            ("staging", "2", "1", "won the week"),
            ("production", "2", "1", "lost the week"),
        ]
        assert moves[0]["by"] == "grace"
        assert all(made["by"] for made in moves)
        assert run("history") == 0
        assert "won the week" in capsys.readouterr().out

    def test_list_shows_what_is_known_of_each_version(
        self, uri: str, run: Run, capsys: pytest.CaptureFixture[str]
    ) -> None:
        client = Registry(uri, MODEL).client
        for key, value in (("kind", "forest"), ("accuracy", "0.9631"), ("auc", "no number")):
            client.set_model_version_tag(MODEL, "2", f"understudy.{key}", value)
        assert run("promote", "2") == 0
        capsys.readouterr()
        assert run("list", "--json") == 0
        rows = json.loads(capsys.readouterr().out)
        assert [row["version"] for row in rows] == ["1", "2", "3"]
        assert rows[1] | {"created": "", "run": ""} == {
            "version": "2", "aliases": ["production"], "kind": "forest", "accuracy": 0.9631, "auc": None,
            "created": "", "run": "",
        }  # fmt: skip
        assert run("list") == 0
        assert "0.9631" in capsys.readouterr().out

    def test_a_version_that_cannot_serve_is_not_promoted_unless_forced(
        self, uri: str, tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
    ) -> None:
        changed = register(uri, tmp_path / "changed", good_files())
        (tmp_path / "changed" / GRAPH_FILE).write_bytes(graph(-1.0))
        unloadable = register(uri, tmp_path / "unloadable", {**good_files(), GRAPH_FILE: b"no graph"})
        assert run("promote", changed) == 1
        assert "was changed after it was registered" in capsys.readouterr().err
        assert run("promote", unloadable) == 1
        assert "onnxruntime refuses its graph" in capsys.readouterr().err
        assert run("promote", "1") == 0
        assert run("stage", changed) == 0
        assert run("swap") == 1
        assert standing(uri) == {"production": "1", "staging": changed}
        assert run("promote", changed, "--force") == 0
        assert standing(uri)["production"] == changed

    def test_refusals_are_one_line_and_status_1(
        self, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run("promote", "9") == 1
        assert "has no version 9" in capsys.readouterr().err
        assert run("list", "--mlflow-tracking-uri", f"sqlite:///{tmp_path / 'none.db'}") == 1
        captured = capsys.readouterr()
        assert "no registry at" in captured.err
        assert captured.out == ""
