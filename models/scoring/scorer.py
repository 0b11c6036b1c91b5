"""Runs one registered graph on raw columns: what a worker serves with, and what a registration is checked with.

Sums of a matrix product or of trees may depend on the batch's shape in their last bit, and a row's answer must not. So
a graph gets blocks of fixed sizes only, all of them filled. Large ones are quicker, for a forest's trees stay in the
processor's cache for more rows; small ones waste less on a short file.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime

from models.registry.spec import LABEL_OUTPUT, PROBABILITIES_OUTPUT, Column, Example, ModelSpec, UnfitModel

Columns = Mapping[str, np.ndarray[Any, Any]]
Bits = tuple[list[str], bytes]

BLOCK_ROWS = 256  # the size that every version is run in; others have to give the same bits
LARGER = tuple(BLOCK_ROWS << step for step in range(1, 5))  # above 4,096 some converted estimators have other last bits
SMALLER = (128, 64)
TRIED_ROWS = LARGER[-1]
TRIED_ROWS_SMALLER = 1024  # as many in small blocks cost as much as all the larger ones together
TRIED_FOR_SECONDS = 2.0

# A graph may name files for its weights. This folder cannot exist, for it lies below a file; and onnxruntime lets no
# name lead out of it.
NO_FOLDER = os.path.join(os.devnull, "nothing")
EXAMPLE_TOLERANCE = 1e-5  # float32 sums in another order, as on another processor, stay far below it

_DTYPES = {
    "tensor(string)": object,
    "tensor(double)": np.float64,
    "tensor(float)": np.float32,
    "tensor(int64)": np.int64,
}


@dataclass(frozen=True)
class Scores:
    """`labels`: [N] str objects; `probabilities`: [N, K] float32, in the order of the spec's classes."""

    labels: np.ndarray[Any, Any]
    probabilities: np.ndarray[Any, Any]


