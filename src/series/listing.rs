//! `collimator series list` and `show`: what the API knows, as a table or as JSON.

use super::client::{Client, Query};
use super::record::{Record, Shown};
use super::table::{Column, Table, printable};
use crate::output::{print, width};
use console::{measure_text_width, pad_str};
use serde::Serialize;
use std::fmt::Write as _;

/// A list of series. What has to be copied stands at the end and is left out last.
const LIST: &[Column] = &[
    Column::new("COMPLETED (UTC)", 3, |series| time(&series.text("CompletedAt"))),
    Column::new("MOD", 2, |series| series.text("Modality")),
    Column::new("INST", 1, instances).right(),
    Column::new("REASON", 5, reason),
    Column::new("PATIENT ID", 7, |series| series.text("PatientID")).cut_to(8),
    Column::new("PATIENT", 6, |series| series.text("PatientName")).cut_to(8),
    Column::new("DESCRIPTION", 4, |series| series.text("SeriesDescription")).cut_to(11),
    Column::new("SERIES", 0, |series| series.text("SeriesInstanceUID")),
];

/// The completions of one series, and its deletions.
const HISTORY: &[Column] = &[
    Column::new("COMPLETED (UTC)", 1, |revision| time(&revision.text("CompletedAt"))),
    Column::new("REVISION", 0, |revision| revision.text("Revision")).right(),
    Column::new("REASON", 2, why),
    Column::new("INST", 3, |revision| revision.text("InstancesCount")).right(),
    Column::new("ADDED", 4, |revision| revision.text("InstancesAdded")).right(),
    Column::new("CORRECTED", 5, |revision| revision.text("InstancesCorrected")).right(),
    Column::new("FROM", 6, |revision| revision.text("CallingAETitle")),
];

/// Why a series was complete, or that it was deleted instead, and when.
fn why(revision: &Record) -> String {
    let reason = revision.text("Reason");
    match revision.text("DeletedAt") {
        at if at.is_empty() => reason,
        at => format!("{reason}: deleted {}", time(&at)),
    }
}

/// Lists series, page by page as they come.
pub(super) async fn list(
    client: &Client,
    query: Query,
    most: Option<usize>,
    table: bool,
) -> anyhow::Result<()> {
    let mut pages = client.series(query, most);
    let mut lines = table.then(|| Table::new(LIST, width()));
    while let Some(page) = pages.next().await? {
        match &mut lines {
            Some(lines) => print(lines.lines(&page))?,
            None => print(json_lines(&page)?)?,
        }
    }
    Ok(())
}

/// Shows series, up to the first that the API does not tell of.
pub(super) async fn show(client: &Client, uids: &[String], table: bool) -> anyhow::Result<()> {
    let (mut shown, mut failed) = (Vec::new(), None);
    for uid in uids {
        match client.one_series(uid).await {
            Ok(series) => shown.push(series),
            Err(error) => {
                failed = Some(anyhow::Error::new(error).context(printable(uid)));
                break;
            }
        }
    }
    if table {
        let width = width();
        let texts: Vec<_> = shown.iter().map(|series| described(series, width)).collect();
        print(texts.join("\n"))?;
    } else {
        print(json_lines(&shown)?)?;
    }
    failed.map_or(Ok(()), Err)
}

/// One JSON object a line.
pub(super) fn json_lines(records: &[impl Serialize]) -> serde_json::Result<String> {
    let mut lines = String::new();
    for record in records {
        lines.push_str(&serde_json::to_string(record)?);
        lines.push('\n');
    }
    Ok(lines)
}

