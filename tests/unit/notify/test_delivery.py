"""Receivers that are away, slow or broken: nothing waits for them, none gets a message twice, and each is counted."""

from __future__ import annotations

import json
from threading import Event

import pytest
from structlog.testing import capture_logs

from deploy.emulators import free_port
from deploy.waiting import wait_for
from edge import metrics
from edge.notify import post
from edge.notify.news import AliasMoved, Happening, News, alias_moved
from edge.notify.notifier import NOBODY, Notifier
from edge.notify.outbox import Outbox
from edge.notify.post import Fate, Post, judge, shown
from tests.unit.notify.receiver import Answer, garbage, hang_up, never, receiver, status

SOURCE = "gs://flights"
QUICK = (0.0, 0.0, 0.0)


def moved(number: int = 1) -> News:
    return alias_moved("production", "airline", "5", "4", str(number))


def counted(url: str) -> dict[str, float]:
    """Messages to this receiver, by their fate."""
    return {
        sample.labels["fate"]: sample.value
        for family in metrics.NOTIFICATIONS.collect()
        for sample in family.samples
        if sample.labels["receiver"] == shown(url)
    }


@pytest.fixture(autouse=True)
def nothing_counted_yet():
    metrics.NOTIFICATIONS.clear()


@pytest.fixture
def impatient(monkeypatch):
    """An answer is waited for as long as it takes to see that none comes."""
    monkeypatch.setattr(post, "ANSWER_SECONDS", 0.2)


def test_without_receivers_there_is_nothing():
    assert not NOBODY
    NOBODY.tell(moved())
    NOBODY.close()


def test_a_message_goes_to_every_receiver_once():
    with receiver() as one, receiver(status(204)) as other:
        notifier = Notifier(SOURCE, [f"{one.url}/a?b=c", other.url])
        assert notifier
        notifier.tell(moved(1))
        notifier.tell(moved(2))
        wait_for(lambda: counted(one.url) == counted(other.url) == {"delivered": 2})
        notifier.close()

    assert [request.path for request in one.got] == ["/a?b=c", "/a?b=c"]
    numbers = [[json.loads(request.body)["id"] for request in each.got] for each in (one, other)]
    assert numbers[0] == numbers[1] == [moved(1).id(SOURCE), moved(2).id(SOURCE)]


@pytest.mark.parametrize(
    ("answer", "fate", "why"),
    [
        (status(500), "unsure", "it answered 500"),
        (status(502), "unsure", "it answered 502"),
        (status(503), "unsure", "it answered 503"),
        (status(301, Location="/elsewhere"), "refused", "it answered 301, and redirects are not followed"),
        (status(307, Location="/elsewhere"), "refused", "it answered 307, and redirects are not followed"),
        (status(400), "refused", "it answered 400"),
        (status(410), "refused", "it answered 410"),
        (garbage, "unsure", "its answer was not understood, or did not come"),
        (hang_up, "unsure", "its answer was not understood, or did not come"),
    ],
)
def test_what_may_have_been_taken_is_not_sent_again(answer: Answer, fate: str, why: str):
    with receiver(answer) as broken, capture_logs() as logs:
        notifier = Notifier(SOURCE, [f"{broken.url}/secret/path"], pauses=QUICK)
        notifier.tell(moved(1))
        notifier.tell(moved(2))
        wait_for(lambda: counted(broken.url) == {fate: 2})
        notifier.close()

    assert [request.path for request in broken.got] == ["/secret/path"] * 2
    assert len({json.loads(request.body)["id"] for request in broken.got}) == 2
    # said once, without what may be secret
    [said] = logs
    assert (said["event"], said["receiver"], said["fate"]) == ("receiver not told", broken.url, fate)
    assert said["error"].startswith(why)
    assert "secret" not in str(logs)


def test_a_receiver_that_never_answers_gets_a_message_once(impatient):
    with receiver() as slow:
        slow.answers = [never(slow)]
        notifier = Notifier(SOURCE, [slow.url], pauses=QUICK)
        notifier.tell(moved())
        wait_for(lambda: counted(slow.url) == {"unsure": 1})
        notifier.close()

    assert len(slow.got) == 1


@pytest.mark.parametrize("answer", [status(429), status(408), status(503, Retry_After="0")])
def test_a_receiver_that_takes_nothing_now_is_asked_again(answer: Answer):
    with receiver(answer, answer, status(200)) as busy:
        notifier = Notifier(SOURCE, [busy.url], pauses=QUICK)
        notifier.tell(moved())
        wait_for(lambda: counted(busy.url) == {"delivered": 1})
        notifier.close()

    assert len(busy.got) == 3
    assert len({request.body for request in busy.got}) == 1


