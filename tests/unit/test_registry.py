"""The registry as a worker sees it. Every hostile version here would leave a file behind if any of its code ran."""

from __future__ import annotations

import json
import os
import pickle
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from deploy.waiting import wait_for
from models.evidence.record.training import Training
from models.registry.cache import folder_name
from models.registry.client import FetchedVersion, Registry, RegistryUnreachable
from models.registry.spec import GRAPH_FILE, SHA256_TAG, SPEC_FILE, ModelSpec, Size, UnfitModel
from models.scoring.scorer import Scorer
from tests.unit.registered import (
    MODEL,
    good_files,
    graph,
    laughs,
    mlmodel,
    new_registry,
    pins,
    register,
    register_folder,
)


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return new_registry(tmp_path)


@pytest.fixture
def artefact(tmp_path: Path) -> Path:
    return tmp_path / "artefact"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def mlflow_as_in_a_new_process() -> Iterator[None]:
    """MLflow takes its limits from the environment of the whole process: without what earlier tests had it set."""
    ours = {name: value for name, value in os.environ.items() if name.startswith("MLFLOW_")}
    for name in ours:
        del os.environ[name]
    yield
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        del os.environ[name]
    os.environ.update(ours)


@pytest.fixture
def planted(tmp_path: Path) -> Iterator[Path]:
    """The file that planted code would make; a test that uses it fails if it exists in the end."""
    mark = tmp_path / "planted code ran"
    yield mark
    assert not mark.exists()


def touch_command(mark: Path) -> str:
    return f"open({str(mark)!r}, 'w').close()"


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() or path.is_symlink()}


def refusal(
    uri: str, version: str, cache: Path, kind: type[UnfitModel | RegistryUnreachable] = UnfitModel, **options: int
) -> str:
    with pytest.raises(kind) as caught:
        Registry(uri, MODEL, **options).fetch(version, cache)
    # Whatever was wrong: nothing of it may stay where a worker could find it.
    assert files_in(cache) == set()
    return str(caught.value)


class TestAliases:
    def test_an_alias_names_a_version_and_a_moved_alias_another(self, uri: str, tmp_path: Path) -> None:
        first = register(uri, tmp_path / "1", good_files(1.0))
        second = register(uri, tmp_path / "2", good_files(2.0))
        registry = Registry(uri, MODEL)
        assert registry.resolve("production") is None
        registry.client.set_registered_model_alias(MODEL, "production", first)
        assert registry.resolve("production") == first
        assert registry.resolve("staging") is None
        registry.client.set_registered_model_alias(MODEL, "production", second)
        assert registry.resolve("production") == second

    def test_a_model_that_does_not_exist_has_no_aliases_and_no_versions(self, uri: str) -> None:
        registry = Registry(uri, "never registered")
        assert registry.aliases() == {}
        assert registry.versions() == []

    @pytest.mark.filterwarnings("ignore:.*transition_model_version_stage.*:FutureWarning")
    def test_stages_count_only_where_there_is_no_alias_at_all(self, uri: str, tmp_path: Path) -> None:
        first = register(uri, tmp_path / "1", good_files(1.0))
        second = register(uri, tmp_path / "2", good_files(2.0))
        registry = Registry(uri, MODEL)
        registry.client.transition_model_version_stage(MODEL, first, "Production")
        registry.client.transition_model_version_stage(MODEL, second, "Staging")
        assert registry.aliases() == {"production": first, "staging": second}
        registry.client.set_registered_model_alias(MODEL, "staging", first)
        assert registry.aliases() == {"staging": first}

    def test_all_versions_are_listed_over_many_pages_and_odd_names(self, uri: str, tmp_path: Path) -> None:
        registry = Registry(uri, "it's ours")
        registry.client.create_registered_model("it's ours")
        for _ in range(3):
            registry.client.create_model_version("it's ours", str(tmp_path), tags={"a": "b"})
        register(uri, tmp_path / "other model", good_files())
        assert [(version.version, version.tags) for version in registry.versions()] == [
            (number, {"a": "b"}) for number in "123"
        ]


