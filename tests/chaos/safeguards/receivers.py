"""What keeps invariant 15: a receiver is told of a thing at most once, of no row, and nothing waits for it."""

from __future__ import annotations

from tests.chaos.safeguards.safeguard import Safeguard

DELIVERY = "tests/unit/notify/test_delivery.py::"
ONCE = "tests/unit/notify/test_told_once.py::"

SAFEGUARDS = (
    Safeguard(
        15,
        "what may have been taken is not sent again",
        "edge/notify/post.py",
        "    return Reply(Fate.UNSURE if status >= 500 else Fate.REFUSED, why)\n",
        "    return Reply(Fate.UNSURE if status >= 500 else Fate.REFUSED, why, 0.0)\n",
        (DELIVERY + "test_what_may_have_been_taken_is_not_sent_again",),
    ),
    Safeguard(
        15,
        "a redirect is not followed",
        "edge/notify/post.py",
        "            allow_redirects=False,\n",
        "",
        (DELIVERY + "test_what_may_have_been_taken_is_not_sent_again",),
    ),
    Safeguard(
        15,
        "messages for a receiver that hangs do not pile up",
        "edge/notify/outbox.py",
        "            if len(self._waiting) < self._room and not self._closing.is_set():\n",
        "            if not self._closing.is_set():\n",
        (DELIVERY + "test_too_many_are_dropped_and_counted",),
    ),
    Safeguard(
        15,
        "the program that wrote the receipt tells it, and no other",
        "worker/handle.py",
        "            self._handler.notifier.receipt(receipt, self.key.receipt)\n",
        "        self._handler.notifier.receipt(receipt, self.key.receipt)\n",
        (ONCE + "TestFiles::test_a_rejected_file_is_told_by_the_worker_that_wrote_its_receipt",),
    ),
    Safeguard(
        15,
        "a refusal that is on record is not told again",
        "ledger/records.py",
        "        if standing and _is_of(refused, bucket, name):\n            return None\n",
        "",
        (ONCE + "TestVersions::test_a_refused_version_is_told_by_the_worker_that_noted_it",),
    ),
    Safeguard(
        15,
        "a move that is on record is not told again",
        "ledger/told.py",
        "        if known == [model, version]:\n            return None\n",
        "",
        (ONCE + "TestVersions::test_a_move_is_told_by_one_of_many_workers_in_any_order",),
    ),
    Safeguard(
        15,
        "a verdict is remembered where the next watch finds it",
        "models/evidence/pages/registry_page.py",
        'REACHED_TAG: ", ".join(now), ',
        "",
        (ONCE + "TestVerdicts::test_a_verdict_is_told_once_also_by_a_watch_that_starts_again",),
    ),
    Safeguard(
        15,
        "what went wrong with a file is told without its text",
        "edge/notify/news.py",
        '        reason = FAULTS.get(fault, "its content is at fault")\n',
        '        reason = receipt["errors"][0]["message"]\n',
        ("tests/unit/notify/test_messages.py::test_what_is_told_of_a_rejected_file_quotes_no_row",),
    ),
)