class Scorer:
    """A loaded graph. One thread: parallelism is in the number of scoring processes."""

    def __init__(self, graph: bytes, spec: ModelSpec, block_sizes: tuple[int, ...] | None = None) -> None:
        """`block_sizes`: the blocks that a trial of the same graph found. None: there was none.

        Raises UnfitModel where onnxruntime refuses the graph, or it does not fit its spec.
        """
        self.spec = spec
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", NO_FOLDER)
        try:
            self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # noqa: BLE001 - onnxruntime raises many kinds, all of which mean: unfit
            raise UnfitModel(f"{spec}: onnxruntime refuses its graph: {_first_line(error)}") from None
        self._inputs = {node.name: _dtype(spec, node.name, node.type) for node in self._session.get_inputs()}
        self._block_sizes, self._tried = block_sizes or (BLOCK_ROWS,), block_sizes is not None
        self._refuse_mismatch()

    def prepare(self) -> tuple[int, ...]:
        """Scores the spec's own example, and finds the sizes of its blocks where they are not known yet; gives them.

        Raises UnfitModel where the answer is not the recorded one.
        """
        started = time.monotonic()
        example = self.check_example()
        if not self._tried:
            rows = trial_rows(example_columns(example, self.spec.columns), self.spec.columns)
            self._block_sizes = equal_sizes(self._bits, self._feeds(rows), time.monotonic() - started)
            self._tried = True
        return self._block_sizes

    def score(self, columns: Columns) -> Scores:
        """Scores N rows: each input column as an array [N] of str objects or numbers (a gap: "" or NaN).

        Always runs full blocks, the last one filled up with its own last row.
        """
        feeds = self._feeds(columns)
        rows = len(next(iter(feeds.values())))
        labels = np.empty(rows, dtype=object)
        probabilities = np.empty((rows, len(self.spec.classes)), dtype=np.float32)
        start = 0
        while start < rows:
            size = next_block(rows - start, self._block_sizes)
            stop = min(start + size, rows)
            label, probability = self._run({name: filled(cells[start:stop], size) for name, cells in feeds.items()})
            labels[start:stop] = label[: stop - start]
            probabilities[start:stop] = probability[: stop - start]
            start = stop
        return Scores(labels, probabilities)

    def score_each(self, columns: Columns) -> tuple[Scores, dict[int, str]]:
        """Scores rows of which the graph may refuse some (a text that it was not fitted on): also index → what it said.

        A refused row has no label, and NaN for probabilities; the others are scored as if it were not there. Raises
        UnfitModel where the graph no longer scores its own example: then the rows are not at fault.
        """
        found, refused = self.score_rows(columns)
        if refused:
            self.check_example()
        return found, refused

    def score_rows(self, columns: Columns) -> tuple[Scores, dict[int, str]]:
        """The same, without a look at the example."""
        rows = len(next(iter(columns.values())))
        found = Scores(np.full(rows, None, dtype=object), np.full((rows, len(self.spec.classes)), np.nan, np.float32))
        refused: dict[int, str] = {}
        parts = [(0, rows)]
        while parts:
            start, stop = parts.pop()
            try:
                scores = self.score({name: cells[start:stop] for name, cells in columns.items()})
            except Exception as error:  # noqa: BLE001 - onnxruntime's own have no base of theirs
                if stop - start == 1:
                    refused[start] = _first_line(error)
                else:
                    middle = (start + stop) // 2
                    parts += [(start, middle), (middle, stop)]
            else:
                found.labels[start:stop], found.probabilities[start:stop] = scores.labels, scores.probabilities
        return found, refused

    def check_example(self) -> Example:
        """Scores the spec's own example; gives it. Raises UnfitModel where the answer is not the recorded one."""
        example = self.spec.example
        if example is None:
            raise UnfitModel(f"{self.spec} has no input example; register it again with one")
        try:
            scores = self.score(example_columns(example, self.spec.columns))
        except Exception as error:  # noqa: BLE001 - any error means that it cannot score its own example
            raise UnfitModel(f"{self.spec} cannot score its own input example: {_first_line(error)}") from None
        recorded = np.array(example.probabilities, dtype=np.float64)
        if list(scores.labels) != list(example.labels) or not np.allclose(
            scores.probabilities, recorded, rtol=0, atol=EXAMPLE_TOLERANCE
        ):
            raise UnfitModel(f"{self.spec} scores its own input example otherwise than recorded at its registration")
        return example

    def _feeds(self, columns: Columns) -> Columns:
        return {name: np.asarray(columns[name]).astype(kind, copy=False) for name, kind in self._inputs.items()}

    def _run(self, block: Columns) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        labels, probabilities = self._session.run([LABEL_OUTPUT, PROBABILITIES_OUTPUT], dict(block))
        return labels, probabilities

    def _bits(self, block: Columns) -> Bits:
        labels, probabilities = self._run(block)
        return labels.tolist(), probabilities.tobytes()

    def _refuse_mismatch(self) -> None:
        wanted = {column.name for column in self.spec.columns}
        if wanted != set(self._inputs):
            odd = ", ".join(sorted(wanted ^ set(self._inputs)))
            raise UnfitModel(f"{self.spec}: its signature and its graph name different inputs: {odd}")
        outputs = {node.name: node.type for node in self._session.get_outputs()}
        if outputs.get(LABEL_OUTPUT) != "tensor(string)" or outputs.get(PROBABILITIES_OUTPUT) != "tensor(float)":
            raise UnfitModel(
                f"{self.spec}: its graph must give '{LABEL_OUTPUT}' (strings) and '{PROBABILITIES_OUTPUT}' (floats), "
                f"and gives {outputs}; `python -m models register FILE.onnx` renames them"
            )


def example_columns(example: Example, columns: tuple[Column, ...]) -> dict[str, np.ndarray[Any, Any]]:
    """The example's cells as `Scorer.score` takes them."""
    return {
        column.name: np.array(["" if cell is None else str(cell) for cell in example.inputs[column.name]], dtype=object)
        if column.is_text
        else np.array([np.nan if cell is None else float(cell) for cell in example.inputs[column.name]])
        for column in columns
    }


