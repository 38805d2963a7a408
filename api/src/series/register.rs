//! `POST /store`: a series that somebody vouches for.

use crate::broker::BrokerHandle;
use crate::http::example_values::{PATIENT_ID, PATIENT_NAME, SERIES_UID, STUDY_UID};
use crate::http::json_request::FromJson;
use crate::http::problem::{FieldError, Problem};
use catalog::{CatalogReader, RegistrationOutcome};
use contract::event::RegistrationRequested;
use contract::uid::{SeriesInstanceUid, StudyInstanceUid, is_legal_uid};
use jiff::Timestamp;
use poem::http::StatusCode;
use poem_openapi::Object;
use poem_openapi::types::Example;
use serde::Serialize;
use serde_json::{Map, Value};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// Longest PatientID and PatientName, in characters: five times what DICOM allows a name.
const MAX_TEXT_LENGTH: usize = 1024;

/// How long the indexer may take. By then it has registered the series, or it no longer will.
const ANSWER_TIMEOUT: Duration =
    RegistrationRequested::LIFETIME.saturating_add(Duration::from_secs(5));

/// First and longest pause before the catalogue is looked at again for what became of a request.
const LOOK_PAUSE: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(50));

/// A series to store
#[derive(Debug, Clone, PartialEq, Eq, Object)]
#[oai(rename_all = "PascalCase", example)]
pub struct StoreRequest {
    /// Series Instance UID (0020,000E)
    #[oai(
        rename = "SeriesInstanceUID",
        validator(max_length = 64, pattern = "^(0|[1-9][0-9]*)(\\.(0|[1-9][0-9]*))*$")
    )]
    pub series_instance_uid: String,
    /// Patient ID (0010,0020)
    #[oai(
        rename = "PatientID",
        validator(max_length = 1024, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")
    )]
    pub patient_id: String,
    /// Patient's Name (0010,0010), its components parted by `^`
    #[oai(validator(max_length = 1024, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$"))]
    pub patient_name: String,
    /// Study Instance UID (0020,000D)
    #[oai(
        rename = "StudyInstanceUID",
        validator(max_length = 64, pattern = "^(0|[1-9][0-9]*)(\\.(0|[1-9][0-9]*))*$")
    )]
    pub study_instance_uid: String,
    /// How many instances the series has
    #[oai(validator(minimum(value = "0"), maximum(value = "4294967295")))]
    pub instances_count: u32,
}

/// The outcome of storing a series
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Object)]
#[oai(example)]
pub struct StoreMessage {
    /// `Series stored successfully`, or `Series already exists`
    pub message: String,
}

impl Example for StoreRequest {
    fn example() -> Self {
        Self {
            series_instance_uid: SERIES_UID.into(),
            patient_id: PATIENT_ID.into(),
            patient_name: PATIENT_NAME.into(),
            study_instance_uid: STUDY_UID.into(),
            instances_count: 17,
        }
    }
}

impl Example for StoreMessage {
    fn example() -> Self {
        Self { message: "Series stored successfully".into() }
    }
}

impl FromJson for StoreRequest {
    fn from_json(json: Value) -> Result<Self, Problem> {
        let Value::Object(fields) = json else {
            let detail = "the body must be a JSON object";
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
        };
        let mut reader = Reader { fields, errors: Vec::new() };
        let request = Self {
            series_instance_uid: reader.uid("SeriesInstanceUID"),
            patient_id: reader.text("PatientID"),
            patient_name: reader.text("PatientName"),
            study_instance_uid: reader.uid("StudyInstanceUID"),
            instances_count: reader.count("InstancesCount"),
        };
        match reader.errors.is_empty() {
            true => Ok(request),
            false => Err(Problem::fields(reader.errors)),
        }
    }
}

/// Reads the fields of a body, and gathers what is wrong with any of them.
struct Reader {
    fields: Map<String, Value>,
    errors: Vec<FieldError>,
}

impl Reader {
    /// The field as `read` finds it; `T`'s default when it is wrong.
    fn field<T: Default>(
        &mut self,
        name: &str,
        read: impl FnOnce(Value) -> Result<T, String>,
    ) -> T {
        let read = match self.fields.remove(name) {
            None => Err("is missing".to_owned()),
            Some(value) => read(value),
        };
        read.unwrap_or_else(|detail| {
            self.errors.push(FieldError { field: name.to_owned(), detail });
            T::default()
        })
    }

