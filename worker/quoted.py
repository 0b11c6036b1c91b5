"""Which errors may quote what a row says: a log must not show those, unless it is asked to."""

from __future__ import annotations

from edge.log import MayQuoteRows
from worker.processes.process import TaskFailed

# Errors that a scoring process reports in words of ours, of the storage's or of a model's, and never of a file's. What
# else goes wrong there may quote anything: Arrow, for one, quotes the line that it could not read.
_QUOTE_NO_ROW = {
    "BucketError",
    "AccessRefused",
    "NoSpace",
    "NameTooLong",
    "DamagedRead",
    "ObjectNotFound",
    "PreconditionFailed",
    "UnfitModel",
    "NothingToCompare",
    "Incomparable",
}


def kind_of(error: Exception) -> str:
    """The name of the error's class, in the process where it was raised."""
    return error.kind if isinstance(error, TaskFailed) else type(error).__name__


def shown(error: Exception) -> str:
    """The error's text as a log may take it."""
    if isinstance(error, TaskFailed) and error.kind not in _QUOTE_NO_ROW:
        return MayQuoteRows(error)
    return str(error)
