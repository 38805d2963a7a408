//! What a check found, as people and programs read it.

use serde::Serialize;
use std::fmt::{self, Display, Formatter};

/// How it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// As it should be.
    Ok,
    /// It works, and somebody should look at it.
    Warning,
    /// It does not work, or not as it is promised.
    Trouble,
}

impl Verdict {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Trouble => "trouble",
        }
    }
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// What was looked at.
    pub(super) check: &'static str,
    /// How it stands.
    pub(super) verdict: Verdict,
    /// What was seen.
    pub(super) says: String,
    /// What to do, unless it is as it should be.
    #[serde(rename = "do", skip_serializing_if = "Option::is_none")]
    pub(super) advice: Option<String>,
}

impl Finding {
    pub(super) fn ok(check: &'static str, says: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Ok, says: says.into(), advice: None }
    }

    pub(super) fn warning(
        check: &'static str,
        says: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        let (says, advice) = (says.into(), Some(advice.into()));
        Self { check, verdict: Verdict::Warning, says, advice }
    }

    pub(super) fn trouble(
        check: &'static str,
        says: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self { verdict: Verdict::Trouble, ..Self::warning(check, says, advice) }
    }
}

impl Display for Finding {
    /// One line.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { check, verdict, says, advice } = self;
        let line = match advice {
            None => says.clone(),
            Some(advice) => format!("{says}: {advice}"),
        };
        // What others say is in it: their errors, their paths.
        let line = line.replace(char::is_control, " ");
        write!(f, "{:<8} {check:<10} {line}", verdict.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_one_line_that_says_what_to_do() {
        let finding = Finding::trouble("nats", "it is\naway", "start it");
        assert_eq!(finding.to_string(), "trouble  nats       it is away: start it");
        let json = serde_json::to_string(&finding).unwrap();
        assert!(json.contains(r#""verdict":"trouble""#) && json.contains(r#""do":"start it""#));
        assert_eq!(Finding::ok("nats", "here").to_string(), "ok       nats       here");
        assert!(Verdict::Ok < Verdict::Warning && Verdict::Warning < Verdict::Trouble);
    }
}
