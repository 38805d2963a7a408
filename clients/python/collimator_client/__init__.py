"""Client of Collimator: series, files, events as they happen, and the signature of webhooks."""

from .async_client import AsyncClient
from .events import Event
from .protocol import CollimatorError, Page
from .sync_client import Client
from .webhooks import InvalidSignature, verify_webhook

__all__ = [
    "AsyncClient",
    "Client",
    "CollimatorError",
    "Event",
    "InvalidSignature",
    "Page",
    "verify_webhook",
]