class TestUnreachable:
    def test_a_wrong_path_is_told_and_makes_no_database(self, tmp_path: Path) -> None:
        missing = tmp_path / "no such.db"
        with pytest.raises(
            RegistryUnreachable, match=r"no registry at .*no such\.db: run `python -m models train all`"
        ):
            Registry(f"sqlite:///{missing}", MODEL).resolve("production")
        assert not missing.exists()

    def test_a_database_of_something_else_is_left_as_it_is(self, tmp_path: Path) -> None:
        other = tmp_path / "queue.db"
        with sqlite3.connect(other) as database:
            database.execute("CREATE TABLE messages (id)")
        database.close()
        before = other.read_bytes()
        with pytest.raises(RegistryUnreachable, match="is not a registry of MLflow's"):
            Registry(f"sqlite:///{other}", MODEL).resolve("production")
        other_text = tmp_path / "notes.txt"
        other_text.write_text("no database at all, but a text of some length\n" * 100)
        with pytest.raises(RegistryUnreachable, match="no readable database"):
            Registry(f"sqlite:///{other_text}", MODEL).resolve("production")
        assert other.read_bytes() == before

    def test_a_registry_that_comes_into_being_later_is_found(self, tmp_path: Path) -> None:
        registry = Registry(f"sqlite:///{tmp_path / 'mlflow.db'}", MODEL)
        with pytest.raises(RegistryUnreachable):
            registry.resolve("production")
        new_registry(tmp_path)
        assert registry.resolve("production") is None

    @pytest.mark.timeout(100, func_only=True)  # MLflow's own limits make one request 120 s
    def test_a_server_that_is_down_or_silent_is_asked_once_and_not_waited_for(
        self, mlflow_as_in_a_new_process: None, capfd: pytest.CaptureFixture[str]
    ) -> None:
        # given a server that takes connections and never answers, and one that takes none
        with socket.socket() as silent, socket.socket() as closed:
            silent.bind(("127.0.0.1", 0))
            silent.listen()
            closed.bind(("127.0.0.1", 0))
            # when each is asked, then its address is told while it still says nothing
            for server in (silent, closed):
                address = f"127.0.0.1:{server.getsockname()[1]}"
                with pytest.raises(RegistryUnreachable, match=r"127\.0\.0\.1"):
                    Registry(f"http://{address}", "m", patience=1).resolve("production")
            # and it was asked once
            silent.setblocking(False)
            asked = 0
            with suppress(BlockingIOError):
                while True:
                    silent.accept()[0].close()
                    asked += 1
            assert asked == 1
        assert capfd.readouterr().err == ""


