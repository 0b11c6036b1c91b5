"""A receipt as a run event of OpenLineage, to where a catalogue such as Marquez takes them.

Specification, and names of datasets: https://openlineage.io/docs/spec/object-model, https://openlineage.io/docs/spec/naming
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from edge.address import CannotSignal
from edge.notify.news import FAULTS, MOST, bounded
from edge.notify.outbox import PAUSES, Outbox
from edge.notify.post import Post
from edge.version import VERSION

if TYPE_CHECKING:
    from openlineage.client.event_v2 import RunEvent

    from edge.notify.notifier import WrittenReceipt

ENDPOINT = "/api/v1/lineage"
STATES = {"scored": "COMPLETE", "rejected": "FAIL", "dead-lettered": "FAIL", "superseded": "ABORT"}
NO_MODEL = "no-model"  # of a file that no version has looked at


class Lineage:
    """`url`: of the catalogue; one without a path gets ENDPOINT. `bucket`: its address, as programs are given it."""

    def __init__(self, url: str, key: str, namespace: str, bucket: str, *, pauses: Sequence[float] = PAUSES) -> None:
        """Raises CannotSignal where the client of OpenLineage is not installed."""
        try:
            from openlineage.client import set_producer
        except ImportError:
            raise CannotSignal(
                "--lineage-url needs OpenLineage: install requirements/lineage.txt in place of requirements/worker.txt"
            ) from None
        set_producer(f"urn:understudy:{VERSION}")
        self._url = url if urlsplit(url).path.strip("/") else url.rstrip("/") + ENDPOINT
        self._key, self._namespace, self._bucket = key, namespace, bucket
        self.outbox = Outbox(self._url, pauses=pauses)

    def receipt(self, receipt: WrittenReceipt) -> None:
        """Sends it, later. Returns at once."""
        self.outbox.put(partial(self._post, receipt))

    def _post(self, receipt: WrittenReceipt) -> Post:
        from openlineage.client.serde import Serde

        event = run_event(json.loads(receipt.to_json()), self._bucket, self._namespace)
        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        return Post(self._url, Serde.to_json(event).encode(), headers)


def run_event(receipt: Mapping[str, Any], bucket: str, namespace: str) -> RunEvent:
    """The event of a receipt (docs/receipt.schema.json): a run is one scoring of one content of a file.

    The job is the model, the input the file, the output its predictions. No text in it quotes a row.
    """
    from openlineage.client import facet_v2 as facets
    from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState

    source, model = receipt["source"], receipt.get("model") or {}
    version = f"{source['generation']}.{source['rescore']}" if source.get("rescore") else str(source["generation"])
    rows = receipt["rows"] or None
    read = facets.input_statistics_input_dataset.InputStatisticsInputDatasetFacet(rows, source.get("size"), 1)
    wrote = facets.output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(rowCount=rows, fileCount=1)
    place, name = _dataset(bucket, source["name"])
    return RunEvent(
        eventType=RunState(STATES[receipt["status"]]),
        eventTime=receipt["finished"] or datetime.now(UTC).isoformat(),
        run=Run(str(uuid.uuid5(uuid.NAMESPACE_URL, f"{place}/{name}@{version}")), _of_run(receipt, model)),
        job=Job(
            namespace,
            model.get("name", NO_MODEL),
            {"jobType": facets.job_type_job.JobTypeJobFacet("BATCH", "UNDERSTUDY", "JOB")},
        ),
        inputs=[
            InputDataset(
                place,
                name,
                {"inputStatistics": read},
                facets={"version": facets.dataset_version_dataset.DatasetVersionDatasetFacet(version)},
            )
        ],
        outputs=[OutputDataset(*_dataset(bucket, output), {"outputStatistics": wrote})]
        if (output := receipt.get("output"))
        else [],
    )


def _of_run(receipt: Mapping[str, Any], model: Mapping[str, Any]) -> dict[str, Any]:
    """The facets that tell of the run: engine, version, and what went wrong."""
    from openlineage.client import facet_v2 as facets

    known = {
        "status": receipt["status"],
        "model_version": model.get("version", ""),
        "mlflow_run_id": model.get("run_id", ""),
        "attempt": str(receipt.get("attempt", 0)),
        "rejected_rows": str(receipt.get("rejected_rows", 0)),
    }
    tags = [facets.tags_run.TagsRunFacetFields(key, value, "UNDERSTUDY") for key, value in known.items() if value]
    found: dict[str, Any] = {
        "processing_engine": facets.processing_engine_run.ProcessingEngineRunFacet(VERSION, "understudy"),
        "tags": facets.tags_run.TagsRunFacet(tags),
    }
    if STATES[receipt["status"]] != "COMPLETE":
        why = FAULTS.get(receipt.get("fault", ""), receipt["status"])
        found["errorMessage"] = facets.error_message_run.ErrorMessageRunFacet(bounded(why), "python")
    return found


def _dataset(bucket: str, name: str) -> tuple[str, str]:
    """Namespace and name, as OpenLineage has them for objects of Cloud Storage and for files of a machine."""
    if "://" in bucket:
        return bucket.rstrip("/"), bounded(name, 2 * MOST)
    return "file", str(Path(bucket).absolute() / name)
