//! How values are kept: times, words and JSON.

use crate::error::CatalogError;
use crate::records::Details;
use completion::{OpenSeries, Pauses};
use contract::event::AttributeValue;
use contract::uid::SeriesInstanceUid;
use jiff::Timestamp;

/// A time as the catalogue keeps it: nanoseconds since 1970, UTC. What lies before the year 1677 or
/// after 2262 is the first or last such time.
pub(crate) fn nanoseconds(time: Timestamp) -> i64 {
    let furthest = if time < Timestamp::UNIX_EPOCH { i64::MIN } else { i64::MAX };
    i64::try_from(time.as_nanosecond()).unwrap_or(furthest)
}

pub(crate) fn timestamp(nanoseconds: i64) -> Result<Timestamp, CatalogError> {
    Timestamp::from_nanosecond(nanoseconds.into())
        .map_err(|error| CatalogError::Unreadable(format!("time {nanoseconds}: {error}")))
}

pub(crate) fn optional_timestamp(
    nanoseconds: Option<i64>,
) -> Result<Option<Timestamp>, CatalogError> {
    nanoseconds.map(timestamp).transpose()
}

pub(crate) fn series_uid(text: &str) -> Result<SeriesInstanceUid, CatalogError> {
    SeriesInstanceUid::parse(text)
        .map_err(|error| CatalogError::Unreadable(format!("SeriesInstanceUID {text:?} {error}")))
}

/// Reads the row of a series that is arriving: its UID, and its state as JSON.
pub(crate) fn open_series(
    (uid, state): (String, String),
) -> Result<(SeriesInstanceUid, OpenSeries), CatalogError> {
    let open = serde_json::from_str(&state)
        .map_err(|error| CatalogError::Unreadable(format!("open series {uid:?}: {error}")))?;
    Ok((series_uid(&uid)?, open))
}

/// Reads the pauses of a sender.
pub(crate) fn pauses(state: &str) -> Result<Pauses, CatalogError> {
    serde_json::from_str(state)
        .map_err(|error| CatalogError::Unreadable(format!("pauses of a source: {error}")))
}

/// A number as the catalogue keeps it. Sequences are below 2^63, and sizes near enough: the nearest that there is.
pub(crate) fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A revision number, which is far below what 32 bits hold.
pub(crate) fn revision(number: i64) -> Result<u32, CatalogError> {
    u32::try_from(number).map_err(|_| CatalogError::Unreadable(format!("revision {number}")))
}

/// Reads an enum from its word, by the names that events use.
pub(crate) fn word<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, CatalogError> {
    serde_json::from_value(text.into())
        .map_err(|error| CatalogError::Unreadable(format!("{text:?}: {error}")))
}

/// An attribute as a column of 32 bits has it: what is no such number is absent.
pub(crate) fn number(value: &AttributeValue) -> Option<i32> {
    match value {
        AttributeValue::Number(number) => i32::try_from(*number).ok(),
        AttributeValue::Text(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// JSON for a statement's parameter.
pub(crate) fn json<T: serde::Serialize + ?Sized>(value: &T) -> String {
    // Strings, numbers and JSON that was parsed before: there is nothing in them that can fail.
    serde_json::to_string(value).unwrap_or_default()
}

/// Reads an object that the database has made of a record, and leaves out what is absent.
pub(crate) fn details(json: &str) -> Result<Details, CatalogError> {
    let mut details: Details = serde_json::from_str(json)
        .map_err(|error| CatalogError::Unreadable(format!("details of a record: {error}")))?;
    details.retain(|_, value| !value.is_null());
    Ok(details)
}
