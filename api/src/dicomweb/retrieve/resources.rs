//! The responses of WADO-RS: which representation each request gets, of those that there are of what is stored.

use super::accept::{
    DICOM, EXPLICIT_LITTLE_ENDIAN, MediaRange, OCTET_STREAM, accepted, frame_media_type,
};
use super::chunks::Chunks as _;
use super::extents::{Extents, File, Message};
use super::failure::Failure;
use super::instances::Instances;
use super::metadata::MetadataList;
use super::parts::{Boundary, Envelope, Parts};
use super::ranges::{Asked, asked};
use super::urls::url_of;
use super::zip::Zip;
use super::{Retrieval, open};
use crate::dicomweb::data_set::pixel_data::{BulkData, Extent, NoFrame, PixelData, bulk_data};
use crate::dicomweb::qido;
use crate::http::etag::is_known;
use crate::http::parameters::Tags;
use crate::http::problem::Problem;
use poem::http::{HeaderValue, StatusCode, header};
use poem::{Body, Request, Response};
use std::collections::VecDeque;
use std::sync::Arc;

/// Archives of more instances are not made: their directories are in memory.
const MAX_ZIPPED: u64 = 100_000;

/// The most frames that one request names.
const MAX_FRAMES: usize = 10_000;

/// What metadata is made like: an entity tag lasts as long as this does.
const METADATA_VERSION: &str = "1";

