"""Whether a webhook delivery is from Collimator."""

import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from typing import Any

MAX_AGE = 300
"""Seconds. An older delivery may be one that somebody repeats."""


class InvalidSignature(Exception):
    """The delivery is not from Collimator, or is too old. Answer with 401."""


def verify_webhook(
    secret: str | bytes,
    headers: Mapping[str, str],
    body: bytes,
    *,
    max_age: float = MAX_AGE,
    now: float | None = None,
) -> dict[str, Any]:
    """Returns the CloudEvent of a delivery; `body` is as it was received, before anything parsed it.

    The same event may be delivered twice: know it by its `id`. Raises InvalidSignature.
    """
    named = {name.lower(): value for name, value in headers.items()}
    sent = named.get("x-collimator-timestamp", "")
    if not (sent.isascii() and sent.isdecimal()):
        raise InvalidSignature("X-Collimator-Timestamp is missing")
    key = secret.encode() if isinstance(secret, str) else secret
    signed = hmac.new(key, sent.encode() + b"." + body, hashlib.sha256).hexdigest()
    given = named.get("x-collimator-signature", "")
    # Bytes, since compare_digest refuses text that is not ASCII.
    if not hmac.compare_digest(b"sha256=" + signed.encode(), given.encode()):
        raise InvalidSignature("the signature is of another body, timestamp or secret")
    if abs((time.time() if now is None else now) - int(sent)) > max_age:
        raise InvalidSignature("the delivery is too old, or a clock is wrong")
    event: dict[str, Any] = json.loads(body)
    return event
