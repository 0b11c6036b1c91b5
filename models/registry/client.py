"""The registry as a worker sees it: which version an alias names, and the two files of a version, verified.

Nothing of a version is run or unpickled here: `MLmodel` is read as plain data, `model.onnx` is only hashed and stored.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any, TypeVar

from models.evidence.record.training import Training
from models.registry.address import fit_to_show, shown, why_elsewhere, why_no_database
from models.registry.cache import Shelf, bring, check_digest, folder_name, sha256_of
from models.registry.description.plain import LARGEST as LARGEST_SPEC
from models.registry.description.read import read_spec, read_training
from models.registry.spec import GRAPH_FILE, MEMORY_TAG, SHA256_TAG, SPEC_FILE, ModelSpec, Size, UnfitModel

VersionId = str
ReadSpec = Callable[[bytes, str, VersionId], ModelSpec]  # as `models.registry.description.read.read_spec`
Answer = TypeVar("Answer")

PRODUCTION, STAGING = "production", "staging"
STAGE_OF_ALIAS = {PRODUCTION: "Production", STAGING: "Staging"}
LARGEST_GRAPH = 2 * 2**30
HOW_TO_REGISTER = (
    "register it with `python -m models register FILE.onnx`, or a fitted scikit-learn classifier with "
    "models.register_sklearn, which write what is missing"
)


class RegistryUnreachable(Exception):
    """The registry gave no answer: network, database or permission. Nothing is known; ask again later."""


@dataclass(frozen=True)
class RegisteredVersion:
    """A version as the registry lists it; `created` in seconds since 1970."""

    version: VersionId
    run_id: str
    created: float
    tags: Mapping[str, str]


@dataclass(frozen=True)
class FetchedVersion:
    """A version whose two files lie in the cache with the digests that were registered; `sha256` is the graph's.

    `blocks`: how many rows its graph may be given at once; None until that was tried.
    """

    spec: ModelSpec
    graph: Path
    sha256: str
    blocks: tuple[int, ...] | None = None

    @property
    def lies_there(self) -> bool:
        """Whether the cache still has the graph as it was fetched."""
        try:
            return sha256_of(self.graph) == self.sha256
        except OSError:
            return False


class Registry:
    """One registered model at one MLflow address (`sqlite:///…`, `http://…`, `databricks`). Threads may share it.

    `artifact_hosts`: what UNDERSTUDY_ARTIFACT_HOSTS says, by commas; see `models.registry.address`. `patience`: whole
    seconds that one request may take; there is no retry, because the follower asks again anyway. MLflow reads such
    limits from environment variables only, so they are set for this process where they are not set.
    """

    def __init__(
        self,
        tracking_uri: str,
        model: str,
        *,
        artifact_hosts: str = "",
        patience: int = 5,
        largest_graph: int = LARGEST_GRAPH,
    ) -> None:
        self.tracking_uri = tracking_uri
        self.model = model
        self._artifact_hosts = [host for host in artifact_hosts.split(",") if host.strip()]
        self._largest_graph = largest_graph
        self.reads_stages = False  # whether the last answer of `aliases` came from stages
        self._connecting = Lock()
        for name, value in _mlflow_environment(patience).items():
            os.environ.setdefault(name, value)

    @property
    def shown(self) -> str:
        """Its address, without a password."""
        return shown(self.tracking_uri)

    def no_answer(self, error: Exception) -> RegistryUnreachable:
        """What to raise after an error of MLflow's that does not say that a thing is missing."""
        return RegistryUnreachable(
            f"the registry {self.shown} gave no answer: {fit_to_show(str(error), self.tracking_uri)}"
        )

    @cached_property
    def client(self) -> Any:
        """The `mlflow.MlflowClient`. Raises RegistryUnreachable; makes no database where there is none."""
        if why := why_no_database(self.tracking_uri):
            raise RegistryUnreachable(why)
        with self._connecting:  # two threads at once would import MLflow half and set up the database twice
            from mlflow import MlflowClient

            # Both addresses: a registry that this process was told of elsewhere (a training tells MLflow) is not ours.
            return MlflowClient(tracking_uri=self.tracking_uri, registry_uri=self.tracking_uri)

    def aliases(self) -> Mapping[str, VersionId]:
        """Alias → version, in one request; empty where the model has none or does not exist.

        A model without any alias is read by its stages: `Production` as production, `Staging` as staging.
        """
        found = self._ask(lambda: self.client.get_registered_model(self.model))
        self.reads_stages = False
        if found is None:
            return {}
        if found.aliases:
            return {alias: str(version) for alias, version in found.aliases.items()}
        by_stage = {version.current_stage: str(version.version) for version in found.latest_versions or ()}
        staged = {alias: by_stage[stage] for alias, stage in STAGE_OF_ALIAS.items() if stage in by_stage}
        self.reads_stages = bool(staged)
        return staged

    def resolve(self, alias: str) -> VersionId | None:
        """The version that `alias` names now, or None. Raises RegistryUnreachable."""
        return self.aliases().get(alias)

    def versions(self) -> list[RegisteredVersion]:
        """Every version of the model, the oldest first; none where the model does not exist."""
        quote = '"' if "'" in self.model else "'"
        which = f"name={quote}{self.model}{quote}"
        found: list[RegisteredVersion] = []
        token: str | None = None
        while True:
            page = self._ask(partial(self.client.search_model_versions, which, page_token=token))
            for entry in page or ():
                created, tags = entry.creation_timestamp / 1000, dict(entry.tags or {})
                found.append(RegisteredVersion(str(entry.version), entry.run_id or "", created, tags))
            token = getattr(page, "token", None)
            if not token:
                return sorted(found, key=lambda version: int(version.version))

    def fetch(self, version: VersionId, into: Path, read: ReadSpec = read_spec) -> FetchedVersion:
        """The version's two files under `into`, downloaded unless they lie there with the right digests.

        Many processes may share `into`. `read`: what reads the description, once its digest is right. Raises UnfitModel
        where the version cannot serve, RegistryUnreachable where the registry or its artefact store gave no answer, or
        the store does not have the files now.
        """
        who = f"{self.model} version {version}"
        found = self._ask(lambda: self.client.get_model_version(self.model, version))
        if found is None:
            raise UnfitModel(f"{self.model} has no version {version}; `python -m models list` shows those there are")
        if found.status not in (None, "READY"):
            raise UnfitModel(f"{who} is {found.status}, not READY; wait a little, or register it again")
        tags = dict(found.tags or {})
        pinned = {name: tags[SHA256_TAG + name] for name in (SPEC_FILE, GRAPH_FILE) if SHA256_TAG + name in tags}
        shelf = Shelf(into / folder_name(self.model))
        folder = shelf.find(version, pinned)
        if folder is not None:
            spec = read((folder / SPEC_FILE).read_bytes(), self.model, version)
        else:
            folder, spec = self._download(version, pinned, shelf, read, who)
        return FetchedVersion(spec, folder / GRAPH_FILE, pinned[GRAPH_FILE])

    def size(self, version: VersionId) -> Size:
        """What the version takes, as far as its store and its registration say."""
        try:
            repository = self._ask(lambda: self._repository(version))
        except UnfitModel:
            return Size()
        entries = None if repository is None else self._ask(repository.list_artifacts)
        graph = next((entry.file_size for entry in entries or () if entry.path == GRAPH_FILE), None)
        found = self._ask(lambda: self.client.get_model_version(self.model, version))
        measured = dict(found.tags or {}).get(MEMORY_TAG, "") if found else ""
        return Size(graph, int(measured) if measured.isdecimal() else None)

    def training(self, version: VersionId) -> Training:
        """What the version was fitted on, as far as its registration kept it. Raises RegistryUnreachable."""
        who = f"{self.model} version {version}"
        with TemporaryDirectory() as folder:
            try:
                repository = self._ask(lambda: self._repository(version))
                if repository is None:
                    return Training()
                self._bring(repository, SPEC_FILE, LARGEST_SPEC, Path(folder), who)
            except UnfitModel:  # it may not be fetched from there, or is too large: what it says does not count
                return Training()
            return read_training((Path(folder) / SPEC_FILE).read_bytes())

    def _download(
        self, version: VersionId, pinned: Mapping[str, str], shelf: Shelf, read: ReadSpec, who: str
    ) -> tuple[Path, ModelSpec]:
        with shelf.new_part() as part:
            repository = self._ask(lambda: self._repository(version))
            if repository is None:
                raise UnfitModel(f"{who}: the registry does not know where its files lie; {HOW_TO_REGISTER}")
            self._bring(repository, SPEC_FILE, LARGEST_SPEC, part, who)
            _refuse_unpinned(SPEC_FILE, pinned, who)
            check_digest(part / SPEC_FILE, pinned[SPEC_FILE], who)
            # Before the graph comes: "it is of flavor sklearn" helps its owner more than "it has no model.onnx".
            spec = read((part / SPEC_FILE).read_bytes(), self.model, version)
            _refuse_unpinned(GRAPH_FILE, pinned, who)
            self._bring(repository, GRAPH_FILE, self._largest_graph, part, who)
            return shelf.keep(part, version, pinned, who), spec

    def _bring(self, repository: Any, name: str, limit: int, part: Path, who: str) -> None:
        if self._ask(lambda: bring(repository, name, part, limit, who)) is None:
            # A store that is being copied, or is not mounted yet, may have it at the next look.
            raise RegistryUnreachable(
                f"{who} has no {name} that this machine can see at {shown(repository.artifact_uri)}: either it is no "
                f"ONNX model ({HOW_TO_REGISTER}), or its files lie on another machine's disk (let the MLflow server "
                f"serve artefacts, or give it a bucket)"
            )

    def _repository(self, version: VersionId) -> Any:
        """MLflow's access to the folder of a version's files. Raises UnfitModel where that is no place to ask."""
        if self.tracking_uri.startswith("databricks"):  # hands out credentials per version, in a repository of its own
            from mlflow.store.artifact.models_artifact_repo import ModelsArtifactRepository

            uri = f"models:/{self.model}/{version}"
            return ModelsArtifactRepository(uri, self.tracking_uri, self.client._registry_uri)
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
        from mlflow.store.artifact.runs_artifact_repo import RunsArtifactRepository

        uri = self.client.get_model_version_download_uri(self.model, version)
        if RunsArtifactRepository.is_runs_uri(uri):
            uri = RunsArtifactRepository.get_underlying_uri(uri, self.tracking_uri)
        why = why_elsewhere(uri, self.tracking_uri, "", self._artifact_hosts)
        if why and why_elsewhere(uri, self.tracking_uri, self._artifact_root(), self._artifact_hosts):
            raise UnfitModel(f"{self.model} version {version}: {why}")
        return get_artifact_repository(uri, tracking_uri=self.tracking_uri, registry_uri=self.tracking_uri)

    def _artifact_root(self) -> str:
        """Where the registry keeps artefacts by default: where its own first experiment's are."""
        found = self._ask(lambda: self.client.get_experiment("0"))
        return "" if found is None else str(found.artifact_location)

    def _ask(self, question: Callable[[], Answer]) -> Answer | None:
        """The answer, or None where what was asked for does not exist. Raises RegistryUnreachable for other trouble."""
        try:
            return question()
        except (RegistryUnreachable, UnfitModel):
            raise
        except Exception as error:  # noqa: BLE001 - MLflow, its stores and their drivers raise many kinds
            if _is_missing(error):
                return None
            raise self.no_answer(error) from None  # a traceback would show its text


def _refuse_unpinned(name: str, pinned: Mapping[str, str], who: str) -> None:
    if name not in pinned:
        raise UnfitModel(f"{who} has no tag {SHA256_TAG}{name} to check its bytes by; {HOW_TO_REGISTER}")


def _is_missing(error: Exception) -> bool:
    if isinstance(error, FileNotFoundError):
        return True
    response = getattr(error, "response", None)
    if getattr(response, "status_code", None) == 404:
        return True
    return getattr(error, "error_code", None) in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "NOT_FOUND"}


def _mlflow_environment(patience: int) -> Mapping[str, str]:
    return {
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": str(patience),
        "MLFLOW_DATABRICKS_ENDPOINT_HTTP_RETRY_TIMEOUT": str(patience),
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_LOGGING_LEVEL": "WARNING",
        "MLFLOW_CONFIGURE_LOGGING": "false",  # its loggers are the program's, like those of any library
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
