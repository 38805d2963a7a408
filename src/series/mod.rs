//! `collimator series`: the series for people without a browser, and for scripts. All of it comes from
//! the API.

mod client;
mod fetching;
mod listing;
mod record;
mod server_sent;
mod table;
mod watching;

use crate::output::{self, FormSettings};
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use client::{ApiError, Client, Query};
use http::StatusCode;
use shared::web_url::base_url;
use std::path::PathBuf;
use std::process::ExitCode;
use tokio_util::sync::CancellationToken;
use url::Url;

/// Exit code for what can't be asked: as for a bad setting.
const WRONG: u8 = 2;

/// What to do with series.
#[derive(Debug, Clone, Args)]
pub struct SeriesSettings {
    #[command(subcommand)]
    command: SeriesCommand,
}

#[derive(Debug, Clone, Subcommand)]
enum SeriesCommand {
    /// List series, by default all that were ever complete, oldest first
    List(Box<ListSettings>),
    /// Show all that is known of series, and when and by which rule each was complete
    Show(ShowSettings),
    /// Download the files of a series, where the API keeps them
    Get(GetSettings),
    /// Print each series as it is complete, until interrupted
    Watch(WatchSettings),
}

#[derive(Debug, Clone, Args)]
struct ApiSettings {
    /// Where the API is
    #[arg(long, env = "COLLIMATOR_API", value_name = "URL", default_value = "http://127.0.0.1:8000", value_parser = base_url)]
    api: Url,

    /// A token of the scope `read`, if the API needs one; as a variable it is in no list of processes
    #[arg(long, env = "COLLIMATOR_TOKEN", hide_env_values = true)]
    token: Option<String>,

    /// The certificates of CAs, PEM, one of which the API's certificate has to be of, where it speaks HTTPS
    /// [default: those that this machine trusts]
    #[arg(long, env = "COLLIMATOR_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
}

impl ApiSettings {
    fn client(self) -> anyhow::Result<Client> {
        Client::new(self.api, self.token.as_deref(), self.ca.as_deref())
    }
}

#[derive(Debug, Clone, Args)]
struct ListSettings {
    #[command(flatten)]
    api: ApiSettings,
    #[command(flatten)]
    filter: FilterSettings,
    /// At most so many [default: all]
    #[arg(long, value_name = "NUMBER", value_parser = positive)]
    limit: Option<usize>,
    /// What they are sorted by, with `-` the greatest first
    #[arg(long, value_name = "KEY", allow_hyphen_values = true, value_parser = PossibleValuesParser::new(SORTS))]
    sort: Option<String>,
    #[command(flatten)]
    form: FormSettings,
}

/// The orders that the API knows.
const SORTS: [&str; 8] = [
    "FirstCompletedAt",
    "-FirstCompletedAt",
    "CompletedAt",
    "-CompletedAt",
    "Arrival",
    "-Arrival",
    "StudyDate",
    "-StudyDate",
];

/// Which series; all that is given has to match. `*` stands for any characters, `?` for one.
#[derive(Debug, Clone, Args)]
struct FilterSettings {
    /// Modality (0008,0060), such as MR, or several: CT,MR
    #[arg(long)]
    modality: Option<String>,
    /// Patient ID (0010,0020), with `*` and `?`
    #[arg(long, value_name = "ID")]
    patient_id: Option<String>,
    /// Patient's Name (0010,0010), whole or one component group of it, with `*` and `?`: 'roe^*'
    #[arg(long, value_name = "NAME")]
    patient_name: Option<String>,
    /// Study Instance UID (0020,000D)
    #[arg(long, value_name = "UID")]
    study: Option<String>,
    /// Study Date (0008,0020): 20260203, or a range: 20260201-20260228
    #[arg(long, value_name = "DATE", allow_hyphen_values = true)]
    study_date: Option<String>,
    /// Accession Number (0008,0050), with `*` and `?`
    #[arg(long, value_name = "NUMBER")]
    accession_number: Option<String>,
    /// AE title of the sender of the latest instance
    #[arg(long, value_name = "AE")]
    calling_ae: Option<String>,
    /// Those that were ever complete (the default), those to which instances are coming, or all
    #[arg(long, value_parser = PossibleValuesParser::new(["complete", "receiving", "all"]))]
    state: Option<String>,
    /// How they came to be known
    #[arg(long, value_parser = PossibleValuesParser::new(["dicom", "api"]))]
    source: Option<String>,
    /// Last complete after this time: 2026-02-03T04:05:06Z
    #[arg(long, value_name = "TIME")]
    completed_after: Option<String>,
    /// Last complete before this time
    #[arg(long, value_name = "TIME")]
    completed_before: Option<String>,
}

