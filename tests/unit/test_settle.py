"""Whether a file is still being written, and what was published lately."""

from __future__ import annotations

from ledger.names import Key
from publisher.settle import Recent, Settling
from transport.bucket import ObjectInfo
from transport.event import Generation


def a_file(name: str = "a.csv", *, created: float, generation: int = 1, size: int = 10) -> ObjectInfo:
    return ObjectInfo(name, generation, size, created)


def test_an_old_file_is_complete_at_the_first_look() -> None:
    # given a publisher that starts late: the file lies there for an hour
    assert Settling(1.0).wait(a_file(created=6_400.0), now=10_000.0, ticks=0.0) == 0.0


def test_a_fresh_file_is_complete_exactly_when_it_has_stood_still() -> None:
    # given a file that was closed 0.3 seconds ago
    settling = Settling(1.0)
    file = a_file(created=10_000.0)
    assert abs(settling.wait(file, now=10_000.25, ticks=50.0) - 0.75) < 1e-9

    # then it is to be looked at again 0.75 seconds later, not before
    assert settling.next_due() == settling.last_due() == 50.75
    assert settling.take_due(50.7) == []
    assert settling.take_due(50.75) == ["a.csv"]

    # and at that look it is complete, and forgotten
    assert settling.wait(file, now=10_001.0, ticks=50.75) == 0.0
    assert settling.names() == []
    assert settling.next_due() is None


def test_a_growing_file_is_left_alone_until_it_stands_still() -> None:
    settling = Settling(1.0)
    for step in range(5):
        # when it is written to every 0.75 seconds
        at = 0.75 * step
        growing = a_file(created=10_000.0 + at, generation=step + 1, size=100 * step)
        assert settling.wait(growing, now=10_000.0 + at, ticks=at) == 1.0

    # then only the last change counts
    assert settling.wait(growing, now=10_000.0 + at + 0.5, ticks=at + 0.5) == 0.5
    assert settling.wait(growing, now=10_000.0 + at + 1.0, ticks=at + 1.0) == 0.0


def test_a_file_from_the_future_is_complete_once_it_was_seen_unchanged() -> None:
    # given a file whose time is an hour ahead
    settling = Settling(1.0)
    file = a_file(created=13_600.0)
    assert settling.wait(file, now=10_000.0, ticks=0.0) == 1.0

    # when it changes, it waits again; when it does not, it is complete
    changed = a_file(created=13_600.5, generation=2)
    assert settling.wait(changed, now=10_000.5, ticks=0.5) == 1.0
    assert settling.wait(changed, now=10_001.4, ticks=1.4) > 0.0
    assert settling.wait(changed, now=10_001.5, ticks=1.5) == 0.0


def test_a_name_that_was_due_is_given_once_but_not_forgotten() -> None:
    # given a file from the future, whose look at its due time failed
    settling = Settling(1.0)
    file = a_file(created=99_999.0)
    settling.wait(file, now=10_000.0, ticks=0.0)
    assert settling.take_due(1.0) == ["a.csv"]

    # then nothing spins on it, and the next look finds it complete
    assert settling.take_due(1.0) == []
    assert settling.wait(file, now=10_005.0, ticks=5.0) == 0.0


def test_without_a_settle_time_objects_are_complete_when_visible() -> None:
    assert Settling(0.0).wait(a_file(created=10_000.0), now=10_000.0, ticks=0.0) == 0.0


def test_what_settles_is_remembered_within_a_limit_and_forgotten_when_gone() -> None:
    # given room for two
    settling = Settling(1.0, limit=2)
    for name in ("a.csv", "b.csv", "c.csv"):
        settling.wait(a_file(name, created=10_000.0), now=10_000.0, ticks=0.0)
    assert settling.names() == ["a.csv", "b.csv"]

    # when one is removed, and nobody hears of the other again
    settling.forget("a.csv")
    settling.keep(ticks=30.0)
    assert settling.names() == ["b.csv"]
    settling.keep(ticks=62.0)

    # then nothing is left, and the third is complete by the clock
    assert settling.names() == []
    assert settling.take_due(62.0) == []
    assert settling.wait(a_file("c.csv", created=10_000.0), now=10_001.0, ticks=1.0) == 0.0


def key(name: str) -> Key:
    return Key(name, Generation(1))


def test_what_was_published_is_recent_for_an_hour_or_until_its_receipt() -> None:
    recent = Recent()
    recent.add([key("a.csv"), key("b.csv")], ticks=0.0)
    assert recent.holds(key("a.csv"), ticks=3_599.0)
    assert not recent.holds(Key("a.csv", Generation(2)), ticks=0.0)
    assert not recent.holds(key("a.csv"), ticks=3_600.0)

    # when its receipt is seen, it is forgotten at once
    recent.drop(key("b.csv"))
    recent.drop(key("never-published.csv"))
    assert not recent.holds(key("b.csv"), ticks=1.0)


def test_recent_keys_are_bounded_and_what_expired_makes_room() -> None:
    # given room for three
    recent = Recent(limit=3)
    recent.add([key("a.csv")], ticks=0.0)
    recent.add([key("b.csv"), key("c.csv")], ticks=1_000.0)
    assert recent.room(1_000.0) == 0

    # when the first is published once more, and an hour after the second has passed
    recent.add([key("a.csv")], ticks=2_000.0)
    assert recent.room(4_600.0) == 2

    # then only the first is still recent
    assert len(recent) == 1
    assert recent.holds(key("a.csv"), 4_600.0)
