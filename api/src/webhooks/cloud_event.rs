//! A completion as a CloudEvent in structured mode (CloudEvents 1.0, JSON format 1.0), which is the body of
//! a delivery.

use super::file::Hook;
use async_nats::HeaderMap;
use contract::event::{Event, SeriesCompleted};
use serde::Serialize;

/// Media type of a CloudEvent in structured mode.
pub(super) const CLOUD_EVENT: &str = "application/cloudevents+json";

/// All but its data.
#[derive(Serialize)]
struct Context<'a> {
    specversion: &'static str,
    id: &'a str,
    source: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    subject: &'a str,
    time: &'a str,
    datacontenttype: &'static str,
}

/// The event that a completion is to a webhook; `None` if it wants no such.
///
/// # Errors
/// When there is none in it.
pub(super) fn of(
    hook: &Hook,
    payload: &[u8],
    headers: Option<&HeaderMap>,
) -> Result<Option<String>, String> {
    let wrong = |error: serde_json::Error| {
        // Its own message may repeat a value.
        let (line, column) = (error.line(), error.column());
        format!("it can't be read, at line {line} column {column}")
    };
    let series: SeriesCompleted = serde_json::from_slice(payload).map_err(wrong)?;
    if !hook.takes(&series) {
        return Ok(None);
    }
    let payload = std::str::from_utf8(payload).map_err(|error| error.to_string())?;
    structured(&series, headers, payload).map(Some).map_err(wrong)
}

/// The event of a completion, whose data is its `payload` as it was announced, with keys that this
/// version may not know.
///
/// # Errors
/// When it can't be written.
fn structured(
    series: &SeriesCompleted,
    headers: Option<&HeaderMap>,
    payload: &str,
) -> serde_json::Result<String> {
    let said = |name: &str| headers.and_then(|headers| headers.get(name)).map(|it| it.as_str());
    let (id, time) = (series.id(), series.completed_at.to_string());
    let context = Context {
        specversion: "1.0",
        id: said("ce-id").unwrap_or(&id),
        source: said("ce-source").unwrap_or(SeriesCompleted::SOURCE),
        kind: series.subject().kind(),
        subject: series.series_instance_uid.as_str(),
        time: said("ce-time").unwrap_or(&time),
        datacontenttype: "application/json",
    };
    let mut event = serde_json::to_string(&context)?;
    event.pop();
    Ok(format!("{event},\"data\":{payload}}}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn its_data_is_what_was_announced() {
        let golden = include_str!("../../../shared/contract/golden/series_completed.json");
        let golden: Value = serde_json::from_str(golden).unwrap();
        let mut announced = golden["payload"].clone();
        announced["Later"] = "than this version".into();
        let series: SeriesCompleted = serde_json::from_value(announced.clone()).unwrap();
        let event = structured(&series, None, &announced.to_string()).unwrap();
        let event: Value = serde_json::from_str(&event).unwrap();
        assert_eq!(event["data"], announced);
        assert_eq!(event["specversion"], "1.0");
        assert_eq!(event["type"], "dicom.series.completed");
        assert_eq!(event["id"], series.id());
        assert_eq!(event["subject"], series.series_instance_uid.as_str());
        assert_eq!(event["datacontenttype"], "application/json");
    }
}
