//! Rendered resources and thumbnails of WADO-RS: their pixels are what numpy makes of what pydicom decodes.

use crate::harness::browser::Browser;
use crate::harness::eventually;
use crate::harness::python::{packages, run};
use crate::harness::tools::have;
use crate::retrieving::{Kept, header};
use crate::tokens::create;
use collimator::synthetic::SyntheticStudy;
use reqwest::StatusCode;
use serde_json::Value;
use std::fs;

const PACKAGES: [&str; 7] = [
    "pydicom==3.0.1",
    "pynetdicom==3.0.4",
    "numpy==2.2.6",
    "pillow==13.0.0",
    "pylibjpeg==2.1.0",
    "pylibjpeg-libjpeg==2.5.0",
    "pylibjpeg-openjpeg==2.6.0",
];

/// Sends the files of pydicom, and some whose like it has none of. Prints how many were stored.
const SEND: &str = r#"
import pathlib, subprocess, sys
import numpy as np
import pydicom
from pydicom.uid import generate_uid
import pydicom_files
host, port = sys.argv[1], int(sys.argv[2])
stored = set()

def send(ds):
    if pydicom_files.send(host, port, ds).Status == 0:
        stored.add(str(ds.SOPInstanceUID))

named = {path.name: path for path in pydicom_files.paths()}
for path in named.values():
    try:
        ds = pydicom_files.instance(path)
        if not ds.get("StudyInstanceUID"):
            continue
        send(ds)
    except Exception:
        continue

def made(name, **attributes):
    ds = pydicom_files.instance(named[name])
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    ds.SeriesInstanceUID = generate_uid()
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return ds

send(made("CT_small.dcm", WindowCenter=40, WindowWidth=400, SeriesDescription="window"))
send(made("CT_small.dcm", WindowCenter=40, WindowWidth=400, PhotometricInterpretation="MONOCHROME1", SeriesDescription="inverse"))
send(made("MR_small.dcm", WindowCenter=600, WindowWidth=1600, VOILUTFunction="SIGMOID", SeriesDescription="sigmoid"))
send(made("CT_small.dcm", WindowCenter="50.5", WindowWidth="250.25", VOILUTFunction="LINEAR_EXACT", SeriesDescription="exact"))
send(made("MR_small.dcm", BitsStored=12, HighBit=11, PixelRepresentation=0, WindowCenter=700, WindowWidth=1400, SeriesDescription="12 bits"))
rgb = made("examples_rgb_color.dcm", SeriesDescription="planes")
pixels = rgb.pixel_array
rgb.PlanarConfiguration = 1
rgb.PixelData = np.ascontiguousarray(np.moveaxis(pixels, -1, 0)).tobytes()
send(rgb)
folder = pathlib.Path(sys.argv[3])
for name, option, description in (
    ("CT_small.dcm", "+e1", "lossless"), ("CT_small.dcm", "+el", "lossless, first process"),
    ("MR_small.dcm", "+e1", "lossless MR"), ("examples_rgb_color.dcm", "+e1", "lossless in colours"),
):
    made(name, SeriesDescription=description).save_as(folder / "a.dcm")
    subprocess.run(["dcmcjpeg", option, folder / "a.dcm", folder / "b.dcm"], check=True)
    send(pydicom_files.instance(folder / "b.dcm"))
made("CT_small.dcm").save_as(folder / "a.dcm")
subprocess.run(["dcmcjpls", folder / "a.dcm", folder / "b.dcm"], check=True)
send(pydicom_files.instance(folder / "b.dcm"))
print(len(stored))
"#;

/// Compares the image of each instance that pydicom decodes with what numpy makes of it.
const COMPARE: &str = r#"
import collections, io, json, sys, urllib.error, urllib.request
import numpy as np
from PIL import Image
import pydicom
from pydicom.pixels import apply_color_lut, pixel_array
import pydicom_files
url = sys.argv[1]

