"""The client against a running Collimator, which has just received a study of a CT and an MR series.

Run by tests/developing.rs with: API READER_TOKEN ADMIN_TOKEN WEBHOOK_PORT SECRET FOLDER
"""

import asyncio
import queue
import sys
import threading
import time
from email.message import Message
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pydicom
from collimator_client import AsyncClient, Client, CollimatorError, Event, InvalidSignature
from collimator_client import verify_webhook
from collimator_client.models import StoreRequest
from collimator_client.multipart import FileWriter

Delivery = tuple[Message, bytes]

# Before the first event of the pipeline that is told again.
BEGINNING = "INSTANCES:1"


def refused(status: int, call: Any) -> CollimatorError:
    try:
        call()
    except CollimatorError as error:
        assert error.status == status, error
        return error
    raise AssertionError(f"not refused with {status}")


def take_deliveries(port: int, deliveries: "queue.Queue[Delivery]") -> None:
    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            deliveries.put((self.headers, body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    HTTPServer(("127.0.0.1", port), Receiver).serve_forever()


def check_signature(secret: str, delivery: Delivery) -> None:
    headers, body = dict(delivery[0].items()), delivery[1]
    event = verify_webhook(secret, headers, body)
    assert event["type"] == "dicom.series.completed", event
    later = time.time() + 301
    forged = [(secret + "x", body, None), (secret, body + b" ", None), (secret, body, later)]
    for key, content, now in forged:
        try:
            verify_webhook(key, headers, content, now=now)
        except InvalidSignature:
            continue
        raise AssertionError("a forged delivery was taken for a genuine one")
    for left_out in ("x-collimator-signature", "x-collimator-timestamp"):
        some = {name: value for name, value in headers.items() if name.lower() != left_out}
        try:
            verify_webhook(secret, some, body)
        except InvalidSignature:
            continue
        raise AssertionError(f"taken without {left_out}")


def check_parts(folder: Path) -> None:
    """Whatever the chunks of a response are, the files are the same; and a part of one is none."""
    text = b"\r\n--x\r\nContent-Location: a/1.2\r\n\r\none\r\n--y\r\n--x\r\n\r\ntwo\r\n--x--\r\n"
    for size in range(1, len(text) + 1):
        writer = FileWriter("multipart/related; boundary=x", folder)
        for start in range(0, len(text), size):
            writer.feed(text[start : start + size])
        first, second = writer.close()
        assert (first.name, second.name) == ("1.2.dcm", "instance-2.dcm")
        assert (first.read_bytes(), second.read_bytes()) == (b"one\r\n--y", b"two"), size
    writer = FileWriter("multipart/related; boundary=x", folder / "none")
    (folder / "none").mkdir()
    writer.feed(text[:-12])
    refused_at_end = False
    try:
        writer.close()
    except CollimatorError:
        refused_at_end = True
    assert refused_at_end and len(list((folder / "none").iterdir())) == 1


def completed(events: Any, uids: set[str]) -> Event:
    for event in events:
        if event.name == "series.completed":
            uids.discard(event.data["SeriesInstanceUID"])
            if not uids:
                return event  # type: ignore[no-any-return]
    raise AssertionError("the events ended")


def check_client(api: str, reader: str, admin: str, folder: Path, series: list[str]) -> None:
    client = Client(api, token=reader)
    refused(401, Client(api).list_series)
    last = completed(client.events(last_event_id=BEGINNING), set(series))
    assert last.id and last.id.startswith("SERIES:"), last

    page = client.list_series(limit=1)
    following = client.next_page(page)
    assert following and len(page.items) == len(following.items) == 1
    assert {page.items[0]["SeriesInstanceUID"], following.items[0]["SeriesInstanceUID"]} == set(series)
    [mr] = client.iterate_series(Modality="MR")
    uid = mr["SeriesInstanceUID"]
    assert client.get_series(uid)["InstancesCount"] == mr["InstancesCount"] == 3
    assert client.history(uid)[0]["Reason"] == "released"

    paths = client.download(mr, folder / "mr")
    images = [pydicom.dcmread(path) for path in paths]
    wanted = {instance["SOPInstanceUID"] for instance in client.instances(uid)}
    assert {image.SOPInstanceUID for image in images} == wanted and len(wanted) == 3
    assert all(image.pixel_array.shape == (16, 16) for image in images)

    new: StoreRequest = {
        "SeriesInstanceUID": "1.2.3",
        "StudyInstanceUID": "1.2",
        "PatientID": "7",
        "PatientName": "Roe^Jane",
        "InstancesCount": 3,
    }
    refused(403, lambda: client.store(new))
    with Client(api, token=admin) as operator:
        assert operator.store(new) and not operator.store(new)
        wrong = refused(422, lambda: operator.store({**new, "InstancesCount": -1}))
        assert wrong.problem and wrong.problem["errors"][0]["field"] == "InstancesCount"
        refused(404, lambda: operator.complete("9.9"))
        refused(404, lambda: operator.download({**new, "SeriesInstanceUID": "9.9"}, folder / "no"))
        operator.delete(uid)
    for event in client.events(last_event_id=last.id):
        if event.name == "series.deleted":
            assert event.data["SeriesInstanceUID"] == uid
            break
    refused(410, lambda: client.get_series(uid))


async def check_async_client(api: str, reader: str, folder: Path) -> None:
    async with AsyncClient(api, token=reader) as client:
        async for event in client.events(modality="CT", last_event_id=BEGINNING):
            if event.name == "series.completed":
                break
        listed = [series async for series in client.iterate_series(Modality="CT")]
        assert [series["SeriesInstanceUID"] for series in listed] == [event.data["SeriesInstanceUID"]]
        assert len(await client.download(event.data, folder / "ct")) == 2


def main() -> None:
    api, reader, admin, port, secret, work, *series = sys.argv[1:]
    deliveries: "queue.Queue[Delivery]" = queue.Queue()
    receiver = threading.Thread(target=take_deliveries, args=(int(port), deliveries), daemon=True)
    receiver.start()
    check_parts(Path(work))
    asyncio.run(check_async_client(api, reader, Path(work)))
    check_client(api, reader, admin, Path(work), series)
    check_signature(secret, deliveries.get(timeout=60))
    print("all is well")


if __name__ == "__main__":
    main()
