//! The webhooks file: the receivers of completions, and how each is sent to.

use super::signature::Secret;
use anyhow::{Context as _, anyhow, bail, ensure};
use contract::event::SeriesCompleted;
use contract::subject::Token;
use poem::http::Uri;
use serde::{Deserialize, Deserializer};
use shared::settings;
use shared::web_url::web_url;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longest time that a receiver may be given: as long as that its delivery is held.
const MAX_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a receiver may take unless the file says otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Tries of one delivery unless the file says otherwise: with the pauses between them, about eight
/// hours, so a night's outage of a receiver is no dead letter.
const ATTEMPTS: u32 = 20;

/// The most that the file can ask for: eleven days, while completions are kept for thirty.
const MAX_ATTEMPTS: u32 = 280;

/// The most webhooks: each is a consumer on the broker and a task here.
const MAX_HOOKS: usize = 100;

/// Longest name of a webhook, which is part of that of its consumer.
const MAX_NAME: usize = 64;

/// What a webhook can be told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum EventType {
    /// A series is complete, or complete again.
    #[serde(rename = "series.completed")]
    SeriesCompleted,
}

/// One webhook.
#[derive(Debug, Clone)]
pub(super) struct Hook {
    /// What it is called, here and on the broker.
    pub(super) name: String,
    /// Where it is sent to.
    pub(super) url: Uri,
    /// By what its receiver knows that it comes from here.
    pub(super) secret: Secret,
    /// Only series of these modalities; all without.
    pub(super) modalities: Vec<String>,
    /// Only series of these senders, by calling AE title; all without.
    pub(super) calling_ae_titles: Vec<String>,
    /// How long the receiver may take.
    pub(super) timeout: Duration,
    /// How often it is tried.
    pub(super) attempts: u32,
}

impl Hook {
    /// The subjects whose events may be for it. The broker knows no sender of a completion, and only
    /// the modalities that the standard defines; [`Self::takes`] compares what the event has.
    #[must_use]
    pub(super) fn subjects(&self) -> Vec<String> {
        let of = |token: Token| format!("dicom.series.completed.{}.>", token.as_str());
        // Versions before had a token of every modality, and their events are kept for 30 days.
        let both = |modality: &String| [Token::modality(modality), Token::new(modality)];
        let mut subjects: Vec<_> = self.modalities.iter().flat_map(both).map(of).collect();
        subjects.sort();
        // Two modalities can be one token, and the broker takes no subject twice.
        subjects.dedup();
        match subjects.is_empty() {
            true => vec!["dicom.series.completed.>".to_owned()],
            false => subjects,
        }
    }

    /// Whether it wants to be told of this completion.
    #[must_use]
    pub(super) fn takes(&self, series: &SeriesCompleted) -> bool {
        let fits = |wanted: &[String], is: &Option<String>| {
            wanted.is_empty() || is.as_ref().is_some_and(|is| wanted.contains(is))
        };
        fits(&self.modalities, &series.modality)
            && fits(&self.calling_ae_titles, &series.calling_ae_title)
    }

    /// Where it is sent to, as far as that is nobody's secret: without the query.
    #[must_use]
    pub(super) fn shown_url(&self) -> String {
        let (scheme, host) = (self.url.scheme_str(), self.url.authority());
        let host = host.map(ToString::to_string).unwrap_or_default();
        format!("{}://{host}{}", scheme.unwrap_or_default(), self.url.path())
    }
}

/// Reads a webhooks file.
///
/// # Errors
/// When it can't be read, or says something that is not understood.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<Hook>> {
    let what = || format!("WEBHOOKS_FILE {}", path.display());
    let text = std::fs::read_to_string(path).with_context(what)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    parse(&text, folder).with_context(what)
}

/// Reads the text of a webhooks file in `folder`.
///
/// # Errors
/// When it says something that is not understood: one line that says where.
pub(super) fn parse(text: &str, folder: &Path) -> anyhow::Result<Vec<Hook>> {
    let file: File = settings::from_toml(text)?;
    ensure!(file.webhook.len() <= MAX_HOOKS, "there are more than {MAX_HOOKS} webhooks");
    let mut names = HashSet::new();
    let mut hooks = Vec::new();
    for entry in file.webhook {
        let name = entry.name.clone();
        ensure!(is_name(&name), "name {name:?} must be 1 to {MAX_NAME} of A-Z, a-z, 0-9, - and _");
        ensure!(names.insert(name.clone()), "name {name:?} is there twice");
        hooks.push(entry.checked(folder).with_context(|| format!("webhook {name:?}"))?);
    }
    Ok(hooks)
}

fn is_name(text: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    (1..=MAX_NAME).contains(&text.len()) && text.bytes().all(legal)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    webhook: Vec<Entry>,
}

/// One `[[webhook]]` of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    url: String,
    secret: Option<String>,
    secret_file: Option<PathBuf>,
    events: Option<Vec<EventType>>,
    #[serde(default)]
    modalities: Vec<String>,
    #[serde(default)]
    calling_ae_titles: Vec<String>,
    #[serde(default, deserialize_with = "duration")]
    timeout: Option<Duration>,
    attempts: Option<u32>,
}