def get(path, accept):
    request = urllib.request.Request(url + path, headers={"Accept": accept})
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, response.headers["Content-Type"], response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Content-Type"], error.read()

def number(ds, keyword):
    value = ds.get(keyword)
    if value is None or value == "":
        return None
    return float(value[0]) if isinstance(value, pydicom.multival.MultiValue) else float(value)

def group(ds, frame, sequence):
    for items in (ds.get("PerFrameFunctionalGroupsSequence") or [])[frame:frame + 1], ds.get("SharedFunctionalGroupsSequence") or []:
        for item in items:
            if item.get(sequence):
                return item[sequence].value[0]
    return ds

# PS3.3 C.11.2.1.2 and C.11.2.1.3, as the standard writes them, and an image of 8 bits of it.
def shown(ds, array, frame):
    rescale, voi = group(ds, frame, "PixelValueTransformationSequence"), group(ds, frame, "FrameVOILUTSequence")
    slope, intercept = number(rescale, "RescaleSlope"), number(rescale, "RescaleIntercept")
    x = array.astype("f8")
    if slope is not None:
        x = x * slope + (intercept or 0)
    centre, width = number(voi, "WindowCenter"), number(voi, "WindowWidth")
    if ds.get("VOILUTSequence"):
        lut = ds.VOILUTSequence[0]
        entries, first, bits = lut.LUTDescriptor
        data = np.asarray(lut.LUTData, dtype="f8")
        y = data[np.clip(x.astype(int) - first, 0, len(data) - 1)] / (2 ** bits - 1)
    elif centre is not None and width is not None and width >= 1:
        function = voi.get("VOILUTFunction") or "LINEAR"
        if function == "SIGMOID":
            y = 1 / (1 + np.exp(-4 * (x - centre) / width))
        elif function == "LINEAR_EXACT":
            y = (x - centre) / width + 0.5
        elif width == 1:
            y = (x > centre - 0.5).astype("f8")
        else:
            y = (x - (centre - 0.5)) / (width - 1) + 0.5
    elif ds.BitsStored <= 8 and not ds.PixelRepresentation and slope is None:
        y = x / (2 ** ds.BitsStored - 1)
    else:
        kept = x[array != ds.PixelPaddingValue] if "PixelPaddingValue" in ds else x
        low, high = (kept.min(), kept.max()) if kept.size else (0, 1)
        y = (x - low) / (high - low) if high > low else x * 0
    y = np.floor(np.clip(y, 0, 1) * 255 + 0.5).astype("u1")
    return 255 - y if ds.PhotometricInterpretation == "MONOCHROME1" else y

def expected(ds, frame):
    array = pixel_array(ds, index=frame)
    if ds.PhotometricInterpretation == "PALETTE COLOR":
        colours = apply_color_lut(array, ds)
        return (colours >> 8).astype("u1") if colours.dtype == np.uint16 else colours
    if ds.SamplesPerPixel == 3:
        return (array >> (ds.BitsStored - 8)).astype("u1") if ds.BitsAllocated > 8 else array
    return shown(ds, array, frame)

def read(kind):
    page = []
    while True:
        status, _, body = get(f"/{kind}?limit=1000&offset={len(page)}", "application/dicom+json")
        if status == 204:
            return page
        page += json.loads(body)

LOSSLESS = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99",
            "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.90"}
