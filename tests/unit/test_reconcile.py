"""Which inputs have no receipt, out of two sorted listings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hypothesis import example, given
from hypothesis import strategies as st

from ledger.names import RECEIPTS, Key
from publisher.inputs import Standing, standings
from transport.bucket import ObjectInfo
from transport.event import Generation


def an_input(name: str, generation: int = 5) -> ObjectInfo:
    return ObjectInfo(name, generation, size=1, created=0.0)


def a_receipt(name: str, content: int = 5, rescore: int = 0, created: float = 0.0) -> ObjectInfo:
    return ObjectInfo(Key(name, Generation(content, rescore)).receipt, generation=1, size=1, created=created)


def listed(objects: Iterable[ObjectInfo]) -> list[ObjectInfo]:
    """In the order in which a bucket lists them."""
    return sorted(objects, key=lambda info: info.name.encode())


def unanswered(inputs: Iterable[ObjectInfo], receipts: Iterable[ObjectInfo]) -> set[str]:
    return {standing.input.name for standing in standings(listed(inputs), listed(receipts)) if standing.receipt is None}


def test_a_file_with_a_receipt_is_answered_and_one_without_is_not() -> None:
    # given two files, one of them scored
    inputs = [an_input("a.csv"), an_input("b.csv")]

    # then only the other is without a receipt
    assert unanswered(inputs, [a_receipt("a.csv")]) == {"b.csv"}


def test_a_receipt_of_an_earlier_content_does_not_count() -> None:
    # given a file that was scored, and then replaced
    assert unanswered([an_input("a.csv", 6)], [a_receipt("a.csv", 5)]) == {"a.csv"}


def test_the_newest_of_several_rescorings_is_the_receipt() -> None:
    # given a file scored three times, and once more in an earlier content
    receipts = [
        a_receipt("a.csv", 5, 0, created=1.0),
        a_receipt("a.csv", 5, 2, created=2.0),
        a_receipt("a.csv", 5, 10, created=3.0),
        a_receipt("a.csv", 4, 77, created=9.0),
    ]

    # when the listings are compared
    [standing] = standings([an_input("a.csv")], listed(receipts))

    # then its receipt is the newest of its present content
    assert standing == Standing(an_input("a.csv"), Key("a.csv", Generation(5, 10)), 3.0)


def test_a_rescoring_alone_is_a_receipt_as_well() -> None:
    assert unanswered([an_input("a.csv")], [a_receipt("a.csv", 5, 1)]) == set()


def test_names_whose_receipts_sort_otherwise_than_themselves_are_told_apart() -> None:
    # given names of which one begins like another's receipt, all of them scored
    names = ["a.csv", "a.csv.gz", "a.csv@5.csv", "a.csv@5.json.csv", "a.csv@5.1.csv", "a.csv@:.csv", "a.csv-1.csv"]
    receipts = [a_receipt(name) for name in names]
    assert [receipt.name for receipt in listed(receipts)] != [a_receipt(name).name for name in sorted(names)]

    # then all are answered, and each depends on its own receipt
    assert unanswered(map(an_input, names), receipts) == set()
    for left_out, name in enumerate(names):
        assert unanswered(map(an_input, names), receipts[:left_out] + receipts[left_out + 1 :]) == {name}


def test_what_is_no_receipt_among_the_receipts_is_passed_over() -> None:
    # given foreign objects, and the record of an unusable message, among the receipts
    foreign = [ObjectInfo(RECEIPTS + name, 1, 1, 0.0) for name in (".unusable/7.json", "a.csv", "a.csv@x.json", "z@")]

    # then they answer nothing
    assert unanswered([an_input("a.csv"), an_input("b.csv")], [*foreign, a_receipt("b.csv")]) == {"a.csv"}


pieces = st.sampled_from(
    ["a", "@", "@5", "@5.json", "@4.1", ":", "0", "9", ".", "/", "-", " ", "é", "\U0001f600", "\x7f"]
)
names = st.builds(
    lambda parts, ending: "".join(parts).replace("/", "\uffee") + ending,
    st.lists(pieces, max_size=5),
    st.sampled_from([".csv", ".csv.gz", ".CSV", "@5.csv"]),
)
generations = st.builds(Generation, st.integers(4, 12), st.sampled_from([0, 0, 1, 2, 10]))


@given(
    inputs=st.dictionaries(names, st.integers(4, 12), max_size=12),
    receipts=st.sets(st.tuples(names, generations), max_size=12),
    answered=st.sets(st.integers(0, 11)),
)
@example(inputs={"a.csv": 5, "a.csv@5.csv": 5}, receipts=set(), answered={0, 1})
def test_the_merge_says_what_a_set_difference_would(
    inputs: dict[str, int], receipts: set[tuple[str, Generation]], answered: set[int]
) -> None:
    # given any names, receipts of some of the inputs, and receipts of others
    keys = {Key(name, generation) for name, generation in receipts}
    keys |= {
        Key(name, Generation(content)) for number, (name, content) in enumerate(inputs.items()) if number in answered
    }
    listed_inputs = listed(an_input(name, content) for name, content in inputs.items())
    listed_receipts = listed(a_receipt(key.name, key.generation.content, key.generation.rescore) for key in keys)

    # when the sorted listings are streamed past each other
    found = list(standings(listed_inputs, listed_receipts))

    # then each input comes out once, with the newest receipt of its content out of all receipts
    assert sorted(standing.input.name for standing in found) == sorted(inputs)
    for standing in found:
        own = [
            key
            for key in keys
            if (key.name, key.generation.content) == (standing.input.name, standing.input.generation)
        ]
        assert standing.receipt == max(own, default=None)


def test_nothing_is_piled_up_however_long_the_listings_are() -> None:
    # given 10,000 inputs: every tenth is without a receipt, and so is a long run of them
    pulled = emitted = held = 0

    def inputs() -> Iterator[ObjectInfo]:
        nonlocal pulled, held
        for number in range(10_000):
            pulled += 1
            held = max(held, pulled - emitted)
            yield an_input(f"survey-{number:06}.csv")

    def receipts() -> Iterator[ObjectInfo]:
        answered = (number for number in range(10_000) if number % 10 and not 4_000 < number < 6_000)
        return (a_receipt(f"survey-{number:06}.csv") for number in answered)

    # when they are compared
    missing = 0
    for standing in standings(inputs(), receipts()):
        emitted += 1
        missing += standing.receipt is None

    # then what is missing is found, and at no time more than a few were taken in that had not come out
    assert missing == 1_000 + 1_800
    assert emitted == 10_000
    assert held <= 3
