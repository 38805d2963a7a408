//! Receiving the instances of one request, part by part.

use super::file_head::{FileHead, FileMetaUids};
use super::multipart::{Malformed, Multipart, Piece};
use super::store_response::StoreResponse;
use crate::instance::refusal::Refusal;
use crate::intake::{Delivery, Heartbeat, Intake};
use bytes::Bytes;
use contract::uid::StudyInstanceUid;
use dimse::Status;
use http_body_util::BodyExt as _;
use hyper::StatusCode;
use hyper::body::Incoming;
use shared::media_type::MediaType;
use shared::metrics::Refused;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// The most instances of one request, since the answer names each of them.
pub(super) const MAX_INSTANCES: u64 = 20_000;

/// The media type of a part.
const DICOM: &str = "application/dicom";

/// A request whose instances are being received.
pub(super) struct StowRequest<'a> {
    /// The receiver.
    pub intake: &'a Intake,
    /// Its body.
    pub body: Incoming,
    /// The parts of the body.
    pub parts: Multipart,
    /// What it brings, as an association does.
    pub delivery: Delivery<'a>,
    /// The study that its instances have to be of, if its path names one.
    pub study: Option<StudyInstanceUid>,
    /// What became of them.
    pub response: StoreResponse,
    /// Whether the part that began last has not ended.
    pub is_in_part: bool,
}

/// A request was not received to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// The connection is lost, or the body is none.
    #[error("the request was cut off: {0}")]
    Lost(hyper::Error),
    /// The body has ended, and its last part has not.
    #[error("the body ends before the closing boundary")]
    Truncated,
    /// No byte came for a while.
    #[error("nothing came within {}", humantime::format_duration(*.0))]
    Silent(Duration),
    /// It is no multipart body.
    #[error("the body is not multipart: {0}")]
    Malformed(#[from] Malformed),
    /// There are more instances than there may be.
    #[error("a request may have {MAX_INSTANCES} instances at most")]
    TooMany,
    /// This receiver stops.
    #[error("the receiver was stopped")]
    Stopped,
}

impl Broken {
    /// The status of the answer.
    #[must_use]
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Lost(_) | Self::Truncated | Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::Silent(_) => StatusCode::REQUEST_TIMEOUT,
            Self::TooMany => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Stopped => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The label of a counter, where it is somebody's fault.
    #[must_use]
    pub(super) fn cause(&self) -> Option<&'static str> {
        match self {
            Self::Lost(_) | Self::Stopped => None,
            Self::Truncated => Some("stow_truncated"),
            Self::Silent(_) => Some("silent"),
            Self::Malformed(_) => Some("stow_malformed"),
            Self::TooMany => Some("stow_too_many"),
        }
    }
}

