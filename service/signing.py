"""Messages to webhooks, and their signatures by the Standard Webhooks specification (v1, HMAC-SHA256)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

from service.told import told_of
from store.deliveries import Delivery
from store.events import EventRow
from store.webhooks import PREFIX


def message(delivery: Delivery, event: EventRow) -> bytes:
    """The body that tells the event: its kind, when it was, and all that listeners are told."""
    data = told_of(delivery.model, event)
    return json.dumps({"type": data["kind"], "timestamp": data["at"], "data": data}, ensure_ascii=False).encode()


def message_id(delivery: Delivery, event: EventRow) -> str:
    """The same whenever this event is sent to this webhook."""
    return f"msg_{delivery.model_id}_{delivery.webhook}_{event.number}"


def headers(secret: str, body: bytes, *, message_id: str, now: float) -> dict[str, str]:
    """What the receiver tells by that the body is ours, and not an old one sent again."""
    timestamp = str(int(now))
    return {
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": signature(secret, body, message_id=message_id, timestamp=timestamp),
    }


def signature(secret: str, body: bytes, *, message_id: str, timestamp: str) -> str:
    """`v1,` and the base64 of the HMAC-SHA256 over id, timestamp and body."""
    key = base64.b64decode(secret.removeprefix(PREFIX))
    signed = b".".join([message_id.encode(), timestamp.encode(), body])
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
