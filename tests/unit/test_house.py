"""The walls of the house: who may import whom, what a worker may bring along, and what lock files may say."""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = {"transport", "ledger", "edge", "publisher", "worker", "models", "deploy", "benchmarks", "tests"}
MAY_IMPORT = {
    "transport": set(),
    "edge": set(),
    "ledger": {"transport"},
    "publisher": {"transport", "ledger", "edge"},
    "worker": {"transport", "ledger", "edge", "models"},
}
# The closets of models/, and which of them each may use besides itself.
CLOSETS = {
    "models.registry": {"models.evidence.record"},
    "models.scoring": {"models.registry"},
    "models.onnx": {"models.registry", "models.scoring"},
    "models.training": {"models.registry", "models.scoring", "models.onnx", "models.evidence.record"},
    "models.html": {"models.printable"},
    "models.evidence": {"models.registry", "models.scoring", "models.html", "models.printable"},
    "models.profile": {"models.scoring", "models.html", "models.evidence.figures", "models.printable"},
    "models.commands": {"models"},
}
FOR_PAGES = ("edge.html", "edge.terminal")  # of the edge, what the pages of models are made with
FOR_WORKERS = ("models.registry", "models.scoring", "models.evidence.record")
# Of evidence, what reads buckets: for commands and for nobody else.
EVIDENCE_OF_COMMANDS = ("models.evidence.sources", "models.evidence.judging")
LONGEST_MODULE, LONGEST_FUNCTION = 300, 40  # lines; of a function those behind its docstring
LONGER = {
    "deploy.demo.cloud._run": "the demo's story, in order",
    "edge.log.start_log": "one list of processors, in order",
    "models.commands.compare.run": "the command's story: what is asked, found, shown and written",
    "models.evidence.figures.summarise.summarise": "one figure after the other, each named once",
    "models.evidence.record.pair.pair_of": "one field of the pair after the other",
    "models.scoring.table.read.batches": "the parser calls back into what its loop is counting",
    "models.training.estimators.candidate.sklearn_candidate": "the three ways to convert are tried on the same inputs",
    "worker.__main__.run": "the worker's parts are wired together here and nowhere else",
}
SCORING_SIDE = {
    "worker.processes.scoring_process",
    "worker.scoring.score",
    "worker.scoring.served",
    "worker.scoring.output",
    "worker.scoring.predict",
    "worker.scoring.write",
    "worker.shadow",
}
# What a module is called in code → what it is called where it is installed from.
DISTRIBUTIONS = {
    "yaml": "pyyaml",
    "grpc": "grpcio",
    "google": "google-cloud-",
    "opentelemetry": "opentelemetry-",
    "mlflow": "mlflow-skinny",
}
OPTIONAL = {"openlineage": "lineage"}  # what works only where its own lock file is installed
TRAINING = {"tensorflow", "tensorflow-cpu", "keras", "scikit-learn", "pandas", "mlflow", "scipy", "onnx", "skl2onnx"}


class Import(NamedTuple):
    """`module` imports `name` (as far as it is a module or package of ours, else as written)."""

    module: str
    name: str
    top_level: bool

    def __str__(self) -> str:
        return f"{self.module} imports {self.name}"


def modules(room: str) -> dict[str, Path]:
    """Dotted name → file, of each module of a room."""
    found = {}
    for path in sorted((ROOT / room).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def ours(name: str) -> bool:
    place = ROOT.joinpath(*name.split("."))
    return place.with_suffix(".py").is_file() or (place / "__init__.py").is_file()


def imports(module: str, path: Path) -> Iterator[Import]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test).endswith("TYPE_CHECKING")
        for node in ast.walk(block)
    }
    at_top = {id(node) for node in tree.body}
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively; write the whole name"
            base = node.module or ""
            names = [f"{base}.{alias.name}" if ours(f"{base}.{alias.name}") else base for alias in node.names]
        if id(node) not in typing_only:
            yield from (Import(module, name, id(node) in at_top) for name in names)


