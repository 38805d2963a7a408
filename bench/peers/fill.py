"""Fills the table that api.py lists.

    fill.py DATABASE SERIES
"""

import sqlite3
import sys

database, count = sys.argv[1], int(sys.argv[2])
connection = sqlite3.connect(database)
connection.execute("pragma journal_mode = wal")
connection.execute(
    "create table series (SeriesInstanceUID text primary key, PatientID text, PatientName text,"
    " StudyInstanceUID text, InstancesCount integer, Modality text, SeriesNumber text,"
    " SeriesDescription text, StudyDate text, Source text, State text, Revision integer,"
    " Reason text, CompletedAt text, first_completed_at integer)"
)
root = "1.2.840.113619.2.408.14196467"
rows = (
    (
        f"{root}.3.{n * 7919 % 1000003 + n * 1000003}",
        f"PAT-{n // 4:07}",
        f"Bench^Patient {n // 4}",
        f"{root}.2.{n // 4}",
        100,
        "MR",
        str(n % 4 + 1),
        "t2_tse_tra_p2_5mm",
        "20260203",
        "dicom",
        "complete",
        1,
        "released",
        "2026-02-03T04:05:06.000789Z",
        1770091506000789000 + n * 1000000,
    )
    for n in range(count)
)
with connection:
    connection.executemany(f"insert into series values ({', '.join('?' * 15)})", rows)
    connection.execute("create index series_in_order on series (first_completed_at)")
