"""What keeps invariants 1 to 10: each file once, whole, by one version, whatever happens around it."""

from __future__ import annotations

from tests.chaos.safeguards.safeguard import Safeguard

INTERLEAVINGS = "tests/unit/test_commit_interleavings.py::test_every_interleaving_with_one_crash_keeps_the_invariants"
CHALLENGERS = "tests/unit/test_challengers.py::"
KILLS = "tests/chaos/test_kills.py::"
POISON = "tests/chaos/test_poison.py::"
SWAPPED = "tests/chaos/test_swapped.py::"
REGISTRY = "tests/unit/test_registry.py::"

SAFEGUARDS = (
    Safeguard(
        1,
        "one receipt per generation: the first one written stands",
        "ledger/commit.py",
        '\\n".encode(),\n            if_generation=ABSENT,',
        '\\n".encode(),\n            if_generation=None,',
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
        1,
        "one receipt per generation: what a topic without its subscription would lose is not published",
        "publisher/publish.py",
        "            return\n        self._verify_queue()\n        with traces",
        "            return\n        with traces",
        ("tests/unit/test_publisher.py::test_a_topic_without_its_subscription_gets_nothing",),
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
        "transport/buckets/folder/bucket.py",
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
        "transport/buckets/folder/files.py",
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
        "        shadows = {alias: new_pool() for",
        "        shadows = {alias: scorers for",
        (POISON + "test_production_goes_on_while_a_shadow_stands_still",),
    ),
    Safeguard(
        3,
        "production never fails because of the shadow: whatever it does, the message is acked",
        "worker/shadow_line.py",
        "            self._failed(shadow, for_logs(error), kind_of(error))\n",
        "            shared.end(ran=False)\n            return\n",
        (POISON + "test_a_file_whose_shadow_is_killed_is_served_and_acked",),
    ),
    Safeguard(
        7,
        "a message is kept until the last of its shadows has ended",
        "worker/shadow_line.py",
        "            if self._left:\n                return\n",
        "",
        (
            CHALLENGERS
            + "TestTheWay::test_a_slow_one_keeps_neither_the_others_nor_production_and_its_messages_are_held",
        ),
    ),
    Safeguard(
        7,
        "a message comes again where one of its shadows has not run",
        "worker/shadow_line.py",
        "            self._all_ran = self._all_ran and ran\n",
        "",
        (CHALLENGERS + "TestAgain::test_at_the_end_a_message_is_given_back_where_one_of_its_shadows_has_not_run",),
    ),
    Safeguard(
        7,
        "of several shadows only those run again that no record tells of",
        "worker/handle.py",
        "if not self.bucket.stat(shadow.key.comparison)]",
        "if not self.bucket.stat(shadows[0].key.comparison)]",
        (CHALLENGERS + "TestAgain::test_a_redelivery_runs_only_those_that_no_record_tells_of",),
    ),
    Safeguard(
        4,
        "one file, one version: a swap takes effect with the next file",
        "worker/processes/scoring_process.py",
        'return f"{version.spec.version}:{version.sha256}"',
        'return "the model"',
        (
            SWAPPED + "test_a_swap_while_files_run_leaves_each_file_to_one_version[24-400-2]",
            SWAPPED + "test_a_swap_under_one_file_takes_effect_with_the_next",
        ),
        nightly=True,
    ),
    Safeguard(
        4,
        "a version serves only once it has scored its own example",
        "worker/processes/scoring_process.py",
        "            return scorer.prepare()\n",
        "            return (256,)\n",
        (SWAPPED + "test_a_version_that_fails_its_own_example_never_serves",),
    ),
    Safeguard(
        10,
        "metadata is of the very content that it was written with",
        "transport/buckets/folder/files.py",
        '        if content["key"] == sidecar_key(status):\n',
        '        if content["key"]:\n',
        ("tests/unit/test_folder.py",),
    ),
    Safeguard(
        5,
        "rows in = rows out: a malformed row keeps its place",
        "models/scoring/table/read.py",
        "            here[number - done] = malformed.pop(number)\n            rows += 1\n",
        "        malformed.pop(number)\n",
        (
            "tests/unit/table/test_read.py::TestMalformedRows",
            "tests/unit/test_predict.py::test_every_row_keeps_its_place_with_an_answer_or_a_reason",
        ),
    ),
    Safeguard(
        5,
        "a row's answer is the same among any others: only blocks that give the same bits",
        "models/scoring/scorer.py",
        "            return self._in_blocks(size, 0, count) == (",
        "            return self._in_blocks(size, 0, count) is not (",
        ("tests/unit/scoring/test_blocks.py",),
    ),
    Safeguard(
        6,
        "memory is bounded: no more of a file is read ahead than its header",
        "models/scoring/table/dialect.py",
        "MAX_HEADER_BYTES = 1 << 20",
        "MAX_HEADER_BYTES = 1 << 28",
        ("tests/chaos/test_memory.py::test_a_big_file_takes_no_more_memory_than_a_small_one[100 MB]",),
        nightly=True,
    ),
    Safeguard(
        6,
        "memory is bounded: what waits to be compared is given on",
        "publisher/inputs.py",
        "        for name in [name for name in held if _end(name) <= place]:\n            yield held.pop(name)\n",
        "",
        ("tests/unit/test_reconcile.py::test_nothing_is_piled_up_however_long_the_listings_are",),
    ),
    Safeguard(
        7,
        "workers hold no state: a message is acked when all is done, not when it is taken",
        "worker/loop.py",
        "                    self.leases.take(delivery)\n",
        "                    self.leases.take(delivery)\n                    delivery.ack()\n",
        (KILLS + "test_a_worker_killed_in_mid_file_costs_one_redelivery",),
    ),
    Safeguard(
        7,
        "workers hold no state: a scoring process ends with its parent",
        "worker/processes/scoring_process.py",
        "    _die_with_parent()\n    _be_nice",
        "    _be_nice",
        (KILLS + "test_a_worker_killed_in_mid_file_costs_one_redelivery",),
    ),
    Safeguard(
        8,
        "a poison file is dead-lettered after its last attempt",
        "transport/queues/sqlite/queue.py",
        "if not dead and attempt >= policy.max_delivery_attempts:",
        "if False:",
        (
            "tests/contract/test_queue.py::test_what_was_delivered_too_often_is_a_dead_letter_with_its_source",
            POISON + "test_a_poison_file_is_dead_lettered_and_takes_nobody_with_it",
        ),
        nightly=True,
    ),
    Safeguard(
        8,
        "a poison file takes nobody with it: its scoring process is replaced",
        "worker/processes/process.py",
        "            if self._ended or not self._has_died():\n",
        "            if True:\n",
        (POISON + "test_a_poison_file_is_dead_lettered_and_takes_nobody_with_it",),
    ),
    Safeguard(
        9,
        "a model's bytes are those that were registered",
        "models/registry/cache.py",
        "    if actual != pinned.strip().lower():",
        "    if False:",
        (REGISTRY + "TestRefusals::test_changed_bytes",),
    ),
    Safeguard(
        9,
        "nothing but ONNX is taken",
        "models/registry/description/read.py",
        '    if isinstance(flavors, dict) and "onnx" not in flavors:',
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
        "key.claim, if_generation=ABSENT, metadata=metadata",
        "key.claim, if_generation=None, metadata=metadata",
        (INTERLEAVINGS + "[rsrr]",),
    ),
)
