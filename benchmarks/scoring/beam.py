"""Apache Beam's RunInference over whole files as DataFrames: `python -m benchmarks.scoring.beam MODELS`.

On the FnApiRunner, in one process. Files come to a model as batches of about ROWS_AT_ONCE rows: a small file by itself
would leave a model idle, and a large one is a batch already. Both models are loaded once, as in a job that streams.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import apache_beam as beam
import pandas as pd
from apache_beam.io import fileio
from apache_beam.ml.inference.base import KeyedModelHandler, ModelHandler, PredictionResult, RunInference
from apache_beam.options.pipeline_options import PipelineOptions

from benchmarks.scoring.kept import Models
from benchmarks.scoring.turns import take_turns

ROWS_AT_ONCE = 25_000
OPTIONS = ["--runner=FnApiRunner", "--direct_num_workers=1", "--direct_running_mode=in_memory"]


@cache
def models() -> Models:
    """Loaded at the first call; Beam passes the classes below around, and must not copy them."""
    return Models(sys.argv[1])


class Handler(ModelHandler):  # type: ignore[misc]
    """One of the two models on batches of DataFrames."""

    def __init__(self, kind: str, files_at_once: int) -> None:
        super().__init__()
        self._kind, self._at_once = kind, files_at_once

    def load_model(self) -> Models:
        return models()

    def batch_elements_kwargs(self) -> Mapping[str, int]:
        return {"min_batch_size": self._at_once, "max_batch_size": self._at_once}

    def run_inference(
        self, batch: Sequence[pd.DataFrame], model: Models, inference_args: Any = None
    ) -> Iterable[PredictionResult]:
        answers, start = getattr(model, self._kind)(pd.concat(batch)), 0
        for table in batch:
            yield PredictionResult(table, answers[start : start + len(table)])
            start += len(table)


class Write(beam.DoFn):  # type: ignore[misc]
    """A file's predictions as CSV."""

    def __init__(self, kind: str, folder: str) -> None:
        super().__init__()
        self._kind, self._folder = kind, folder

    def process(self, keyed: tuple[str, PredictionResult]) -> Iterator[None]:
        name, result = keyed
        models().write(result.example, result.inference, f"{self._folder}/{self._kind}_{name}")
        yield None


def read(file: Any) -> tuple[str, pd.DataFrame]:
    """A file's name and its rows."""
    with file.open() as stream:
        return os.path.basename(file.metadata.path), pd.read_csv(stream)


def score(paths: list[str], folder: str) -> None:
    """Runs one pipeline over the files."""
    at_once = max(1, ROWS_AT_ONCE // len(pd.read_csv(paths[0], usecols=["id"])))
    with beam.Pipeline(options=PipelineOptions(OPTIONS)) as pipeline:
        tables = pipeline | beam.Create(paths) | fileio.MatchAll() | fileio.ReadMatches() | beam.Map(read)
        for kind in ("forest", "network"):
            answered = tables | f"{kind}" >> RunInference(KeyedModelHandler(Handler(kind, at_once)))
            answered | f"write {kind}" >> beam.ParDo(Write(kind, folder))


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    models()
    take_turns(score)
