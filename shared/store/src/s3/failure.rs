//! Why S3 does not do what it is asked to, in words that have neither credentials nor what it echoes of a request: errors of
//! a wrong signature have the key ID and the text that was signed.

use super::bucket::ANSWER_TIMEOUT;
use crate::StoreError;
use object_store::client::HttpError;
use std::error::Error;
use std::io;
use std::time::Duration;

/// A request failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BucketError {
    /// There is no object of that key.
    #[error("there is no such object")]
    Missing,
    /// No answer came in time.
    #[error("no answer within {}", humantime::format_duration(*.0))]
    Slow(Duration),
    /// There is no connection, or it breaks.
    #[error("{0}")]
    Unreachable(String),
    /// It is refused.
    #[error("{reason}")]
    Refused {
        /// The nearest of what a file system would say.
        kind: io::ErrorKind,
        /// The HTTP status and the code of S3.
        reason: String,
    },
}

impl BucketError {
    pub(super) fn slow() -> Self {
        Self::Slow(ANSWER_TIMEOUT)
    }
}

impl From<object_store::Error> for BucketError {
    fn from(error: object_store::Error) -> Self {
        let causes = || {
            let first: &(dyn Error + 'static) = &error;
            std::iter::successors(Some(first), |error| (*error).source())
        };
        if let Some(error) = causes().find_map(|error| error.downcast_ref::<HttpError>()) {
            return Self::Unreachable(last_cause(error));
        }
        // The types of what S3 answers are private to the crate; their texts have the status and the body.
        let said = causes().map(ToString::to_string).find(|said| said.contains("status code: "));
        let said = said.unwrap_or_else(|| error.to_string());
        let status = between(&said, "status code: ", ":").unwrap_or_default();
        let code = between(&said, "<Code>", "</Code>").filter(|code| is_word(code));
        let (kind, advice) = match (code.unwrap_or_default(), status.get(..3).unwrap_or_default()) {
            ("NoSuchKey", _) => return Self::Missing,
            ("NoSuchBucket", _) => (io::ErrorKind::NotFound, "there is no such bucket"),
            // A HEAD is answered without a body.
            ("", "404") => return Self::Missing,
            ("InvalidAccessKeyId", _) => {
                (io::ErrorKind::PermissionDenied, "AWS_ACCESS_KEY_ID is not known there")
            }
            ("SignatureDoesNotMatch", _) => (
                io::ErrorKind::PermissionDenied,
                "AWS_SECRET_ACCESS_KEY does not belong to AWS_ACCESS_KEY_ID",
            ),
            ("ExpiredToken" | "InvalidToken", _) => {
                (io::ErrorKind::PermissionDenied, "AWS_SESSION_TOKEN has expired or is wrong")
            }
            ("RequestTimeTooSkewed", _) => {
                (io::ErrorKind::PermissionDenied, "the clocks differ; set them")
            }
            (_, "401" | "403") => {
                (io::ErrorKind::PermissionDenied, "these credentials may not do that")
            }
            ("QuotaExceeded" | "StorageFull" | "XMinioStorageFull", _) | (_, "507") => {
                (io::ErrorKind::StorageFull, "the bucket is full")
            }
            (_, "400" | "301" | "307") => {
                (io::ErrorKind::Other, "is AWS_REGION that of the bucket?")
            }
            _ => (io::ErrorKind::Other, "the object storage fails"),
        };
        let answer = [status, code.unwrap_or_default()].join(" ");
        let reason = match answer.trim() {
            "" => format!("{advice} (an answer that can't be understood)"),
            answer => format!("{advice} ({answer})"),
        };
        Self::Refused { kind, reason }
    }
}

impl From<BucketError> for StoreError {
    fn from(error: BucketError) -> Self {
        match error {
            BucketError::Slow(limit) => Self::Slow(limit),
            BucketError::Refused { kind: io::ErrorKind::StorageFull, .. } => Self::Full,
            error => Self::Failed(error.into()),
        }
    }
}

impl From<BucketError> for io::Error {
    fn from(error: BucketError) -> Self {
        let kind = match &error {
            BucketError::Missing => io::ErrorKind::NotFound,
            BucketError::Slow(_) => io::ErrorKind::TimedOut,
            BucketError::Unreachable(_) => io::ErrorKind::NotConnected,
            BucketError::Refused { kind, .. } => *kind,
        };
        Self::new(kind, error)
    }
}

/// What is at the bottom of an error of the connection, which is never where to.
fn last_cause(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    causes.last().map_or_else(String::new, ToString::to_string)
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    Some(rest.split_once(after).map_or(rest, |(found, _)| found).trim())
}

/// Whether an error code of S3 is one, and no text that somebody smuggles into the log.
fn is_word(code: &str) -> bool {
    (1..=64).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(said: &str) -> BucketError {
        object_store::Error::Generic { store: "S3", source: said.to_owned().into() }.into()
    }

    #[test]
    fn what_is_wrong_is_said_without_what_is_echoed() {
        let error = of(
            "Server returned non-2xx status code: 403 Forbidden: <Error><Code>SignatureDoesNotMatch</Code>\
             <AWSAccessKeyId>AKIA</AWSAccessKeyId><StringToSign>AWS4</StringToSign></Error>",
        );
        let said = "AWS_SECRET_ACCESS_KEY does not belong to AWS_ACCESS_KEY_ID (403 Forbidden SignatureDoesNotMatch)";
        assert_eq!(error.to_string(), said);
        assert_eq!(io::Error::from(error).kind(), io::ErrorKind::PermissionDenied);
        let bucket = of("status code: 404 Not Found: <Error><Code>NoSuchBucket</Code></Error>");
        assert_eq!(bucket.to_string(), "there is no such bucket (404 Not Found NoSuchBucket)");
        assert_eq!(of("status code: 404 Not Found: <Code>NoSuchKey</Code>"), BucketError::Missing);
        assert_eq!(of("status code: 404 Not Found: "), BucketError::Missing);
        let full = of("status code: 507 Insufficient Storage: <Code>XMinioStorageFull</Code>");
        assert!(matches!(StoreError::from(full), StoreError::Full));
        let other = of("status code: 500 Internal Server Error: <Code>a\nforged line</Code>");
        assert_eq!(other.to_string(), "the object storage fails (500 Internal Server Error)");
        assert!(!of("AKIA").to_string().contains("AKIA"));
    }
}