/// All of a series: a line a key, then its completions.
fn described(series: &Shown, width: Option<usize>) -> String {
    let widest = series.details.texts().map(|(key, _)| measure_text_width(key)).max();
    let indent = widest.unwrap_or_default() + 2;
    let mut text = String::new();
    for (key, value) in series.details.texts() {
        let value = printable(&value);
        let width_left = width.map_or(usize::MAX, |width| width.saturating_sub(indent).max(1));
        let mut name = key;
        for line in broken(&value, width_left) {
            let _ =
                writeln!(text, "{}{line}", pad_str(name, indent, console::Alignment::Left, None));
            name = "";
        }
    }
    if !series.history.is_empty() {
        text.push('\n');
        text.push_str(&Table::new(HISTORY, width).lines(&series.history));
    }
    text
}

/// A text in lines that are no wider than `room`; one line at least.
fn broken(text: &str, width_left: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut taken = 0;
    for character in text.chars() {
        let wide = measure_text_width(character.encode_utf8(&mut [0; 4]));
        if taken > 0 && taken + wide > width_left {
            lines.push(String::new());
            taken = 0;
        }
        taken += wide;
        // There is a last line always.
        if let Some(line) = lines.last_mut() {
            line.push(character);
        }
    }
    lines
}

/// A time as people read it: to the second.
pub(super) fn time(rfc3339: &str) -> String {
    rfc3339.get(..19).unwrap_or(rfc3339).replace('T', " ")
}

fn is_receiving(series: &Record) -> bool {
    series.text("State") == "receiving"
}

/// How many instances there are by now.
fn instances(series: &Record) -> String {
    match is_receiving(series) {
        true => series.text("InstancesReceived"),
        false => series.text("InstancesCount"),
    }
}

/// The rule by which it is complete, or that it is not; and whether its instances disagree.
fn reason(series: &Record) -> String {
    let reason = match is_receiving(series) {
        true => "receiving".to_owned(),
        false => series.text("Reason"),
    };
    // What they disagree on `series show` tells.
    match series.text("Disagrees").is_empty() {
        true => reason,
        false => format!("{reason}, disagrees"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(json: serde_json::Value) -> Record {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_series_that_is_arriving_is_told_as_it_is_by_now() {
        let series = record(serde_json::json!({
            "State": "receiving", "InstancesCount": 3, "InstancesReceived": 5, "Reason": "quiet"
        }));
        assert_eq!((instances(&series), reason(&series)), ("5".into(), "receiving".into()));
    }

    #[test]
    fn a_series_of_two_patients_says_so() {
        let disagrees = serde_json::json!([{ "Keyword": "PatientID", "Values": [] }]);
        let series = record(serde_json::json!({ "Reason": "quiet", "Disagrees": disagrees }));
        assert_eq!(reason(&series), "quiet, disagrees");
    }

    #[test]
    fn a_long_value_goes_on_below_itself() {
        let details = record(serde_json::json!({ "UID": "1.2.840.113619", "Name": "Roe^Jane" }));
        let history = vec![record(serde_json::json!({ "Revision": 1, "Reason": "quiet" }))];
        let text = described(&Shown { details, history: Vec::new() }, Some(14));
        assert_eq!(text, "Name  Roe^Jane\nUID   1.2.840.\n      113619\n");
        let details = record(serde_json::json!({ "UID": "1.2" }));
        let text = described(&Shown { details, history }, None);
        assert!(text.starts_with("UID  1.2\n\nCOMPLETED (UTC)  REVISION  REASON"), "{text}");
    }

    #[test]
    fn a_deletion_is_no_completion() {
        let at = "2026-02-03T04:05:16.5Z";
        let deletion = record(serde_json::json!({ "Reason": "expired", "DeletedAt": at }));
        assert_eq!(why(&deletion), "expired: deleted 2026-02-03 04:05:16");
        assert_eq!(why(&record(serde_json::json!({ "Reason": "quiet" }))), "quiet");
    }

    #[test]
    fn a_time_is_told_to_the_second() {
        assert_eq!(time("2026-02-03T04:05:16.500000000Z"), "2026-02-03 04:05:16");
        assert_eq!((time(""), time("soon")), (String::new(), "soon".to_owned()));
    }
}
