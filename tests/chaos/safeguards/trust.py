"""The lines that keep the registry, the port and the queue from being trusted: parts of invariants 1, 5, 9 and 10."""

from __future__ import annotations

from tests.chaos.safeguards.safeguard import Safeguard

DESCRIPTION = "tests/unit/description/test_plain.py::test_what_is_not_plain_is_refused_with_its_place"
REGISTRY = "tests/unit/test_registry.py::TestRefusals::"

SAFEGUARDS = (
    Safeguard(
        9,
        "a description stands for nothing but what it says: no aliases, no tags",
        "models/registry/description/plain.py",
        "            _refuse_borrowed(event)\n",
        "",
        (DESCRIPTION,),
    ),
    Safeguard(
        9,
        "a description is checked by its digest before it is read",
        "models/registry/client.py",
        "            check_digest(part / SPEC_FILE, pinned[SPEC_FILE], who)\n",
        "",
        (REGISTRY + "test_a_description_is_not_read_before_its_digest_is_right",),
    ),
    Safeguard(
        9,
        "files come from the registry's own places alone",
        "models/registry/client.py",
        '            raise UnfitModel(f"{self.model} version {version}: {why}")\n',
        "            pass\n",
        (REGISTRY + "test_a_source_elsewhere_is_refused_and_gets_no_request",),
    ),
    Safeguard(
        9,
        "a logged model is loaded only where its owner trusts it",
        "models/commands/adopt.py",
        "        if not self.trust:",
        "        if False:",
        ("tests/unit/adoption/test_adopt.py::test_nothing_is_run_unless_it_is_trusted",),
    ),
    Safeguard(
        1,
        "a re-scoring stands on the receipt of the one before it",
        "worker/handle.py",
        "                refuse_unfounded(self.bucket, file.attempt.event)\n",
        "",
        ("tests/unit/test_handle.py::TestScoring::test_a_rescoring_that_stands_on_no_receipt_blocks_nothing",),
    ),
    Safeguard(
        1,
        "so does a dead one",
        "publisher/dead_letters.py",
        "        refuse_unfounded(bucket, event)\n",
        "",
        ("tests/unit/test_dead_letters.py::test_a_dead_rescoring_that_stands_on_no_receipt_is_put_on_record",),
    ),
    Safeguard(
        10,
        "a file that arrived damaged is not rejected for it",
        "worker/scoring/score.py",
        "        checked_to_the_end(bucket, stored),\n",
        "",
        ("tests/unit/test_score.py::TestDamagedOnTheWay",),
    ),
)
