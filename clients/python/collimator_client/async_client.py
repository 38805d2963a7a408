"""The client for asyncio. `generate.py` makes the synchronous one of it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Self, Unpack, cast

import httpx

from . import protocol
from .events import Event, EventParser
from .models import Instance, Revision, Series, SeriesDetails, SeriesFilters, StoreRequest
from .multipart import FileWriter
from .protocol import PAGE_SIZE, RETRY_PAUSE, CollimatorError, Page, files_path, series_path


class AsyncClient:
    """The API, for `async with`."""

    def __init__(
        self,
        base_url: str = "http://127.0.0.1:8000",
        *,
        token: str | None = None,
        timeout: float = 30.0,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        """`http` is an httpx client of your own: with its `base_url`, a CA of your own, a proxy."""
        self._http = http or httpx.AsyncClient(**protocol.connection(base_url, token, timeout))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def list_series(self, *, limit: int = 100, **filters: Unpack[SeriesFilters]) -> Page[Series]:
        """The first page of the series with these attributes: complete ones, unless `State` says otherwise."""
        wanted = protocol.filtered(filters, limit)
        return protocol.page(await self._http.get("/series", params=wanted))

    async def next_page(self, page: Page[Series]) -> Page[Series] | None:
        """The page after one, if there is one."""
        return protocol.page(await self._http.get(page.next)) if page.next else None

    async def iterate_series(self, **filters: Unpack[SeriesFilters]) -> AsyncIterator[Series]:
        """All series with these attributes, read page by page."""
        page: Page[Series] | None = await self.list_series(limit=PAGE_SIZE, **filters)
        while page:
            for series in page.items:
                yield series
            page = await self.next_page(page)

    async def get_series(self, uid: str) -> SeriesDetails:
        """All that is known of a series."""
        return cast(SeriesDetails, await self._json("GET", series_path(uid)))

    async def instances(self, uid: str) -> list[Instance]:
        """The instances of a series."""
        return cast(list[Instance], await self._json("GET", series_path(uid, "/instances")))

    async def history(self, uid: str) -> list[Revision]:
        """What was decided of a series: its completions and deletions."""
        return cast(list[Revision], await self._json("GET", series_path(uid, "/history")))

    async def store(self, series: StoreRequest) -> bool:
        """Registers a series that did not come by DICOM: whether it is new."""
        answer = await self._json("POST", "/store", series)
        return bool(answer["message"] == "Series stored successfully")

    async def complete(self, uid: str) -> None:
        """Requests that a series that is still receiving be complete. Needs the scope `admin`."""
        await self._json("POST", series_path(uid, "/complete"))

    async def delete(self, uid: str) -> None:
        """Requests that a series be taken out of the catalogue. Needs the scope `admin`."""
        await self._json("DELETE", series_path(uid))

    async def download(
        self, series: Series | SeriesDetails | Mapping[str, Any], folder: str | Path
    ) -> list[Path]:
        """Writes the files of a series into a folder by WADO-RS, and gives their paths.

        `series` is a record or the payload of an event: it has `StudyInstanceUID` and `SeriesInstanceUID`.
        """
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        request = self._http.stream("GET", files_path(series), headers={"Accept": protocol.FILES})
        async with request as response:
            if not response.is_success:
                await response.aread()
                protocol.checked(response)
            writer = FileWriter(response.headers["content-type"], target)
            try:
                async for chunk in response.aiter_bytes():
                    writer.feed(chunk)
            except BaseException:
                writer.abort()
                raise
            return writer.close()

    async def events(
        self,
        *,
        modality: str | None = None,
        calling_ae_title: str | None = None,
        last_event_id: str | None = None,
    ) -> AsyncIterator[Event]:
        """What happens, as it happens, until you stop. A connection that breaks is opened again after the last event.

        Keep `Event.id` and give it back as `last_event_id` to go on after a restart. Some events may come twice.
        """
        while True:
            try:
                request = protocol.listening(modality, calling_ae_title, last_event_id)
                async with self._http.stream("GET", **request) as response:
                    if not response.is_success:
                        await response.aread()
                        protocol.checked(response)
                    parser = EventParser()
                    async for line in response.aiter_lines():
                        event = parser.feed(line)
                        if event:
                            last_event_id = event.id or last_event_id
                            yield event
            except (httpx.TransportError, CollimatorError) as error:
                if not protocol.is_passing(error):
                    raise
            await asyncio.sleep(RETRY_PAUSE)

    async def _json(self, method: str, path: str, body: object = None) -> Any:
        response = await self._http.request(method, path, json=body)
        return protocol.checked(response).json()
