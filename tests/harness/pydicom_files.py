"""The files that pydicom ships, and pynetdicom, which sends an instance as its author wrote it."""

import logging
import pathlib
import warnings

import pydicom

warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)

DICOMDIR = "1.2.840.10008.1.3.10"


def paths():
    root = pathlib.Path(pydicom.__file__).parent / "data"
    folders = ("test_files", "charset_files")
    return sorted(path for folder in folders for path in (root / folder).rglob("*") if path.is_file())


def instance(path):
    """The instance in a file. An error where there is none that could be stored."""
    ds = pydicom.dcmread(path)
    if ds.SOPClassUID == DICOMDIR or not ds.SOPInstanceUID or not ds.file_meta.TransferSyntaxUID:
        raise AttributeError("no instance")
    return ds


def send(host, port, ds):
    """The answer to a C-STORE on an association of its own; None where there is no association."""
    from pynetdicom import AE

    ae = AE(ae_title="PYNETDICOM")
    ae.add_requested_context(ds.SOPClassUID, [ds.file_meta.TransferSyntaxUID])
    association = ae.associate(host, port)
    if not association.is_established:
        return None
    try:
        return association.send_c_store(ds)
    finally:
        association.release()