def next_block(rows: int, sizes: tuple[int, ...]) -> int:
    """Of the rising `sizes` the one for the next block where `rows` are left.

    The smallest that holds them all; where more than a quarter of that would be filling, the next smaller one.
    """
    return next((size for size in reversed(sizes) if 4 * rows >= 3 * size), sizes[0])


def filled(cells: np.ndarray[Any, Any], rows: int) -> np.ndarray[Any, Any]:
    """An array [N] made [rows] with its own last cell, N from 1 to `rows`."""
    missing = rows - len(cells)
    return cells if missing == 0 else np.concatenate([cells, np.repeat(cells[-1:], missing)])


def trial_rows(example: Columns, columns: tuple[Column, ...]) -> dict[str, np.ndarray[Any, Any]]:
    """TRIED_ROWS rows mixed from an example's cells, column by column; half of the numbers that may be any are
    scaled."""
    choose, rows = np.random.default_rng(0), TRIED_ROWS
    mixed = {column.name: choose.choice(np.asarray(example[column.name]), rows) for column in columns}
    for column in columns:
        if not (column.is_text or column.is_whole or column.is_flag):
            mixed[column.name][::2] *= choose.uniform(0.5, 1.5, rows // 2)
    return mixed


def equal_sizes(answer: Callable[[Columns], Bits], rows: Columns, seconds_each: float) -> tuple[int, ...]:
    """The sizes, rising, whose blocks give each row of `rows` the same bits as blocks of BLOCK_ROWS do.

    Larger sizes are tried up to the first that gives other bits, and so are smaller ones. `answer`: labels of one
    block, and the bytes of its probabilities; `rows`: TRIED_ROWS of them; `seconds_each`: how long a block of
    BLOCK_ROWS takes, about. Where the next size would take the trial beyond TRIED_FOR_SECONDS, or the graph takes no
    such rows, the sizes found until then are enough.
    """
    usual = _Usual(answer, rows)
    started = time.monotonic() - seconds_each
    found = [BLOCK_ROWS]
    for sizes in (LARGER, SMALLER):
        for size in sizes:
            spent = time.monotonic() - started
            if 2 * spent > TRIED_FOR_SECONDS or not usual.same_bits(size):  # the next takes about as long as all before
                break
            found.append(size)
    return tuple(sorted(found))


class _Usual:
    """The answers to rows in blocks of BLOCK_ROWS, for the rows that were asked for so far."""

    def __init__(self, answer: Callable[[Columns], Bits], rows: Columns) -> None:
        self._answer, self._rows = answer, rows
        self._labels, self._probabilities = list[str](), b""

    def same_bits(self, size: int) -> bool:
        """Whether blocks of `size` rows give the same; False as well where the graph does not take them."""
        count = max(size, TRIED_ROWS_SMALLER)
        try:
            labels, probabilities = self._in_blocks(BLOCK_ROWS, len(self._labels), count)
            self._labels, self._probabilities = self._labels + labels, self._probabilities + probabilities
            width = len(self._probabilities) // len(self._labels)
            return self._in_blocks(size, 0, count) == (self._labels[:count], self._probabilities[: count * width])
        except Exception:  # noqa: BLE001 - onnxruntime raises many kinds; the graph scores its example all the same
            return False

    def _in_blocks(self, size: int, start: int, stop: int) -> Bits:
        labels, probabilities = list[str](), b""
        for first in range(start, stop, size):
            more = self._answer({name: cells[first : first + size] for name, cells in self._rows.items()})
            labels, probabilities = labels + more[0], probabilities + more[1]
        return labels, probabilities


def _dtype(spec: ModelSpec, name: str, kind: str) -> Any:
    if kind not in _DTYPES:
        raise UnfitModel(f"{spec}: input {name!r} is a {kind}; it must be a string, double, float or int64 tensor [N]")
    return _DTYPES[kind]


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
