"""Traces of the real programs, sent to a collector; and a log that names them as Cloud Logging does."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from models.registry.client import PRODUCTION
from tests.unit.test_worker_program import PATIENCE, distances, promote, run
from tests.unit.test_worker_program import place as place
from tests.worker_fixtures import dropped
from transport.buckets.folder.bucket import FolderBucket

pytestmark = pytest.mark.slow


@pytest.fixture
def collector():
    """A collector's address, and what it was sent: (service, span)."""
    spans = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            for sent in ExportTraceServiceRequest.FromString(body).resource_spans:
                names = {each.key: each.value.string_value for each in sent.resource.attributes}
                spans.extend((names["service.name"], span) for scope in sent.scope_spans for span in scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", spans
        server.shutdown()
        thread.join()


def test_publisher_and_worker_send_one_trace_of_a_file(place, collector):
    # Given a file, and programs that were told of a collector
    address, spans = collector
    folder, environment = place
    tracing = {"UNDERSTUDY_TRACE": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": address}
    promote(place, PRODUCTION, 1.0)
    dropped(FolderBucket(environment["UNDERSTUDY_BUCKET"]), "flights.csv", distances(5))

    # When it is published and scored
    published = subprocess.run(
        [sys.executable, "-m", "publisher", "--once"],
        cwd=folder,
        env=environment | tracing,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    status, _, err = run(place, "--until-idle", "0", **tracing)

    # Then the collector has one trace from both
    assert (published.returncode, status) == (0, 0), published.stderr + err
    assert {service for service, _ in spans} == {"understudy-publisher", "understudy-worker"}
    assert len({span.trace_id for _, span in spans}) == 1
    assert {"publish", "handle", "scoring", "read", "score", "commit"} <= {span.name for _, span in spans}
    # and the worker's log names it
    [taken] = [record for line in err.splitlines() if (record := json.loads(line))["message"] == "file taken"]
    assert taken["trace_id"] == spans[0][1].trace_id.hex()
