"""The command `profile`: what is in a data set, and how far a second one has drifted from it."""

from __future__ import annotations

import sys
from pathlib import Path

from pydantic import Field
from pydantic_settings import CliPositionalArg
from rich.console import Console

from edge.command import Command


class Profile(Command):
    """Analyses a CSV file: a summary here, and one HTML page with every column by label, correlations and drift."""

    file: CliPositionalArg[Path] = Field(description="the data set, .csv, .csv.gz or .parquet")
    against: Path | None = Field(None, description="a second file, to measure its drift from the first")
    label: str = Field("satisfaction", description="the column of classes; '' where there is none")
    out: Path = Field(Path("profile.html"), description="where the page goes")

    def run(self) -> int:
        """Prints the summary, writes the page."""
        from models.profile.analysis import analyse
        from models.profile.page import page
        from models.profile.table import UnreadableTable, read_table
        from models.profile.terminal import summary

        console = Console()
        left_out: list[str] = []
        try:
            with console.status("reading"):
                table = read_table(self.file, left_out.append)
                second = None if self.against is None else read_table(self.against, left_out.append)
            with console.status("counting"):
                analysis = analyse(table, self.label or None, second)
            with console.status("drawing"):
                self.out.parent.mkdir(parents=True, exist_ok=True)
                document = page(analysis, self.file.name, self.against.name if self.against else None)
                self.out.write_text(document, encoding="utf-8", errors="replace")
        except (UnreadableTable, OSError) as error:
            print(f"profile: {error}", file=sys.stderr)
            return 1
        for said in left_out:
            print(said, file=sys.stderr)
        for part in summary(analysis, self.file.name):
            console.print(part)
        console.print(f"page: {self.out.resolve()}", highlight=False, markup=False, soft_wrap=True)
        return 0


COMMANDS: dict[str, type[Command]] = {"profile": Profile}
