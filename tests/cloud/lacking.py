"""What Google's emulators lack, for tests of provisioning: permissions, a bucket's notifications, service agents."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from threading import Thread
from typing import Any

import grpc
from google.iam.v1 import iam_policy_pb2, policy_pb2

_etags = count()


class Policies:
    """A gRPC server that keeps a policy for each resource, with etags, and hands all other calls on to the emulator.

    `interfere` is called before each change of a policy, as another's program might.
    """

    def __init__(self, emulator: str) -> None:
        self.policies: dict[str, policy_pb2.Policy] = {}
        self.interfere: Callable[[], None] = lambda: None
        self._channel = grpc.insecure_channel(emulator)
        self._server = grpc.server(ThreadPoolExecutor(4))
        self._server.add_generic_rpc_handlers([self])
        self.host = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def close(self) -> None:
        self._server.stop(None).wait()
        self._channel.close()

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        method = details.method
        if method == "/google.iam.v1.IAMPolicy/GetIamPolicy":
            return grpc.unary_unary_rpc_method_handler(
                self._get, iam_policy_pb2.GetIamPolicyRequest.FromString, policy_pb2.Policy.SerializeToString
            )
        if method == "/google.iam.v1.IAMPolicy/SetIamPolicy":
            return grpc.unary_unary_rpc_method_handler(
                self._set, iam_policy_pb2.SetIamPolicyRequest.FromString, policy_pb2.Policy.SerializeToString
            )
        return grpc.unary_unary_rpc_method_handler(
            lambda request, context: self._hand_on(method, request, context), None, None
        )

    def grants(self) -> set[tuple[str, str, str]]:
        return {
            (resource, binding.role, member)
            for resource, policy in self.policies.items()
            for binding in policy.bindings
            for member in binding.members
        }

    def change(self, resource: str, policy: policy_pb2.Policy) -> None:
        changed = policy_pb2.Policy()
        changed.CopyFrom(policy)
        changed.etag = str(next(_etags)).encode()
        self.policies[resource] = changed

    def _get(self, request: Any, _context: grpc.ServicerContext) -> policy_pb2.Policy:
        assert request.options.requested_policy_version == 3
        return self.policies.get(request.resource, policy_pb2.Policy(etag=b"none yet"))

    def _set(self, request: Any, context: grpc.ServicerContext) -> policy_pb2.Policy:
        self.interfere()
        standing = self.policies.get(request.resource, policy_pb2.Policy(etag=b"none yet"))
        if request.policy.etag != standing.etag:
            context.abort(grpc.StatusCode.ABORTED, "there were concurrent policy changes")
        self.change(request.resource, request.policy)
        return self.policies[request.resource]

    def _hand_on(self, method: str, request: bytes, context: grpc.ServicerContext) -> bytes:
        metadata = [(key, value) for key, value in context.invocation_metadata() if key == "x-goog-request-params"]
        try:
            answer: bytes = self._channel.unary_unary(method)(request, metadata=metadata, timeout=30)
        except grpc.RpcError as error:
            context.abort(error.code(), error.details())
        return answer


class Notifying(ThreadingHTTPServer):
    """What Cloud Storage has besides objects: a bucket of project 42 with notifications, and the service agents.

    `ungranted`: how often making a notification is refused because a fresh grant is not known yet.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Notifying)
        self.notifications: list[dict[str, Any]] = []
        self.ungranted = 0
        self.numbers = {"acme-data": 41, "42": 42}  # of projects, by name or number
        self.url = f"http://127.0.0.1:{self.server_port}"
        Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        self.shutdown()
        self.server_close()

    def answer(self, method: str, path: str, body: Any) -> tuple[int, object]:
        match (method, path.split("?")[0].removeprefix("/storage/v1/").split("/")):
            case "GET", ["b", "flights-in"]:
                return 200, {"name": "flights-in", "projectNumber": "42"}
            case "GET", ["projects", project, "serviceAccount"]:
                agent = f"service-{self.numbers[project]}@gs-project-accounts.iam.gserviceaccount.com"
                return 200, {"email_address": agent}
            case "GET", ["b", "flights-in", "notificationConfigs"]:
                return 200, {"items": self.notifications}
            case "POST", ["b", "flights-in", "notificationConfigs"]:
                if self.ungranted:
                    self.ungranted -= 1
                    return _error(403, f"The service account does not have permission to publish messages to {path}")
                self.notifications.append({**body, "id": str(len(self.notifications) + 1)})
                return 200, self.notifications[-1]
        return _error(404, f"nothing at {path}")


class _Notifying(BaseHTTPRequestHandler):
    server: Notifying

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        status, answer = self.server.answer(self.command, self.path, body)
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        pass


def _error(status: int, text: str) -> tuple[int, object]:
    return status, {"error": {"code": status, "message": text, "errors": [{"message": text, "reason": "forbidden"}]}}