UNDECODED = {"1.2.840.10008.1.2.4.80": 0, "1.2.840.10008.1.2.4.81": 0}
counts, wrong, refused = collections.Counter(), [], collections.Counter()
for one in read("instances"):
    study, series, sop = (one[tag].get("Value", [""])[0] for tag in ("0020000D", "0020000E", "00080018"))
    if not study:
        continue
    path = f"/studies/{study}/series/{series}/instances/{sop}"
    status, _, raw = get(path, "application/dicom")
    try:
        ds = pydicom.dcmread(io.BytesIO(raw))
    except Exception:
        continue
    syntax = str(ds.file_meta.TransferSyntaxUID)
    where = f"{sop} {ds.file_meta.TransferSyntaxUID.name} {ds.get('PhotometricInterpretation')} {ds.get('BitsStored')}/{ds.get('BitsAllocated')}"
    if not any(keyword in ds for keyword in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        if get(f"{path}/rendered", "image/png")[0] != 404:
            wrong.append(f"{where}: an image without pixels")
        continue
    frames = int(ds.get("NumberOfFrames") or 1)
    for frame in {0, 1, frames - 1} & set(range(frames)):
        place = f"{path}/frames/{frame + 1}" if frame else path
        status, kind, png = get(f"{place}/rendered", "image/png")
        if status != 200:
            if status not in (404, 406, 413) or status == 406 and syntax not in png.decode():
                wrong.append(f"{where}: {status} {png[:200]}")
            refused[f"{status} {json.loads(png)['detail'][:160]}"] += 1
            try:
                expected(ds, frame)
                if syntax not in UNDECODED:
                    refused["read by pydicom: " + where] += 1
            except Exception:
                pass
            continue
        counts["images"] += 1
        try:
            wanted = np.squeeze(expected(ds, frame))
        except Exception as error:
            counts["unread by pydicom"] += 1
            continue
        ours = np.asarray(Image.open(io.BytesIO(png)))
        if ours.shape != wanted.shape:
            wrong.append(f"{where}: {ours.shape} instead of {wanted.shape}")
            continue
        apart = np.abs(ours.astype(int) - wanted.astype(int))
        # Of native pixels they are the same; colours of YBR are rounded, and decoders of JPEG differ.
        ybr = ds.PhotometricInterpretation.startswith("YBR")
        most, mean = (0, 0) if syntax in LOSSLESS and not ybr else (1, 0.5) if syntax in LOSSLESS else (12, 2)
        if apart.max() > most or apart.mean() > mean:
            wrong.append(f"{where}: apart by {apart.max()}, {apart.mean():.3f} on average")
        counts[syntax] += 1
        counts[ds.PhotometricInterpretation] += 1
        counts[ds.get("SeriesDescription", "")] += 1
        counts["second frames"] += frame == 1
        counts["16 bits with a window"] += bool(ds.BitsAllocated == 16 and ds.get("WindowCenter"))
        jpeg = Image.open(io.BytesIO(get(f"{place}/rendered?quality=95", "*/*")[2]))
        apart = np.abs(np.asarray(jpeg).astype(int) - ours.astype(int))
        if jpeg.format != "JPEG" or apart.mean() > 6:
            wrong.append(f"{where}: as {jpeg.format} apart by {apart.mean():.3f} on average")
        # What Pillow makes smaller in the same way.
        small = Image.open(io.BytesIO(get(f"{place}/rendered?viewport=50,40", "image/png")[2]))
        theirs = Image.fromarray(ours).resize(small.size, Image.BILINEAR)
        apart = np.abs(np.asarray(small).astype(int) - np.asarray(theirs).astype(int))
        if not (small.size[0] == 50 or small.size[1] == 40) or apart.max() > 2:
            wrong.append(f"{where}: scaled to {small.size}, apart by {apart.max()}")
        thumbnail = Image.open(io.BytesIO(get(f"{place}/thumbnail", "*/*")[2]))
        if max(thumbnail.size) > 128:
            wrong.append(f"{where}: a thumbnail of {thumbnail.size}")
print(json.dumps({"counts": counts, "wrong": wrong, "refused": refused}))
"#;

#[tokio::test]
async fn images_have_the_pixels_that_numpy_makes_of_what_pydicom_decodes() {
    if !have("dcmcjpeg") {
        return;
    }
    let Some(packages) = packages("rendering", &PACKAGES).await else { return };
    let kept = Kept::start().await;
    let dicom = kept.collimator.dicom;
    let (host, port) = (dicom.ip().to_string(), dicom.port().to_string());
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    let stored: u64 = run(&packages, SEND, &[&host, &port, folder]).await.trim().parse().unwrap();
    assert!(stored > 50, "{stored}");
    eventually("all instances in the catalogue", async || {
        let found = kept.get("/instances?limit=1000", &[]).await;
        (found.json::<Vec<Value>>().await.unwrap_or_default().len() as u64 >= stored).then_some(())
    })
    .await;
    let printed = run(&packages, COMPARE, &[&kept.url("")]).await;
    let said: Value = serde_json::from_str(&printed).unwrap();
    println!("{said:#}");
    let wrong: Vec<&str> =
        said["wrong"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), said["counts"]);
    let count = |what: &str| said["counts"][what].as_u64().unwrap_or_default();
    for what in [
        "16 bits with a window",
        "MONOCHROME1",
        "MONOCHROME2",
        "RGB",
        "PALETTE COLOR",
        "YBR_FULL",
        "second frames",
        "window",
        "inverse",
        "sigmoid",
        "exact",
        "12 bits",
        "planes",
        "1.2.840.10008.1.2.2",
        "1.2.840.10008.1.2.5",
        "1.2.840.10008.1.2.4.50",
        "1.2.840.10008.1.2.4.57",
        "1.2.840.10008.1.2.4.70",
        "lossless in colours",
        "1.2.840.10008.1.2.4.90",
        "1.2.840.10008.1.2.4.91",
    ] {
        assert!(count(what) > 0, "{what} is in no image: {}", said["counts"]);
    }
    // What is not decoded is refused by its name.
    let refused = said["refused"].as_object().unwrap();
    assert!(
        refused.keys().any(|it| it.starts_with("406") && it.contains("1.2.840.10008.1.2.4.80")),
        "{refused:?}"
    );
}

