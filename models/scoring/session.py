"""A graph loaded by onnxruntime: one thread, no file besides its own bytes, and refusals that say what to do."""

from __future__ import annotations

import os
import re
from typing import Any

import numpy as np
import onnxruntime

from models.registry.spec import UnfitModel

# A graph may name files for its weights. Below a file there is none, and onnxruntime lets no name climb out of here.
NO_FOLDER = os.path.join(os.devnull, "nothing")
DTYPES = {
    "tensor(string)": object,
    "tensor(double)": np.float64,
    "tensor(float)": np.float32,
    "tensor(int64)": np.int64,
}
_NO_LOCALE = re.compile(r"Failed to construct locale with name:([\w.@-]+)")


def open_session(graph: bytes, what: object) -> Any:
    """An onnxruntime.InferenceSession. Raises UnfitModel, which begins with `what`, where onnxruntime refuses it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", NO_FOLDER)
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - onnxruntime raises many kinds, all of which mean: unfit
        locale = _NO_LOCALE.search(str(error))
        if locale:
            raise UnfitModel(f"{what} takes text apart and {without_locale(locale[1])}") from None
        raise UnfitModel(f"{what}: onnxruntime refuses its graph: {first_line(error)}") from None


def without_locale(name: str) -> str:
    """What a graph of texts lacks on this machine, and what to do."""
    return (
        f"needs the locale {name}, which this machine lacks: as root `apt-get install locales` and "
        f"`localedef -i {name.partition('.')[0]} -f UTF-8 {name}`, then start the program again; the images have it"
    )


def first_line(error: Exception) -> str:
    """What it says, in one line of at most 300 characters; its kind where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
