//! Progress of arriving series: when each is opened, and how many instances have arrived.

use contract::event::Source;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Series that are followed at one time. Beyond, those that were quiet for longest are forgotten:
/// they are opened anew by their next instance.
const MOST_SERIES: usize = 10_000;

/// How often a series says at most how far it has come.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// What is read of the event of a stored instance.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Instance {
    #[serde(rename = "SeriesInstanceUID")]
    series_instance_uid: String,
    #[serde(rename = "StudyInstanceUID", default)]
    study_instance_uid: Option<String>,
    #[serde(default)]
    modality: String,
    #[serde(default)]
    series_description: Option<String>,
    #[serde(rename = "CallingAETitle", default)]
    calling_ae_title: String,
    #[serde(rename = "AssociationID", default)]
    association_id: String,
    #[serde(default)]
    bytes: u64,
    #[serde(default)]
    received_at: String,
}

/// What is read of a completion, or of a deletion.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Completion {
    #[serde(rename = "SeriesInstanceUID")]
    series_instance_uid: String,
    /// Of a completion.
    #[serde(default)]
    source: Option<Source>,
    #[serde(default)]
    instances_sequence: Option<u64>,
}

/// What was seen of a series since it was opened: the data of `series.opened` and
/// `series.progress`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct SeriesProgress {
    #[serde(rename = "SeriesInstanceUID")]
    series_instance_uid: String,
    #[serde(rename = "StudyInstanceUID", skip_serializing_if = "Option::is_none")]
    study_instance_uid: Option<String>,
    pub(crate) modality: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    series_description: Option<String>,
    #[serde(rename = "CallingAETitle")]
    pub(crate) calling_ae_title: String,
    #[serde(rename = "AssociationID")]
    association_id: String,
    /// Not the catalogue's count: an instance that is sent twice is seen twice.
    instances_seen: u64,
    bytes_seen: u64,
    last_received_at: String,
}

impl SeriesProgress {
    fn add(&mut self, instance: &Instance) {
        self.instances_seen += 1;
        self.bytes_seen = self.bytes_seen.saturating_add(instance.bytes);
        self.calling_ae_title.clone_from(&instance.calling_ae_title);
        self.association_id.clone_from(&instance.association_id);
        self.last_received_at.clone_from(&instance.received_at);
    }

    fn first(instance: &Instance) -> Self {
        Self {
            series_instance_uid: instance.series_instance_uid.clone(),
            study_instance_uid: instance.study_instance_uid.clone(),
            modality: instance.modality.clone(),
            series_description: instance.series_description.clone(),
            calling_ae_title: instance.calling_ae_title.clone(),
            association_id: instance.association_id.clone(),
            instances_seen: 1,
            bytes_seen: instance.bytes,
            last_received_at: instance.received_at.clone(),
        }
    }
}

/// A series that is followed.
#[derive(Debug)]
enum TrackedSeries {
    Open {
        seen: SeriesProgress,
        /// When that was last told.
        published_at: Instant,
        /// Whether more was seen since.
        more: bool,
        last: Instant,
    },
    /// Complete up to this sequence of INSTANCES, which is not read yet: what comes before it is
    /// no news.
    Complete { up_to: u64, at: Instant },
}

impl TrackedSeries {
    fn last(&self) -> Instant {
        match self {
            Self::Open { last, .. } => *last,
            Self::Complete { at, .. } => *at,
        }
    }
}

/// The series that are arriving, as far as was seen.
#[derive(Debug, Default)]
pub(crate) struct ProgressTracker {
    series: HashMap<String, TrackedSeries>,
    /// Sequence of INSTANCES up to which events were seen.
    reached: u64,
}

impl ProgressTracker {
    /// Everything of INSTANCES up to here was seen.
    pub(crate) fn reached(&mut self, sequence: u64) {
        self.reached = self.reached.max(sequence);
    }