/// Sends an instance that says it has 65,535 rows and columns: native, and in RLE.
const BOMBS: &str = r#"
import sys
import pydicom
from pydicom.encaps import encapsulate
from pydicom.uid import RLELossless, generate_uid
import pydicom_files
host, port = sys.argv[1], int(sys.argv[2])
[path] = [path for path in pydicom_files.paths() if path.name == "CT_small.dcm"]
for syntax in (None, RLELossless):
    ds = pydicom_files.instance(path)
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    if syntax:
        ds.file_meta.TransferSyntaxUID = syntax
        ds.PixelData = encapsulate([b"\x01\x00\x00\x00\x40" + bytes(59) + bytes([129, 7] * 1000)])
        ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
    ds.Rows = ds.Columns = 65535
    assert pydicom_files.send(host, port, ds).Status == 0
print(ds.StudyInstanceUID, ds.SeriesInstanceUID)
"#;

/// The most that a process had in memory, in bytes.
#[cfg(target_os = "linux")]
fn peak(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() * 1024
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_frame_that_says_it_is_huge_is_refused_and_costs_no_memory() {
    let Some(packages) = packages("rendering", &PACKAGES).await else { return };
    let kept = Kept::start().await;
    let dicom = kept.collimator.dicom;
    let (host, port) = (dicom.ip().to_string(), dicom.port().to_string());
    let printed = run(&packages, BOMBS, &[&host, &port]).await;
    let (study, series) = printed.trim().split_once(' ').unwrap();
    kept.collimator.lists(series, 2).await;
    let process = kept.collimator.process.id();
    let before = peak(process);
    for path in kept.instances(study, series).await {
        for kind in ["rendered", "thumbnail", "frames/1/rendered"] {
            let refused = kept.get(&format!("{path}/{kind}"), &[]).await;
            assert_eq!(refused.status(), StatusCode::PAYLOAD_TOO_LARGE);
            let problem = refused.text().await.unwrap();
            assert!(problem.contains("65535 rows"), "{problem}");
        }
    }
    let grown = peak(process) - before;
    assert!(grown < 16 * 1024 * 1024, "{grown} bytes");
}

#[tokio::test]
async fn an_image_is_asked_for_by_parameters_has_a_tag_and_stands_for_series_and_studies() {
    let kept = Kept::start().await;
    let (study, series) =
        kept.receives(SyntheticStudy::new().series("CT", 5).size(64, 32), 5).await;
    let paths = kept.instances(&study, &series).await;
    let path = &paths[0];
    let (of_study, of_series) = (
        format!("/studies/{study}/thumbnail"),
        format!("/studies/{study}/series/{series}/thumbnail"),
    );
    for image in
        [&format!("{path}/rendered"), &format!("{path}/frames/1/thumbnail"), &of_series, &of_study]
    {
        let first = kept.get(image, &[]).await;
        assert_eq!((first.status().as_u16(), header(&first, "content-type")), (200, "image/jpeg"));
        assert_eq!(header(&first, "cache-control"), "private, no-cache");
        assert_eq!(header(&first, "vary"), "Accept");
        let tag = header(&first, "etag").to_owned();
        assert!(first.bytes().await.unwrap().starts_with(&[0xff, 0xd8]));
        let known = kept.get(image, &[("If-None-Match", &tag)]).await;
        assert_eq!((known.status().as_u16(), header(&known, "etag")), (304, &*tag));
        let png = kept.get(&format!("{image}?accept=image/png"), &[("If-None-Match", &tag)]).await;
        assert_eq!((png.status().as_u16(), header(&png, "content-type")), (200, "image/png"));
        assert!(png.bytes().await.unwrap().starts_with(b"\x89PNG"));
    }
    // That of a series is of the instance in its middle, and that of a study of its first series.
    let png =
        async |path: &str| kept.get(path, &[("Accept", "image/png")]).await.bytes().await.unwrap();
    let middle = png(&format!("{}/thumbnail", paths[2])).await;
    assert_eq!(png(&of_series).await, middle);
    assert_eq!(png(&of_study).await, middle);

    // A window says which values are white and which are black.
    let rendered = |query: &str| format!("{path}/rendered?{query}");
    let black = png(&rendered("window=100000,2,linear")).await;
    assert_eq!(png(&rendered("window=200000,2,sigmoid")).await, black);
    assert_ne!(png(&rendered("window=-100000,2,linear")).await, black);
    let (low, high) = (
        kept.get(&rendered("quality=5"), &[]).await,
        kept.get(&rendered("quality=100"), &[]).await,
    );
    assert!(low.bytes().await.unwrap().len() < high.bytes().await.unwrap().len());

    for (path, accept, status) in [
        (rendered("window=40,400"), "*/*", 400),
        (rendered("window=40,0,linear"), "*/*", 400),
        (rendered("window=40,400,cubic"), "*/*", 400),
        (rendered("window=NaN,400,linear"), "*/*", 400),
        (rendered("window=40,0.5,linear-exact"), "*/*", 200),
        (rendered("quality=0"), "*/*", 400),
        (rendered("quality=101"), "*/*", 400),
        (rendered("viewport=0,10"), "*/*", 400),
        (rendered("viewport=100000,100000"), "*/*", 400),
        (rendered("viewport=10,10,0,0,5,5"), "*/*", 400),
        (rendered("viewport=200,100"), "*/*", 200),
        (rendered("annotation=patient"), "*/*", 400),
        (rendered("quality=90&quality=80"), "*/*", 400),
        (rendered(""), "image/gif", 406),
        (rendered(""), "image/gif, image/*;q=0.5", 200),
        (format!("{path}/frames/1,2/rendered"), "*/*", 400),
        (format!("{path}/frames/2/rendered"), "*/*", 404),
        (format!("{path}/frames/0/rendered"), "*/*", 404),
        (format!("{path}/thumbnail?window=1,2,linear"), "*/*", 400),
        (format!("{path}/thumbnail?viewport=16,16"), "*/*", 200),
        ("/studies/1.2.3/thumbnail".to_owned(), "*/*", 404),
        (format!("/studies/{study}/series/1.2/thumbnail"), "*/*", 404),
        (format!("/studies/{study}/series/{series}/instances/1.2/rendered"), "*/*", 404),
    ] {
        let response = kept.get(&path, &[("Accept", accept)]).await;
        assert_eq!(response.status(), status, "{path} {accept}");
    }
}

#[tokio::test]
async fn images_need_the_scope_to_read() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens.toml");
    let (reader, writer) = (create(&tokens, "viewer", "read"), create(&tokens, "ward", "write"));
    let kept = Kept::start_with(&[("TOKENS_FILE", tokens.to_str().unwrap())]).await;
    let (files, study) = (tempfile::tempdir().unwrap(), SyntheticStudy::new().series("MR", 1));
    let series = study.series_instance_uids().remove(0);
    let uid = study.study_instance_uid();
    kept.collimator.receives(study.size(16, 16).write_to(files.path()).unwrap()).await;
    let path = format!("/studies/{uid}/series/{series}/thumbnail");
    let bearer = |token: &str| format!("Bearer {token}");
    eventually("the series", async || {
        let got = kept.get(&path, &[("Authorization", &bearer(&reader))]).await;
        (got.status() == StatusCode::OK).then_some(())
    })
    .await;
    assert_eq!(kept.get(&path, &[]).await.status(), StatusCode::UNAUTHORIZED);
    let refused = kept.get(&path, &[("Authorization", &bearer(&writer))]).await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn the_page_of_a_series_shows_its_thumbnails_or_says_why_there_is_none() {
    let Some(browser) = Browser::start().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens.toml");
    let token = create(&tokens, "page", "read");
    let kept = Kept::start_with(&[("TOKENS_FILE", tokens.to_str().unwrap())]).await;
    let files = tempfile::tempdir().unwrap();
    let study = SyntheticStudy::new().series("CT", 30).series("MR", 2);
    let [series, other] = study.series_instance_uids().try_into().unwrap();
    kept.collimator.receives(study.size(64, 32).write_to(files.path()).unwrap()).await;
    let addr = kept.collimator.api.strip_prefix("http://").unwrap();
    browser.resize(1000, 1100).await;
    // What a browser asks its user for, said beforehand.
    browser.open(&format!("http://me:{token}@{addr}/")).await;
    browser.open(&format!("http://{addr}/#/series/{series}")).await;
    let images = "[...document.querySelectorAll('#one-strip img')]";
    let drawn = format!("{images}.filter(it => it.complete && it.naturalWidth > 0).length");
    browser.waits_for(&format!("{drawn} === 12")).await;
    let texts = browser.run(&format!("return {images}.map(it => it.alt).join('; ')")).await;
    let texts = texts.as_str().unwrap();
    assert!(texts.starts_with("Instance 1 of 30; Instance "), "{texts}");
    assert!(texts.ends_with("; Instance 30 of 30"), "{texts}");
    browser.keeps("dashboard-series-thumbnails").await;
    eventually("the other series to be kept", async || {
        let url = format!("{}/series/{other}", kept.collimator.api);
        let got = reqwest::Client::new().get(url).bearer_auth(&token).send().await.unwrap();
        got.json::<Value>().await.unwrap()["Kept"].is_object().then_some(())
    })
    .await;
    for file in kept.files() {
        fs::remove_file(file).unwrap();
    }
    browser.open(&format!("http://{addr}/#/series/{other}")).await;
    let boxes = "[...document.querySelectorAll('#one-strip li.none')]";
    browser.waits_for(&format!("{boxes}.length === 2")).await;
    let titles = browser.run(&format!("return {boxes}.map(it => it.title).join()")).await;
    assert!(titles.as_str().unwrap().contains("missing or damaged"), "{titles}");
}
