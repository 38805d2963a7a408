#!/usr/bin/env python3
"""Makes a volume of each complete series, as the first step of a MONAI or nnU-Net pipeline does.

    pip install clients/python pydicom numpy
    STORE=/var/lib/collimator/dicom python3 examples/python/volumes.py

It waits for `series.kept`: from then on the files of the series are a folder of the instance store (`STORE_URL`).
With `STORE`, the path of that folder here, it reads them in place; without, it downloads them by WADO-RS. The position
of the last event that is done is in `POSITION_FILE`, so that after a restart it goes on from there. Put your model
where `handle` prints the shape: `volume` is what `monai.transforms.EnsureChannelFirst` or `SimpleITK` takes.
"""

import json
import os
import tempfile
from pathlib import Path

import numpy as np
import pydicom
from collimator_client import Client

API_URL = os.environ.get("API_URL", "http://127.0.0.1:8000")
TOKEN = os.environ.get("TOKEN")
STORE = os.environ.get("STORE")
POSITION_FILE = Path(os.environ.get("POSITION_FILE", "position.txt"))


def read_volume(paths):
    """The slices in order of their place along the normal of the image plane, in rescaled units (HU in CT).

    Returns the array (slices, rows, columns) and the spacing (mm) along each axis.
    """
    slices = [pydicom.dcmread(path) for path in paths]
    slices = [image for image in slices if "PixelData" in image]
    orientation = np.array(slices[0].ImageOrientationPatient, dtype=float)
    normal = np.cross(orientation[:3], orientation[3:])
    slices.sort(key=lambda image: float(np.dot(normal, image.ImagePositionPatient)))
    places = [float(np.dot(normal, image.ImagePositionPatient)) for image in slices]
    volume = np.stack(
        [
            image.pixel_array.astype(np.float32) * float(image.get("RescaleSlope", 1))
            + float(image.get("RescaleIntercept", 0))
            for image in slices
        ]
    )
    gap = float(np.median(np.diff(places))) if len(places) > 1 else 0.0
    return volume, (gap, *map(float, slices[0].PixelSpacing))


def files_in_store(place):
    """The files of a series folder; the manifest names them."""
    folder = Path(STORE, place)
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    return [folder / instance["File"] for instance in manifest["Instances"]]


def handle(series, paths):
    volume, spacing = read_volume(paths)
    # No patient's name belongs in what is printed.
    print(
        f"volume: {series['SeriesInstanceUID']} revision {series['Revision']} "
        f"shape {volume.shape} spacing {spacing} values {volume.min():g} to {volume.max():g}",
        flush=True,
    )


def main():
    position = POSITION_FILE.read_text().strip() if POSITION_FILE.exists() else None
    with Client(API_URL, token=TOKEN) as client:
        print("waiting for series", flush=True)
        for event in client.events(last_event_id=position):
            if event.name == "series.kept":
                try:
                    if STORE:
                        handle(event.data, files_in_store(event.data["Place"]))
                    else:
                        with tempfile.TemporaryDirectory() as folder:
                            handle(event.data, client.download(event.data, folder))
                except (AttributeError, IndexError) as error:
                    # A report or a scout: no images, or none in a plane.
                    print(f"no volume: {event.data['SeriesInstanceUID']}: {error}", flush=True)
            if event.id:
                POSITION_FILE.write_text(event.id)


if __name__ == "__main__":
    main()
