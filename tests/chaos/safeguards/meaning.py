"""What keeps invariant 11: a cell means one thing to training and serving, and what is not understood is said."""

from __future__ import annotations

from tests.chaos.safeguards.safeguard import Safeguard

TABLE = "tests/unit/table/"
SAME = TABLE + "test_same_meaning.py::test_training_and_serving_read_the_same_cells"
STRAYS = TABLE + "test_strays.py::"
PREDICT = "tests/unit/test_predict.py::"
UNKNOWN = "tests/unit/test_unknown.py::"

SAFEGUARDS = (
    Safeguard(
        11,
        "blanks at a text's ends do not count",
        "models/scoring/table/cells.py",
        "words = [trimmed(cell) for cell in found]",
        "words = found",
        (SAME,),
    ),
    Safeguard(
        11,
        "the gaps are those of pandas",
        "models/scoring/table/gaps.py",
        '    "NULL", "NaN", "None", "n/a",',
        '    "NULL", "NaN", "n/a",',
        (TABLE + "test_same_meaning.py::test_gaps_without_blanks_are_those_of_pandas",),
    ),
    Safeguard(
        11,
        "a gap is a text where the model was shown it",
        "models/scoring/table/cells.py",
        "_are_in(GAPS, words) & ~shown",
        "_are_in(GAPS, words)",
        (TABLE + "test_same_meaning.py::test_a_gap_is_one_in_every_column_unless_the_model_knows_it_as_a_text",),
    ),
    Safeguard(
        11,
        "true and false count in any case",
        "models/scoring/table/cells.py",
        "words = pc.utf8_lower(pc.utf8_trim(cells, BLANKS))",
        "words = pc.utf8_trim(cells, BLANKS)",
        (SAME,),
    ),
    Safeguard(
        11,
        "names in the header match in any case",
        "models/scoring/table/dialect.py",
        "for key in (str, trimmed, folded):",
        "for key in (str, trimmed):",
        (SAME,),
    ),
    Safeguard(
        11,
        "unknown texts are counted",
        "worker/scoring/tally.py",
        "self.rows[name] += int(np.count_nonzero(odd))",
        "pass",
        (UNKNOWN + "test_the_receipt_has_the_count",),
    ),
    Safeguard(
        11,
        "a file of unknown texts alone is rejected",
        "worker/scoring/predict.py",
        "        unknown.refuse(self.limits.max_unknown)\n",
        "",
        (UNKNOWN + "test_a_file_of_unknown_texts_alone_is_rejected_and_names_some_and_some_known_ones",),
    ),
    Safeguard(
        11,
        "a row of gaps alone is an error",
        "models/scoring/table/columns.py",
        "    rows.faults.update((int(index), nothing) for index in np.flatnonzero(empty))\n",
        "",
        (PREDICT + "test_the_reasons_name_column_and_row",),
    ),
    Safeguard(
        11,
        "no two people share an id of unreadable bytes",
        "worker/scoring/predict.py",
        "                faults[int(batch.positions[index])] = fault._replace(column=spec.id_column)\n",
        "                pass\n",
        (PREDICT + "test_a_file_of_another_encoding_is_told_to_name_it",),
    ),
    Safeguard(
        11,
        "a file of which no row could be scored is rejected",
        "worker/scoring/predict.py",
        "        self.tally.refuse_without_answers()\n",
        "",
        (PREDICT + "test_a_file_of_which_no_row_could_be_scored_is_refused_with_the_first_reasons",),
    ),
    Safeguard(
        11,
        "the header again in another order rejects the file",
        "models/scoring/table/read.py",
        "elif 2 * sum(cell in self._header for cell in row) > len(row):",
        "elif False:",
        (STRAYS + "test_in_another_order_it_rejects_the_file",),
    ),
    Safeguard(
        11,
        "rows that two stray quotes have swallowed are an error",
        "models/scoring/table/read.py",
        "                found |= self._swallowed(cells, place)\n",
        "                pass\n",
        (STRAYS + "test_two_stray_quotes_have_swallowed_the_rows_between_them",),
    ),
    Safeguard(
        11,
        "what is no CSV is rejected by its name",
        "models/scoring/table/stream.py",
        "    refuse_other_formats(start)\n",
        "",
        (TABLE + "test_formats.py::test_it_is_named",),
    ),
    Safeguard(
        11,
        "a file of some size without a row is rejected",
        "models/scoring/table/read.py",
        "        if not done and blocks.count > MOST_WITHOUT_A_ROW:",
        "        if False:",
        (TABLE + "test_read.py::TestRefusals::test_many_bytes_and_no_row",),
    ),
    Safeguard(
        11,
        "texts that the model was never shown are added up in status",
        "publisher/status.py",
        "        rows.update(outcome.unknown or {})\n",
        "        pass\n",
        ("tests/unit/test_status.py::test_unknown_texts_are_added_up_by_column",),
    ),
    Safeguard(
        11,
        "a gap in text is a gap in the baseline of the drift too",
        "models/training/baseline.py",
        'np.where(pd.isna(cells), "", cells)',
        "cells",
        ("tests/unit/evidence/test_gaps.py::test_as_many_gaps_as_in_training_are_no_drift",),
    ),
    Safeguard(
        11,
        "texts that a version was never shown are counted in the comparison",
        "worker/shadow.py",
        "            comparison.unknown.add(self.receipt.unknown, tally.unknown)\n",
        "",
        ("tests/unit/evidence/test_unknown.py::test_they_are_said_per_column_in_json_text_and_page",),
    ),
)
