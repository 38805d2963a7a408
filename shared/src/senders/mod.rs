//! The senders file: what is known of the senders before they send anything. Who receives reads from it who
//! may send, who decides reads how; what one of them does not use it checks all the same.

mod allow;
mod ask;
mod certificate;
mod entry;
mod network;
mod passcode;
mod report_to;

pub use allow::{AllowList, Allowed, Caller, Fit, NotAllowed, User};
pub use ask::{Ask, AskAt, AskTls};
pub use certificate::{CertificateId, CertificateName};
pub use entry::{Lists, SenderEntry};
pub use network::Network;
pub use passcode::PasscodeHash;
pub use report_to::ReportTo;

use crate::settings;
use anyhow::{Context as _, anyhow, bail};
use serde::Deserialize;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use toml::Spanned;

/// Where the senders file is.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "DICOM receiver")]
pub struct SendersSettings {
    /// TOML file of permitted senders and of settings by calling AE title [default: none]
    #[arg(long, env = "SOURCES_FILE")]
    pub sources_file: Option<PathBuf>,
}

impl SendersSettings {
    /// Reads the file; without one nothing is known of anybody.
    ///
    /// # Errors
    /// When it can't be read, or says something that is not understood.
    pub fn read(&self) -> anyhow::Result<SendersFile> {
        self.sources_file.as_deref().map_or_else(|| Ok(SendersFile::default()), SendersFile::read)
    }
}

/// What a senders file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SendersFile {
    /// Who may send.
    pub allow: AllowList,
    /// What differs for a sender, each of another AE title.
    pub senders: Vec<SenderEntry>,
}

