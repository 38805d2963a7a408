#!/usr/bin/env python3
"""Lists the complete series of a modality, and downloads them: python3 series.py MR FOLDER

pip install clients/python
"""

import os
import sys

from collimator_client import Client

modality, folder = sys.argv[1:]
with Client(os.environ.get("API_URL", "http://127.0.0.1:8000"), token=os.environ.get("TOKEN")) as client:
    for series in client.iterate_series(Modality=modality):
        uid = series["SeriesInstanceUID"]
        files = client.download(series, os.path.join(folder, uid))
        print(f"{uid}: {len(files)} files, complete since {series['CompletedAt']}")