def all_imports(room: str) -> list[Import]:
    return [found for module, path in modules(room).items() for found in imports(module, path)]


def room_of(name: str) -> str:
    return name.partition(".")[0]


def texts(found: list[Import]) -> list[str]:
    return [str(one) for one in found]


def test_the_rooms_are_all_there():
    for room in (*MAY_IMPORT, "models"):
        assert modules(room), f"no modules in {room}/"
        assert (ROOT / room / "__init__.py").is_file()


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_arrows_point_downwards(room):
    allowed = MAY_IMPORT[room] | {room}

    wrong = [one for one in all_imports(room) if room_of(one.name) in ROOMS - allowed]

    assert texts(wrong) == []


def within(name: str, folders: Iterable[str]) -> bool:
    return any(name == folder or name.startswith(f"{folder}.") for folder in folders)


def test_a_worker_uses_of_the_models_room_only_what_is_for_workers():
    wrong = [
        one for one in all_imports("worker") if room_of(one.name) == "models" and not within(one.name, FOR_WORKERS)
    ]

    assert texts(wrong) == []


@pytest.mark.parametrize("closet", CLOSETS)
def test_a_closet_uses_only_those_below_it(closet):
    found = [one for one in all_imports("models") if within(one.module, [closet]) and room_of(one.name) == "models"]
    assert found

    assert texts([one for one in found if not within(one.name, {closet} | CLOSETS[closet])]) == []


def at_the_edge(module: str) -> bool:
    """True for what only the command line of `python -m models` needs: the commands and what they read by."""
    return module == "models.__main__" or within(module, ("models.commands", *EVIDENCE_OF_COMMANDS))


def test_models_know_no_queue_and_no_bucket_apart_from_their_commands():
    found = all_imports("models")

    too_low = [one for one in found if at_the_edge(one.module) and room_of(one.name) in {"publisher", "worker"}]
    library = [one for one in found if not at_the_edge(one.module)]
    others = [one for one in library if room_of(one.name) != "models" and not within(one.name, FOR_PAGES)]
    beyond = [one for one in others if room_of(one.name) in ROOMS] + [one for one in library if at_the_edge(one.name)]

    assert texts(too_low + beyond) == []


def test_only_commands_read_a_command_line():
    wrong = [
        one
        for one in all_imports("models")
        if one.name == "edge.command" and not within(one.module, ("models.commands", "models.__main__"))
    ]

    assert texts(wrong) == []


@pytest.mark.parametrize("room", ["worker", "deploy", "benchmarks", "tests"])
def test_nobody_below_imports_the_upper_rooms(room):
    others = {"transport", "ledger", "edge", "publisher", "worker", "models"} - {room}

    wrong = [one for other in others for one in all_imports(other) if room_of(one.name) == room]

    assert texts(wrong) == []


def reached(start: set[str], *, top_level: bool = True) -> set[str]:
    """The modules of ours that importing `start` brings in."""
    files = {name: path for room in ROOMS - {"tests"} for name, path in modules(room).items()}
    seen: set[str] = set()
    left = set(start)
    while left:
        module = left.pop()
        seen.add(module)
        if module in files:
            left |= {one.name for one in imports(module, files[module]) if one.top_level or not top_level} - seen
    return seen


def test_no_module_imports_itself_by_way_of_others():
    files = {name: path for room in ROOMS - {"tests"} for name, path in modules(room).items()}
    left = {
        module: {one.name for one in imports(module, path)} & set(files) - {module} for module, path in files.items()
    }
    while free := {module for module, needed in left.items() if not needed}:  # nothing they import is left
        left = {module: needed - free for module, needed in left.items() if module not in free}

    assert left == {}


def test_modules_and_functions_are_short_but_for_those_with_a_reason():
    long_modules, long_functions = [], set()
    for room in ROOMS - {"tests"}:
        for module, path in modules(room).items():
            text = path.read_text(encoding="utf-8")
            if len(text.splitlines()) > LONGEST_MODULE:
                long_modules.append(module)
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.FunctionDef) and lines_of(node) > LONGEST_FUNCTION:
                    long_functions.add(f"{module}.{node.name}")

    assert long_modules == []
    assert long_functions == set(LONGER)


