"""The queue in a SQLite file: what the contract suite, which runs over every queue, cannot ask of it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from deploy.waiting import SECONDS
from transport.event import Message
from transport.queue import Policy, QueueError
from transport.queues.sqlite.queue import POLL, LocalQueue, backoff

POLICY = Policy(lease=30.0, max_delivery_attempts=5, min_backoff=1.0, max_backoff=8.0)


class Clock:
    """Wall clock time that stands still until it is told to move."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def file(tmp_path: Path) -> str:
    return str(tmp_path / "queue.db")


@pytest.fixture
def queue(file: str, clock: Clock) -> Iterator[LocalQueue]:
    queue = LocalQueue(file, policy=POLICY, clock=clock)
    yield queue
    queue.close()


def messages(count: int, start: int = 0) -> list[Message]:
    return [Message(b"%d" % number, {"number": str(number)}) for number in range(start, start + count)]


def test_the_back_off_doubles_up_to_its_maximum() -> None:
    assert [backoff(POLICY, attempt) for attempt in (1, 2, 3, 4, 5, 10_000)] == [1, 2, 4, 8, 8, 8]


def test_a_nacked_message_waits_longer_after_each_attempt(queue: LocalQueue, clock: Clock) -> None:
    # Given one message that is nacked each time it is delivered
    queue.publish(messages(1))
    for wait in (1.0, 2.0, 4.0, 8.0):
        [delivery] = queue.pull(1, 0)
        delivery.nack()
        # When almost its back-off has passed, then it is not there, and when all has passed, it is
        clock.now += wait - 0.01
        assert queue.pull(1, 0) == []
        clock.now += 0.02
    [delivery] = queue.pull(1, 0)
    assert delivery.attempt == 5


def test_a_lease_that_runs_out_counts_as_an_attempt_and_waits_for_the_back_off(queue: LocalQueue, clock: Clock) -> None:
    queue.publish(messages(1))
    queue.pull(1, 0)
    clock.now += POLICY.lease + 0.9  # the lease ran out, its back-off of a second did not
    assert queue.pull(1, 0) == []
    clock.now += 0.2
    assert [delivery.attempt for delivery in queue.pull(1, 0)] == [2]


def test_what_is_due_longest_comes_first(queue: LocalQueue, clock: Clock) -> None:
    # Given a message that was nacked, and others that arrived before and after the end of its back-off
    queue.publish(messages(1))
    [first] = queue.pull(1, 0)
    first.nack()
    queue.publish(messages(1, start=1))
    clock.now += 5
    queue.publish(messages(1, start=2))
    # Then they come in the order in which they became due
    assert [delivery.message.data for delivery in (queue.pull(1, 0) + queue.pull(1, 0) + queue.pull(1, 0))] == [
        b"1",
        b"0",
        b"2",
    ]


def test_the_last_lease_that_runs_out_is_a_dead_letter_though_only_the_dead_letters_are_pulled(
    queue: LocalQueue, clock: Clock, file: str
) -> None:
    # Given a message whose consumer dies in each of its deliveries
    queue.publish(messages(1))
    for _ in range(POLICY.max_delivery_attempts):
        assert len(queue.pull(1, 0)) == 1
        clock.now += POLICY.lease + POLICY.max_backoff
    # When nobody pulls the queue any more, but somebody its dead letters
    dead_letters = LocalQueue(file, dead_letters=True, clock=clock)
    [dead] = dead_letters.pull(1, 0)
    # Then it is there, with what Pub/Sub would say about it
    assert dead.message.data == b"0"
    assert dead.message.attributes == {
        "number": "0",
        "CloudPubSubDeadLetterSourceDeliveryCount": "5",
        "CloudPubSubDeadLetterSourceSubscription": "workers",
        "CloudPubSubDeadLetterSourceTopicPublishTime": "1970-01-12T13:46:40.000Z",
    }
    # And the queue knows of it until it is acked
    assert queue.backlog().dead == 1
    dead.ack()
    assert queue.backlog().dead == 0
    dead_letters.close()


def test_a_dead_letter_never_dies_again_and_old_deliveries_cannot_touch_it(
    queue: LocalQueue, clock: Clock, file: str
) -> None:
    # Given a message that died, and the delivery that was its first
    queue.publish(messages(1))
    deliveries = []
    for _ in range(POLICY.max_delivery_attempts):
        deliveries += queue.pull(1, 0)
        deliveries[-1].nack()
        clock.now += POLICY.max_backoff
    dead_letters = LocalQueue(file, dead_letters=True, clock=clock)
    # When its dead letter is delivered more often than the policy allows for messages
    for attempt in range(1, 2 * POLICY.max_delivery_attempts):
        [dead] = dead_letters.pull(1, 0)
        assert dead.attempt == attempt
        for delivery in deliveries:  # they carry the same numbers of attempts
            delivery.ack()
            delivery.nack()
            delivery.extend()
        dead.nack()
        clock.now += POLICY.max_backoff
    # Then it is still there
    assert dead_letters.backlog().waiting == 1
    dead_letters.close()