    fn uid(&mut self, name: &str) -> String {
        self.field(name, |value| match value {
            Value::String(uid) if is_legal_uid(&uid) => Ok(uid),
            Value::String(_) => Err("is not a UID: digits and dots, 64 at most, no component \
                                     empty or with a leading zero"
                .to_owned()),
            _ => Err("must be a string".to_owned()),
        })
    }

    fn text(&mut self, name: &str) -> String {
        self.field(name, |value| match value {
            Value::String(text) if text.chars().count() > MAX_TEXT_LENGTH => {
                Err(format!("must not be longer than {MAX_TEXT_LENGTH} characters"))
            }
            Value::String(text) if text.contains(char::is_control) => {
                Err("must not contain control characters".to_owned())
            }
            Value::String(text) => Ok(text),
            _ => Err("must be a string".to_owned()),
        })
    }

    fn count(&mut self, name: &str) -> u32 {
        self.field(name, |value| {
            let count = value.as_u64().and_then(|count| u32::try_from(count).ok());
            count.ok_or_else(|| format!("must be an integer from 0 to {}", u32::MAX))
        })
    }
}

impl StoreRequest {
    /// The event that asks the indexer for it.
    ///
    /// # Errors
    /// Names the UID that is none.
    pub fn into_event(
        self,
        request_id: String,
        requested_at: Timestamp,
    ) -> Result<RegistrationRequested, Problem> {
        let wrong = |field: &str, detail: String| {
            Problem::fields(vec![FieldError { field: field.to_owned(), detail }])
        };
        Ok(RegistrationRequested {
            series_instance_uid: SeriesInstanceUid::parse(&self.series_instance_uid)
                .map_err(|error| wrong("SeriesInstanceUID", error.to_string()))?,
            study_instance_uid: StudyInstanceUid::parse(&self.study_instance_uid)
                .map_err(|error| wrong("StudyInstanceUID", error.to_string()))?,
            patient_id: self.patient_id,
            patient_name: self.patient_name,
            instances_count: self.instances_count,
            request_id,
            requested_at,
        })
    }
}

/// Asks the indexer to register a series that is not known yet, and waits until it has.
///
/// # Errors
/// 503 when the catalogue can't be read, NATS does not take the request, or the indexer does not act on it in
/// time. The series is then in the catalogue whole or not at all, and asking again says which.
pub async fn register(
    catalog: &CatalogReader,
    broker: &BrokerHandle,
    request: &RegistrationRequested,
) -> Result<RegistrationOutcome, Problem> {
    let series = &request.series_instance_uid;
    if catalog.state_of(series).await?.is_some() {
        return Ok(RegistrationOutcome::AlreadyExists);
    }
    let sequence = broker.publish_once_connected(request).await?;
    let acted = async {
        let mut pause = LOOK_PAUSE.0;
        loop {
            if let Some(outcome) = catalog.registration(series, sequence).await? {
                return Ok(outcome);
            }
            sleep(pause).await;
            pause = (pause * 2).min(LOOK_PAUSE.1);
        }
    };
    timeout(ANSWER_TIMEOUT, acted).await.unwrap_or_else(|_elapsed| {
        let detail = "the series was not stored: no indexer acted on the request in time; see that one runs \
                      and is not far behind, and try again";
        Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn all_that_is_wrong_is_told_at_once_and_no_value_is_repeated() {
        let body = json!({
            "SeriesInstanceUID": "Roe", "PatientID": 17, "PatientName": "Roe\nJane",
            "InstancesCount": "17",
        });
        let problem = StoreRequest::from_json(body).unwrap_err();
        let fields: Vec<_> = problem.errors.iter().map(|error| error.field.as_str()).collect();
        let expected =
            ["SeriesInstanceUID", "PatientID", "PatientName", "StudyInstanceUID", "InstancesCount"];
        assert_eq!(fields, expected);
        assert!(!problem.detail.contains("Roe"), "{}", problem.detail);
    }

    #[test]
    fn the_example_is_what_it_asks_for() {
        let example = StoreRequest::example();
        let body = json!({
            "SeriesInstanceUID": example.series_instance_uid, "PatientID": example.patient_id,
            "PatientName": example.patient_name, "StudyInstanceUID": example.study_instance_uid,
            "InstancesCount": example.instances_count, "SomethingElse": true,
        });
        assert_eq!(StoreRequest::from_json(body), Ok(example));
    }
}
