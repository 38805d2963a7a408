//! Why nothing can be served any more, though the catalogue has it.

use crate::dicomweb::data_set::Unreadable;
use crate::http::problem::Problem;
use catalog::CatalogError;
use poem::http::StatusCode;
use std::io;
use store::ObjectError;

/// A retrieval failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("the catalogue: {0}")]
    Catalog(#[from] CatalogError),
    /// With the key of the file, which has nothing of a patient.
    #[error("{error}: {key}")]
    Object { error: ObjectError, key: String },
    #[error(transparent)]
    Read(#[from] ObjectError),
    #[error("a file can't be read as DICOM: {error}: {key}")]
    Unreadable { error: Unreadable, key: String },
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Catalog(error) => error.into(),
            Failure::Object { error: ObjectError::Slow(_) | ObjectError::Unreachable, .. }
            | Failure::Read(ObjectError::Slow(_) | ObjectError::Unreachable) => {
                tracing::warn!(%failure, "the instance store is unavailable");
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "the instance store does not answer; try again",
                )
            }
            failure => {
                tracing::error!(%failure, "the instance store is damaged");
                Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "a file of the instance store is missing or damaged; see the log",
                )
            }
        }
    }
}

/// The status is sent: the client learns of a failure by a message that does not end as it should.
pub(crate) fn cut_short(failure: &Failure) -> io::Error {
    tracing::error!(%failure, "a retrieval ended in the middle");
    io::Error::other("a file of the instance store can't be read any more")
}
