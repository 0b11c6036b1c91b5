"""Keras, imported so that TensorFlow says nothing and adds up in one order. It takes seconds."""

from __future__ import annotations

import os
from typing import Any


def quiet_keras() -> Any:
    """The module `keras`."""
    # Read by TensorFlow at import. oneDNN picks its kernels by processor, and with them other last bits.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    import keras
    import tensorflow

    tensorflow.config.experimental.enable_op_determinism()  # else threads add up in any order
    return keras
