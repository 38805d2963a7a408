//! `GET /stats/activity`: what was completed in the latest hours, counted again after a while.

use catalog::{CatalogError, CatalogReader, RecentActivity};
use jiff::{SignedDuration, Timestamp};
use poem_openapi::Object;
use poem_openapi::types::Example;
use serde::Serialize;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// For how long a count is returned again: it looks at every series of a day.
const FRESH: Duration = Duration::from_secs(5);

/// What was completed in 24 hours. A series counts once, in the hour of its last completion
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Object)]
#[serde(rename_all = "PascalCase")]
#[oai(rename_all = "PascalCase", example)]
pub struct Activity {
    /// The 24 hours, the oldest first
    pub hours: Vec<Hour>,
    /// Who sent these series, by AE title of the sender of the latest instance; those that were registered by `POST /store`
    /// have none
    pub senders: Vec<SenderActivity>,
}

/// What was completed in an hour
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Object)]
#[serde(rename_all = "PascalCase")]
#[oai(rename_all = "PascalCase")]
pub struct Hour {
    /// When the hour begins, UTC
    pub from: String,
    /// Series
    pub series: u64,
    /// Instances of these series
    pub instances: u64,
}

/// What came from a sender
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Object)]
#[serde(rename_all = "PascalCase")]
#[oai(rename_all = "PascalCase")]
pub struct SenderActivity {
    /// AE title, as it calls itself
    #[serde(rename = "CallingAETitle")]
    #[oai(rename = "CallingAETitle")]
    pub calling_ae_title: String,
    /// Series
    pub series: u64,
    /// Instances of these series
    pub instances: u64,
}

impl From<RecentActivity> for Activity {
    fn from(activity: RecentActivity) -> Self {
        let hour = |(from, amount): (Timestamp, catalog::Amount)| Hour {
            from: from.to_string(),
            series: amount.series,
            instances: amount.instances,
        };
        let sender = |(calling_ae_title, amount): (String, catalog::Amount)| SenderActivity {
            calling_ae_title,
            series: amount.series,
            instances: amount.instances,
        };
        Self {
            hours: activity.hours.into_iter().map(hour).collect(),
            senders: activity.senders.into_iter().map(sender).collect(),
        }
    }
}

/// The latest count, and the end that was asked for.
#[derive(Debug, Default)]
pub struct ActivityCache {
    latest: Mutex<Option<(Instant, Option<Timestamp>, Activity)>>,
}

impl ActivityCache {
    /// What was completed before an end, or before now; counted a moment ago at most. One counts at a time, and the
    /// others wait for it.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn of(
        &self,
        catalog: &CatalogReader,
        until: Option<Timestamp>,
    ) -> Result<Activity, CatalogError> {
        let mut latest = self.latest.lock().await;
        let is_fresh = |(at, end, _): &&(Instant, Option<Timestamp>, Activity)| {
            *end == until && at.elapsed() < FRESH
        };
        if let Some((_, _, activity)) = latest.as_ref().filter(is_fresh) {
            return Ok(activity.clone());
        }
        let end = until.unwrap_or_else(Timestamp::now);
        let activity = Activity::from(catalog.recent_activity(end).await?);
        *latest = Some((Instant::now(), until, activity.clone()));
        Ok(activity)
    }
}

impl Example for Activity {
    fn example() -> Self {
        let begin: Timestamp = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(491_644);
        let hour = |hour: i64| Hour {
            from: (begin + SignedDuration::from_hours(hour)).to_string(),
            series: hour.unsigned_abs() % 3,
            instances: 17 * (hour.unsigned_abs() % 3),
        };
        let mr = SenderActivity { calling_ae_title: "MR1".into(), series: 24, instances: 408 };
        Self { hours: (0..24).map(hour).collect(), senders: vec![mr] }
    }
}