def test_a_delivery_that_is_extended_stays_its_holders(queue: LocalQueue, clock: Clock) -> None:
    # Given a delivery that is held for three leases, and extended before each of them is over
    queue.publish(messages(1))
    [held] = queue.pull(1, 0)
    for _ in range(4):
        clock.now += 0.9 * POLICY.lease
        # Then nobody gets it
        assert queue.pull(1, 0) == []
        held.extend()
    held.ack()
    assert (queue.backlog().waiting, queue.backlog().leased) == (0, 0)


def test_a_delivery_whose_message_went_to_another_has_no_effect(queue: LocalQueue, clock: Clock) -> None:
    # Given a message whose lease ran out, and that was delivered to another
    queue.publish(messages(1))
    [late] = queue.pull(1, 0)
    clock.now += POLICY.lease + 2
    [current] = queue.pull(1, 0)
    # When the first holder acks, nacks and extends
    late.ack()
    late.nack()
    clock.now += 1
    late.extend()
    # Then it is still leased to the other, until the other's lease runs out
    assert (queue.backlog().waiting, queue.backlog().leased) == (0, 1)
    clock.now += POLICY.lease - 1
    assert (queue.backlog().waiting, queue.backlog().leased) == (1, 0)
    # And the other's ack, late but before anybody else had it, counts
    current.ack()
    assert queue.backlog().waiting == 0


def test_a_clock_that_jumps_back_holds_nothing_for_longer_than_its_own_length(queue: LocalQueue, clock: Clock) -> None:
    # Given a leased message, one in its back-off, and one that waits
    queue.publish(messages(3))
    _held, nacked = queue.pull(2, 0)
    nacked.nack()
    # When the clock is set back by an hour, and then goes on for as long as a lease and a back-off
    clock.now -= 3600
    seen: Counter[bytes] = Counter(delivery.message.data for delivery in queue.pull(10, 0))
    clock.now += POLICY.lease + POLICY.max_backoff + 0.1
    seen.update(delivery.message.data for delivery in queue.pull(10, 0))
    # Then each of them came again
    assert set(seen) == {b"0", b"1", b"2"}


def test_a_lease_given_just_before_by_another_process_is_not_taken_for_one_of_the_future(
    queue: LocalQueue, clock: Clock
) -> None:
    queue.publish(messages(1))
    queue.pull(1, 0)
    clock.now -= 0.5  # clocks are corrected by less than a second all the time
    assert queue.pull(1, 0) == []


def test_the_policy_lies_in_the_file(tmp_path: Path) -> None:
    # Given a queue made without a word about its policy
    file = str(tmp_path / "queue.db")
    first = LocalQueue(file)
    assert first.policy == Policy()
    # When another process opens it with a policy of its own
    second = LocalQueue(file, policy=POLICY)
    # Then that holds for all of them, also for one that comes later and has none
    third = LocalQueue(file)
    assert first.policy == second.policy == third.policy == POLICY
    for queue in (first, second, third):
        queue.close()


def test_the_age_of_the_oldest_that_waits(queue: LocalQueue, clock: Clock) -> None:
    assert queue.backlog().oldest_waiting_seconds is None
    queue.publish(messages(1))
    clock.now += 10
    queue.publish(messages(1))
    clock.now += 5
    assert queue.backlog().oldest_waiting_seconds == 15
    queue.pull(1, 0)
    assert queue.backlog().oldest_waiting_seconds == 5


def test_another_kind_of_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    # Given a SQLite database of somebody else, a file that is none, and a folder
    database, text = tmp_path / "mlflow.db", tmp_path / "notes.txt"
    connection = sqlite3.connect(database)
    connection.execute("CREATE TABLE runs (name TEXT)")
    connection.commit()
    connection.close()
    text.write_text("not a database, but long enough to be read as the header of one\n" * 20)
    before = database.read_bytes(), text.read_bytes()
    # When one of them is opened as a queue, then the error says so
    with pytest.raises(QueueError, match=r"mlflow\.db is a SQLite database, but not a queue"):
        LocalQueue(str(database))
    with pytest.raises(QueueError, match=r"notes\.txt cannot be used: file is not a database"):
        LocalQueue(str(text))
    with pytest.raises(QueueError, match="cannot be opened"):
        LocalQueue(str(tmp_path))
    # And nothing in it was changed
    assert (database.read_bytes(), text.read_bytes()) == before


