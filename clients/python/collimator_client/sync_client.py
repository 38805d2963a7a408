"""The client that waits. Made of async_client.py by generate.py: do not edit."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self, Unpack, cast

import httpx

from . import protocol
from .events import Event, EventParser
from .models import Instance, Revision, Series, SeriesDetails, SeriesFilters, StoreRequest
from .multipart import FileWriter
from .protocol import PAGE_SIZE, RETRY_PAUSE, CollimatorError, Page, files_path, series_path


class Client:
    """The API, for `with`."""

    def __init__(
        self,
        base_url: str = "http://127.0.0.1:8000",
        *,
        token: str | None = None,
        timeout: float = 30.0,
        http: httpx.Client | None = None,
    ) -> None:
        """`http` is an httpx client of your own: with its `base_url`, a CA of your own, a proxy."""
        self._http = http or httpx.Client(**protocol.connection(base_url, token, timeout))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def list_series(self, *, limit: int = 100, **filters: Unpack[SeriesFilters]) -> Page[Series]:
        """The first page of the series with these attributes: complete ones, unless `State` says otherwise."""
        wanted = protocol.filtered(filters, limit)
        return protocol.page(self._http.get("/series", params=wanted))

    def next_page(self, page: Page[Series]) -> Page[Series] | None:
        """The page after one, if there is one."""
        return protocol.page(self._http.get(page.next)) if page.next else None

    def iterate_series(self, **filters: Unpack[SeriesFilters]) -> Iterator[Series]:
        """All series with these attributes, read page by page."""
        page: Page[Series] | None = self.list_series(limit=PAGE_SIZE, **filters)
        while page:
            for series in page.items:
                yield series
            page = self.next_page(page)

    def get_series(self, uid: str) -> SeriesDetails:
        """All that is known of a series."""
        return cast(SeriesDetails, self._json("GET", series_path(uid)))

    def instances(self, uid: str) -> list[Instance]:
        """The instances of a series."""
        return cast(list[Instance], self._json("GET", series_path(uid, "/instances")))

    def history(self, uid: str) -> list[Revision]:
        """What was decided of a series: its completions and deletions."""
        return cast(list[Revision], self._json("GET", series_path(uid, "/history")))

    def store(self, series: StoreRequest) -> bool:
        """Registers a series that did not come by DICOM: whether it is new."""
        answer = self._json("POST", "/store", series)
        return bool(answer["message"] == "Series stored successfully")

    def complete(self, uid: str) -> None:
        """Requests that a series that is still receiving be complete. Needs the scope `admin`."""
        self._json("POST", series_path(uid, "/complete"))

    def delete(self, uid: str) -> None:
        """Requests that a series be taken out of the catalogue. Needs the scope `admin`."""
        self._json("DELETE", series_path(uid))

    def download(
        self, series: Series | SeriesDetails | Mapping[str, Any], folder: str | Path
    ) -> list[Path]:
        """Writes the files of a series into a folder by WADO-RS, and gives their paths.

        `series` is a record or the payload of an event: it has `StudyInstanceUID` and `SeriesInstanceUID`.
        """
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        request = self._http.stream("GET", files_path(series), headers={"Accept": protocol.FILES})
        with request as response:
            if not response.is_success:
                response.read()
                protocol.checked(response)
            writer = FileWriter(response.headers["content-type"], target)
            try:
                for chunk in response.iter_bytes():
                    writer.feed(chunk)
            except BaseException:
                writer.abort()
                raise
            return writer.close()

    def events(
        self,
        *,
        modality: str | None = None,
        calling_ae_title: str | None = None,
        last_event_id: str | None = None,
    ) -> Iterator[Event]:
        """What happens, as it happens, until you stop. A connection that breaks is opened again after the last event.

        Keep `Event.id` and give it back as `last_event_id` to go on after a restart. Some events may come twice.
        """
        while True:
            try:
                request = protocol.listening(modality, calling_ae_title, last_event_id)
                with self._http.stream("GET", **request) as response:
                    if not response.is_success:
                        response.read()
                        protocol.checked(response)
                    parser = EventParser()
                    for line in response.iter_lines():
                        event = parser.feed(line)
                        if event:
                            last_event_id = event.id or last_event_id
                            yield event
            except (httpx.TransportError, CollimatorError) as error:
                if not protocol.is_passing(error):
                    raise
            time.sleep(RETRY_PAUSE)

    def _json(self, method: str, path: str, body: object = None) -> Any:
        response = self._http.request(method, path, json=body)
        return protocol.checked(response).json()
