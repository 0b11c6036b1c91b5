"""Options that the commands share which make a version of somebody's model."""

from __future__ import annotations

from pydantic import Field

from edge.command import Command


class Unsaid(Command):
    """What a model may not say of itself."""

    classes: str | None = Field(
        None, description="the classes in the order of the probabilities, by commas (default: the model's own)"
    )
    positive: str | None = Field(None, description="of two classes the one whose probability is written (the second)")
    # Not `columns`: in the environment COLUMNS is how wide the terminal is.
    input_columns: str | None = Field(None, description="the columns of its inputs in order, by commas")
    id_column: str | None = Field(None, description="input column to carry over into the predictions")
    label_column: str | None = Field(None, description="input column that holds the answer where it is known")


def names(text: str | None) -> list[str] | None:
    """The parts of a list that is separated by commas; None for None."""
    return None if text is None else [name.strip() for name in text.split(",")]