impl Retrieval<'_> {
    /// The files.
    pub(super) async fn instances(self) -> Result<Response, Problem> {
        let stored = &self.survey.transfer_syntaxes;
        let fits = |range: &&MediaRange| stored.iter().all(|syntax| range.takes(syntax));
        let is_one = self.target.instance.is_some();
        for range in accepted(self.request).iter().filter(fits) {
            if range.is_multipart_of(DICOM) {
                let boundary = Boundary::new();
                let content_type = boundary.content_type(DICOM);
                let (urls, study) = (self.urls.clone(), self.study());
                let envelope = Envelope::Multipart { boundary, urls, study };
                return self.together(envelope, &content_type).await;
            }
            if is_one && range.is_single(DICOM) {
                return self.file().await;
            }
            if range.is_single("application/zip") {
                if self.survey.kept > MAX_ZIPPED {
                    let detail = format!(
                        "an archive of more than {MAX_ZIPPED} instances is not made: retrieve the \
                         series one by one, or as multipart/related"
                    );
                    return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
                }
                return self.together(Envelope::Zip(Zip::default()), "application/zip").await;
            }
        }
        let forms = match is_one {
            true => {
                "multipart/related; type=\"application/dicom\", application/dicom and application/zip"
            }
            false => "multipart/related; type=\"application/dicom\" and application/zip",
        };
        Err(self.not_acceptable(forms))
    }

    async fn together(self, envelope: Envelope, content_type: &str) -> Result<Response, Problem> {
        let instances = Instances::of(self.catalog, &self.target);
        let body = Parts::new(instances, self.objects.clone(), envelope).body().await?;
        Ok(ok(content_type, body))
    }

    /// The only file, by itself.
    async fn file(self) -> Result<Response, Problem> {
        let Some((file, tag)) = self.only().await? else { return Err(super::no_instances()) };
        if is_known(known(self.request).as_ref(), &tag) {
            return Ok(not_modified(&tag));
        }
        let length = file.object.len();
        // A range is of what the client has a part of already.
        let is_same = self.request.header(header::IF_RANGE).is_none_or(|known| known == tag);
        let range = self.request.header(header::RANGE).filter(|_| is_same);
        let (status, part) = match asked(range, length) {
            Asked::Whole => (StatusCode::OK, 0..length),
            Asked::Part(part) => (StatusCode::PARTIAL_CONTENT, part),
            Asked::Beyond => {
                let problem = Problem::new(
                    StatusCode::RANGE_NOT_SATISFIABLE,
                    format!("the file has {length} bytes"),
                );
                let mut response = poem::IntoResponse::into_response(problem);
                put(&mut response, header::CONTENT_RANGE, &format!("bytes */{length}"));
                return Ok(response);
            }
        };
        let content_type = format!("{DICOM}; transfer-syntax={}", file.transfer_syntax_uid);
        let range = format!("bytes {}-{}/{length}", part.start, part.end.saturating_sub(1));
        let content_length = part.end - part.start;
        let body = Message::raw(file, part).body().await?;
        let mut response = ok(&content_type, body);
        put(&mut response, header::ETAG, &tag);
        put(&mut response, header::ACCEPT_RANGES, "bytes");
        put(&mut response, header::CONTENT_LENGTH, &content_length.to_string());
        if status == StatusCode::PARTIAL_CONTENT {
            put(&mut response, header::CONTENT_RANGE, &range);
        }
        response.set_status(status);
        Ok(response)
    }

    /// The metadata.
    pub(super) async fn metadata(self) -> Result<Response, Problem> {
        let parameters = self.request.params::<Vec<(String, String)>>().unwrap_or_default();
        let content_type = qido::media_type(self.request, &parameters)?;
        // The places of bulk data are in it.
        let place = self.urls.study(self.target.study.as_str());
        let tag = self.survey.tag(&format!("metadata {METADATA_VERSION} {place}"));
        if is_known(known(self.request).as_ref(), &tag) {
            return Ok(not_modified(&tag));
        }
        let (study, instances) = (self.study(), Instances::of(self.catalog, &self.target));
        let list = MetadataList::new(instances, self.objects.clone(), self.urls, study);
        let mut response = ok(content_type, list.body().await?);
        put(&mut response, header::ETAG, &tag);
        Ok(response)
    }

    /// Frames by their numbers.
    pub(super) async fn frames(self, list: &str) -> Result<Response, Problem> {
        let numbers: Option<VecDeque<u64>> =
            list.split(',').map(|number| number.trim().parse().ok()).collect();
        let Some(numbers) = numbers.filter(|numbers| numbers.len() <= MAX_FRAMES) else {
            let detail = format!("frames are numbers from 1 with commas, {MAX_FRAMES} at most");
            return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
        };
        let Some((file, _)) = self.only().await? else { return Err(super::no_instances()) };
        let Some(pixels) = file.with(PixelData::find).await? else {
            return Err(Problem::not_found("the instance has no pixel data, and so no frames"));
        };
        self.served_frames(file, pixels, numbers).await
    }

    async fn served_frames(
        self,
        file: File,
        pixels: PixelData,
        numbers: VecDeque<u64>,
    ) -> Result<Response, Problem> {
        for number in &numbers {
            pixels.frame(*number).map_err(|why| no_frame(why, &pixels))?;
        }
        let stored = file.transfer_syntax_uid.clone();
        // Native pixel data is the same in all of them, and little endian here.
        let (media_type, syntax) = match pixels.is_encapsulated() {
            true => (frame_media_type(&stored), stored.as_str()),
            false => (OCTET_STREAM, EXPLICIT_LITTLE_ENDIAN),
        };
        let fits = |range: &&MediaRange| range.takes(syntax) || range.takes(&stored);
        let place = self.place("frames");
        for range in accepted(self.request).iter().filter(fits) {
            // What is named first, and else what the standard has for it.
            let named =
                [media_type, OCTET_STREAM].into_iter().find(|&it| range.is_multipart_of(it));
            if let Some(served) = named {
                let served = if range.names_parts() { served } else { media_type };
                let boundary = Boundary::new();
                let content_type = boundary.content_type(served);
                let part = format!("{served}; transfer-syntax={syntax}");
                let around = Some((boundary, part, place));
                let extents = Extents::Frames(Arc::new(pixels), numbers);
                return Ok(ok(&content_type, Message::new(file, extents, around).body().await?));
            }
            let single = [media_type, OCTET_STREAM].into_iter().find(|&it| range.is_single(it));
            if let (Some(served), 1) = (single, numbers.len()) {
                let content_type = format!("{served}; transfer-syntax={syntax}");
                let extents = Extents::Frames(Arc::new(pixels), numbers);
                return Ok(ok(&content_type, Message::new(file, extents, None).body().await?));
            }
        }
        let forms = format!("multipart/related; type=\"{media_type}\"; transfer-syntax={syntax}");
        Err(self.not_acceptable(&forms))
    }

    /// What a URI of the metadata leads to.
    pub(super) async fn bulk_data(self, path: &str) -> Result<Response, Problem> {
        let Some((file, _)) = self.only().await? else { return Err(super::no_instances()) };
        let wanted = path.to_ascii_uppercase();
        let found = file.with(move |source| bulk_data(source, &wanted)).await?;
        let extent = match found {
            None => return Err(Problem::not_found("the instance has no such element")),
            Some(BulkData::Value(extent)) => extent,
            Some(BulkData::Frames) => {
                let Some(pixels) = file.with(PixelData::find).await? else {
                    return Err(Problem::not_found("the instance has no such element"));
                };
                // Each frame has a fragment, so there are no more than the file has room for.
                let Some(frames) = pixels.fragments().filter(|it| pixels.frames() <= *it) else {
                    return Err(no_frame(NoFrame::OutOfRange, &pixels));
                };
                let frames = frames.min(pixels.frames());
                return self.served_frames(file, pixels, (1..=frames).collect()).await;
            }
        };
        let place = self.place(&format!("bulkdata/{path}"));
        for range in &accepted(self.request) {
            if !range.takes(EXPLICIT_LITTLE_ENDIAN) && !range.takes(&file.transfer_syntax_uid) {
                continue;
            }
            if range.is_multipart_of(OCTET_STREAM) {
                let boundary = Boundary::new();
                let content_type = boundary.content_type(OCTET_STREAM);
                let around = Some((boundary, OCTET_STREAM.to_owned(), place));
                let message = Message::new(file, Extents::One(Some(extent)), around);
                return Ok(ok(&content_type, message.body().await?));
            }
            if range.is_single(OCTET_STREAM) {
                let length = extent.len();
                let message = Message::new(file, Extents::One(Some(extent)), None);
                let mut response = ok(OCTET_STREAM, message.body().await?);
                put(&mut response, header::CONTENT_LENGTH, &length.to_string());
                return Ok(response);
            }
        }
        Err(self.not_acceptable(
            "multipart/related; type=\"application/octet-stream\" and application/octet-stream",
        ))
    }

    fn study(&self) -> String {
        self.target.study.as_str().to_owned()
    }

    /// Where a part of the only instance is.
    fn place(&self, what: &str) -> String {
        let instance = self.survey.first.as_ref();
        let place = instance.map(|it| url_of(&self.urls, self.target.study.as_str(), it));
        format!("{}/{what}", place.unwrap_or_default())
    }

    /// The only instance's file, with its entity tag.
    pub(super) async fn only(&self) -> Result<Option<(File, String)>, Failure> {
        let Some(instance) = &self.survey.first else { return Ok(None) };
        let Some(stored) = instance.object() else { return Ok(None) };
        let object = open(self.objects, instance).await?;
        let transfer_syntax_uid = instance.transfer_syntax_uid.clone();
        let tag = format!("\"{}\"", stored.blake3.get(..32).unwrap_or(&stored.blake3));
        Ok(Some((File { object, transfer_syntax_uid, key: stored.key }, tag)))
    }

    fn not_acceptable(&self, forms: &str) -> Problem {
        let stored: Vec<&str> =
            self.survey.transfer_syntaxes.iter().map(String::as_str).take(10).collect();
        let detail = format!(
            "is served as {forms}; stored in the transfer syntax {}, and converted to no other",
            stored.join(", ")
        );
        Problem::new(StatusCode::NOT_ACCEPTABLE, detail)
    }
}

