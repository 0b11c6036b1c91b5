"""What keeps invariant 13: nothing that looks like an input is passed over unsaid."""

from __future__ import annotations

from tests.chaos.safeguards.safeguard import Safeguard

NAMING = "tests/unit/naming/"

SAFEGUARDS = (
    Safeguard(
        13,
        "a prefix that can hold no inputs is refused, by the worker too",
        "ledger/prefix.py",
        "    AfterValidator(good_prefix),\n",
        "",
        (NAMING + "test_prefix.py::test_a_prefix_that_can_hold_no_inputs_is_refused",),
    ),
    Safeguard(
        13,
        "a prefix that is no folder is refused",
        "ledger/prefix.py",
        '    if prefix and "/" not in prefix:\n',
        "    if False:\n",
        (NAMING + "test_prefix.py::test_a_prefix_that_can_hold_no_inputs_is_refused",),
    ),
    Safeguard(
        13,
        "a publisher's message outside a worker's prefix is on record",
        "worker/handle.py",
        "            if event.source != BY_NOTIFICATION:\n",
        "            if False:\n",
        (
            "tests/unit/test_handle.py::TestOtherMessages::"
            "test_a_publisher_s_message_outside_the_prefix_is_warned_of_recorded_and_counted",
        ),
    ),
    Safeguard(
        13,
        "what only looks like an input is told by the publisher",
        "publisher/publish.py",
        "        self._tell(name, why_no_input(name, self._prefix, self._bucket.url), done)\n",
        "",
        ("tests/unit/test_publisher.py::test_what_looks_like_an_input_and_is_none_is_told_once_with_the_reason",),
    ),
    Safeguard(
        13,
        "what only looks like an input is looked for in folders of its own",
        "publisher/inputs.py",
        "recursive=deeper",
        "recursive=False",
        (
            "tests/unit/test_publisher.py::test_what_looks_like_an_input_and_is_none_is_told_once_with_the_reason",
            "tests/unit/test_status.py::test_what_looks_like_an_input_and_is_none_is_shown_with_its_reason",
        ),
    ),
    Safeguard(
        13,
        "what only looks like an input is told once, and at INFO",
        "edge/not_inputs.py",
        "            if hash(name) in self._told:\n                return\n",
        "",
        (
            NAMING + "test_inputs.py::test_each_name_is_told_once_and_memory_is_bounded",
            "tests/unit/test_publisher.py::test_links_and_names_that_are_no_text_are_told_once",
        ),
    ),
    Safeguard(
        13,
        "links and names that are no text are told",
        "transport/buckets/folder/listing.py",
        "                look.leave_out(name, _LINK if entry.is_symlink() else _NO_FILE)\n",
        "",
        (
            "tests/unit/test_folder.py::test_what_is_there_and_is_no_object_is_told_with_the_reason",
            "tests/unit/test_status.py::test_what_looks_like_an_input_and_is_none_is_shown_with_its_reason",
        ),
    ),
    Safeguard(
        13,
        "an input's name is no longer than the longest name that is made of it allows",
        "ledger/names.py",
        "    made = Key(_SAMPLE, _LONGEST).made\n",
        "    made = (Key(_SAMPLE, _LONGEST).receipt,)\n",
        (NAMING + "test_length.py::test_of_the_longest_name_every_name_can_be_made_and_of_a_longer_one_not",),
    ),
    Safeguard(
        13,
        "the places of a further challenger are none that a prefix leads into",
        "ledger/names.py",
        'COMPARISONS_OF = "output/comparisons-of/"',
        'COMPARISONS_OF = "output/comparisons/"',
        ("tests/unit/test_challengers.py::TestNames::test_no_two_share_a_place_whatever_their_prefix_is_called",),
    ),
    Safeguard(
        13,
        "an unfit name is no input that waits for a receipt",
        "publisher/status.py",
        "        if takes(standing.input.name, prefix, bucket.url):\n",
        '        if standing.input.name.endswith(".csv"):\n',
        ("tests/unit/test_status.py::test_what_looks_like_an_input_and_is_none_is_shown_with_its_reason",),
    ),
)
