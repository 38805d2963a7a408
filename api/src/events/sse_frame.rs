//! One event as a server-sent event (SSE): its text, and what filters look at.

use super::progress::SeriesProgress;
use super::reader::Stream;
use bytes::Bytes;
use contract::subject::{AssociationChange, Subject};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt::{self, Display, Formatter, Write as _};
use std::str::FromStr;

/// Where an event is kept: what `id:` says of it, and `Last-Event-ID` says back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EventPosition {
    /// The stream that keeps it.
    pub(crate) stream: Stream,
    /// Its sequence in that stream.
    pub(crate) sequence: u64,
}

impl Display for EventPosition {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.stream.name(), self.sequence)
    }
}

impl FromStr for EventPosition {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (name, sequence) = text.split_once(':').ok_or(())?;
        let stream = Stream::BOTH.into_iter().find(|stream| stream.name() == name).ok_or(())?;
        let digits = !sequence.is_empty() && sequence.bytes().all(|b| b.is_ascii_digit());
        let sequence = sequence.parse().ok().filter(|_| digits).ok_or(())?;
        Ok(Self { stream, sequence })
    }
}

/// The frame of one event. Written once, however many listen.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SseFrame {
    /// Where it is kept; progress is kept nowhere.
    pub(crate) position: Option<EventPosition>,
    /// Whether who resumes is told it again. That a series opens is only seen as it happens.
    pub(crate) is_replayed: bool,
    /// Of the series; an association has none.
    pub(crate) modality: Option<String>,
    /// Who sent it.
    pub(crate) calling_ae_title: Option<String>,
    /// The text of the server-sent event.
    pub(crate) text: Bytes,
}

/// What is read of an event to tell of it. The rest is passed on as it is.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Read {
    #[serde(default)]
    modality: Option<String>,
    #[serde(rename = "CallingAETitle", default)]
    calling_ae_title: Option<String>,
}

impl SseFrame {
    /// An event that is told as it was published, with the JSON that it has on NATS. `None` for
    /// what is not told so, or can't be read.
    pub(crate) fn published(
        position: EventPosition,
        subject: &str,
        payload: &[u8],
    ) -> Option<Self> {
        Self::kept(position, Some(position), subject, payload)
    }

    /// The same of an event that may have been told before the one that a listener resumes after.
    /// It has no id, so that the listener's place does not go back.
    pub(crate) fn published_before(
        position: EventPosition,
        subject: &str,
        payload: &[u8],
    ) -> Option<Self> {
        Self::kept(position, None, subject, payload)
    }

    fn kept(
        position: EventPosition,
        id: Option<EventPosition>,
        subject: &str,
        payload: &[u8],
    ) -> Option<Self> {
        let name = match subject.parse().ok()? {
            Subject::SeriesCompleted { .. } => "series.completed",
            Subject::SeriesDeleted { .. } => "series.deleted",
            Subject::SeriesKept { .. } => "series.kept",
            Subject::SeriesPurged { .. } => "series.purged",
            Subject::StudyCompleted { .. } => "study.completed",
            Subject::Association { change: AssociationChange::Opened, .. } => "association.opened",
            Subject::Association { change: AssociationChange::Released, .. } => {
                "association.released"
            }
            Subject::Association { change: AssociationChange::Aborted, .. } => {
                "association.aborted"
            }
            Subject::Association { change: AssociationChange::Rejected, .. } => {
                "association.rejected"
            }
            _ => return None,
        };
        if !is_event(payload) {
            return None;
        }
        let Read { modality, calling_ae_title } = serde_json::from_slice(payload).ok()?;
        let data = std::str::from_utf8(payload).ok()?;
        let text = text(id, name, data);
        let position = Some(position);
        Some(Self { position, is_replayed: true, modality, calling_ae_title, text })
    }

    /// The first instance of a series was seen, with the event at this place.
    pub(crate) fn opened(position: EventPosition, seen: &SeriesProgress) -> Self {
        Self::seen(Some(position), "series.opened", seen)
    }

    /// More of a series was seen.
    pub(crate) fn progress(seen: &SeriesProgress) -> Self {
        Self::seen(None, "series.progress", seen)
    }

    fn seen(position: Option<EventPosition>, name: &str, seen: &SeriesProgress) -> Self {
        Self {
            position,
            is_replayed: false,
            modality: Some(seen.modality.clone()),
            calling_ae_title: Some(seen.calling_ae_title.clone()),
            text: text(position, name, &json(seen)),
        }
    }
}

impl SseFrame {
    /// Its text without its id, so that the place of a listener that is further on does not go back.
    pub(crate) fn without_id(&self) -> Bytes {
        let id = match self.text.starts_with(b"id: ") {
            true => self.text.iter().position(|&byte| byte == b'\n').map_or(0, |end| end + 1),
            false => 0,
        };
        self.text.slice(id..)
    }
}

