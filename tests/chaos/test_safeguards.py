"""Each invariant of docs/design.md has a test that fails when its safeguard is taken out.

The sources are copied, one safeguard is taken out of the copy, and the tests named beside it are run there: every one
of them has to fail. `make test-all` says so for all of them, with SINCE="2 days ago" for those whose file changed in
the commits since then. The quick tests run always.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("transport", "ledger", "edge", "publisher", "worker", "models", "tests", "deploy")


@dataclass(frozen=True)
class Safeguard:
    """`lines` of `file` keep the invariant; with `without` in their place each of `tests` fails."""

    invariant: int
    words: str
    file: str
    lines: str
    without: str
    tests: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.invariant}: {self.words}"


INTERLEAVINGS = "tests/unit/test_commit_interleavings.py::test_every_interleaving_with_one_crash_keeps_the_invariants"
KILLS = "tests/chaos/test_kills.py::"
POISON = "tests/chaos/test_poison.py::"
SWAPPED = "tests/chaos/test_swapped.py::"
REGISTRY = "tests/unit/test_registry.py::"
CANDIDATE = "tests/unit/estimators/test_candidate.py::"
FOLLOW = "tests/unit/test_follow.py::TestTheRegistryAway::"

SAFEGUARDS = (
    Safeguard(
        1,
        "one receipt per generation: the first one written stands",
        "ledger/commit.py",
        "outcome.to_json().encode(),\n            if_generation=ABSENT,",
        "outcome.to_json().encode(),\n            if_generation=None,",
        (INTERLEAVINGS,),
    ),
    Safeguard(
        1,
        "one receipt per generation: what has none is published again",
        "publisher/publish.py",
        "            elif self._is_due(standing.input, done):\n                missing.append(standing.input)\n",
        "",
        ("tests/chaos/test_publishers.py::test_what_a_lost_queue_held_is_published_again",),
    ),
    Safeguard(
        2,
        "the output is the newest generation's: an older one gives way",
        "ledger/commit.py",
        "            if theirs > generation:\n                return False\n",
        "",
        (INTERLEAVINGS,),
    ),
    Safeguard(
        2,
        "the output is complete: a writer that fails leaves nothing",
        "transport/folder.py",
        "                if kind is None:\n                    self._flush()",
        "                if True:\n                    self._flush()",
        (
            "tests/contract/test_bucket.py::test_a_failing_writer_leaves_nothing",
            "tests/contract/test_bucket.py::test_a_failing_writer_leaves_what_stood_there",
        ),
    ),
    Safeguard(
        2,
        "the output belongs to one generation: what was replaced is no longer read",
        "transport/folder_read.py",
        "            check_generation(self._file, self._generation, self._name)  # after the read",
        "            pass  # after the read",
        (
            "tests/unit/test_folder.py::test_an_input_changed_under_its_reader_is_gone",
            "tests/unit/test_folder.py::test_an_input_cut_short_under_its_reader_is_gone_not_shorter",
        ),
    ),
    Safeguard(
        3,
        "production never waits for the shadow: it has processes of its own",
        "worker/__main__.py",
        "        scorers, shadows = (\n            Pool(",
        "        scorers, shadows = (lambda pools: [next(pools)] * 2)(\n            Pool(",
        (POISON + "test_production_goes_on_while_a_shadow_stands_still",),
    ),
    Safeguard(
        3,
        "production never fails because of the shadow: whatever it does, the message is acked",
        "worker/shadow_line.py",
        "            self._failed(shadow, shown(error), kind_of(error))\n",
        "            self._in_hand.give_back(delivery)\n            return\n",
        (POISON + "test_a_file_whose_shadow_is_killed_is_served_and_acked",),
    ),
    Safeguard(
        4,
        "one file, one version: a swap takes effect with the next file",
        "worker/scoring_process.py",
        'return f"{version.spec.version}:{version.sha256}"',
        'return "the model"',
        (
            SWAPPED + "test_a_swap_while_files_run_leaves_each_file_to_one_version[24-400-2]",
            SWAPPED + "test_a_swap_under_one_file_takes_effect_with_the_next",
        ),
    ),
    Safeguard(
        4,
        "a version serves only once it has scored its own example",
        "worker/scoring_process.py",
        "            scorer.check_example()\n",
        "            pass\n",
        (SWAPPED + "test_a_version_that_fails_its_own_example_never_serves",),
    ),
    Safeguard(
        5,
        "rows in = rows out: a malformed row keeps its place",
        "models/table/read.py",
        "        here[number - done] = malformed.pop(number)\n        rows += 1\n",
        "        malformed.pop(number)\n",
        (
            "tests/unit/test_read.py::TestMalformedRows",
            "tests/unit/test_predict.py::test_every_row_keeps_its_place_with_an_answer_or_a_reason",
        ),
    ),
    Safeguard(
        6,
        "memory is bounded: no more of a file is read ahead than its header",
        "models/table/read.py",
        "MAX_HEADER_BYTES = 1 << 20",
        "MAX_HEADER_BYTES = 1 << 28",
        ("tests/chaos/test_memory.py::test_a_big_file_takes_no_more_memory_than_a_small_one[100 MB]",),
    ),
    Safeguard(
        6,
        "memory is bounded: what waits to be compared is given on",
        "publisher/reconcile.py",
        "        for name in [name for name in held if _end(name) <= place]:\n            yield held.pop(name)\n",
        "",
        ("tests/unit/test_reconcile.py::test_nothing_is_piled_up_however_long_the_listings_are",),
    ),
    Safeguard(
        7,
        "workers hold no state: a message is acked when all is done, not when it is taken",
        "worker/loop.py",
        "                    self.in_hand.take(delivery)\n",
        "                    self.in_hand.take(delivery)\n                    delivery.ack()\n",
        (KILLS + "test_a_worker_killed_in_mid_file_costs_one_redelivery",),
    ),
    Safeguard(
        7,
        "workers hold no state: a scoring process ends with its parent",
        "worker/scoring_process.py",
        "    _die_with_parent()\n    _be_nice",
        "    _be_nice",
        (KILLS + "test_a_worker_killed_in_mid_file_costs_one_redelivery",),
    ),
    Safeguard(
        8,
        "a poison file is dead-lettered after its last attempt",
        "transport/lease_table.py",
        "if not dead and attempt >= policy.max_delivery_attempts:",
        "if False:",
        (
            "tests/contract/test_queue.py::test_what_was_delivered_too_often_is_a_dead_letter_with_its_source",
            POISON + "test_a_poison_file_is_dead_lettered_and_takes_nobody_with_it",
        ),
    ),
    Safeguard(
        8,
        "a poison file takes nobody with it: its scoring process is replaced",
        "worker/process.py",
        "            if self._ended or not self._has_died():\n",
        "            if True:\n",
        (POISON + "test_a_poison_file_is_dead_lettered_and_takes_nobody_with_it",),
    ),
    Safeguard(
        9,
        "a model's bytes are those that were registered",
        "models/version_files.py",
        "            if actual != pinned[name].strip().lower():",
        "            if False:",
        (REGISTRY + "TestRefusals::test_changed_bytes",),
    ),
    Safeguard(
        9,
        "nothing but ONNX is taken",
        "models/spec.py",
        '    if "onnx" not in flavors:',
        "    if False:",
        (REGISTRY + "TestRefusals::test_a_pickle_is_not_opened_and_the_owner_told_what_to_do",),
    ),
    Safeguard(
        10,
        "a receipt that says scored never stands before its output",
        "ledger/commit.py",
        "    if outcome.status is Status.SCORED:\n        try:",
        "    if False:\n        try:",
        (INTERLEAVINGS,),
    ),
    Safeguard(
        10,
        "receipt and output agree: the first claim stands",
        "ledger/commit.py",
        "return bucket.write(key.claim, if_generation=ABSENT, metadata=metadata",
        "return bucket.write(key.claim, if_generation=None, metadata=metadata",
        (INTERLEAVINGS + "[rsrr]",),
    ),
    # Registration (issue 12, section 5)
    Safeguard(
        4,
        "a version answers as its estimator: gaps are tried in each column",
        "models/estimators/probes.py",
        "        made.put([name], None, GAP, templates.head(max(3, MOST_GAPS // len(rows.columns))))\n",
        "",
        (CANDIDATE + "test_a_column_on_whose_gaps_alone_they_part_takes_none",),
    ),
    Safeguard(
        4,
        "a version answers as its estimator: a column on whose gaps they part takes none",
        "models/estimators/candidate.py",
        "            return replace(candidate, no_gaps=closed)",
        "            return candidate",
        (CANDIDATE + "test_a_column_on_whose_gaps_alone_they_part_takes_none",),
    ),
    Safeguard(
        4,
        "a version answers as its estimator: which columns take no gap is written into it",
        "models/register.py",
        '        "no_gaps": list(candidate.no_gaps),',
        '        "no_gaps": [],',
        ("tests/unit/test_register.py::test_a_gap_that_a_version_does_not_take_is_an_error_of_its_row",),
    ),
    Safeguard(
        4,
        "a version answers as its estimator: its labels are compared, not its probabilities alone",
        "models/estimators/agreement.py",
        "(own.refused | off | other)",
        "(own.refused | off)",
        (CANDIDATE + "test_the_label_of_the_graph_is_compared_too",),
    ),
    Safeguard(
        4,
        "a version answers as its estimator: another rule than it serves is seen",
        "models/estimators/agreement.py",
        "        _refuse_other_rule(found.answers, candidate.classes, decision)\n",
        "",
        (CANDIDATE + "test_another_rule_is_seen_by_what_is_predicted",),
    ),
    Safeguard(
        4,
        "a version answers as its estimator: its own threshold is served",
        "models/estimators/rule.py",
        "        return _threshold(estimator)",
        "        return Decision(draw=DRAW)",
        (CANDIDATE + "test_the_estimators_own_threshold_is_served",),
    ),
    Safeguard(
        4,
        "a version answers as its estimator: who decides by margins is refused",
        "models/estimators/rule.py",
        "    if isinstance(estimator, SVC | NuSVC):",
        "    if False:",
        (CANDIDATE + "test_what_cannot_be_served_is_refused_with_a_sentence",),
    ),
    Safeguard(
        4,
        "a version answers as its estimator: a draw is the first of equals, whatever float32 makes of it",
        "models/estimators/rule.py",
        "    return Decision(draw=DRAW)\n",
        "    return Decision()\n",
        (CANDIDATE + "test_draws_fall_as_the_estimator_has_them",),
    ),
    Safeguard(
        4,
        "a version answers as its estimator: doubles up to trees, and float32 only there",
        "models/estimators/candidate.py",
        '("in doubles up to the last step", DoubleTensorType,',
        '("in doubles up to the last step", FloatTensorType,',
        (CANDIDATE + "test_a_scaler_before_trees_keeps_its_doubles",),
    ),
    Safeguard(
        4,
        "a version answers as its estimator: boosting branches on doubles",
        "models/estimators/trees.py",
        "            theirs(scope, operator, container, op_version=_OPSET)",
        "            theirs(scope, operator, container)",
        (CANDIDATE + "test_boosting_branches_on_doubles_where_it_branches",),
    ),
    Safeguard(
        4,
        "a version answers as its estimator: a gap goes where the trees send it",
        "models/estimators/conversion.py",
        "        tracks[len(tracks) - tree.node_count :] = [int(flag) for flag in tree.missing_go_to_left]\n",
        "",
        (CANDIDATE + "test_a_gap_goes_where_the_trees_send_it",),
    ),
    Safeguard(
        4,
        "a version answers as its estimator: a gap in text that was shown is a category",
        "models/estimators/encoding.py",
        "            encoder.categories_ = [_named(categories) for categories in learned]",
        "            pass",
        (CANDIDATE + "test_a_gap_in_text_that_was_shown_is_a_category",),
    ),
    Safeguard(
        4,
        "a registration ends: thresholds that are infinite stay so",
        "models/estimators/conversion.py",
        " if np.isfinite(value) else value\n",
        "\n",
        (CANDIDATE + "test_a_tree_that_branches_on_what_is_missing_is_converted",),
    ),
    Safeguard(
        4,
        "a registration ends: a conversion has so much time",
        "models/estimators/candidate.py",
        "        return within(CONVERSION_SECONDS, convert_it)",
        "        return convert_it()",
        (CANDIDATE + "test_a_conversion_without_end_is_ended_and_told",),
    ),
    Safeguard(
        4,
        "a probability is of the class that was named: at the registration",
        "models/estimators/candidate.py",
        "    if str(given) not in classes:",
        "    if False:",
        ("tests/unit/test_register.py::test_a_positive_class_that_is_none_is_refused",),
    ),
    Safeguard(
        4,
        "a probability is of the class that was named: in a version",
        "models/spec.py",
        "    if positive is not None and positive not in classes:",
        "    if False:",
        (REGISTRY + "TestRefusals::test_a_positive_class_that_is_none",),
    ),
    Safeguard(
        4,
        "a probability is of the class that was named: a graph's labels are in the order of its classes",
        "models/foreign.py",
        "    refuse_other_order(candidate, rows)\n",
        "",
        ("tests/unit/test_register.py::test_a_graph_whose_labels_are_in_another_order_is_refused",),
    ),
    Safeguard(
        4,
        "a version whose files are not to be found now is asked for again",
        "models/registry.py",
        '            raise RegistryUnreachable(\n                f"{who} has no {name} that',
        '            raise UnfitModel(\n                f"{who} has no {name} that',
        (
            REGISTRY + "TestRefusals::test_files_that_are_not_to_be_found_may_be_there_later",
            FOLLOW + "test_a_version_whose_files_come_later_is_in_force_then",
        ),
    ),
    Safeguard(
        4,
        "a version whose files the cache lost is fetched again",
        "worker/swap.py",
        "            if all(one is None or one.lies_there for one in needed):",
        "            if True:",
        (FOLLOW + "test_files_that_the_cache_loses_before_they_are_loaded_are_fetched_again",),
    ),
)

pytestmark = pytest.mark.timeout(1200)


def committed_to(root: Path, since: str) -> set[str] | None:
    """The files that commits since then have touched; None, for all, without a `since` or outside a git checkout."""
    if not since or not (root / ".git").exists():
        return None
    command = ["git", "log", f"--since={since}", "--name-only", "--format="]
    return set(subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.split("\n")) - {""}


def chosen(safeguards: Sequence[Safeguard], touched: set[str] | None) -> list[Safeguard]:
    """Those of them whose file was touched; all where nobody knows which were."""
    return [one for one in safeguards if touched is None or one.file in touched]


CHOSEN = chosen(SAFEGUARDS, committed_to(ROOT, os.environ.get("SAFEGUARDS_SINCE", "")))


@pytest.fixture
def copy(tmp_path: Path, tiny_registry: str) -> Path:
    """The sources, in a folder of the test's own, where the tiny registry is the one that stands already."""
    folder = tmp_path / "copy"
    for room in ROOMS:
        shutil.copytree(ROOT / room, folder / room, ignore=shutil.ignore_patterns("*.pyc.*"))  # those come and go
    shutil.copy(ROOT / "pyproject.toml", folder)
    registry = folder / "tests" / "registry.py"
    made = 'database(made_once(tmp_path_factory, "tiny_registry", make_tiny_registry))'
    assert registry.read_text().count(made) == 1
    registry.write_text(registry.read_text().replace(made, repr(tiny_registry)))
    return folder


