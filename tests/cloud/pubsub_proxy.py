"""A gRPC proxy before the Pub/Sub emulator that writes down which method was called on which resource."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, NamedTuple

import grpc

_RESOURCE = re.compile(rb"projects/[\w-]+/(?:topics|subscriptions)/([\w.~+%-]+)")
_STREAMS = 64


class Called(NamedTuple):
    """A method, like `Subscriber/Acknowledge`, and the last part of the name of what it was called on."""

    method: str
    resource: str


class PubSubProxy:
    """For use in a `with` block: PUBSUB_EMULATOR_HOST is its `host`. Any call passes through, whatever it is."""

    def __init__(self, target: str) -> None:
        self.called: list[Called] = []
        self._channel = grpc.insecure_channel(target)
        self._server = grpc.server(ThreadPoolExecutor(_STREAMS))
        self._server.add_generic_rpc_handlers((_Everything(self._handler),))
        self.host = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    def __enter__(self) -> PubSubProxy:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(0).wait(10)
        self._channel.close()

    def _handler(self, method: str) -> Any:
        def noted(requests: Iterator[bytes]) -> Iterator[bytes]:
            with suppress(grpc.RpcError):  # the client has hung up
                first = next(requests, None)
                if first is not None:
                    found = _RESOURCE.search(first)
                    name = method.rpartition("google.pubsub.v1.")[2]
                    self.called.append(Called(name, found[1].decode() if found else ""))
                    yield first
                    yield from requests

        def pass_on(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
            metadata = [
                pair for pair in context.invocation_metadata() if not pair[0].startswith(("grpc-", "user-agent"))
            ]
            call = self._channel.stream_stream(method)(
                noted(requests), timeout=context.time_remaining(), metadata=metadata
            )
            context.add_callback(call.cancel)
            try:
                yield from call
            except grpc.RpcError as error:
                context.abort(error.code(), error.details())

        return grpc.stream_stream_rpc_method_handler(pass_on)


class _Everything(grpc.GenericRpcHandler):
    def __init__(self, handler: Callable[[str], Any]) -> None:
        self._handler = handler

    def service(self, details: Any) -> Any:
        return self._handler(details.method)
