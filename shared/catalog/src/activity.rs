//! What was completed in the latest hours: a record of the API, made of groups of series.

use crate::encoding::timestamp;
use crate::error::CatalogError;
use jiff::Timestamp;
use std::collections::BTreeMap;

/// How many hours are looked at: what is read is what was completed in them, however many series there are.
pub(crate) const HOURS: i64 = 24;

/// An hour in nanoseconds.
pub(crate) const HOUR: i64 = 3_600_000_000_000;

/// Series and the instances in them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    /// Series whose last completion this is.
    pub series: u64,
    /// Their instances, as of then.
    pub instances: u64,
}

impl Amount {
    fn add(&mut self, group: &ActivityGroup) {
        self.series += group.series.unsigned_abs();
        self.instances += group.instances.unsigned_abs();
    }
}

/// What was completed in the latest 24 hours before a time. A series counts once, where it was last complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecentActivity {
    /// Each hour by its beginning, the oldest first; all of them, also those in which nothing was completed.
    pub hours: Vec<(Timestamp, Amount)>,
    /// By calling AE title of the sender of the latest instance; what was registered by the API has none.
    pub senders: BTreeMap<String, Amount>,
}

/// Series of one hour and one sender.
#[derive(sqlx::FromRow)]
pub(crate) struct ActivityGroup {
    hours_before: i64,
    calling_ae_title: Option<String>,
    series: i64,
    instances: i64,
}

impl RecentActivity {
    /// Where the hours before an end begin, in nanoseconds.
    pub(crate) fn start(end: i64) -> i64 {
        end.saturating_sub(HOURS * HOUR)
    }

    /// Adds up the groups.
    pub(crate) fn of(end: i64, groups: Vec<ActivityGroup>) -> Result<Self, CatalogError> {
        let start = Self::start(end);
        let begin = |hour| Ok((timestamp(start.saturating_add(hour * HOUR))?, Amount::default()));
        let hours: Result<Vec<_>, CatalogError> = (0..HOURS).map(begin).collect();
        let mut activity = Self { hours: hours?, senders: BTreeMap::new() };
        for group in groups {
            let hour = usize::try_from(HOURS - 1 - group.hours_before).ok();
            if let Some((_, amount)) = hour.and_then(|hour| activity.hours.get_mut(hour)) {
                amount.add(&group);
            }
            if let Some(sender) = &group.calling_ae_title {
                activity.senders.entry(sender.clone()).or_default().add(&group);
            }
        }
        Ok(activity)
    }
}
