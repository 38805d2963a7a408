"""A receiver on pynetdicom as they are often written: counts the instances of each series in memory,
and writes the series that nothing has come of for ten seconds to SQLite.

    receiver.py PORT DATABASE
"""

import sqlite3
import sys
import threading
import time

from pynetdicom import AE, AllStoragePresentationContexts, evt

QUIET_PERIOD = 10

series = {}
lock = threading.Lock()


def store(event):
    data_set = event.dataset
    uid = data_set.SeriesInstanceUID
    with lock:
        known = series.setdefault(uid, {"instances": set()})
        known["instances"].add(data_set.SOPInstanceUID)
        known["patient_id"] = str(data_set.get("PatientID", ""))
        known["patient_name"] = str(data_set.get("PatientName", ""))
        known["study"] = data_set.StudyInstanceUID
        known["last"] = time.monotonic()
    return 0x0000


def write_complete(database):
    connection = sqlite3.connect(database)
    connection.execute(
        "create table if not exists series (series_instance_uid text primary key, patient_id text,"
        " patient_name text, study_instance_uid text, instances_count integer)"
    )
    while True:
        time.sleep(1)
        now = time.monotonic()
        with lock:
            complete = [uid for uid, known in series.items() if now - known["last"] > QUIET_PERIOD]
            rows = [(uid, series.pop(uid)) for uid in complete]
        with connection:
            connection.executemany(
                "insert or replace into series values (?, ?, ?, ?, ?)",
                [
                    (uid, k["patient_id"], k["patient_name"], k["study"], len(k["instances"]))
                    for uid, k in rows
                ],
            )


def main():
    port, database = int(sys.argv[1]), sys.argv[2]
    threading.Thread(target=write_complete, args=(database,), daemon=True).start()
    ae = AE(ae_title="PYNETDICOM")
    ae.supported_contexts = AllStoragePresentationContexts
    ae.start_server(("127.0.0.1", port), block=True, evt_handlers=[(evt.EVT_C_STORE, store)])


main()
