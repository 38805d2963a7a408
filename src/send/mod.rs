//! `collimator send`: sends files and folders of DICOM Part 10 instances, as a C-STORE SCU or by STOW-RS.
//!
//! The data set of an instance goes out as it lies in its file, fragment by fragment:
//! nothing is decoded, converted, or held whole in memory.

mod association;
mod delivery;
mod files;
mod report;
mod stow;

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, bail, ensure};
use dicom_dictionary_std::uids;
use shared::web_url::base_url;

pub(crate) use association::NoAssociation;
pub use report::{Notice, SendReport};

const DEFAULT_TO: &str = "127.0.0.1:11112";
const DEFAULT_CALLED_AE: &str = "COLLIMATOR";
const DEFAULT_CALLING_AE: &str = "COLLIMATOR_SCU";
/// Loopback and LAN gain nothing beyond it, and it is the most that DCMTK takes.
const DEFAULT_MAX_PDU: u32 = 131_072;
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// What to send, and to whom.
#[derive(Debug, Clone, clap::Args)]
pub struct SendSettings {
    /// Files, or folders to send with everything below them
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// The C-STORE SCP to send to; or where to send by STOW-RS: the URL of Collimator's API, such as https://HOST, or of another
    /// DICOMweb service, such as https://HOST/dicom-web
    #[arg(long, value_name = "HOST:PORT|URL", default_value = DEFAULT_TO, value_parser = parse_address)]
    pub to: String,
    /// Of STOW-RS: a token of the scope `store`, if the service needs one; as a variable it is in no list of processes
    #[arg(long, env = "COLLIMATOR_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// Of STOW-RS: the certificates of CAs, PEM, one of which the service's certificate has to be of, where it speaks HTTPS
    /// [default: those that this machine trusts]
    #[arg(long, env = "COLLIMATOR_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// AE title of the receiver
    #[arg(long, value_name = "AE", default_value = DEFAULT_CALLED_AE, value_parser = parse_ae_title)]
    pub called_ae: String,
    /// Our own AE title
    #[arg(long, value_name = "AE", default_value = DEFAULT_CALLING_AE, value_parser = parse_ae_title)]
    pub calling_ae: String,
    /// Largest PDU to receive, and to send even if the receiver takes larger ones
    #[arg(long, value_name = "BYTES", default_value_t = DEFAULT_MAX_PDU,
          value_parser = clap::value_parser!(u32).range(4_096..=1_048_576))]
    pub max_pdu: u32,
    /// How long to wait for a connection, for an answer, or for the receiver to take a PDU
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_timeout)]
    pub timeout: Duration,
}

impl SendSettings {
    /// The defaults of the command line, with `paths` to send to `to` (`HOST:PORT`).
    pub fn new(to: impl Into<String>, paths: Vec<PathBuf>) -> Self {
        Self {
            paths,
            to: to.into(),
            token: None,
            ca: None,
            called_ae: DEFAULT_CALLED_AE.to_owned(),
            calling_ae: DEFAULT_CALLING_AE.to_owned(),
            max_pdu: DEFAULT_MAX_PDU,
            timeout: DEFAULT_TIMEOUT,
        }
    }

    fn peer(&self) -> String {
        match stow::is_url(&self.to) {
            true => self.to.clone(),
            false => format!("{}@{}", self.called_ae, self.to),
        }
    }
}

fn parse_address(text: &str) -> Result<String, String> {
    if stow::is_url(text) {
        return base_url(text).map(|_| text.to_owned());
    }
    match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok_and(|p| p > 0) => {
            Ok(text.to_owned())
        }
        _ => {
            Err(format!("expected HOST:PORT, such as {DEFAULT_TO}, or a URL, such as https://HOST"))
        }
    }
}

/// An AE title is 1 to 16 characters without control characters and backslash (PS3.5 6.2).
fn parse_ae_title(text: &str) -> Result<String, String> {
    let title = text.trim_matches(' ');
    let legal = |c: char| (c == ' ' || c.is_ascii_graphic()) && c != '\\';
    if (1..=16).contains(&title.len()) && title.chars().all(legal) {
        Ok(title.to_owned())
    } else {
        Err("an AE title has 1 to 16 ASCII characters and no backslash".to_owned())
    }
}

fn parse_timeout(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(timeout) if !timeout.is_zero() => Ok(timeout),
        Ok(_) => Err("must be longer than zero".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Sends everything, shows the progress, prints the report and returns it.
///
/// # Errors
/// Nothing could be sent at all: no instance was found, or the first association failed. What
/// happens to single instances later is in the report.
pub async fn run(settings: SendSettings) -> anyhow::Result<SendReport> {
    let report = send(&settings).await?;
    report.print(&settings.peer());
    Ok(report)
}

/// [`run`] without the report on stdout and stderr.
///
/// # Errors
/// As [`run`].
pub async fn send(settings: &SendSettings) -> anyhow::Result<SendReport> {
    let paths = settings.paths.clone();
    let listing = tokio::task::spawn_blocking(move || files::list(&paths))
        .await
        .context("reading the folders failed")?;
    if listing.instances.is_empty() && listing.unsendable.is_empty() {
        bail!(
            "nothing to send: no DICOM Part 10 instance among the given paths \
             (skipped {} other files and {} DICOMDIRs)",
            listing.not_dicom,
            listing.dicomdirs
        );
    }
    delivery::deliver(settings, listing).await
}

/// Asks a receiver whether it is there, by a C-ECHO (PS3.4 annex A).
///
/// # Errors
/// Why it is not, or that it does not take us.
pub async fn echo(settings: &SendSettings) -> anyhow::Result<()> {
    let verification = files::Context {
        sop_class_uid: uids::VERIFICATION.to_owned(),
        transfer_syntax_uid: uids::IMPLICIT_VR_LITTLE_ENDIAN.to_owned(),
    };
    let opened = association::Association::open_for(settings, &[&verification]).await?;
    let mut opened = opened.with_context(|| association::context_refused(&verification))?;
    let response = opened.echo(&verification).await?;
    opened.release().await;
    ensure!(response.status.is_stored(), "it answers Status {}", response.status);
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        settings: SendSettings,
    }

    fn parse(arguments: &[&str]) -> Result<SendSettings, clap::Error> {
        let arguments = ["send"].iter().chain(arguments);
        Cli::try_parse_from(arguments).map(|cli| cli.settings)
    }

    #[test]
    fn the_defaults_are_the_same_in_code_and_on_the_command_line() {
        let parsed = parse(&["folder"]).expect("settings");
        let made = SendSettings::new(DEFAULT_TO, vec!["folder".into()]);
        assert_eq!(format!("{parsed:?}"), format!("{made:?}"));
    }

    #[test]
    fn bad_settings_stop_the_start() {
        for bad in [
            &[][..],
            &["folder", "--to", "127.0.0.1"],
            &["folder", "--to", "host:0"],
            &["folder", "--to", "https://"],
            &["folder", "--to", "http://host?query"],
            &["folder", "--called-ae", "SEVENTEEN_LETTERS"],
            &["folder", "--calling-ae", " "],
            &["folder", "--max-pdu", "100"],
            &["folder", "--timeout", "0s"],
        ] {
            assert!(parse(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn a_send_can_run_in_a_task_of_its_own() {
        fn is_send<T: Send>(_: &T) {}
        is_send(&run(SendSettings::new(DEFAULT_TO, Vec::new())));
    }
}