class TestFetch:
    def test_the_two_files_come_verified_and_can_score(self, uri: str, artefact: Path, cache: Path) -> None:
        version = register(uri, artefact, good_files())
        fetched = Registry(uri, MODEL).fetch(version, cache)
        assert (fetched.spec.name, fetched.spec.version, fetched.spec.run_id) == (MODEL, "1", "0123456789abcdef")
        assert fetched.graph.read_bytes() == graph()
        assert fetched.sha256 == pins(good_files())[SHA256_TAG + GRAPH_FILE]
        assert fetched.graph.parent.parent == cache / MODEL
        Scorer(fetched.graph.read_bytes(), fetched.spec)

    def test_what_lies_in_the_cache_is_not_downloaded_again(self, uri: str, artefact: Path, cache: Path) -> None:
        version = register(uri, artefact, good_files())
        first = Registry(uri, MODEL).fetch(version, cache)
        for file in artefact.iterdir():
            file.unlink()
        assert Registry(uri, MODEL).fetch(version, cache) == first

    @pytest.mark.parametrize("damage", ["changed", "truncated", "gone"])
    def test_a_damaged_cache_is_mended(self, uri: str, artefact: Path, cache: Path, damage: str) -> None:
        version = register(uri, artefact, good_files())
        kept = Registry(uri, MODEL).fetch(version, cache).graph
        if damage == "gone":
            kept.unlink()
        else:
            kept.write_bytes(graph(9.0) if damage == "changed" else graph()[:10])
        assert Registry(uri, MODEL).fetch(version, cache).graph.read_bytes() == graph()

    def test_many_at_once_share_one_copy_and_leave_nothing_else(self, uri: str, artefact: Path, cache: Path) -> None:
        version = register(uri, artefact, good_files())
        registry = Registry(uri, MODEL)

        def fetch(_: int) -> FetchedVersion:
            return registry.fetch(version, cache)

        with ThreadPoolExecutor(8) as pool:
            assert len({fetched.graph for fetched in pool.map(fetch, range(24))}) == 1
        assert {Path(file).name for file in files_in(cache)} == {SPEC_FILE, GRAPH_FILE}
        assert len(files_in(cache)) == 2

    def test_what_a_killed_download_left_is_cleared_once_it_is_old(self, uri: str, artefact: Path, cache: Path) -> None:
        version = register(uri, artefact, good_files())
        old, young = cache / MODEL / ".part-old", cache / MODEL / ".part-young"
        for part in (old, young):
            part.mkdir(parents=True)
            (part / GRAPH_FILE).write_bytes(b"half")
        os.utime(old, (time.time() - 7200,) * 2)
        Registry(uri, MODEL).fetch(version, cache)
        assert not old.exists()
        assert young.exists()

    @pytest.mark.parametrize("name", ["..", ".", "../../x", "/etc", "a/b\\c", ".part-x"])
    def test_a_model_named_like_a_path_is_one_plain_folder(self, name: str, cache: Path) -> None:
        folder = cache / folder_name(name)
        assert folder.parent == cache
        assert not folder.name.startswith(".")

    def test_it_says_nothing_on_stdout_or_stderr(
        self, uri: str, artefact: Path, cache: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        version = register(uri, artefact, good_files())
        capfd.readouterr()
        Registry(uri, MODEL).fetch(version, cache)
        assert capfd.readouterr() == ("", "")


class TestRefusals:
    def test_an_unknown_version(self, uri: str, artefact: Path, cache: Path) -> None:
        register(uri, artefact, good_files())
        assert "has no version 7" in refusal(uri, "7", cache)
        assert "has no version seven" in refusal(uri, "seven", cache)

    def test_a_pickle_is_not_opened_and_the_owner_told_what_to_do(
        self, uri: str, artefact: Path, cache: Path, planted: Path
    ) -> None:
        class Bomb:
            def __reduce__(self) -> tuple[object, tuple[str]]:
                return exec, (touch_command(planted),)

        flavors = {"sklearn": {"pickled_model": "model.pkl"}, "python_function": {"loader_module": "mlflow.sklearn"}}
        files = {
            SPEC_FILE: mlmodel(flavors=flavors),
            "model.pkl": pickle.dumps(Bomb()),
            GRAPH_FILE: pickle.dumps(Bomb()),
        }
        version = register(uri, artefact, files)
        told = refusal(uri, version, cache)
        assert "python_function, sklearn" in told
        assert f"python -m models adopt models:/{MODEL}/{version}" in told

    def test_a_pickle_without_our_tags_is_told_the_same(self, uri: str, artefact: Path, cache: Path) -> None:
        files = {SPEC_FILE: mlmodel(flavors={"sklearn": {}}), "model.pkl": b""}
        assert "is of flavor sklearn, and workers run ONNX only" in refusal(uri, register(uri, artefact, files), cache)

    def test_a_loader_module_with_code_is_never_imported_nor_downloaded(
        self, uri: str, artefact: Path, cache: Path, planted: Path
    ) -> None:
        evil = {"python_function": {"loader_module": "evil", "code": "code", "env": "conda.yaml"}}
        code = {"code/evil.py": touch_command(planted).encode(), "conda.yaml": b"dependencies: [evil]"}
        alone = register(uri, artefact / "alone", {SPEC_FILE: mlmodel(flavors=evil), **code})
        assert "workers run ONNX only" in refusal(uri, alone, cache)
        # Beside a proper graph it is simply not looked at.
        beside = register(
            uri, artefact / "beside", {**good_files(), SPEC_FILE: mlmodel(flavors={"onnx": {}, **evil}), **code}
        )
        fetched = Registry(uri, MODEL).fetch(beside, cache)
        Scorer(fetched.graph.read_bytes(), fetched.spec)
        assert {Path(file).name for file in files_in(cache)} == {SPEC_FILE, GRAPH_FILE}
        assert "evil" not in sys.modules

    def test_yaml_that_builds_objects_is_refused(self, uri: str, artefact: Path, cache: Path, planted: Path) -> None:
        spec = b"flavors: !!python/object/apply:builtins.exec [" + json.dumps(touch_command(planted)).encode() + b"]\n"
        version = register(uri, artefact, {**good_files(), SPEC_FILE: spec})
        assert "MLmodel" in refusal(uri, version, cache)

    @pytest.mark.parametrize(
        "spec",
        [
            b"",
            b"\xff\xfe\x00",
            b"[1, 2]",
            b"[" * 100_000,
            mlmodel(metadata={"understudy": {"classes": ["a", "b"], "example": {}}}),
        ],
        ids=["empty", "no text", "a list", "deep", "an example without rows"],
    )
    def test_an_mlmodel_of_any_other_content(self, uri: str, artefact: Path, cache: Path, spec: bytes) -> None:
        version = register(uri, artefact, {**good_files(), SPEC_FILE: spec})
        assert "MLmodel" in refusal(uri, version, cache)

    @pytest.mark.parametrize("given", ["Satisfied", 7, False])
    def test_a_positive_class_that_is_none(self, uri: str, artefact: Path, cache: Path, given: object) -> None:
        metadata = {"understudy": {"classes": ["neutral or dissatisfied", "satisfied"], "positive_class": given}}
        version = register(uri, artefact, {**good_files(), SPEC_FILE: mlmodel(metadata=metadata)})
        assert "positive" in (told := refusal(uri, version, cache))
        assert (
            "positive class 'Satisfied' is none of its classes" if given == "Satisfied" else "a valid string"
        ) in told

    def test_a_source_elsewhere_is_refused_and_gets_no_request(
        self, uri: str, cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Given a version whose files are said to lie on somebody's own server, and a token for the registry
        monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "for the registry alone")
        with socket.socket() as elsewhere:
            elsewhere.bind(("127.0.0.1", 0))
            elsewhere.listen()
            host = f"127.0.0.1:{elsewhere.getsockname()[1]}"
            source = f"http://{host}/api/2.0/mlflow-artifacts/artifacts/1"
            version = register_folder(uri, source, pins(good_files()))

            # When it is fetched, sized, or asked what it has learned from
            told = refusal(uri, version, cache)
            registry = Registry(uri, MODEL)
            assert registry.size(version) == Size()
            assert registry.training(version) == Training()

            # Then nobody was asked
            elsewhere.setblocking(False)
            with pytest.raises(BlockingIOError):
                elsewhere.accept()
        assert f"its files lie at {source}, which is neither the registry's own host" in told
        assert "ARTIFACT_HOSTS" in told

    def test_a_host_on_the_list_is_asked(self, uri: str, cache: Path) -> None:
        place = "/api/2.0/mlflow-artifacts/artifacts"

        class Files(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path, _, folder = self.path.partition("?path=")
                names = good_files() if folder == "1" else []
                listed = [{"path": name, "is_dir": False, "file_size": 1} for name in names]
                body = json.dumps({"files": listed}).encode() if folder else good_files()[path.rpartition("/")[2]]
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Files) as files:
            threading.Thread(target=files.serve_forever, daemon=True).start()
            host = f"127.0.0.1:{files.server_address[1]}"
            version = register_folder(uri, f"http://{host}{place}/1", pins(good_files()))
            fetched = Registry(uri, MODEL, artifact_hosts=f"gs://models, {host}").fetch(version, cache)
            files.shutdown()
        assert fetched.graph.read_bytes() == graph()

    def test_a_description_is_not_read_before_its_digest_is_right(self, uri: str, artefact: Path, cache: Path) -> None:
        version = register(uri, artefact, good_files())
        (artefact / SPEC_FILE).write_bytes(laughs())
        read: list[bytes] = []

        def read_spec(mlmodel: bytes, name: str, version: str) -> ModelSpec:
            read.append(mlmodel)
            raise UnfitModel("it was read")

        with pytest.raises(UnfitModel, match="MLmodel was changed after it was registered"):
            Registry(uri, MODEL).fetch(version, cache, read_spec)
        assert read == []

    @pytest.mark.parametrize("name", [SPEC_FILE, GRAPH_FILE])
    def test_changed_bytes(self, uri: str, artefact: Path, cache: Path, name: str) -> None:
        version = register(uri, artefact, good_files())
        changed = mlmodel(run_id="another") if name == SPEC_FILE else graph(-1.0)
        (artefact / name).write_bytes(changed)
        assert f"{name} was changed after it was registered" in refusal(uri, version, cache)

    @pytest.mark.parametrize("name", [SPEC_FILE, GRAPH_FILE])
    def test_a_missing_tag(self, uri: str, artefact: Path, cache: Path, name: str) -> None:
        tags = {key: value for key, value in pins(good_files()).items() if not key.endswith(name)}
        version = register(uri, artefact, good_files(), tags=tags)
        assert f"has no tag understudy.sha256.{name}" in refusal(uri, version, cache)

    @pytest.mark.parametrize(
        "climbing", ["../secret", "../../../../../../../../etc/hostname", "/etc/hostname", "MLmodel"]
    )
    def test_external_data_finds_no_file_to_read(self, uri: str, artefact: Path, cache: Path, climbing: str) -> None:
        weights = b"\x00" * 8
        files = {**good_files(), GRAPH_FILE: graph(external=climbing), "model.onnx.data": weights}
        fetched = Registry(uri, MODEL).fetch(register(uri, artefact, files), cache)
        (fetched.graph.parent.parent / "secret").write_bytes(weights)
        with pytest.raises(UnfitModel, match="onnxruntime refuses its graph"):
            Scorer(fetched.graph.read_bytes(), fetched.spec)
        assert not list(cache.rglob("*.data"))

    def test_loading_leaves_no_folder_behind_however_it_ends(
        self, uri: str, artefact: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fetched = Registry(uri, MODEL).fetch(register(uri, artefact, good_files()), cache)
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))  # a process killed meanwhile tidies nothing
        assert Scorer(fetched.graph.read_bytes(), fetched.spec).spec == fetched.spec

    def test_paths_in_mlmodel_are_not_followed(self, uri: str, artefact: Path, cache: Path) -> None:
        flavors = {"onnx": {"data": "/etc/passwd", "code": "../../.."}}
        spec = mlmodel(flavors=flavors, artifact_path="/etc", model_uuid="../..")
        fetched = Registry(uri, MODEL).fetch(register(uri, artefact, {**good_files(), SPEC_FILE: spec}), cache)
        assert fetched.graph.read_bytes() == graph()
        assert len(files_in(cache)) == 2

    def test_a_source_elsewhere_gives_at_most_files_of_those_two_names(
        self, uri: str, tmp_path: Path, cache: Path
    ) -> None:
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        (elsewhere / "id_rsa").write_text("secret")
        version = register_folder(uri, elsewhere.as_uri(), pins(good_files()))
        # A store that is not mounted yet looks the same: it is asked again, and never gives anything else
        assert "has no MLmodel that this machine can see" in refusal(uri, version, cache, RegistryUnreachable)

    @pytest.mark.parametrize("name", [SPEC_FILE, GRAPH_FILE])
    def test_files_that_are_not_to_be_found_may_be_there_later(
        self, uri: str, artefact: Path, cache: Path, name: str
    ) -> None:
        version = register(uri, artefact, good_files())
        (artefact / name).rename(artefact / "not copied yet")
        assert f"has no {name} that this machine can see" in refusal(uri, version, cache, RegistryUnreachable)
        (artefact / "not copied yet").rename(artefact / name)
        assert Registry(uri, MODEL).fetch(version, cache).lies_there

    @pytest.mark.parametrize("name", [SPEC_FILE, GRAPH_FILE])
    @pytest.mark.parametrize("kind", ["endless device", "pipe", "folder"])
    def test_what_is_no_plain_file(self, uri: str, artefact: Path, cache: Path, name: str, kind: str) -> None:
        version = register(uri, artefact, good_files())
        (artefact / name).unlink()
        if kind == "endless device":
            (artefact / name).symlink_to("/dev/zero")
        elif kind == "pipe":
            os.mkfifo(artefact / name)
        else:
            (artefact / name).mkdir()
            (artefact / name / "inside").write_text("x")
        # MLflow itself refuses a link that leads out of the artefact
        expected = f"{name} is a link that leads out" if kind == "endless device" else f"{name} is not a plain file"
        assert expected in refusal(uri, version, cache)

    def test_a_graph_over_the_limit(self, uri: str, artefact: Path, cache: Path) -> None:
        version = register(uri, artefact, good_files())
        assert "at most 100 are allowed" in refusal(uri, version, cache, largest_graph=100)