    /// An instance was seen. `Some` when it opens its series.
    pub(crate) fn stored(
        &mut self,
        sequence: u64,
        instance: &Instance,
        now: Instant,
    ) -> Option<SeriesProgress> {
        self.reached(sequence);
        match self.series.get_mut(&instance.series_instance_uid) {
            Some(TrackedSeries::Complete { up_to, .. }) if sequence <= *up_to => return None,
            Some(TrackedSeries::Open { seen, more, last, .. }) => {
                seen.add(instance);
                (*more, *last) = (true, now);
                return None;
            }
            Some(TrackedSeries::Complete { .. }) | None => {}
        }
        let seen = SeriesProgress::first(instance);
        let opened =
            TrackedSeries::Open { seen: seen.clone(), published_at: now, more: false, last: now };
        self.follow(&instance.series_instance_uid, opened);
        Some(seen)
    }

    /// A series is complete, or deleted. `Some` when more of it was seen than was told: it is due, since a
    /// completion comes no sooner than a second after the last instance, unless that is set so.
    ///
    /// The two streams are read side by side, so instances that it counts may still be to come.
    pub(crate) fn completed(
        &mut self,
        completion: &Completion,
        now: Instant,
    ) -> Option<SeriesProgress> {
        let uid = &completion.series_instance_uid;
        let rest = match self.series.get(uid) {
            Some(TrackedSeries::Open { seen, published_at, more: true, .. })
                if is_due(*published_at, now) =>
            {
                Some(seen.clone())
            }
            _ => None,
        };
        match completion.instances_sequence.filter(|_| completion.source != Some(Source::Api)) {
            Some(up_to) if up_to > self.reached => {
                self.follow(uid, TrackedSeries::Complete { up_to, at: now });
            }
            _ => {
                self.series.remove(uid);
            }
        }
        rest
    }

    /// What is to be told of how far series have come: at most so many, those first of which
    /// nothing was told for longest.
    pub(crate) fn progress(&mut self, now: Instant, most: usize) -> Vec<SeriesProgress> {
        let reached = self.reached;
        self.series.retain(
            |_, series| !matches!(series, TrackedSeries::Complete { up_to, .. } if *up_to <= reached),
        );
        let mut due = Vec::new();
        for series in self.series.values_mut() {
            if let TrackedSeries::Open { seen, published_at, more, .. } = series
                && *more
                && is_due(*published_at, now)
            {
                due.push((published_at, more, &*seen));
            }
        }
        due.sort_by_key(|(published_at, ..)| **published_at);
        due.truncate(most);
        let tell = |(published_at, more, seen): (&mut Instant, &mut bool, &SeriesProgress)| {
            (*published_at, *more) = (now, false);
            seen.clone()
        };
        due.into_iter().map(tell).collect()
    }

    fn follow(&mut self, uid: &str, series: TrackedSeries) {
        if self.series.len() >= MOST_SERIES && !self.series.contains_key(uid) {
            let mut last: Vec<_> = self.series.values().map(TrackedSeries::last).collect();
            let (_, oldest, _) = last.select_nth_unstable(MOST_SERIES / 10);
            let oldest = *oldest;
            self.series.retain(|_, series| series.last() > oldest);
        }
        self.series.insert(uid.to_owned(), series);
    }
}

