"""What keeps invariant 12: a content counts once as evidence, and what a model was fitted on counts not at all."""

from __future__ import annotations

from tests.chaos.safeguards.safeguard import Safeguard

ONCE = "tests/unit/evidence/test_once.py::"
AGAIN = "tests/unit/evidence/test_again.py::"

SAFEGUARDS = (
    Safeguard(
        12,
        "one content counts once: under one name",
        "models/evidence/record/files.py",
        "        return {(self.name, self.sha256)} | anywhere\n",
        "        return anywhere\n",
        (ONCE + "test_without_ids_equal_rows_under_another_name_may_be_others",),
    ),
    Safeguard(
        12,
        "one content counts once: under another name, where its rows have ids",
        "models/evidence/record/files.py",
        '        anywhere = {("", self.sha256)} if identified else set()\n',
        "        anywhere: set[tuple[str, str]] = set()\n",
        (ONCE + "test_copied_touched_and_renamed_rows_count_once_and_how_many_were_left_out_is_said",),
    ),
    Safeguard(
        12,
        "one content counts once: as its newest generation, whose outputs still stand",
        "models/evidence/sources/records.py",
        "-key.generation.content, -key.generation.rescore",
        "key.generation.content, -key.generation.rescore",
        (ONCE + "test_labels_that_come_after_a_touch_find_their_rows",),
    ),
    Safeguard(
        12,
        "rows that came before are seen in their ids",
        "models/evidence/figures/summarise.py",
        "    if repeated is not None and repeated.value > MOST_SEEN_BEFORE:\n",
        "    if False:\n",
        (
            AGAIN + "test_the_share_of_cumulative_exports_is_estimated_and_warned_of_at_the_top",
            AGAIN + "test_promote_refuses_repeated_rows_unless_told_to_go_on_which_is_kept",
        ),
    ),
    Safeguard(
        12,
        "rows that a version was fitted on are seen in their ids, or by their file's digest",
        "models/evidence/figures/summarise.py",
        "        if share is not None and share.value > MOST_SEEN_BEFORE:\n",
        "        if False:\n",
        (AGAIN + "test_rows_that_a_version_was_fitted_on_are_no_evidence",),
    ),
    Safeguard(
        12,
        "nothing is promoted unasked on rows that were seen before",
        "models/evidence/judging/question.py",
        "    if summary.seen_before.doubts and not anyway:\n",
        "    if False:\n",
        (
            AGAIN + "test_promote_refuses_repeated_rows_unless_told_to_go_on_which_is_kept",
            AGAIN + "test_rows_that_a_version_was_fitted_on_are_no_evidence",
        ),
    ),
    Safeguard(
        12,
        "the version's page in the registry knows what was learned from",
        "models/evidence/judging/watcher.py",
        "learned=training, more_notes=unsaid)",
        "more_notes=unsaid)",
        (AGAIN + "test_the_version_s_page_warns_too",),
    ),
)