impl Message {
    /// Bytes of the file as they are.
    fn raw(file: File, range: std::ops::Range<u64>) -> Self {
        let extent = Extent { ranges: vec![range], turned: 1, cut: 0 };
        // Whatever the data set is in: the file is not inflated.
        let file = File { transfer_syntax_uid: EXPLICIT_LITTLE_ENDIAN.to_owned(), ..file };
        Self::new(file, Extents::One(Some(extent)), None)
    }
}

pub(super) fn no_frame(why: NoFrame, pixels: &PixelData) -> Problem {
    match why {
        NoFrame::OutOfRange => {
            let detail = format!(
                "the instance has {} frames, or its pixel data is shorter",
                pixels.frames()
            );
            Problem::not_found(&detail)
        }
        NoFrame::WithinByte => Problem::new(
            StatusCode::NOT_ACCEPTABLE,
            "the frame begins or ends within a byte: retrieve the instance or its bulk data",
        ),
        NoFrame::NoOffsets => Problem::new(
            StatusCode::NOT_ACCEPTABLE,
            "nothing in the file says where the frame begins: retrieve the instance",
        ),
    }
}

/// The entity tags that a client has.
pub(super) fn known(request: &Request) -> Option<Tags> {
    request.header(header::IF_NONE_MATCH).map(|known| Tags(known.to_owned()))
}

pub(super) fn not_modified(tag: &str) -> Response {
    let mut response = Response::builder().status(StatusCode::NOT_MODIFIED).finish();
    put(&mut response, header::ETAG, tag);
    response
}

pub(super) fn ok(content_type: &str, body: Body) -> Response {
    Response::builder().content_type(content_type).body(body)
}

pub(super) fn put(response: &mut Response, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}