impl Entry {
    fn checked(self, folder: &Path) -> anyhow::Result<Hook> {
        // The URL may hold a secret, so no message repeats it.
        web_url(&self.url).map_err(|error| anyhow!("url: {error}"))?;
        let url: Uri = self.url.parse().ok().context("url is no URL")?;
        ensure!(self.events.is_none_or(|it| !it.is_empty()), "events must not be empty");
        let secret = match (self.secret, self.secret_file) {
            (Some(secret), None) => secret,
            (None, Some(path)) => {
                let path = folder.join(path);
                let what = || format!("secret_file {}", path.display());
                std::fs::read_to_string(&path).with_context(what)?.trim_end().to_owned()
            }
            _ => bail!("either secret or secret_file must be there"),
        };
        let timeout = self.timeout.unwrap_or(TIMEOUT);
        ensure!(timeout <= MAX_TIMEOUT, "timeout must not be longer than {MAX_TIMEOUT:?}");
        let attempts = self.attempts.unwrap_or(ATTEMPTS);
        ensure!((1..=MAX_ATTEMPTS).contains(&attempts), "attempts must be 1 to {MAX_ATTEMPTS}");
        let is_value = |it: &String| (1..=16).contains(&it.len()) && it.trim_matches(' ') == it;
        for (key, values) in
            [("modalities", &self.modalities), ("calling_ae_titles", &self.calling_ae_titles)]
        {
            ensure!(values.iter().all(is_value), "{key} must each be 1 to 16 characters");
        }
        Ok(Hook {
            name: self.name,
            url,
            secret: Secret::new(&secret)?,
            modalities: self.modalities,
            calling_ae_titles: self.calling_ae_titles,
            timeout,
            attempts,
        })
    }
}

fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(from)?;
    settings::duration(&text).map(Some).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "secret = 'sixteen characters'";

    fn parse(text: &str) -> anyhow::Result<Vec<Hook>> {
        super::parse(text, Path::new("/nowhere"))
    }

    #[test]
    fn what_a_webhook_does_not_say_is_as_for_all() {
        let text = format!("[[webhook]]\nname = 'ai'\nurl = 'http://ai:9/hook?key=1'\n{SECRET}");
        let [hook] = parse(&text).unwrap().try_into().unwrap();
        assert_eq!((hook.timeout, hook.attempts), (TIMEOUT, ATTEMPTS));
        assert_eq!(hook.subjects(), ["dicom.series.completed.>"]);
        assert_eq!(hook.shown_url(), "http://ai:9/hook");
        assert!(!format!("{hook:?}").contains("sixteen"));
        let text = format!("{text}\nmodalities = ['MR', 'X 1', 'X_1']\ncalling_ae_titles = ['A']");
        let [hook] = parse(&text).unwrap().try_into().unwrap();
        let subjects = ["MR", "OTHER", "X_1"].map(|it| format!("dicom.series.completed.{it}.>"));
        assert_eq!(hook.subjects(), subjects);
        assert!(parse("").unwrap().is_empty());
    }

    #[test]
    fn what_is_not_understood_is_refused_and_named() {
        let start = "[[webhook]]\nname = 'ai'\nurl = 'http://ai/'\n";
        for (text, named) in [
            (format!("{start}{SECRET}\ntimout = '1s'"), "timout"),
            (format!("{start}{SECRET}\ntimeout = 1"), "line 5: "),
            (format!("{start}{SECRET}\ntimeout = '2m'"), "timeout"),
            (format!("{start}{SECRET}\nattempts = 0"), "attempts"),
            (format!("{start}{SECRET}\nevents = []"), "events"),
            (format!("{start}{SECRET}\nevents = ['luck']"), "luck"),
            (format!("{start}{SECRET}\nmodalities = ['']"), "modalities"),
            (format!("{start}{SECRET}\nsecret_file = 'x'"), "either secret or secret_file"),
            (format!("{start}secret = 'short'"), "16 characters"),
            (format!("{start}secret_file = 'x'"), "/nowhere/x"),
            (start.to_owned(), "either secret or secret_file"),
            (format!("{start}{SECRET}\n{start}{SECRET}"), "twice"),
            (format!("[[webhook]]\nname = 'a b'\nurl = 'http://ai/'\n{SECRET}"), "a b"),
            (format!("[[webhook]]\nname = 'a'\nurl = 'ftp://ai/'\n{SECRET}"), "http://"),
            (format!("[[webhook]]\nname = 'a'\nurl = 'http://a..b/'\n{SECRET}"), "url: the host"),
            (format!("[[webhook]]\nname = 'a'\nurl = 'http://ai:99999/'\n{SECRET}"), "port"),
            (format!("[[webhook]]\nname = 'a'\nurl = 'http://u:p@ai/'\n{SECRET}"), "no user"),
            ("[[webhooks]]\nname = 'a'".to_owned(), "webhooks"),
        ] {
            let error = format!("{:#}", parse(&text).unwrap_err());
            assert!(error.contains(named) && !error.contains('\n'), "{text}: {error}");
        }
    }
}
