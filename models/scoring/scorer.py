"""Runs one registered graph on raw columns: what a worker serves with, and what a registration is checked with."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.registry.spec import LABEL_OUTPUT, PROBABILITIES_OUTPUT, Column, Example, ModelSpec, UnfitModel
from models.scoring.blocks import BLOCK_ROWS, Bits, Columns, equal_sizes, filled, next_block, trial_rows
from models.scoring.session import DTYPES, first_line, open_session

EXAMPLE_TOLERANCE = 1e-5  # float32 sums in another order, as on another processor, stay far below it


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
        self._session = open_session(graph, spec)
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

        Always runs full blocks, the last one filled up with its own last row: see `models.scoring.blocks`.
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
        """The same for rows of which the graph may not take some (a text it was not fitted on): index → what it said.

        Those have no label, and NaN for probabilities. The others are scored as without them. Raises UnfitModel where
        the graph no longer scores its own example either: then not the rows are at fault.
        """
        found, refused = self.score_rows(columns)
        if refused:
            self.check_example()
        return found, refused

    def score_rows(self, columns: Columns) -> tuple[Scores, dict[int, str]]:
        """The same, whatever the graph does with its own example."""
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
                    refused[start] = first_line(error)
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
        except Exception as error:  # noqa: BLE001 - whatever it raises, it cannot score its own example
            raise UnfitModel(f"{self.spec} cannot score its own input example: {first_line(error)}") from None
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


def _dtype(spec: ModelSpec, name: str, kind: str) -> Any:
    if kind not in DTYPES:
        raise UnfitModel(f"{spec}: input {name!r} is a {kind}; it must be a string, double, float or int64 tensor [N]")
    return DTYPES[kind]
