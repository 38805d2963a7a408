//! `collimator doctor`: looks at all that the pipeline needs, and says what to do. It changes nothing
//! that stays, whether the pipeline runs or not.

mod broker;
mod bucket;
mod catalogue;
mod disk_space;
mod finding;
mod ports;
mod streams;

use crate::check_config::Files;
use crate::output;
use crate::pipeline::PipelineSettings;
use clap::Args;
use finding::{Finding, Verdict};
use serde::Serialize;
use std::process::ExitCode;
use std::time::Duration;

/// How long one answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// What to look at: the pipeline that runs, or would run, with these settings.
#[derive(Debug, Clone, Args)]
pub struct DoctorSettings {
    /// Print JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    pipeline: PipelineSettings,
}

/// Looks at everything, prints a line of each, and fails if anything is in trouble.
///
/// # Errors
/// When the result can't be printed.
pub async fn run(settings: DoctorSettings) -> anyhow::Result<ExitCode> {
    let findings = examine(&settings.pipeline).await;
    let worst = findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Ok);
    let text = match settings.json {
        true => format!("{}\n", serde_json::to_string_pretty(&Report::new(worst, &findings))?),
        false => findings.iter().map(|finding| format!("{finding}\n")).collect(),
    };
    let code = match worst {
        Verdict::Ok | Verdict::Warning => ExitCode::SUCCESS,
        Verdict::Trouble => ExitCode::FAILURE,
    };
    output::answer(text, code)
}

/// All of it, for programs.
#[derive(Serialize)]
struct Report<'a> {
    verdict: Verdict,
    checks: &'a [Finding],
}

impl<'a> Report<'a> {
    fn new(verdict: Verdict, checks: &'a [Finding]) -> Self {
        Self { verdict, checks }
    }
}

async fn examine(settings: &PipelineSettings) -> Vec<Finding> {
    let mut findings = vec![read_settings(settings)];
    let of_disk = settings.clone();
    let of_disk = tokio::task::spawn_blocking(move || disk_space::examine(&of_disk));
    let (broker, catalogue, ports, bucket) = tokio::join!(
        async {
            let (mut findings, broker) = broker::examine(settings).await;
            if let Some(broker) = broker {
                findings.extend(streams::examine(settings, &broker).await);
            }
            findings
        },
        catalogue::examine(settings),
        ports::examine(settings),
        bucket::examine(settings),
    );
    findings.extend(broker);
    findings.push(catalogue);
    findings.extend(ports);
    findings.extend(bucket);
    findings.extend(of_disk.await.unwrap_or_else(|error| {
        vec![Finding::trouble("disk", error.to_string(), "see the log of the system")]
    }));
    findings
}

/// Whether the settings are such that the pipeline starts, and their files can be read.
fn read_settings(settings: &PipelineSettings) -> Finding {
    const CHECK: &str = "settings";
    let (senders, webhooks) = (&settings.senders.sources_file, &settings.api.webhooks_file);
    let tls = &settings.ingest.tls;
    let certificates = [&tls.dicom_tls_cert, &tls.dicom_tls_key, &tls.dicom_tls_client_ca];
    let https = [&settings.api.api_tls_cert, &settings.api.api_tls_key];
    let pseudonyms = &settings.ingest.pseudonyms;
    let syslog = &settings.api.syslog;
    let of_repository =
        [&syslog.audit_syslog_ca, &syslog.audit_syslog_cert, &syslog.audit_syslog_key];
    let files: Vec<_> =
        [senders, webhooks, &settings.api.auth.tokens_file, &pseudonyms.pseudonym_key_file]
            .into_iter()
            .chain(certificates)
            .chain(of_repository)
            .chain(https)
            .flatten()
            .map(|file| file.display().to_string())
            .collect();
    let problems = Files::read(settings).problems;
    match problems.is_empty() {
        false => Finding::trouble(CHECK, problems.join("; "), "set that right"),
        true if files.is_empty() => {
            Finding::ok(CHECK, "they can be read; no settings file is given")
        }
        true => Finding::ok(CHECK, format!("they can be read, and so can {}", files.join(", "))),
    }
}
