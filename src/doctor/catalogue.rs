//! The catalogue's file: whether it is there, whole, and of this version.

use super::finding::Finding;
use crate::pipeline::PipelineSettings;
use catalog::{Inspected, Inspection, Loss};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;
use tokio::time::timeout;

/// How long SQLite may look for damage. Of a large catalogue it has not seen all by then.
const INSPECTION_TIMEOUT: Duration = Duration::from_secs(60);

/// What to do about a file that is damaged or none of ours.
const ADVICE: &str = "put a backup in its place with `indexer restore FILE`, or move it away: the indexer \
                      makes it again of what INSTANCES and SERIES still have";

/// What to do about events that are gone: nobody knows what they were of, but for what associations say.
const LOSS_ADVICE: &str = "look at the disk under NATS; have the senders send again the series whose \
                           ExpectedCount is more than their InstancesCount, and what they sent then";

/// How long a loss is told of: as long as SERIES keeps what was announced meanwhile.
const LOSS_TOLD_FOR: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Looks at it.
pub(super) async fn examine(settings: &PipelineSettings) -> Finding {
    const CHECK: &str = "catalogue";
    let settings = settings.catalog();
    let named = match settings.name() {
        Ok(named) => named,
        Err(error) => return Finding::trouble(CHECK, error.to_string(), "set DATABASE_URL"),
    };
    let is_open = catalog::is_locked(&settings);
    let mut inspection = match timeout(INSPECTION_TIMEOUT, catalog::inspect(&settings)).await {
        Ok(Ok(Inspected::Seen(inspection))) => inspection,
        Ok(Ok(Inspected::Absent)) => {
            return Finding::ok(CHECK, format!("{named} is not there yet; the indexer makes it"));
        }
        Ok(Ok(Inspected::Unreadable)) => {
            let says =
                format!("{named} was left by an indexer that was killed, and is another user's");
            let advice = "start the indexer, or look again as the user that it runs as";
            return Finding::warning(CHECK, says, advice);
        }
        Ok(Err(error)) => return Finding::trouble(CHECK, format!("{named}: {error}"), ADVICE),
        Err(_elapsed) => {
            let says = format!("{named} was not seen whole within {INSPECTION_TIMEOUT:?}");
            return Finding::warning(
                CHECK,
                says,
                "it is large or its disk is slow; look again at night",
            );
        }
    };
    let since = Timestamp::now().saturating_sub(LOSS_TOLD_FOR).unwrap_or(Timestamp::MIN);
    inspection.losses.retain(|loss| loss.noticed_at > since);
    verdict(CHECK, &named, &inspection, is_open)
}

fn verdict(check: &'static str, named: &str, inspection: &Inspection, is_open: bool) -> Finding {
    let Inspection {
        damage,
        version,
        known,
        is_other,
        is_unfinished,
        is_readable_meanwhile,
        losses,
    } = inspection;
    if let Some(first) = damage.first() {
        return Finding::trouble(check, format!("{named} is damaged: {first}"), ADVICE);
    }
    let Some(version) = version else {
        return Finding::trouble(check, format!("{named} has no tables of ours"), ADVICE);
    };
    if version > known {
        let says = format!("{named} is of a newer Collimator: version {version}, here is {known}");
        return Finding::trouble(
            check,
            says,
            "run that one, or put a backup of this one in its place with `indexer restore FILE`",
        );
    }
    if *is_other {
        let says = format!("{named} was made by another Collimator of the same version");
        return Finding::trouble(
            check,
            says,
            "run that one, or put a backup of this one in its place with `indexer restore FILE`",
        );
    }
    if *is_unfinished {
        return Finding::trouble(
            check,
            format!(
                "{named} is unfinished: it is being copied or rebuilt, or that was interrupted"
            ),
            "wait until that has ended, or do it again",
        );
    }
    if version < known && is_open {
        let says = format!("{named} has version {version}, here is {known}, and an indexer has it");
        return Finding::warning(
            check,
            says,
            "start that indexer again, which brings it up to date",
        );
    }
    if !is_readable_meanwhile {
        let says = format!(
            "{named} has no write-ahead log, so readers and the indexer get in each other's way"
        );
        return Finding::warning(check, says, "start the indexer again, which turns it on");
    }
    if let Some(latest) = losses.first() {
        let events: u64 = losses.iter().map(Loss::events).sum();
        let says = format!(
            "{named} lacks {events} events that INSTANCES has lost; the latest loss is of {} to {}, {}, \
             noticed at {}",
            latest.first,
            latest.last,
            latest.cause.as_str(),
            latest.noticed_at
        );
        return Finding::trouble(check, says, LOSS_ADVICE);
    }
    let open = if is_open { "open in an indexer" } else { "not in use" };
    let version = match version < known {
        true => format!("version {version}; the next start brings it to {known}"),
        false => format!("version {version}"),
    };
    Finding::ok(check, format!("{named} is whole, {version}, {open}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Verdict;
    use catalog::LossCause;

    #[test]
    fn only_what_the_indexer_would_take_is_well() {
        let well = Inspection {
            damage: Vec::new(),
            version: Some(4),
            known: 4,
            is_other: false,
            is_unfinished: false,
            is_readable_meanwhile: true,
            losses: Vec::new(),
        };
        let verdict = |inspection: &Inspection, is_open| {
            verdict("catalogue", "a.db", inspection, is_open).verdict
        };
        let with = |change: fn(&mut Inspection)| {
            let mut inspection = well.clone();
            change(&mut inspection);
            inspection
        };
        assert_eq!(verdict(&well, true), Verdict::Ok);
        assert_eq!(verdict(&with(|it| it.version = Some(3)), false), Verdict::Ok, "brought up");
        assert_eq!(verdict(&with(|it| it.version = Some(3)), true), Verdict::Warning);
        assert_eq!(verdict(&with(|it| it.is_readable_meanwhile = false), true), Verdict::Warning);
        assert_eq!(verdict(&with(|it| it.version = Some(5)), false), Verdict::Trouble, "newer");
        assert_eq!(verdict(&with(|it| it.is_other = true), false), Verdict::Trouble);
        assert_eq!(verdict(&with(|it| it.version = None), false), Verdict::Trouble);
        assert_eq!(verdict(&with(|it| it.is_unfinished = true), false), Verdict::Trouble);
        let lossy = with(|it| {
            let (cause, noticed_at) = (LossCause::Missing, Timestamp::UNIX_EPOCH);
            it.losses.push(Loss { first: 3, last: 5, cause, noticed_at });
        });
        assert_eq!(verdict(&lossy, true), Verdict::Trouble);
        let damaged = with(|it| it.damage.push("Page 3 is never used".to_owned()));
        assert_eq!(verdict(&damaged, false), Verdict::Trouble);
    }
}
