"""What the synchronous and the asynchronous client have in common: requests, and what becomes of responses."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast
from urllib.parse import quote

import httpx

from .models import Problem

T = TypeVar("T")

PAGE_SIZE = 500
"""Records that are asked for at a time; 1,000 at most."""

RETRY_PAUSE = 2.0
"""Seconds before a broken connection to `/events` is opened again."""

FILES = 'multipart/related; type="application/dicom"'


class CollimatorError(Exception):
    """A request was refused, or its response can't be used."""

    def __init__(self, status: int | None, detail: str, problem: Problem | None = None) -> None:
        super().__init__(detail if status is None else f"{status}: {detail}")
        self.status = status
        """The HTTP status, if there was a response."""
        self.problem = problem
        """The body of the response: with `errors`, which name the fields that are wrong."""


@dataclass(frozen=True)
class Page(Generic[T]):
    """A part of a list."""

    items: list[T]
    next: str | None
    """The URL of the next page, if there is one."""


def connection(base_url: str, token: str | None, timeout: float) -> dict[str, Any]:
    """The settings of an httpx client."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return {"base_url": base_url, "headers": headers, "timeout": timeout}


def series_path(uid: str, rest: str = "") -> str:
    return f"/series/{quote(uid, safe='')}{rest}"


def files_path(series: Mapping[str, Any]) -> str:
    study, uid = (quote(str(series[key]), safe="") for key in ("StudyInstanceUID", "SeriesInstanceUID"))
    return f"/dicom-web/studies/{study}/series/{uid}"


def checked(response: httpx.Response) -> httpx.Response:
    """The response, whose body is read, if it is a success."""
    if response.is_success:
        return response
    try:
        problem = cast(Problem, response.json())
        detail = problem["detail"]
    except (ValueError, KeyError, TypeError):
        raise CollimatorError(response.status_code, response.reason_phrase) from None
    raise CollimatorError(response.status_code, detail, problem)


def page(response: httpx.Response) -> Page[Any]:
    following = checked(response).links.get("next", {}).get("url")
    return Page(response.json(), str(response.url.join(following)) if following else None)


def filtered(filters: Mapping[str, Any], limit: int) -> dict[str, Any]:
    return {"limit": limit, **filters}


def listening(
    modality: str | None, calling_ae_title: str | None, last_event_id: str | None
) -> dict[str, Any]:
    """The request for events after one."""
    wanted = {"Modality": modality, "CallingAETitle": calling_ae_title}
    return {
        "url": "/events",
        "params": {name: value for name, value in wanted.items() if value is not None},
        "headers": {"Last-Event-ID": last_event_id} if last_event_id else {},
        # Between two events is any length of time; the server sends comments meanwhile.
        "timeout": httpx.Timeout(30.0, read=60.0),
    }


def is_passing(error: Exception) -> bool:
    """Whether it is worth it to listen again: the connection broke, or NATS is away."""
    if isinstance(error, CollimatorError):
        return error.status in (502, 503, 504)
    # What this side got wrong stays wrong.
    return not isinstance(error, (httpx.LocalProtocolError, httpx.UnsupportedProtocol))