#[derive(Debug, Clone, Args)]
struct ShowSettings {
    /// Series Instance UID (0020,000E)
    #[arg(required = true, value_name = "UID")]
    uids: Vec<String>,
    #[command(flatten)]
    api: ApiSettings,
    #[command(flatten)]
    form: FormSettings,
}

#[derive(Debug, Clone, Args)]
struct GetSettings {
    /// Series Instance UID (0020,000E)
    #[arg(value_name = "UID")]
    uid: String,
    /// The folder of the files, each `<SOPInstanceUID>.dcm`; those that are there and whole are not downloaded again [default:
    /// the UID of the series]
    #[arg(long, value_name = "FOLDER")]
    into: Option<PathBuf>,
    #[command(flatten)]
    api: ApiSettings,
}

#[derive(Debug, Clone, Args)]
struct WatchSettings {
    #[command(flatten)]
    api: ApiSettings,
    /// Only series of this Modality (0008,0060)
    #[arg(long)]
    modality: Option<String>,
    /// Only series of this sender, by its AE title
    #[arg(long, value_name = "AE")]
    calling_ae: Option<String>,
    /// End after so many completions [default: never]
    #[arg(long, value_name = "NUMBER", value_parser = positive)]
    limit: Option<usize>,
    #[command(flatten)]
    form: FormSettings,
}

fn positive(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| "must be 1 or more".to_owned())
}

impl ListSettings {
    /// As the API's parameters.
    fn query(&self) -> Query {
        let FilterSettings {
            modality,
            patient_id,
            patient_name,
            study,
            study_date,
            accession_number,
            calling_ae,
            state,
            source,
            completed_after,
            completed_before,
        } = &self.filter;
        given([
            ("Modality", modality),
            ("PatientID", patient_id),
            ("PatientName", patient_name),
            ("StudyInstanceUID", study),
            ("StudyDate", study_date),
            ("AccessionNumber", accession_number),
            ("CallingAETitle", calling_ae),
            ("State", state),
            ("Source", source),
            ("CompletedAfter", completed_after),
            ("CompletedBefore", completed_before),
            ("sort", &self.sort),
        ])
    }
}

fn given<const N: usize>(parameters: [(&'static str, &Option<String>); N]) -> Query {
    let given = parameters.into_iter().filter_map(|(name, value)| Some((name, value.clone()?)));
    given.collect()
}

/// Does it, and says what went wrong. Whoever reads the output may go away at any time.
pub async fn run(settings: SeriesSettings, stop: CancellationToken) -> ExitCode {
    let done = tokio::select! {
        done = command(settings.command) => done,
        () = output::reader_is_gone() => Ok(()),
        () = stop.cancelled() => Ok(()),
    };
    let Err(error) = done else { return ExitCode::SUCCESS };
    if output::is_broken_pipe(&error) {
        return ExitCode::SUCCESS;
    }
    eprintln!("error: {error:#}");
    match error.downcast_ref::<ApiError>() {
        Some(ApiError::Refused { status, .. }) if *status == StatusCode::UNPROCESSABLE_ENTITY => {
            ExitCode::from(WRONG)
        }
        _ => ExitCode::FAILURE,
    }
}

async fn command(command: SeriesCommand) -> anyhow::Result<()> {
    match command {
        SeriesCommand::List(settings) => {
            let client = settings.api.clone().client()?;
            listing::list(&client, settings.query(), settings.limit, settings.form.is_table()).await
        }
        SeriesCommand::Show(settings) => {
            let client = settings.api.client()?;
            listing::show(&client, &settings.uids, settings.form.is_table()).await
        }
        SeriesCommand::Get(settings) => {
            let client = settings.api.client()?;
            fetching::get(&client, &settings.uid, settings.into).await
        }
        SeriesCommand::Watch(settings) => {
            let client = settings.api.client()?;
            let query =
                given([("Modality", &settings.modality), ("CallingAETitle", &settings.calling_ae)]);
            watching::watch(&client, &query, settings.limit, settings.form.is_table()).await
        }
    }
}
