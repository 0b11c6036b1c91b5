"""One delivery of a file through the real commit code, up to the next call of its bucket that has no answer yet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from types import ModuleType
from typing import Any

from ledger.names import Key, in_form
from ledger.receipt import ModelUsed, Outcome, Source, Status
from transport.bucket import ABSENT, ObjectInfo, ObjectNotFound, PreconditionFailed
from transport.event import Generation

FILE = "flights.csv"
OUTPUTS = Key(FILE, Generation(1)).outputs
Call = tuple[Any, ...]


class Suspended(BaseException):
    """The code wants this call answered."""

    def __init__(self, call: Call) -> None:
        self.call = call


class AnsweringBucket:
    """The port, as the commit code sees it: each call takes the next answer, the first without one suspends."""

    name = "bucket"

    def __init__(self, answers: list[Any]) -> None:
        self._answers = iter(answers)

    def _ask(self, *call: Any) -> Any:
        try:
            answer = next(self._answers)
        except StopIteration:
            raise Suspended(call) from None
        if isinstance(answer, type) and issubclass(answer, Exception):
            raise answer(f"{call}")
        return answer

    def in_force(self) -> int:
        version: int = self._ask("in_force")
        return version

    def stat(self, name: str) -> ObjectInfo | None:
        return _info(name, self._ask("stat", name))

    @contextmanager
    def read(self, name: str, generation: int | None = None) -> Iterator[Any]:
        yield _Stream(self._ask("read", name, generation))

    @contextmanager
    def write(self, name: str, *, if_generation: int | None = None, metadata: Any = None, **_: Any) -> Iterator[Any]:
        writer = _Writer()
        yield writer
        given = tuple(sorted((metadata or {}).items()))
        writer.info = _info(name, self._ask("write", name, if_generation, bytes(writer.content), given))

    def copy(
        self,
        source: str,
        source_generation: int,
        target: str,
        *,
        if_generation: int | None = None,
        metadata: Any = None,
        **_: Any,
    ) -> ObjectInfo | None:
        content = self._ask("read", source, source_generation)
        given = tuple(sorted((metadata or {}).items()))
        return _info(target, self._ask("write", target, if_generation, content, given))

    def delete(self, name: str, *, if_generation: int | None = None) -> bool:
        gone: bool = self._ask("delete", name, if_generation)
        return gone


class _Writer:
    info: ObjectInfo | None = None

    def __init__(self) -> None:
        self.content = bytearray()

    def write(self, data: bytes) -> int:
        self.content += data
        return len(data)


class _Stream:
    def __init__(self, content: bytes) -> None:
        self._content = content

    def read(self) -> bytes:
        return self._content


def _info(name: str, answer: Any) -> ObjectInfo | None:
    if answer is None:
        return None
    generation, size, metadata = answer
    return ObjectInfo(name, generation, size, 0.0, dict(metadata))


def answer(objects: dict[str, Any], counters: dict[str, int], version: int, call: Call) -> Any:
    """Carries a call out on the bucket (changed in place) and gives its answer, an exception's class for a raise."""
    kind, *rest = call
    if kind == "in_force":
        return version
    name = rest[0]
    standing = objects.get(name)
    if kind == "stat":
        return None if standing is None else (standing[0], len(standing[1]), standing[2])
    if kind == "read":
        if standing is None or rest[1] not in (None, standing[0]):
            return ObjectNotFound
        return standing[1]
    if kind == "delete":
        if rest[1] is not None and (standing is None or rest[1] != standing[0]):
            return PreconditionFailed
        return objects.pop(name, None) is not None
    _, if_generation, content, metadata = rest
    if if_generation is not None and if_generation != (standing[0] if standing else ABSENT):
        return PreconditionFailed
    counters[name] = counters.get(name, 0) + 1
    objects[name] = (counters[name], content, metadata)
    if name in OUTPUTS:
        counters[f"published {dict(metadata)['source-generation']}"] = 1
    return (counters[name], len(content), metadata)


def deliver(
    commit: ModuleType,
    bucket: Any,
    generation: int,
    redelivered: bool,
    outcomes: Mapping[Any, Status],
    forms: tuple[str, str],
) -> None:
    """One delivery, as the worker handles it; the file's outcome depends on its generation and the model in force.

    `forms`: in which form the output of generation 1, and of 2, is written.
    """
    key = Key(FILE, Generation(generation))

    def score() -> Any:
        version = bucket.in_force()
        begun = Outcome(Status.SUPERSEDED, Source("bucket", FILE, generation))
        used = ModelUsed("airline", str(version), "run")
        try:
            with bucket.read(FILE, generation) as stream:
                stream.read()
        except ObjectNotFound:
            return commit.claim_outcome(bucket, begun)
        status = outcomes[generation, version]
        if status is not Status.SCORED:
            return commit.claim_outcome(bucket, replace(begun, status=status, model=used))
        predictions = f"{generation} by {version}"
        scored = replace(
            begun, status=status, model=used, sha256=predictions, output=in_form(key.output, forms[generation - 1])
        )
        try:
            with commit.open_claim(bucket, key, commit.claim_metadata(scored), scored.output) as claim:
                claim.write(predictions.encode())
        except PreconditionFailed:
            return None
        return claim.info

    commit.bring_to_receipt(bucket, key, score, look_for_claim=redelivered)