def lines_of(function: ast.FunctionDef) -> int:
    """From the first statement to the last, without the docstring."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (function.end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_no_two_classes_have_one_name():
    rooms = ("transport", "ledger", "edge", "publisher", "worker", "models")
    names = [
        node.name
        for room in rooms
        for path in modules(room).values()
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]
    assert len(names) > 100

    assert [name for name, count in Counter(names).items() if count > 1] == []


def test_what_runs_in_a_scoring_process_brings_in_no_registry_client():
    assert set(modules("worker")) >= SCORING_SIDE

    names = {room_of(name) for name in reached(SCORING_SIDE)}

    assert names.isdisjoint({"mlflow", "pandas", "sklearn", "tensorflow", "keras", "sqlalchemy", "google"})
    assert names.isdisjoint({"prometheus_client", "opentelemetry"})
    assert "onnxruntime" in names


def test_only_settings_classes_read_the_environment():
    # Setting a default is no reading: some libraries can be told in no other way
    wrong = [
        f"{module}, line {number}"
        for room in ("transport", "ledger", "edge", "publisher", "worker")
        for module, path in modules(room).items()
        if module != "edge.command"  # the settings classes' own source
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(r"os\.(getenv|environ(?!\.setdefault))", line)
    ]

    assert wrong == []


def locked(name: str) -> set[str]:
    """The distributions that a lock file pins."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    return {
        line.partition("==")[0].partition("[")[0].lower() for line in text.splitlines() if re.match(r"[a-z0-9]", line)
    }


@pytest.mark.parametrize("name", ["worker", "training", "tracing", "lineage", "dev", "uv", "checkov", "audit"])
def test_a_lock_file_pins_each_distribution_by_hashes_and_names_no_host(name):
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    pinned = re.split(r"\n(?=\S)", text.rstrip("\n"))

    # Nothing but these two kinds of line: so there is no room for an option, an address or a path.
    distribution, digest = r"[a-z0-9._-]+(\[[a-z0-9,._-]+\])?==[A-Za-z0-9.+!]+", r"--hash=sha256:[0-9a-f]{64}"
    assert [entry for entry in pinned if not re.fullmatch(rf"{distribution}( \\\n    {digest})+", entry)] == []


def test_a_worker_installs_no_training_library_and_no_registry_server():
    packages = locked("worker")

    assert {"onnxruntime", "pyarrow", "mlflow-skinny"} <= packages
    assert packages.isdisjoint(TRAINING)


def test_whatever_a_worker_or_publisher_imports_is_in_the_worker_s_lock_file():
    packages = locked("worker")
    everything = reached({*modules("publisher"), *modules("worker"), *modules("transport")}, top_level=False)
    foreign = {
        one
        for module in everything
        if room_of(module) in ROOMS
        for room in [room_of(module)]
        for one in imports(module, modules(room)[module])
        if room_of(one.name) not in ROOMS | set(sys.stdlib_module_names)
    }
    assert foreign
    for top, name in OPTIONAL.items():
        assert f"{top}-python" in locked(name)
    assert not any(one.top_level for one in foreign if room_of(one.name) in OPTIONAL)
    foreign = {one for one in foreign if room_of(one.name) not in OPTIONAL}

    missing = []
    for one in sorted(foreign):
        top = room_of(one.name)
        wanted = DISTRIBUTIONS.get(top, top.replace("_", "-"))
        if not any(package == wanted or (wanted.endswith("-") and package.startswith(wanted)) for package in packages):
            missing.append(one)

    assert texts(missing) == []


def test_the_walls_are_seen_through_function_bodies_too(tmp_path):
    path = tmp_path / "x.py"
    path.write_text("def f():\n    from worker.read import Table\n    import models\nfrom transport import bucket\n")

    assert {(one.name, one.top_level) for one in imports("x", path)} == {
        ("worker.read", False),
        ("models", False),
        ("transport.bucket", True),
    }