impl StowRequest<'_> {
    /// Receives all instances to the end of the last one.
    ///
    /// # Errors
    /// When there is none. Of an instance that is not here whole nothing stays; those before it are stored.
    pub(super) async fn receive(&mut self) -> Result<(), Broken> {
        loop {
            let piece = {
                let stop = self.intake.stop.clone();
                // Between two instances is where to stop; one that has begun is finished first.
                let piece = stop.run_until_cancelled(self.piece()).await;
                piece.unwrap_or(Err(Broken::Stopped))?
            };
            match piece {
                Piece::Begins(_) if self.response.count() == MAX_INSTANCES => {
                    return Err(Broken::TooMany);
                }
                Piece::Begins(header) => self.instance(&header).await?,
                Piece::End => return Ok(()),
                Piece::Content(_) | Piece::Ends => {}
            }
        }
    }

    /// Receives one part and has it stored.
    async fn instance(&mut self, header: &[u8]) -> Result<(), Broken> {
        self.is_in_part = true;
        self.delivery.begin().await;
        let mut head = FileHead::default();
        let begun = match check_media_type(header) {
            Ok(()) => self.head(&mut head).await?,
            Err(refusal) => Err(refusal),
        };
        let meta = head.meta().clone();
        let begun = begun.and_then(|begin| Ok((begin, meta.announced()?)));
        let stored = match begun {
            Ok((begin, announced)) => {
                let mut receiving = self.delivery.receiving(&announced);
                let mut heartbeat = Heartbeat::new(Instant::now());
                receiving.push(&begin).await;
                while let Some(bytes) = self.content().await? {
                    receiving.push(&bytes).await;
                    self.delivery.progress(&mut heartbeat, &receiving).await;
                }
                let received = receiving.finish();
                let is_kept = received.object.is_some();
                let study = self.study.as_ref();
                let stored = self.delivery.store(&announced, study, received).await;
                stored.map(|identity| (identity, is_kept))
            }
            Err(refusal) => {
                while self.content().await?.is_some() {}
                self.delivery.refuse(&meta.unchecked(), &refusal);
                Err(refusal)
            }
        };
        match stored {
            Ok((identity, is_kept)) => self.response.stored(&identity, is_kept),
            Err(refusal) => self.refused(&meta, &refusal),
        }
        Ok(())
    }

    fn refused(&mut self, meta: &FileMetaUids, refusal: &Refusal) {
        self.intake.reports.refusals.count(Refused::Message, refusal.cause);
        self.response.failed(meta, refusal);
    }

    /// Reads what stands before the data set of a part. Gives the first bytes of that, or why it is refused.
    async fn head(&mut self, head: &mut FileHead) -> Result<Result<Vec<u8>, Refusal>, Broken> {
        while let Some(bytes) = self.content().await? {
            match head.push(&bytes) {
                Ok(None) => {}
                Ok(Some(begin)) => return Ok(Ok(begin)),
                Err(refusal) => return Ok(Err(refusal)),
            }
        }
        Ok(Err(head.finish()))
    }

    /// The next bytes of a part that has begun; nothing once it has ended.
    async fn content(&mut self) -> Result<Option<Bytes>, Broken> {
        if !self.is_in_part {
            return Ok(None);
        }
        match self.piece().await? {
            Piece::Content(bytes) => Ok(Some(bytes)),
            _ => {
                self.is_in_part = false;
                Ok(None)
            }
        }
    }

    async fn piece(&mut self) -> Result<Piece, Broken> {
        loop {
            if let Some(piece) = self.parts.next()? {
                return Ok(piece);
            }
            let limit = self.intake.settings.receive_timeout;
            match timeout(limit, self.body.frame()).await {
                Ok(Some(Ok(frame))) => {
                    if let Some(bytes) = frame.data_ref() {
                        self.parts.push(bytes);
                    }
                }
                Ok(Some(Err(error))) => return Err(Broken::Lost(error)),
                Ok(None) => return Err(Broken::Truncated),
                Err(_elapsed) => return Err(Broken::Silent(limit)),
            }
        }
    }
}

/// Whether a part is a DICOM file by its header, where that says what it is.
fn check_media_type(header: &[u8]) -> Result<(), Refusal> {
    let header = String::from_utf8_lossy(header);
    let mut types = header.lines().filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("content-type").then(|| MediaType::parse(value))
    });
    match types.next_back() {
        Some(media_type) if media_type.name != DICOM => Err(Refusal::new(
            Status::CannotUnderstand,
            "no_dicom_file",
            "a part has another media type than application/dicom",
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_a_dicom_file_unless_its_header_says_otherwise() {
        for taken in [
            "",
            "Content-Type: application/dicom\r\n",
            "X: 1\r\ncontent-type:Application/DICOM; transfer-syntax=1.2.840.10008.1.2.1\r\n",
            "Content-Length: 7",
        ] {
            assert_eq!(check_media_type(taken.as_bytes()), Ok(()), "{taken}");
        }
        for refused in ["Content-Type: application/dicom+json\r\n", "Content-Type: \r\n"] {
            assert!(check_media_type(refused.as_bytes()).is_err(), "{refused}");
        }
    }
}