@pytest.mark.slow
def test_a_server_gives_the_same_as_the_database(
    tmp_path: Path, artefact: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given an MLflow server that keeps the artefacts itself, and may be slow
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")
    uri = new_registry(tmp_path)
    files = good_files()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", uri, "--artifacts-destination", str(tmp_path / "served")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            address = f"http://127.0.0.1:{port}"
            wait_for(lambda: _answers(address), "an answer of the MLflow server", every=0.2)
            # When a version is registered whose files lie with the server
            client = Registry(address, MODEL).client
            run = client.create_run(client.create_experiment("tiny", "mlflow-artifacts:/tiny"))
            for name, content in files.items():
                (tmp_path / name).write_bytes(content)
                client.log_artifact(run.info.run_id, str(tmp_path / name), "model")
            source = f"{run.info.artifact_uri}/model"
            client.create_registered_model(MODEL)
            version = client.create_model_version(MODEL, source, run_id=run.info.run_id, tags=pins(files)).version
            registry = Registry(address, MODEL)
            registry.client.set_registered_model_alias(MODEL, "production", version)
            # Then it is found and fetched like any other, and one that lacks its graph may have it at the next look
            assert registry.resolve("production") == version
            assert registry.fetch(version, cache).graph.read_bytes() == graph()
            next((tmp_path / "served").rglob(GRAPH_FILE)).unlink()
            assert "has no model.onnx" in refusal(address, version, tmp_path / "another cache", RegistryUnreachable)
            assert "has no version 9" in refusal(address, "9", tmp_path / "another cache")
            assert Registry(address, "never registered").aliases() == {}
        finally:
            server.terminate()


def _answers(address: str) -> bool:
    try:
        Registry(address, MODEL).aliases()
    except RegistryUnreachable:
        return False
    return True
