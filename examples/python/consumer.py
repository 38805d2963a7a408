#!/usr/bin/env python3
"""Does something with each complete series, once for each of its revisions.

    pip install nats-py
    NATS_URL=nats://127.0.0.1:4222 python3 consumer.py

It is a durable consumer of the stream SERIES: what is complete while it is away waits for it. An event
may come twice (when this is killed between its work and its acknowledgement, for instance), and is known
by its id, so what was done is written down before it is acknowledged. Put your own work into `handle`.
"""

import asyncio
import json
import os
import signal
import sqlite3

import nats
from nats.errors import TimeoutError as NothingCame
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

NATS_URL = os.environ.get("NATS_URL", "nats://127.0.0.1:4222")
# The name of the consumer on the broker: it remembers how far this has come.
DURABLE = os.environ.get("DURABLE", "example")
# Where it is written down what was done.
DONE_FILE = os.environ.get("DONE_FILE", "done.db")

# Longer than your work on one series takes, or it comes again meanwhile.
ACK_WAIT = 60
# Seconds until a series whose work failed comes again.
TRY_AGAIN_AFTER = 10


def handle(series):
    """Your work on a series that is complete, or complete again with a higher Revision.

    The pixels are not here: fetch them from `CallingAETitle` by C-MOVE or C-GET, or by DICOMweb from
    `RetrieveURL` where that is configured. No patient's name belongs in what is printed.
    """
    print(
        f"complete: {series['SeriesInstanceUID']} revision {series['Revision']} "
        f"instances {series['InstancesCount']} {series['Reason']}",
        flush=True,
    )


class Done:
    """What was done, by the id of its event. It outlives this process."""

    def __init__(self, path):
        self.db = sqlite3.connect(path)
        self.db.execute("create table if not exists done (id text primary key)")

    def __contains__(self, event_id):
        query = "select 1 from done where id = ?"
        return self.db.execute(query, [event_id]).fetchone() is not None

    def add(self, event_id):
        with self.db:
            self.db.execute("insert or ignore into done values (?)", [event_id])


async def take(message, done):
    """Works on one event, and tells the broker how that went."""
    event_id = message.headers["ce-id"]
    if event_id not in done:
        try:
            # In a thread, so that the connection is kept up meanwhile.
            await asyncio.to_thread(handle, json.loads(message.data))
        except Exception as error:
            print(f"failed: {event_id}: {type(error).__name__}", flush=True)
            await message.nak(delay=TRY_AGAIN_AFTER)
            return
        done.add(event_id)
    # It waits until the broker has it, or the event would come again after a stop.
    await message.ack_sync()


async def main():
    stop = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    done = Done(DONE_FILE)
    # It connects again by itself, however long the broker is away.
    connection = await nats.connect(NATS_URL, name=DURABLE, max_reconnect_attempts=-1)
    config = ConsumerConfig(
        durable_name=DURABLE,
        deliver_policy=DeliverPolicy.ALL,
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=ACK_WAIT,
        # One that is given up after so many tries would be lost without a word.
        max_deliver=-1,
        max_ack_pending=100,
    )
    # Of one modality it is `dicom.series.completed.MR.>`; of whole studies, `dicom.study.completed.>`.
    series = await connection.jetstream().pull_subscribe(
        "dicom.series.completed.>", durable=DURABLE, stream="SERIES", config=config
    )
    print("listening", flush=True)
    while not stop.is_set():
        try:
            # One at a time: the next is not ours before this one is done.
            for message in await series.fetch(1, timeout=1):
                await take(message, done)
        except NothingCame:
            continue
        except nats.errors.Error as error:
            print(f"the broker is away: {type(error).__name__}", flush=True)
            await asyncio.sleep(1)
    await connection.close()


if __name__ == "__main__":
    asyncio.run(main())
