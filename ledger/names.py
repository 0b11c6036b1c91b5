"""Which object is an input, why another is none, and what everything below `output/` is called. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from urllib.parse import quote

from transport.bucket import Bucket
from transport.buckets.folder.files import MAX_PART
from transport.event import (
    MAX_GENERATION,
    MAX_NAME_BYTES,
    PARQUET,
    Generation,
    Message,
    ObjectEvent,
    UnusableMessage,
    why_bad_name,
)

OUTPUT = "output/"
RECEIPTS = "output/receipts/"
UNUSABLE = "output/receipts/.unusable/"
CLAIMS = "output/.claims/"
FAILURES = "output/.failures/"
REFUSED = "output/.refused/"
TOLD = "output/.told/"
COMPARISONS = "output/comparisons/"
VERDICTS = "output/verdicts/"  # one per model, with its report: written by `models watch`, shown by the publisher
COMPARISONS_OF = "output/comparisons-of/"  # further challengers, each in a folder of its alias
LABELS = "labels/"  # of rows that were scored before: read by the comparison, never an input

INPUT_ENDINGS = (".csv", ".csv.gz", ".parquet")
INPUTS_END_IN = f"{', '.join(INPUT_ENDINGS[:-1])} or {INPUT_ENDINGS[-1]}"
UNFINISHED_ENDINGS = (".tmp", ".part", ".crdownload")
_OTHER_TABLES = (".tsv", ".xls", ".xlsx", ".ods", ".pq", ".feather", ".arrow", ".avro", ".orc")

LONGEST_ALIAS = "staging-9"  # of a further challenger
_LONGEST = Generation(MAX_GENERATION, MAX_GENERATION)
_SAMPLE = "x.csv.gz"  # an ending that every name made of it keeps


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
        """Where the comparison with the first challenger lies."""
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
    def outputs(self) -> tuple[str, str]:
        """The output by its name in each form; one of them stands at most."""
        return self.output, other_form(self.output)

    @property
    def shadows(self) -> tuple[str, str]:
        """The same of the shadow's."""
        return self.shadow, other_form(self.shadow)

    @property
    def made(self) -> tuple[str, ...]:
        """Every name that is made of this key: the longest of them says how long an input's name may be."""
        further = ShadowKey(self.name, self.generation, LONGEST_ALIAS)
        shadows = (self.comparison, *self.shadows, further.comparison, *further.shadows)
        return (self.receipt, self.claim, self.failure, *self.outputs, *shadows)


@dataclass(frozen=True, order=True)
class ShadowKey(Key):
    """One scoring in the shadow, by the challenger with this `alias`; the first challenger needs none.

    A further challenger has folders of its own. No input's name leads into them, whatever its prefix is called.
    """

    alias: str = ""

    @property
    def comparison(self) -> str:
        return f"{COMPARISONS_OF}{self.alias}/{self}.json" if self.alias else super().comparison

    @property
    def shadow(self) -> str:
        return f"{OUTPUT}shadow/{self.alias}/pred_{_stem(self.name)}.csv" if self.alias else super().shadow


def output_name(name: str) -> str:
    """Where the production predictions of the input `name` lie: `flights.csv` → `output/pred_flights.csv`.

    Two inputs never share an output: one of another ending keeps its whole name (`flights.csv.gz` →
    `output/pred_flights.csv.gz.csv`), and so does one that would take such a name (`flights.csv.gz.csv`).
    """
    return f"{OUTPUT}pred_{_stem(name)}.csv"


def in_form(name: str, form: str) -> str:
    """An output's name in a form, `csv` or `parquet`: `output/pred_flights.parquet`."""
    return f"{name.rpartition('.')[0]}.{form}"


def other_form(name: str) -> str:
    """What the same output is called in the other form."""
    return in_form(name, "parquet" if name.endswith(".csv") else "csv")


def content_type(name: str) -> str:
    """Of an output."""
    return "text/csv" if name.endswith(".csv") else PARQUET


