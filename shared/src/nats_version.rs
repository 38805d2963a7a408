//! The versions of nats-server that can be used, by what their acknowledgements are worth.

use clap::Args;
use std::fmt::{self, Display, Formatter};
use thiserror::Error;

/// The oldest nats-server that refuses an event that it could not sync to disk. 2.12.8, the newest before it
/// that was tried, acknowledges the event all the same.
pub const OLDEST: NatsVersion = NatsVersion { numbers: [2, 14, 0], is_release: true };

/// The oldest that can be used at all: 2.9 refuses `sync_interval: always`.
const OLDEST_THAT_SYNCS: NatsVersion = NatsVersion { numbers: [2, 10, 0], is_release: true };

/// A version of nats-server. A pre-release is older than its release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct NatsVersion {
    numbers: [u32; 3],
    is_release: bool,
}

impl NatsVersion {
    /// Reads what `nats-server --version` prints, or a bare version such as `2.14.0`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text.strip_prefix("nats-server: ").unwrap_or(text);
        let text = text.strip_prefix('v').unwrap_or(text);
        let text = text.split('+').next()?;
        let (numbers, is_release) = match text.split_once('-') {
            Some((numbers, _)) => (numbers, false),
            None => (text, true),
        };
        let mut numbers = numbers.split('.').map(|number| number.parse().ok());
        let three = [numbers.next()??, numbers.next()??, numbers.next()??];
        numbers.next().is_none().then_some(Self { numbers: three, is_release })
    }

    /// What an acknowledgement of this version lacks; `None` where it is a promise.
    #[must_use]
    pub fn outdated(self) -> Option<Outdated> {
        match self {
            version if version >= OLDEST => None,
            version if version >= OLDEST_THAT_SYNCS => Some(Outdated::IgnoresFailedSyncs),
            _ => Some(Outdated::CannotSync),
        }
    }
}

impl Display for NatsVersion {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.numbers;
        let mark = if self.is_release { "" } else { " (a pre-release)" };
        write!(f, "{major}.{minor}.{patch}{mark}")
    }
}

/// Why the acknowledgements of a nats-server are no promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Outdated {
    /// Of 2.10 to 2.12, and of a version that can't be read.
    #[error("it acknowledges events even when it could not sync them to disk")]
    IgnoresFailedSyncs,
    /// Of what is older still.
    #[error("it can't sync each event to disk")]
    CannotSync,
}

impl Outdated {
    /// As [`NatsVersion::outdated`], of the version that a server gives for itself.
    #[must_use]
    pub fn of(version: &str) -> Option<Self> {
        NatsVersion::parse(version).map_or(Some(Self::IgnoresFailedSyncs), NatsVersion::outdated)
    }

    /// What to do about it.
    #[must_use]
    pub fn advice(self) -> String {
        match self {
            Self::IgnoresFailedSyncs => format!(
                "use nats-server {OLDEST} or newer, or set ALLOW_OLD_NATS=true to go on with a warning"
            ),
            Self::CannotSync => format!("use nats-server {OLDEST} or newer"),
        }
    }
}

/// Whether a server is used whose acknowledgements are no promise.
#[derive(Debug, Clone, Copy, Default, Args)]
#[group(skip)]
#[command(next_help_heading = "NATS")]
pub struct OldNats {
    /// Accept nats-server 2.10 to 2.13, with a warning at each start: with such a server a sender gets Success even
    /// if the disk failed to sync the instance
    #[arg(long, env = "ALLOW_OLD_NATS")]
    pub allow_old_nats: bool,
}

impl OldNats {
    /// Whether it is.
    #[must_use]
    pub fn allows(self, outdated: Outdated) -> bool {
        self.allow_old_nats && outdated == Outdated::IgnoresFailedSyncs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_from_what_the_server_prints() {
        let shown = |text| NatsVersion::parse(text).map(|version| version.to_string());
        assert_eq!(shown("nats-server: v2.10.25\n").as_deref(), Some("2.10.25"));
        assert_eq!(shown("2.15.1").as_deref(), Some("2.15.1"));
        assert_eq!(shown("v2.14.0+build.7").as_deref(), Some("2.14.0"));
        assert_eq!(shown("nats-server: v2.14.0-RC.1").as_deref(), Some("2.14.0 (a pre-release)"));
        for garbage in
            ["", "nats-server:", "v2.10", "2.10.1.4", "nats-server version 2.10.1", "2.x.1"]
        {
            assert_eq!(NatsVersion::parse(garbage), None, "{garbage:?}");
        }
    }

    #[test]
    fn a_server_that_ignores_failed_syncs_is_used_where_that_is_allowed_and_an_older_one_never() {
        let (strict, lax) = (OldNats::default(), OldNats { allow_old_nats: true });
        for good in ["2.14.0", "2.14.10", "2.15.1", "2.100.0", "3.0.0", "2.15.0-RC.2"] {
            assert_eq!(Outdated::of(good), None, "{good}");
        }
        for old in ["2.10.0", "2.12.8", "2.13.99", "2.14.0-RC.1", "unknown", ""] {
            let outdated = Outdated::of(old).unwrap();
            assert!(!strict.allows(outdated) && lax.allows(outdated), "{old}");
            assert!(outdated.advice().contains("ALLOW_OLD_NATS"), "{old}");
        }
        for older in ["2.9.25", "2.10.0-beta.1", "1.4.1"] {
            let outdated = Outdated::of(older).unwrap();
            assert!(!strict.allows(outdated) && !lax.allows(outdated), "{older}");
        }
    }
}