fn is_due(published_at: Instant, now: Instant) -> bool {
    now.saturating_duration_since(published_at) >= PROGRESS_EVERY
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(series: &str) -> Instance {
        let json = serde_json::json!({
            "SeriesInstanceUID": series, "Modality": "MR", "CallingAETitle": "A",
            "AssociationID": "a", "Bytes": 10, "ReceivedAt": "2026-01-01T00:00:00Z",
        });
        serde_json::from_value(json).unwrap()
    }

    fn completion(up_to: u64) -> Completion {
        let json = serde_json::json!({
            "SeriesInstanceUID": "1", "Source": "dicom", "InstancesSequence": up_to,
        });
        serde_json::from_value(json).unwrap()
    }

    fn seen(progress: &[SeriesProgress]) -> Vec<(&str, u64, u64)> {
        let what = |seen: &SeriesProgress| (seen.instances_seen, seen.bytes_seen);
        progress.iter().map(|s| (&*s.series_instance_uid, what(s).0, what(s).1)).collect()
    }

    #[test]
    fn a_series_is_opened_once_and_tells_its_progress_once_a_second() {
        let (mut tracker, start) = (ProgressTracker::default(), Instant::now());
        let after = |millis| start + Duration::from_millis(millis);
        assert!(tracker.stored(1, &instance("1"), start).is_some());
        assert!(tracker.stored(2, &instance("1"), after(10)).is_none());
        assert_eq!(tracker.progress(after(999), 10), []);
        assert_eq!(seen(&tracker.progress(after(1000), 10)), [("1", 2, 20)]);
        assert_eq!(tracker.progress(after(9000), 10), [], "nothing new");
        assert!(tracker.stored(3, &instance("1"), after(9001)).is_none());
        assert_eq!(seen(&tracker.progress(after(9001), 10)), [("1", 3, 30)]);
    }

    #[test]
    fn those_wait_least_of_whom_nothing_was_told_for_longest() {
        let (mut tracker, start) = (ProgressTracker::default(), Instant::now());
        for (millis, uid) in [(0, "1"), (1, "2"), (2, "3")] {
            let at = start + Duration::from_millis(millis);
            assert!(tracker.stored(1, &instance(uid), at).is_some());
            assert!(tracker.stored(2, &instance(uid), at).is_none());
        }
        let later = start + Duration::from_secs(5);
        assert_eq!(seen(&tracker.progress(later, 2)), [("1", 2, 20), ("2", 2, 20)]);
        assert_eq!(seen(&tracker.progress(later, 2)), [("3", 2, 20)]);
    }

    #[test]
    fn a_completion_ends_it_and_the_next_instance_opens_it_again() {
        let (mut tracker, now) = (ProgressTracker::default(), Instant::now());
        assert!(tracker.stored(1, &instance("1"), now).is_some());
        assert_eq!(tracker.completed(&completion(1), now), None, "all is told");
        assert_eq!(tracker.progress(now + Duration::from_secs(5), 10), []);
        assert!(tracker.stored(2, &instance("1"), now).is_some());
    }

    #[test]
    fn the_last_progress_comes_before_the_completion() {
        let (mut tracker, now) = (ProgressTracker::default(), Instant::now());
        assert!(tracker.stored(1, &instance("1"), now).is_some());
        assert!(tracker.stored(2, &instance("1"), now).is_none());
        let rest = tracker.completed(&completion(2), now + Duration::from_secs(1));
        assert_eq!(seen(&[rest.unwrap()]), [("1", 2, 20)]);
    }

    #[test]
    fn what_a_completion_has_counted_opens_nothing_when_it_is_read_later() {
        let (mut tracker, now) = (ProgressTracker::default(), Instant::now());
        assert!(tracker.stored(1, &instance("1"), now).is_some());
        assert_eq!(tracker.completed(&completion(3), now), None);
        assert!(tracker.stored(2, &instance("1"), now).is_none());
        assert_eq!(tracker.progress(now + Duration::from_secs(5), 10), []);
        assert!(tracker.stored(3, &instance("1"), now).is_none());
        assert!(tracker.stored(4, &instance("1"), now).is_some());
    }

    #[test]
    fn no_more_series_are_followed_than_there_is_room_for() {
        let (mut tracker, start) = (ProgressTracker::default(), Instant::now());
        for number in 0..=MOST_SERIES as u64 {
            let at = start + Duration::from_micros(number);
            assert!(tracker.stored(number, &instance(&number.to_string()), at).is_some());
        }
        assert!(tracker.series.len() <= MOST_SERIES);
        assert!(!tracker.series.contains_key("0"), "the oldest went");
        assert!(tracker.series.contains_key(&MOST_SERIES.to_string()));
    }
}