def run(copy: Path, tests: tuple[str, ...]) -> tuple[int, list[str], str]:
    """Runs tests of the copy: exit status, the ids of those that failed, and all that was said."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rf", "--tb=short", "-p", "no:cacheprovider", *tests],
        cwd=copy,
        env={"PATH": "/usr/bin:/bin", "HOME": str(copy), "PYTHONPATH": str(copy)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    failed = [match[1] for line in done.stdout.splitlines() if (match := re.match(r"FAILED (.+?)(?: - .*)?$", line))]
    return done.returncode, failed, done.stdout


def test_every_invariant_has_a_safeguard_whose_lines_are_there() -> None:
    assert {safeguard.invariant for safeguard in SAFEGUARDS} == set(range(1, 11))
    for safeguard in SAFEGUARDS:
        assert (ROOT / safeguard.file).read_text().count(safeguard.lines) == 1, f"mend this table: {safeguard}"


def test_a_safeguard_is_chosen_when_its_file_was_committed_to(tmp_path: Path) -> None:
    def commit(name: str, when: str) -> None:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
        git("add", name)
        git("commit", "-q", "-m", name, GIT_COMMITTER_DATE=when)

    def git(*arguments: str, **environment: str) -> None:
        settings = ["-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *settings, *arguments], cwd=tmp_path, env={**os.environ, **environment}, check=True)

    # given a commit of long ago to one file, and one of today to another
    git("init", "-q")
    commit("ledger/commit.py", when="2020-01-01T12:00:00Z")
    commit("models/table/read.py", when=datetime.now(UTC).isoformat())

    # then only what the second touches is chosen; without a time, or without git, everything
    recent = chosen(SAFEGUARDS, committed_to(tmp_path, "2 days ago"))
    assert [one.invariant for one in recent] == [5, 6]
    assert chosen(SAFEGUARDS, committed_to(tmp_path, "")) == list(SAFEGUARDS)
    assert chosen(SAFEGUARDS, committed_to(tmp_path / "ledger", "2 days ago")) == list(SAFEGUARDS)


@pytest.mark.safeguard
@pytest.mark.nightly  # those who run but a few have just run these tests themselves
def test_these_tests_pass_in_a_copy_with_every_safeguard_in_place(copy: Path) -> None:
    tests = dict.fromkeys(test for safeguard in CHOSEN for test in safeguard.tests)
    if not tests:
        pytest.skip("no file of a safeguard was committed to")

    status, failed, said = run(copy, ("-m", "not slow", *tests))  # the slow ones show nothing more of the copy

    assert (status, failed) == (0, []), said[-5000:]


@pytest.mark.safeguard
@pytest.mark.parametrize("safeguard", CHOSEN, ids=str)
def test_without_its_safeguard_an_invariant_is_seen_to_break(safeguard: Safeguard, copy: Path) -> None:
    # given the sources without one safeguard
    file = copy / safeguard.file
    source = file.read_text()
    assert source.count(safeguard.lines) == 1, f"the lines of this safeguard have changed: mend this table: {safeguard}"
    file.write_text(source.replace(safeguard.lines, safeguard.without))

    # when the tests that stand for it run there
    first = ("-x",) if len(safeguard.tests) == 1 else ()  # of a parametrised test one case is enough
    status, failed, said = run(copy, (*first, *safeguard.tests))

    # then each of them fails (of a parametrised test at least one case), and none for want of being run at all
    assert status == 1, said[-5000:]
    for test in safeguard.tests:
        assert any(name == test or name.startswith((f"{test}[", f"{test}::")) for name in failed), said[-5000:]
    print(f"{safeguard}\n{safeguard.file}: failed as it should: {failed}")