def _stem(name: str) -> str:
    stem = name.removesuffix(".csv")
    return name if stem.lower().endswith(INPUT_ENDINGS) else stem


def verdict_name(model: str) -> str:
    """Where the verdict on a registered model's versions lies (`ledger.verdict`)."""
    return f"{VERDICTS}{quote(model, safe=' ')}.json"


def report_name(model: str) -> str:
    """Where the report behind that verdict lies, an HTML page."""
    return f"{VERDICTS}{quote(model, safe=' ')}.html"


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
    )


def event_of(message: Message, bucket: Bucket) -> ObjectEvent:
    """What a message about this bucket tells. Raises UnusableMessage for any other."""
    event = ObjectEvent.from_message(message)
    if event.bucket != bucket.name:
        raise UnusableMessage(f"it is about the bucket {event.bucket[:80]!r}, and this one is {bucket.name!r}")
    return event


def takes(name: str, prefix: str, bucket_url: str) -> bool:
    """True for an object that is to be scored: it is named like an input, and receipts can carry its name."""
    return is_input(name, prefix) and _why_unfit(name, bucket_url) is None


def why_no_input(name: str, prefix: str, bucket_url: str) -> str | None:
    """Why an object that looks like an input is none; None where it is one, or does not look like one."""
    if is_input(name, prefix):
        return _why_unfit(name, bucket_url)
    if not looks_like_input(name, prefix):
        return None
    base = name.rpartition("/")[2]
    if not base.lower().endswith(INPUT_ENDINGS):
        return f"its name does not end in {INPUTS_END_IN}"
    if not name.startswith(prefix):
        return f"it lies outside the prefix {prefix!r}"
    return f"it lies in a folder of its own; inputs lie directly below {prefix or 'the root of the bucket'}"


def looks_like_input(name: str, prefix: str) -> bool:
    """True where a person may have meant this object to be scored: a table; not hidden, unfinished, or ours."""
    below = name.removeprefix(prefix)
    lowered = below.rpartition("/")[2].lower()
    if name.startswith((OUTPUT, LABELS)) or any(part.startswith(".") for part in below.split("/")):
        return False
    return (
        any(ending in lowered for ending in (".csv", ".parquet")) or lowered.endswith(_OTHER_TABLES)
    ) and not lowered.endswith(UNFINISHED_ENDINGS)


def _why_unfit(name: str, bucket_url: str) -> str | None:
    why = why_bad_name(name)
    return f"its name {why}" if why else why_too_long(name, bucket_url)


@cache
def most_bytes(bucket_url: str) -> int:
    """How many bytes a name may have: the whole name on Cloud Storage, in a folder the part behind the last slash."""
    made = Key(_SAMPLE, _LONGEST).made
    if "://" in bucket_url:
        return MAX_NAME_BYTES - max(len(name) - len(_SAMPLE) for name in made)
    return MAX_PART - max(len(name.rpartition("/")[2]) - len(_SAMPLE) for name in made)


def why_too_long(name: str, bucket_url: str) -> str | None:
    """Why no receipt could carry this name; None where it is short enough. In a folder the whole path counts too."""
    whole = len(name.encode())
    counted = whole if "://" in bucket_url else len(name.rpartition("/")[2].encode())
    for length, most in ((counted, most_bytes(bucket_url)), (whole, most_bytes("gs://"))):
        if length > most:
            return f"its name has {length} bytes, and of more than {most} no name of a receipt can be made"
    return None


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


def parse_comparison(object_name: str) -> ShadowKey | None:
    """The key in the name of a comparison with any challenger; None where it names none."""
    folder, alias = COMPARISONS, ""
    if object_name.startswith(COMPARISONS_OF):
        alias, slash, _ = object_name[len(COMPARISONS_OF) :].partition("/")
        if not alias or not slash:
            return None
        folder = f"{COMPARISONS_OF}{alias}/"
    key = parse_key(object_name, folder)
    return None if key is None else ShadowKey(key.name, key.generation, alias)
