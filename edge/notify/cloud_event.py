"""A message as a CloudEvent, signed as Standard Webhooks has it.

CloudEvents 1.0, structured mode, JSON: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md
Signature: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time

from edge.notify.news import News
from edge.notify.post import Post

MARK = "whsec_"
SHORTEST_KEY = 16  # bytes


def cloud_event(url: str, news: News, source: str, key: bytes) -> Post:
    """The message as it is sent; signed where `key` is not empty."""
    from cloudevents.core.bindings.http import to_structured
    from cloudevents.core.formats.json import JSONFormat
    from cloudevents.core.v1.event import CloudEvent

    event = CloudEvent(
        {
            "id": news.id(source),
            "source": source,
            "type": str(news.happening),
            "subject": news.subject,
            "time": news.time,
            "datacontenttype": "application/json",
        },
        news.fields(),
    )
    message = to_structured(event, JSONFormat())
    signed = signature(key, news.id(source), int(time.time()), message.body) if key else {}
    return Post(url, message.body, {**message.headers, **signed})


def signature(key: bytes, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers: HMAC-SHA256 over `id.timestamp.body`, in base64."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    code = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    return {"webhook-id": message_id, "webhook-timestamp": str(timestamp), "webhook-signature": f"v1,{code}"}


def key_of(secret: str) -> bytes:
    """The key that a secret stands for: base64 behind `whsec_`, else the text itself. Raises ValueError."""
    if not secret:
        return b""
    try:
        key = base64.b64decode(secret.removeprefix(MARK), validate=True) if secret.startswith(MARK) else secret.encode()
    except binascii.Error:
        raise ValueError(f"what follows {MARK} is no base64") from None
    if len(key) < SHORTEST_KEY:
        raise ValueError(f"a secret has {SHORTEST_KEY} bytes at least: try `openssl rand -base64 32` behind {MARK}")
    return key
