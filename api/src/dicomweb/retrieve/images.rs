//! Rendered resources and thumbnails (PS3.18 sections 10.4.1.1.3 and 10.4.1.1.4): a frame of the pixel data as JPEG or PNG.

use super::accept::accepted;
use super::chunks::Chunks as _;
use super::extents::{Extents, File, Message};
use super::failure::Failure;
use super::instances::{Instances, Survey, Target};
use super::resources::{known, no_frame, not_modified, ok, put};
use super::{Retrieval, open};
use crate::dicomweb::data_set::pixel_data::PixelData;
use crate::dicomweb::rendering::{
    Coding, Form, Header, MAX_ENCODED, MAX_SAMPLES, NotRendered, Parameters, render,
};
use crate::http::etag::is_known;
use crate::http::problem::Problem;
use catalog::StoredInstance;
use poem::http::{StatusCode, header};
use poem::{Body, Response};
use std::collections::VecDeque;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// What images are made like: an entity tag lasts as long as this does.
const VERSION: &str = "1";

/// How long a request waits for its turn.
const TURN: Duration = Duration::from_secs(10);

/// Instances that are looked at for one with pixels.
const LOOKED_AT: usize = 8;

/// Series of a study that are looked at for that.
const SERIES_LOOKED_AT: usize = 16;

/// The turns of renders: as many at a time as there are cores. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Renders(Arc<Semaphore>);

impl Default for Renders {
    fn default() -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Self(Arc::new(Semaphore::new(cores)))
    }
}

impl Renders {
    async fn turn(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let turn = timeout(TURN, self.0.clone().acquire_owned()).await;
        turn.ok().and_then(Result::ok).ok_or_else(|| {
            let seconds = TURN.as_secs();
            let detail =
                format!("too many images are being rendered: no turn came within {seconds} s");
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
        })
    }
}

/// Which image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    /// The frame of this number.
    Frame(u64),
    /// The one in the middle.
    Middle,
}