def test_a_file_of_another_release_is_refused_with_what_to_do(file: str) -> None:
    LocalQueue(file).close()
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(QueueError, match=r"made by another release .*remove it"):
        LocalQueue(file)


def test_a_closed_queue_says_so(queue: LocalQueue) -> None:
    queue.publish(messages(1))
    [delivery] = queue.pull(1, 0)
    queue.close()
    with pytest.raises(QueueError, match="is closed; what was pulled from it is delivered again"):
        delivery.ack()
    queue.close()


def test_closing_ends_a_pull_that_waits(file: str) -> None:
    queue = LocalQueue(file)
    pulled: list[object] = []
    thread = threading.Thread(target=lambda: pulled.append(queue.pull(1, wait=60)))
    thread.start()
    queue.close()
    thread.join(timeout=SECONDS)
    assert pulled == [[]]


def test_a_pull_that_waits_sleeps_from_one_look_to_the_next(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a queue for which time passes only while it sleeps
    queue = LocalQueue(file)
    now, slept, looks = [0.0], [], []

    def sleep(seconds: float | None = None) -> bool:
        assert seconds
        slept.append(seconds)
        now[0] += seconds
        return False

    def look() -> float:
        looks.append(now[0])
        assert len(looks) < 10_000, "it looks, and does not sleep"
        return now[0]

    monkeypatch.setattr(queue._closed, "wait", sleep)
    monkeypatch.setattr("transport.queues.sqlite.queue.time.monotonic", look)
    # When somebody waits a minute for a message
    assert queue.pull(1, wait=60.0) == []
    monkeypatch.undo()
    # Then it has slept all that time, a fortieth of a second at once
    assert sum(slept) == pytest.approx(60.0)
    assert len(slept) <= 60.0 / POLL + 1
    queue.close()


def test_the_file_does_not_grow_with_what_has_passed_through_it(queue: LocalQueue, file: str) -> None:
    def one_round() -> int:
        queue.publish(Message(b"x" * 500) for _ in range(2000))
        for delivery in queue.pull(2000, 0):
            delivery.ack()
        return os.path.getsize(file) + os.path.getsize(file + "-wal")

    one_round()  # the log reaches the size that it keeps
    sizes = [one_round() for _ in range(6)]
    assert max(sizes) < 30_000_000
    assert os.path.getsize(file) < 4_000_000  # 12 MB of messages passed through


def test_a_pull_finds_what_is_due_through_the_index_however_many_wait(queue: LocalQueue, file: str) -> None:
    # Given every statement that a pull, an ack and a nack give to SQLite
    statements: list[str] = []
    queue.publish(messages(50))
    queue._file._connection.set_trace_callback(statements.append)  # type: ignore[union-attr]
    first, second = queue.pull(2, 0)
    first.ack()
    second.nack()
    queue._file._connection.set_trace_callback(None)  # type: ignore[union-attr]
    # When SQLite says how it goes about them
    connection = sqlite3.connect(file)
    plans = [
        str(step[3])
        for statement in statements
        if "message" in statement
        for step in connection.execute("EXPLAIN QUERY PLAN " + statement)
    ]
    connection.close()
    # Then none reads the table from end to end, or sorts
    assert any("message_due (dead=? AND leased=? AND due<?)" in plan for plan in plans)
    assert [plan for plan in plans if plan.startswith("SCAN message") or "TEMP B-TREE" in plan] == []


def _consume(file: str, results: multiprocessing.Queue[list[str]]) -> None:
    queue = LocalQueue(file)
    taken: list[str] = []
    while deliveries := queue.pull(7, wait=0.5):
        for delivery in deliveries:
            delivery.ack()
            taken.append(delivery.message.attributes["number"])
    queue.close()
    results.put(taken)


def _produce(file: str, start: int) -> None:
    queue = LocalQueue(file)
    for batch in range(start, start + 500, 50):
        queue.publish(messages(50, start=batch))
    queue.close()


def test_many_processes_share_a_file_that_none_of_them_has_made(tmp_path: Path) -> None:
    # Given a file that is not there yet, and processes that start to write and to read it at once
    file = str(tmp_path / "new" / "queue.db")
    processes = multiprocessing.get_context("spawn")
    results: multiprocessing.Queue[list[str]] = processes.Queue()
    running = [processes.Process(target=_produce, args=(file, start)) for start in range(0, 1500, 500)]
    running += [processes.Process(target=_consume, args=(file, results)) for _ in range(2)]
    for process in running:
        process.start()
    # When all is done
    taken = [results.get(timeout=SECONDS) for _ in range(2)]
    for process in running:
        process.join(timeout=SECONDS)
    rest = LocalQueue(file)  # what the consumers missed, had they ended before the last producer began
    taken.append([delivery.message.attributes["number"] for delivery in rest.pull(2000, 0)])
    rest.close()
    # Then none of them failed, and each message was taken once
    assert [process.exitcode for process in running] == [0] * 5
    assert Counter(number for part in taken for number in part) == Counter(map(str, range(1500)))


def test_threads_ack_while_another_pulls(file: str) -> None:
    queue = LocalQueue(file)
    queue.publish(messages(600))
    errors: list[BaseException] = []
    acked: list[str] = []

    def work() -> None:
        try:
            while deliveries := queue.pull(3, wait=0.2):
                for delivery in deliveries:
                    delivery.extend()
                    delivery.ack()
                    acked.append(delivery.id)
        except QueueError as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=SECONDS)
    assert errors == []
    assert len(set(acked)) == len(acked) == 600
    assert queue.backlog().waiting == queue.backlog().leased == 0
    queue.close()


