"""Which object is an input, and what everything below `output/` is called. Pure: names in, names out."""

from __future__ import annotations

from dataclasses import dataclass

from transport.event import Generation

OUTPUT = "output/"
RECEIPTS = "output/receipts/"
UNUSABLE = "output/receipts/.unusable/"
CLAIMS = "output/.claims/"
FAILURES = "output/.failures/"
REFUSED = "output/.refused/"
COMPARISONS = "output/comparisons/"
LABELS = "labels/"  # of rows that were scored before: read by the comparison, never an input

INPUT_ENDINGS = (".csv", ".csv.gz")
UNFINISHED_ENDINGS = (".tmp", ".part", ".crdownload")


@dataclass(frozen=True, order=True)
class Key:
    """One scoring of one content of one input: what a receipt is about."""

    name: str
    generation: Generation

    def __str__(self) -> str:
        return f"{self.name}@{self.generation}"

    @property
    def receipt(self) -> str:
        return f"{RECEIPTS}{self}.json"

    @property
    def comparison(self) -> str:
        return f"{COMPARISONS}{self}.json"

    @property
    def claim(self) -> str:
        return f"{CLAIMS}{self}"

    @property
    def failure(self) -> str:
        return f"{FAILURES}{self}.json"

    @property
    def output(self) -> str:
        return output_name(self.name)

    @property
    def shadow(self) -> str:
        return f"{OUTPUT}shadow/pred_{_stem(self.name)}.csv"

    @property
    def made(self) -> tuple[str, ...]:
        """Every name that is made of this key: the longest of them says how long an input's name may be."""
        return (self.receipt, self.comparison, self.claim, self.failure, self.output, self.shadow)


def output_name(name: str) -> str:
    """Where the production predictions of the input `name` lie: `flights.csv` → `output/pred_flights.csv`.

    Two inputs never share an output: one of another ending keeps its whole name (`flights.csv.gz` →
    `output/pred_flights.csv.gz.csv`), and so does one that would take such a name (`flights.csv.gz.csv`).
    """
    return f"{OUTPUT}pred_{_stem(name)}.csv"


def _stem(name: str) -> str:
    stem = name.removesuffix(".csv")
    return name if stem.lower().endswith(INPUT_ENDINGS) else stem


def is_input(name: str, prefix: str = "") -> bool:
    """True for an object directly below `prefix` that is to be scored (docs/design.md, "Inputs")."""
    if not name.startswith(prefix) or name.startswith((OUTPUT, LABELS)):
        return False
    base = name[len(prefix) :]
    lowered = base.lower()
    return (
        "/" not in base
        and not base.startswith(".")
        and not lowered.endswith(UNFINISHED_ENDINGS)
        and lowered.endswith(INPUT_ENDINGS)
        and len(base) > len(INPUT_ENDINGS[1 if lowered.endswith(".gz") else 0])
    )


def parse_key(object_name: str, below: str) -> Key | None:
    """The key in the name of a receipt, comparison, claim or failure note; None where it names none.

    `below` is the folder the object lies in: RECEIPTS, COMPARISONS, CLAIMS or FAILURES.
    """
    if not object_name.startswith(below):
        return None
    rest = object_name[len(below) :]
    if below != CLAIMS:
        if not rest.endswith(".json"):
            return None
        rest = rest.removesuffix(".json")
    name, at, generation = rest.rpartition("@")
    if not at or not name:
        return None
    try:
        return Key(name, Generation.parse(generation))
    except ValueError:
        return None
