//! Events as the receiver publishes them, made up: what a scanner says of its instances, about thirty
//! attributes of each.

use contract::event::{AttributeValue, InstanceStored};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

/// A root as long as those of real scanners.
const ROOT: &str = "1.2.840.113619.2.408.14196467";

/// A backlog: series of so many instances each, of which some arrive at the same time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backlog {
    pub(crate) instances: u64,
    pub(crate) series: u64,
    /// Series that arrive at the same time, as over so many associations.
    pub(crate) interleaved: u64,
}

impl Backlog {
    /// Series and number in it of the instance that is the `index`th to arrive.
    fn place(self, index: u64) -> (u64, u64) {
        let each = (self.instances / self.series.max(1)).max(1);
        let group = each * self.interleaved;
        let (first, within) = (index / group * self.interleaved, index % group);
        // The last group may have fewer series.
        let width = self.interleaved.min(self.series.saturating_sub(first)).max(1);
        (first + within % width, within / width)
    }

    /// The events in the order in which they arrive.
    pub(crate) fn events(
        self,
    ) -> anyhow::Result<impl Iterator<Item = anyhow::Result<InstanceStored>>> {
        let template = template()?;
        let began = template.received_at;
        let events = (0..self.instances).map(move |index| {
            let (series, number) = self.place(index);
            event(&template, series, number, began + SignedDuration::from_millis(index as i64))
        });
        Ok(events)
    }
}

/// The UID of something that has a number; numbers that follow each other are far apart.
fn uid(kind: u64, number: u64) -> String {
    let scattered = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 10;
    format!("{ROOT}.{kind}.{scattered}")
}

/// The instance of a series with this number, from 0.
pub(crate) fn event(
    template: &InstanceStored,
    series: u64,
    number: u64,
    at: Timestamp,
) -> anyhow::Result<InstanceStored> {
    let mut event = template.clone();
    event.series_instance_uid = uid(3, series).try_into()?;
    event.study_instance_uid = Some(uid(2, series / 4).try_into()?);
    event.sop_instance_uid = format!("{}.{}", uid(4, series), number + 1).try_into()?;
    let text = |event: &mut InstanceStored, keyword: &'static str, text: String| {
        event.attributes.insert(keyword, AttributeValue::Text(text.into()));
    };
    text(&mut event, "PatientID", format!("PAT-{:07}", series / 4));
    text(&mut event, "PatientName", format!("Bench^Patient {}", series / 4));
    text(&mut event, "AccessionNumber", format!("ACC{:09}", series / 4));
    text(&mut event, "SeriesNumber", (series % 4 + 1).to_string());
    text(&mut event, "InstanceNumber", (number + 1).to_string());
    event.association_id = Uuid::from_u64_pair(series, 7).to_string();
    event.digest = format!("{:032x}", u128::from(series) << 64 | u128::from(number));
    event.ordinal = number + 1;
    event.series_ordinal = number + 1;
    event.received_at = at;
    Ok(event)
}

/// What all of them have in common.
pub(crate) fn template() -> anyhow::Result<InstanceStored> {
    Ok(serde_json::from_str(include_str!("instance.json"))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn a_backlog_has_every_instance_once() {
        for (instances, series, interleaved) in [(1000, 10, 4), (100, 100, 8), (60, 3, 8)] {
            let backlog = Backlog { instances, series, interleaved };
            let (mut by_series, mut uids) = (HashMap::<_, u64>::new(), HashMap::new());
            for event in backlog.events().unwrap().map(Result::unwrap) {
                *by_series.entry(event.series_instance_uid).or_default() += 1;
                *uids.entry(event.sop_instance_uid).or_insert(0) += 1;
            }
            assert_eq!(by_series.len() as u64, series);
            assert!(by_series.values().all(|count| *count == instances / series));
            assert!(uids.len() as u64 == instances && uids.values().all(|count| *count == 1));
        }
    }
}