def test_a_receiver_that_never_takes_anything_is_given_up():
    with receiver(status(429)) as busy:
        notifier = Notifier(SOURCE, [busy.url], pauses=QUICK)
        notifier.tell(moved())
        wait_for(lambda: counted(busy.url) == {"away": 1})
        notifier.close()

    assert len(busy.got) == 1 + len(QUICK)


def test_a_receiver_that_is_away_is_said_once_and_told_when_it_is_back():
    port = free_port()
    address = f"http://127.0.0.1:{port}/hidden"
    with capture_logs() as logs:
        notifier = Notifier(SOURCE, [address], pauses=QUICK)
        for number in range(5):
            notifier.tell(moved(number))
        wait_for(lambda: counted(address) == {"away": 5})
        with receiver(port=port) as back:
            notifier.tell(moved(6))
            wait_for(lambda: counted(address) == {"away": 5, "delivered": 1})
        notifier.close()

    assert len(back.got) == 1
    first, over = logs
    assert first["error"] == "[Errno 111] Connection refused"
    assert (over["event"], over["failures"]) == ("trouble over", 5)
    assert "hidden" not in str(logs)


def test_a_name_that_leads_nowhere_is_away():
    notifier = Notifier(SOURCE, ["http://nowhere.invalid/x"], pauses=())
    notifier.tell(moved())
    wait_for(lambda: counted("http://nowhere.invalid") == {"away": 1}, seconds=30)
    notifier.close()


def test_plain_http_behind_https_is_refused_and_not_tried_again():
    with receiver() as plain:
        address = plain.url.replace("http://", "https://")
        notifier = Notifier(SOURCE, [address], pauses=QUICK)
        notifier.tell(moved())
        wait_for(lambda: counted(address) == {"refused": 1})
        notifier.close()

    assert plain.got == []


def test_one_that_hangs_holds_up_no_other_and_no_program():
    with receiver() as slow, receiver() as quick:
        slow.answers = [never(slow)]
        notifier = Notifier(SOURCE, [slow.url, quick.url])
        for number in range(10):
            notifier.tell(moved(number))
        wait_for(lambda: counted(quick.url) == {"delivered": 10})
        wait_for(lambda: len(slow.got) == 1)

        # the end of the program does not wait until the receiver has answered, and says what was lost
        with capture_logs() as logs:
            notifier.close()
        assert not slow.ending.is_set()
        assert [(log["event"], log["messages"]) for log in logs] == [("messages not sent", 10)]
        assert counted(slow.url) == {"dropped": 10}
    notifier.close()  # its thread ends, now that the receiver is gone


def test_what_waits_at_the_end_is_still_sent():
    first, go = Event(), Event()

    def wait_first(request):
        first.set()
        go.wait()
        status(200)(request)

    with receiver(wait_first, status(200)) as slow:
        notifier = Notifier(SOURCE, [slow.url])
        for number in range(3):
            notifier.tell(moved(number))
        assert first.wait(10)
        go.set()
        notifier.close()
        assert counted(slow.url) == {"delivered": 3}


def test_too_many_are_dropped_and_counted():
    with receiver() as slow, capture_logs() as logs:
        slow.answers = [never(slow)]
        outbox = Outbox(slow.url, room=2)
        outbox.put(lambda: Post(slow.url, b"0"))
        wait_for(lambda: len(slow.got) == 1)
        for number in range(1, 8):
            outbox.put(lambda number=number: Post(slow.url, b"%d" % number))
        assert counted(slow.url) == {"dropped": 5}
        assert [log["fate"] for log in logs] == ["dropped"]
        outbox.end()
        outbox.join(0.0)
    outbox.join(10.0)  # now that the receiver is gone


def test_a_message_that_cannot_be_made_ends_nothing():
    with receiver() as well, capture_logs() as logs:
        outbox = Outbox(well.url)

        def broken() -> Post:
            raise RuntimeError("a fault of ours")

        outbox.put(broken)
        outbox.put(lambda: Post(well.url, b"next"))
        wait_for(lambda: [request.body for request in well.got] == [b"next"])
        outbox.end()
        outbox.join(10)
    assert logs[0]["event"] == "message not made"
    assert counted(well.url) == {"dropped": 1, "delivered": 1}


@pytest.mark.parametrize(
    ("code", "retry_after", "wait"),
    [
        (429, "7", 7.0),
        (429, "100000", 60.0),
        (429, "Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        (503, "3", 3.0),
        (408, "", 0.0),
    ],
)
def test_how_long_a_receiver_may_ask_for(code: int, retry_after: str, wait: float):
    answer = judge(code, retry_after)
    assert (answer.fate, answer.wait) == (Fate.AWAY, wait)


def test_of_an_address_only_scheme_host_and_port_are_shown():
    assert shown("https://user:word@hooks.example:8443/T000/B000?token=x#y") == "https://hooks.example:8443"


def test_a_news_item_has_its_data_and_no_more():
    assert moved().happening is Happening.MOVED
    assert moved().data == AliasMoved("production", "airline", "5", "4")
