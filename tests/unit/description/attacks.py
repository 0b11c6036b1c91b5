"""What was tried against the reader of descriptions: by kind, files made by a seed."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator

from models.registry.description.plain import LARGEST
from tests.unit.registered import laughs, mlmodel

Attack = Callable[[int], Iterator[bytes]]
"""So many files of one kind, always the same."""

SIGNS = b"&*<>!|-:[]{}\"'#%@`?,\n \t\x00\x85\xc2\xef\xbb\xbf0123abcxe._"
GOOD = json.loads(mlmodel())


def _filled(*parts: bytes) -> bytes:
    """The last part again and again, behind the others, up to the most that is read."""
    *before, again = parts
    start = b"".join(before)
    return start + again * ((LARGEST - len(start)) // len(again))


def _with(**ours: object) -> bytes:
    return mlmodel(metadata={"understudy": {**GOOD["metadata"]["understudy"], **ours}})


def alias_bombs(count: int) -> Iterator[bytes]:
    yield from (laughs(2 + number % 30) for number in range(count))


def deep(count: int) -> Iterator[bytes]:
    openings = (b"[", b"{", b"- ", b"? ", b"a: {", b"[[], ", b"{a: [", b"!!seq [", b"&a [", b"- - ")
    yield from (_filled(b"x: " * (number % 2), openings[number % len(openings)]) for number in range(count))


def long(count: int) -> Iterator[bytes]:
    pieces = (
        b"a",
        b"\n",
        b"#",
        b"'",
        b'"',
        b"\\",
        b" ",
        b"\t",
        b"9",
        b"%",
        b"|\n ",
        b"a: |\n x\n",
        b"\xc3\xbc",
        b"\x00",
        b"!",
    )
    yield from (
        _filled((b"", b"a: ", b"a: '", b'a: "', b"? ")[number % 5], pieces[number % len(pieces)])
        for number in range(count)
    )


def many(count: int) -> Iterator[bytes]:
    rows = (
        b"- a\n",
        b"- 1.5\n",
        b"- ~\n",
        b"- 1:1:1\n",
        b"- {}\n",
        b"- []\n",
        b"- 0x1\n",
        b"- yes\n",
        b"-\n",
        b"- 'a'\n",
    )
    for number in range(count):
        if number % 3:
            yield _filled(b"a:\n", rows[number % len(rows)])
        else:
            yield b"\n".join(b"k%d: %d" % (key, key) for key in range(60_000))


def numbers(count: int) -> Iterator[bytes]:
    texts = (
        "9" * 1_000_000,
        "1:" + "59:" * 300_000 + "1",
        "0x" + "f" * 900_000,
        "1e" + "9" * 60,
        "0b" + "1" * 60,
        "-.inf",
        ".nan",
    )
    for number in range(count):
        text = texts[number % len(texts)]
        yield f"classes: {text}\n".encode() if number % 2 else _with(profile={"distance": {"counts": [text]}})


def json_in_yaml(count: int) -> Iterator[bytes]:
    opening = (
        "[" * 900_000,
        '{"a":' * 180_000,
        "[" + "1," * 400_000 + "1]",
        '"' + "\\\\u0000" * 100_000 + '"',
        "9" * 900_000,
    )
    yield from (mlmodel(signature={"inputs": opening[number % len(opening)]}) for number in range(count))


def many_columns(count: int) -> Iterator[bytes]:
    for number in range(count):
        names = [f"c{at}" for at in range(10_000 + number)]
        inputs = json.dumps([{"name": name, "type": "double"} for name in names])
        yield mlmodel(signature={"inputs": inputs}, metadata={"understudy": {"classes": ["a", "b"], "flags": names}})


def other_types(count: int) -> Iterator[bytes]:
    choose = random.Random(1)
    values = (None, True, 0, -1, 2**62, 1.5, "", "x" * 20_000, [], [[]], {}, {"a": 1}, [None], [1, "a"], ["a"] * 50_000)
    fields = (
        "classes",
        "positive_class",
        "id_column",
        "label_column",
        "example",
        "profile",
        "texts",
        "flags",
        "no_gaps",
        "training",
    )
    for _ in range(count):
        if choose.random() < 0.7:
            yield _with(**{choose.choice(fields): choose.choice(values)})
        else:
            yield mlmodel(**{choose.choice(list(GOOD)): choose.choice(values)})


def changed_bytes(count: int) -> Iterator[bytes]:
    good, choose = mlmodel(), random.Random(2)
    for _ in range(count):
        data = bytearray(good)
        for _ in range(choose.randint(1, 8)):
            at = choose.randrange(len(data))
            data[at : at + choose.randint(0, 6)] = bytes(choose.choice(SIGNS) for _ in range(choose.randint(0, 6)))
        yield bytes(data)


def noise(count: int) -> Iterator[bytes]:
    choose = random.Random(3)
    for number in range(count):
        size = choose.choice((10, 100, 1_000, 10_000))
        yield choose.randbytes(size) if number % 2 else bytes(choose.choice(SIGNS) for _ in range(size))


ATTACKS: dict[str, Attack] = {
    "aliases that grow tenfold": alias_bombs,
    "a million levels": deep,
    "one long value": long,
    "as many values as fit": many,
    "numbers that are hard to read": numbers,
    "JSON in the signature": json_in_yaml,
    "ten thousand columns": many_columns,
    "other types than the field has": other_types,
    "a good description with bytes changed": changed_bytes,
    "noise": noise,
}
