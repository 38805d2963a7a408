"""The list of series as FastAPI over sqlite3, as such services are often written. DATABASE names the
file; the table is the one of receiver.py with what Collimator's list has besides."""

import os
import sqlite3
import threading

from fastapi import FastAPI

app = FastAPI()
local = threading.local()

COLUMNS = (
    "SeriesInstanceUID, PatientID, PatientName, StudyInstanceUID, InstancesCount, Modality, "
    "SeriesNumber, SeriesDescription, StudyDate, Source, State, Revision, Reason, CompletedAt"
)


def connection():
    if not hasattr(local, "connection"):
        local.connection = sqlite3.connect(os.environ["DATABASE"])
        local.connection.row_factory = sqlite3.Row
    return local.connection


@app.get("/series")
def series(limit: int = 100):
    query = f"select {COLUMNS} from series order by first_completed_at, rowid limit ?"
    return [dict(row) for row in connection().execute(query, (limit,))]