/// What a listener is told of the listening itself.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Notice<'a> {
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    missed: Option<u64>,
}

/// Whether a payload is what an event of ours is: an object whose keys begin with a capital. On the subject of
/// an event there may be an answer of the broker's, none of whose keys do.
fn is_event(payload: &[u8]) -> bool {
    let keys: Result<HashMap<String, IgnoredAny>, _> = serde_json::from_slice(payload);
    let is_ours = |key: &String| key.starts_with(|first: char| first.is_ascii_uppercase());
    keys.is_ok_and(|keys| !keys.is_empty() && keys.keys().all(is_ours))
}

/// The last event of a listener who read too slowly.
pub(crate) fn dropped(missed: u64) -> Bytes {
    let detail = "you read more slowly than events come, and were dropped; connect again with \
                  the last id as Last-Event-ID, and what you missed is told";
    text(None, "dropped", &json(&Notice { detail, missed: Some(missed) }))
}

/// Says to one who resumes that some of what came meanwhile is not told.
pub(crate) fn gap(detail: &str) -> Bytes {
    text(None, "gap", &json(&Notice { detail, missed: None }))
}

fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// The text of an event, as the HTML standard's section 9.2.6 reads it. Each line of the data
/// needs its own field, or a foreign publisher's line break would begin another.
fn text(position: Option<EventPosition>, name: &str, data: &str) -> Bytes {
    let mut text = String::with_capacity(data.len() + 80);
    if let Some(position) = position {
        let _ = writeln!(text, "id: {position}");
    }
    let _ = writeln!(text, "event: {name}");
    for line in data.split(['\r', '\n']).filter(|line| !line.is_empty()) {
        let _ = writeln!(text, "data: {line}");
    }
    text.push('\n');
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: EventPosition = EventPosition { stream: Stream::Series, sequence: 7 };

    #[test]
    fn an_event_is_told_with_its_own_json_and_where_it_is_kept() {
        let frame = SseFrame::published(
            PLACE,
            "dicom.series.completed.MR.1.2",
            br#"{"SeriesInstanceUID":"1.2","Modality":"MR","CallingAETitle":"A"}"#,
        );
        let frame = frame.unwrap();
        assert_eq!(
            (frame.modality.as_deref(), frame.calling_ae_title.as_deref()),
            (Some("MR"), Some("A"))
        );
        let expected = "id: SERIES:7\nevent: series.completed\ndata: \
                        {\"SeriesInstanceUID\":\"1.2\",\"Modality\":\"MR\",\"CallingAETitle\":\"A\"}\n\n";
        assert_eq!(frame.text, expected);
    }

    #[test]
    fn a_line_break_in_an_event_begins_no_other() {
        let subject = "dicom.association.opened.A";
        let frame = SseFrame::published(PLACE, subject, b"{\n\r\n\"CallingAETitle\": \r\"A\"\n}");
        let text = frame.unwrap().text;
        let expected = "id: SERIES:7\nevent: association.opened\ndata: {\ndata: \"CallingAETitle\": \ndata: \"A\"\ndata: }\n\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn an_answer_of_the_broker_is_not_told_whatever_its_subject_is() {
        for subject in [
            "dicom.series.completed.MR.1.2",
            "dicom.series.deleted.MR.1.2",
            "dicom.series.kept.MR.1.2",
            "dicom.series.purged.MR.1.2",
            "dicom.study.completed.1.2",
            "dicom.association.opened.A",
            "dicom.association.released.A",
        ] {
            for answer in [
                "{}",
                r#"{"stream":"INSTANCES","seq":17}"#,
                r#"{"type":"io.nats.jetstream.api.v1.stream_info_response","error":{"code":400}}"#,
                "[]",
                "-ERR",
                "",
            ] {
                let frame = SseFrame::published(PLACE, subject, answer.as_bytes());
                assert_eq!(frame, None, "{subject}: {answer}");
            }
        }
    }

    #[test]
    fn what_is_not_told_or_no_json_is_left_out() {
        for (subject, payload) in [
            ("dicom.instance.stored.27.MR.1.2.840.113619.2.410", &b"{}"[..]),
            ("dicom.ingest.started.a", b"{}"),
            ("dicom.series.completed.MR.1.2", b"{"),
            ("dicom.series.completed.MR.1.2", b"\xff"),
        ] {
            assert_eq!(SseFrame::published(PLACE, subject, payload), None, "{subject}");
        }
    }

    #[test]
    fn a_place_reads_back_and_nothing_else_does() {
        assert_eq!(PLACE.to_string().parse(), Ok(PLACE));
        for text in ["", "SERIES", "SERIES:", "SERIES:-1", "SERIES:+1", "DEAD:1", "SERIES:1 ", "7"]
        {
            assert_eq!(text.parse::<EventPosition>(), Err(()), "{text:?}");
        }
    }
}
