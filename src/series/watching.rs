//! `collimator series watch`: each completion as it happens, over breaks of the connection.

use super::client::{Client, Query};
use super::listing::{json_lines, time};
use super::record::Record;
use super::server_sent::{Reader, ServerSent};
use super::table::{Column, Table, printable};
use crate::http_client::Answer;
use crate::output::{print, width};
use anyhow::Context as _;
use jiff::Timestamp;
use std::collections::VecDeque;
use std::time::Duration;

/// First and longest pause before the API is asked again, once it did answer.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// Completions that are remembered as printed. After a break those of the last ten seconds before it
/// come again.
const REMEMBERED: usize = 4096;

/// What is printed of a completion. The usual widths are those of what is still to come.
const COLUMNS: &[Column] = &[
    Column::new("COMPLETED (UTC)", 3, |series| time(&series.text("CompletedAt"))).usually(19),
    Column::new("MOD", 2, |series| series.text("Modality")),
    Column::new("INST", 1, |series| series.text("InstancesCount")).right(),
    Column::new("REV", 5, |series| series.text("Revision")).right(),
    Column::new("REASON", 6, |series| series.text("Reason")).usually(11),
    Column::new("FROM", 8, |series| series.text("CallingAETitle")).cut_to(8).usually(16),
    Column::new("PATIENT", 7, |series| series.text("PatientName")).cut_to(8).usually(20),
    Column::new("DESCRIPTION", 4, |series| series.text("SeriesDescription")).cut_to(11).usually(24),
    Column::new("SERIES", 0, |series| series.text("SeriesInstanceUID")),
];

/// Prints each completion as it happens, `most` of them, until something fails for good.
pub(super) async fn watch(
    client: &Client,
    query: &Query,
    most: Option<usize>,
    table: bool,
) -> anyhow::Result<()> {
    let mut watching = Watching {
        last: None,
        printed: VecDeque::new(),
        table: table.then(|| Table::new(COLUMNS, width())),
        left: most,
    };
    if let Some(table) = &mut watching.table {
        print(table.lines(&[]))?;
    }
    // Where there never was an answer, the address is wrong rather than the API restarting.
    let mut answer = client.events(query, None).await?;
    loop {
        let broken = match watching.read(client, &mut answer).await? {
            Read::All => return Ok(()),
            Read::Broken(error) => error,
        };
        let broke_at = Timestamp::now();
        eprintln!("{broken}; trying again");
        answer = listen_again(client, query, watching.last.as_deref()).await?;
        match watching.last {
            Some(_) => eprintln!("listening again; what was missed comes first"),
            None => eprintln!(
                "listening again; for what was complete meanwhile: \
                 collimator series list --completed-after {broke_at:.0}"
            ),
        }
    }
}

/// Asks until the API answers again.
async fn listen_again(
    client: &Client,
    query: &Query,
    last: Option<&str>,
) -> anyhow::Result<Answer> {
    let mut pause = PAUSE.0;
    loop {
        tokio::time::sleep(pause).await;
        match client.events(query, last).await {
            Ok(answer) => return Ok(answer),
            Err(error) if error.is_passing() => pause = (pause * 2).min(PAUSE.1),
            Err(error) => return Err(error.into()),
        }
    }
}

/// How the reading of one answer ended.
enum Read {
    /// All that was wanted is printed.
    All,
    /// The answer broke off, or the API ended it.
    Broken(String),
}

struct Watching {
    /// Id of the last event that had one: where to go on.
    last: Option<String>,
    /// What was printed last.
    printed: VecDeque<String>,
    table: Option<Table>,
    /// How many more are wanted.
    left: Option<usize>,
}

impl Watching {
    /// Prints what comes until the answer ends.
    async fn read(&mut self, client: &Client, answer: &mut Answer) -> anyhow::Result<Read> {
        let mut reader = Reader::default();
        loop {
            let piece = match answer.piece().await {
                Ok(Some(piece)) => piece,
                Ok(None) => return Ok(Read::Broken("the API ended the connection".to_owned())),
                Err(error) => return Ok(Read::Broken(client.away(error).to_string())),
            };
            let Ok(events) = reader.read(&piece) else {
                return Ok(Read::Broken("the API sent an event without an end".to_owned()));
            };
            for event in events {
                self.take(&event)?;
                if self.left == Some(0) {
                    return Ok(Read::All);
                }
            }
        }
    }

    fn take(&mut self, event: &ServerSent) -> anyhow::Result<()> {
        if let Some(id) = &event.id {
            self.last = Some(id.clone());
        }
        match event.name.as_str() {
            "series.completed" => self.completed(event),
            // What the API says of the listening itself.
            "gap" | "dropped" => {
                let notice: Record = serde_json::from_str(&event.data).unwrap_or_default();
                eprintln!("{}: {}", event.name, printable(&notice.text("Detail")));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn completed(&mut self, event: &ServerSent) -> anyhow::Result<()> {
        let series: Record = serde_json::from_str(&event.data).context("a completion")?;
        let revision = [series.text("SeriesInstanceUID"), series.text("Revision")].join(":");
        if self.printed.contains(&revision) {
            return Ok(());
        }
        match &mut self.table {
            Some(table) => print(table.lines(&[series]))?,
            None => print(json_lines(&[series])?)?,
        }
        self.printed.truncate(REMEMBERED - 1);
        self.printed.push_front(revision);
        if let Some(left) = &mut self.left {
            *left -= 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_again_after_a_break_is_printed_once() {
        let left = Some(10);
        let mut watching = Watching { last: None, printed: VecDeque::new(), table: None, left };
        let event = |id: Option<&str>, revision: u32| ServerSent {
            id: id.map(str::to_owned),
            name: "series.completed".to_owned(),
            data: format!(r#"{{"SeriesInstanceUID":"1.2","Revision":{revision}}}"#),
        };
        for (id, revision, left) in
            [(Some("SERIES:1"), 1, 9), (None, 1, 9), (Some("SERIES:2"), 2, 8), (None, 1, 8)]
        {
            watching.take(&event(id, revision)).unwrap();
            assert_eq!(watching.left, Some(left));
        }
        assert_eq!(watching.last.as_deref(), Some("SERIES:2"));
        let opened = ServerSent { id: Some("INSTANCES:9".to_owned()), ..event(None, 3) };
        watching.take(&ServerSent { name: "series.opened".to_owned(), ..opened }).unwrap();
        assert_eq!((watching.last.as_deref(), watching.left), (Some("INSTANCES:9"), Some(8)));
    }
}