def test_a_killed_process_loses_nothing_that_it_published(file: str) -> None:
    # Given a process that is killed as it says that its publish returned
    code = (
        "import os, signal, sys\n"
        "from transport.event import Message\n"
        "from transport.queues.sqlite.queue import LocalQueue\n"
        "queue = LocalQueue(sys.argv[1])\n"
        "queue.publish(Message(b'%d' % number) for number in range(2500))\n"
        "queue.pull(10, 0)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, file], check=False, timeout=SECONDS)
    assert killed.returncode == -signal.SIGKILL
    # When another opens the file, then all is there, and the leases stand
    queue = LocalQueue(file)
    backlog = queue.backlog()
    assert (backlog.waiting, backlog.leased) == (2490, 10)
    queue.close()


def test_who_opens_a_queue_waits_for_those_who_still_have_its_removed_file(file: str) -> None:
    # given a file that was removed, its log left behind, while another process has it open
    queue = LocalQueue(file)
    queue.publish(messages(1))
    code = (
        "import sys\n"
        "from transport.queues.sqlite.queue import LocalQueue\n"
        "queue = LocalQueue(sys.argv[1])\n"
        "print('open', flush=True)\n"
        "sys.stdin.readline()\n"
        "print(queue.backlog().waiting)\n"
        "sys.stdin.readline()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, file], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdin
        assert other.stdout
        assert other.stdout.readline() == "open\n"
        Path(file).unlink()
        with capture_logs() as logs:
            with pytest.raises(QueueError, match="another program still has a removed file"):
                queue.publish(messages(1))
            assert logs == []

            # when somebody opens it, then that waits until the other has let go
            opened: list[LocalQueue] = []
            opening = threading.Thread(target=lambda: opened.append(LocalQueue(file)))
            opening.start()
            opening.join(0.2)
            assert not opened
            print(file=other.stdin, flush=True)
            opening.join(SECONDS)
            [third] = opened

            # and all use the new file, and have said so once they do
            queue.publish(messages(1))
        assert [log["event"].partition(";")[0] for log in logs] == ["the queue's file was removed or replaced"]
        assert third.backlog().waiting == 1
        third.close()
        queue.close()


@pytest.mark.parametrize("replaced", [False, True], ids=["deleted", "replaced by another's"])
def test_a_queue_whose_file_is_deleted_goes_over_to_the_new_one(tmp_path: Path, replaced: bool) -> None:
    # given a queue in use, with a delivery in hand, whose file is deleted
    path = str(tmp_path / "queue.db")
    queue = LocalQueue(path, policy=Policy(lease=7.0))
    queue.publish([Message(b"lost")])
    [old] = queue.pull(1, wait=0)
    (tmp_path / "queue.db").unlink()
    if replaced:
        other = LocalQueue(path)

    # when it is used again
    queue.publish([Message(b"new")])

    # then it is the queue that others find there, and what was in hand has no part in it
    other = other if replaced else LocalQueue(path)
    old.ack()
    old.nack()
    [new] = other.pull(1, wait=0)
    assert new.message.data == b"new"
    assert int(new.id) > int(old.id)
    assert other.policy.lease == 7.0
    # and a queue that is closed stays closed, whatever becomes of its file
    (tmp_path / "queue.db").unlink()
    queue.close()
    with pytest.raises(QueueError, match="closed"):
        queue.backlog()
    other.close()