impl Retrieval<'_> {
    /// The image of a frame, or of the first frame of an instance.
    pub(super) async fn rendered(
        self,
        frame: Option<&str>,
        renders: &Renders,
    ) -> Result<Response, Problem> {
        let which = Which::Frame(frame.map_or(Ok(1), number)?);
        self.image(which, false, renders).await
    }

    /// A small image of a frame, or of what is in the middle.
    pub(super) async fn thumbnail(
        self,
        frame: Option<&str>,
        renders: &Renders,
    ) -> Result<Response, Problem> {
        let which = frame.map_or(Ok(Which::Middle), |frame| number(frame).map(Which::Frame))?;
        self.image(which, true, renders).await
    }

    async fn image(
        self,
        which: Which,
        is_thumbnail: bool,
        renders: &Renders,
    ) -> Result<Response, Problem> {
        let form = self.form()?;
        let given = self.request.params::<Vec<(String, String)>>().unwrap_or_default();
        let parameters = Parameters::of(&given, form, is_thumbnail)
            .map_err(|wrong| Problem::new(StatusCode::BAD_REQUEST, wrong))?;
        let tag = self.survey.tag(&format!("image {VERSION} {which:?} {}", parameters.tag()));
        if is_known(known(self.request).as_ref(), &tag) {
            return Ok(cached(not_modified(&tag)));
        }
        let (file, pixels) = self.representative().await?;
        let syntax = file.transfer_syntax_uid.clone();
        let refused = |why: NotRendered| problem(&why, &syntax);
        Coding::of(&syntax).map_err(refused)?;
        let frame = match which {
            Which::Frame(number) => number,
            Which::Middle => pixels.frames() / 2 + 1,
        };
        // What is too large is refused before anything of it is read.
        let extent = pixels.frame(frame).map_err(|why| no_frame(why, &pixels));
        let header =
            file.with(move |source| Header::read(source, frame)).await?.map_err(refused)?;
        let extent = extent?;
        let length = extent.len();
        let most = if pixels.is_encapsulated() { MAX_ENCODED } else { 4 * MAX_SAMPLES };
        if length > most {
            return Err(refused(NotRendered::TooLong(length)));
        }
        let turn = renders.turn().await?;
        let bytes = read(file, pixels, frame, length).await?;
        let coding = syntax.clone();
        let work = move || {
            let rendered = render(&header, &coding, bytes, &parameters);
            // A request that has gone away leaves its turn to the work that goes on.
            drop(turn);
            rendered
        };
        let rendered = spawn_blocking(work)
            .await
            .unwrap_or_else(|_| Err(NotRendered::Damaged("the decoder failed".to_owned())));
        let mut response = ok(form.media_type(), Body::from(rendered.map_err(refused)?));
        put(&mut response, header::ETAG, &tag);
        Ok(cached(response))
    }

    /// What the client takes most of what there is.
    fn form(&self) -> Result<Form, Problem> {
        let accepted = accepted(self.request);
        let taken = accepted.iter().find_map(|range| {
            Form::ALL
                .into_iter()
                .find(|form| range.essence == "*/*" || range.is_single(form.media_type()))
        });
        taken.ok_or_else(|| {
            Problem::new(
                StatusCode::NOT_ACCEPTABLE,
                "images are served as image/jpeg and image/png",
            )
        })
    }

    /// The file of which an image is made: that of the instance, or of one in the middle of a series.
    async fn representative(&self) -> Result<(File, PixelData), Problem> {
        if self.target.instance.is_some() {
            let Some((file, _)) = self.only().await? else { return Err(super::no_instances()) };
            return match file.with(PixelData::find).await? {
                Some(pixels) => Ok((file, pixels)),
                None => Err(Problem::not_found("the instance has no pixel data, and so no image")),
            };
        }
        let series = match &self.target.series {
            Some(series) => vec![series.clone()],
            None => self.catalog.series_of_study(&self.target.study).await?,
        };
        for series in series.into_iter().take(SERIES_LOOKED_AT) {
            if let Some(found) = self.middle(series).await? {
                return Ok(found);
            }
        }
        Err(Problem::not_found("none of the instances that were looked at has pixel data"))
    }

    /// The instance in the middle of a series, or the first one behind that has pixel data.
    async fn middle(&self, series: String) -> Result<Option<(File, PixelData)>, Failure> {
        let target = Target { series: Some(series), ..self.target.clone() };
        let kept = match self.target.series {
            Some(_) => self.survey.kept,
            None => Survey::of(self.catalog, &target).await?.kept,
        };
        let mut instances = Instances::of(self.catalog, &target);
        let mut place = 0;
        while let Some(instance) = instances.next().await? {
            if instance.object().is_none() {
                continue;
            }
            place += 1;
            if place <= kept / 2 && place < kept {
                continue;
            }
            let file = self.file_of(instance).await?;
            if let Some(pixels) = file.with(PixelData::find).await? {
                return Ok(Some((file, pixels)));
            }
            if place >= kept / 2 + LOOKED_AT as u64 {
                break;
            }
        }
        Ok(None)
    }

    async fn file_of(&self, instance: StoredInstance) -> Result<File, Failure> {
        let object = open(self.objects, &instance).await?;
        let key = instance.object().map(|it| it.key).unwrap_or_default();
        Ok(File { object, transfer_syntax_uid: instance.transfer_syntax_uid, key })
    }
}

/// The bytes of a frame, and nothing else of the file.
async fn read(file: File, pixels: PixelData, frame: u64, length: u64) -> Result<Vec<u8>, Failure> {
    let extents = Extents::Frames(Arc::new(pixels), VecDeque::from([frame]));
    let mut message = Message::new(file, extents, None);
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    while let Some(chunk) = message.next().await? {
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// The number of the only frame.
fn number(frame: &str) -> Result<u64, Problem> {
    let detail = "an image is of one frame: its number from 1";
    frame.trim().parse().map_err(|_| Problem::new(StatusCode::BAD_REQUEST, detail))
}

/// A client keeps it for itself, and asks before it shows it again.
fn cached(mut response: Response) -> Response {
    put(&mut response, header::CACHE_CONTROL, "private, no-cache");
    response
}

fn problem(why: &NotRendered, transfer_syntax_uid: &str) -> Problem {
    let status = match why {
        NotRendered::TooLarge { .. } | NotRendered::TooLong(_) => StatusCode::PAYLOAD_TOO_LARGE,
        NotRendered::Unsupported(_) | NotRendered::Damaged(_) => StatusCode::NOT_ACCEPTABLE,
    };
    // As the catalogue has it: a sender may have written anything there.
    let is_uid = transfer_syntax_uid.len() <= 64
        && transfer_syntax_uid.bytes().all(|it| it.is_ascii_digit() || it == b'.');
    let syntax = if is_uid { transfer_syntax_uid } else { "that is no UID" };
    Problem::new(status, format!("no image: {why} (stored in the transfer syntax {syntax})"))
}