impl SendersFile {
    /// Reads a senders file.
    ///
    /// # Errors
    /// When it can't be read, or says something that is not understood.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let what = || format!("SOURCES_FILE {}", path.display());
        let text = std::fs::read_to_string(path).with_context(what)?;
        Self::parse(&text).with_context(what)
    }

    /// Reads the text of a senders file.
    ///
    /// # Errors
    /// When it says something that is not understood: one line that says where.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let tables: Tables = settings::from_toml(text)?;
        let line = |at: usize| settings::line_of(text.get(..at).unwrap_or(text));
        let mut senders = Vec::new();
        let mut seen = HashMap::new();
        for entry in tables.source {
            let at = line(entry.span().start);
            let sender = entry.into_inner();
            if let Some(first) = seen.insert(sender.ae_title.clone(), at) {
                let ae_title = sender.ae_title;
                bail!("line {at}: ae_title {ae_title:?} is there twice, first at line {first}");
            }
            senders.push(sender);
        }
        let mut allow = Vec::new();
        for entry in tables.allow {
            let at = line(entry.span().start);
            let allowed = Allowed::try_from(entry.into_inner());
            allow.push(allowed.map_err(|reason| anyhow!("line {at}: {reason}"))?);
        }
        Ok(Self { allow: AllowList::new(allow), senders })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tables {
    #[serde(default)]
    source: Vec<Spanned<SenderEntry>>,
    #[serde(default)]
    allow: Vec<Spanned<allow::Entry>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_understood_is_refused_with_its_line_and_key() {
        for (text, said) in [
            (
                "[[source]]\nae_title = 'A'\nquiet_perod = '1s'",
                "line 3: unknown field `quiet_perod`",
            ),
            ("[[source]]\nae_title = 'A'\nquiet_period = 1", "line 3: quiet_period: "),
            (
                "[[source]]\nae_title = 'A'\nquiet_period = '0s'",
                "line 3: quiet_period: must be longer",
            ),
            ("\n[[source]]\nquiet_period = '1s'", "line 2: missing field `ae_title`"),
            ("[[source]]\nae_title = ''", "line 2: ae_title: must be 1 to 16 characters"),
            (
                "[[source]]\nae_title = 'A'\n[[source]]\nae_title = 'A '",
                "line 3: ae_title \"A\" is there twice",
            ),
            ("[[source]]\nae_title = 'A'\nexpected_from = ['Luck']", "line 3: expected_from: "),
            (
                "[[source]]\nae_title = 'A'\nretrieve_url = 'pacs'",
                "line 3: retrieve_url: must begin with http://",
            ),
            (
                "[[source]]\nae_title = 'A'\non_disagreement = 'ask'",
                "line 3: on_disagreement: unknown variant `ask`",
            ),
            ("[[source]]\nae_title = 'A'\nkeep = 'no'", "line 3: keep: "),
            (
                "[[source]]\nae_title = 'A'\nask = { ae_title = 'B', host = '', port = 104 }",
                "line 3: ask: host must be a name or an address",
            ),
            (
                "[[source]]\nae_title = 'A'\nask = { ae_title = 'B', host = 'pacs', port = 0 }",
                "line 3: ask: port must be from 1 to 65535",
            ),
            (
                "[[source]]\nae_title = 'A'\nask = { ae_title = 'B', host = 'pacs' }",
                "missing field `port`",
            ),
            ("[[source]]\nae_title = 'A'\nask = { url = 'pacs' }", "must begin with http://"),
            (
                "[[source]]\nae_title = 'A'\nask = { url = 'https://pacs', port = 1 }",
                "line 3: ask: url stands without",
            ),
            (
                "[[source]]\nae_title = 'A'\nask = { url = 'https://pacs', tls = { key = 'k' } }",
                "line 3: ask: tls: certificate and key belong together",
            ),
            (
                "[[source]]\nae_title = 'A'\nask = { url = 'http://pacs', fetch_limit = 3 }",
                "line 3: ask: fetch_limit is for fetch_missing",
            ),
            (
                "[[source]]\nae_title = 'A'\nask = { url = 'http://pacs', tls = {} }",
                "line 3: ask: tls is for an https url",
            ),
            (
                "[[source]]\nae_title = 'A'\ncommitment = 'kept'",
                "line 3: commitment: unknown variant `kept`",
            ),
            ("[[source]]\nae_title = 'A'\nperformed_steps = true", "line 3: performed_steps: "),
            ("[[sources]]\nae_title = 'A'", "line 1: unknown field `sources`"),
            ("[[allow]]", "line 1: an [[allow]] has to name"),
            (
                "[[allow]]\nae_title = 'A'\n[[allow]]\naddresses = []",
                "line 3: an [[allow]] has to name",
            ),
            (
                "[[allow]]\naddresses = ['10.0.0.0/33']",
                "line 2: addresses: `10.0.0.0/33` is no address",
            ),
            ("[[allow]]\naddresses = ['pacs']", "line 2: addresses: `pacs` is no address"),
            (
                "[[allow]]\naddresses = ['10.0.0.1/8']",
                "`10.0.0.1/8` has bits beyond its prefix; write 10.0.0.0/8",
            ),
            ("[[allow]]\naddresses = ['::ffff:10.0.0.1']", "write it as an IPv4 address"),
            ("[[allow]]\naddresses = '10.0.0.1'", "line 2: addresses: "),
            ("[[allow]]\nae_titel = 'A'", "line 2: unknown field `ae_titel`"),
            ("[[allow]]\ncertificate = 'MR1'", "line 2: certificate: `MR1` is no certificate"),
            ("[[allow]]\ncertificate = 'sha256:abc'", "is no certificate"),
            ("[[allow]]\nuser = ''", "line 2: user: must not be empty"),
            (
                "[[allow]]\nuser = 'mr1'\npasscode = 'secret'",
                "line 3: passcode: is no hash of Argon2id",
            ),
            ("[[allow]]\nae_title = 'A'\npasscode = 'secret'", "line 3: passcode: is no hash"),
            ("[[source]\n", "line 1: "),
        ] {
            let error = format!("{:#}", SendersFile::parse(text).unwrap_err());
            assert!(error.contains(said) && !error.contains('\n'), "{text}: {error}");
        }
    }

    #[test]
    fn nothing_is_known_without_a_file() {
        assert_eq!(SendersSettings::default().read().unwrap(), SendersFile::default());
        assert_eq!(SendersFile::parse("").unwrap(), SendersFile::default());
    }
}
