//! `collimator ready`: whether the API of these settings, and so all that it needs, is ready. For health
//! checks, where there is no other client of HTTPS.

use crate::http_client::{HttpClient, NoAnswer, Pinned};
use crate::output;
use crate::pipeline::here;
use anyhow::Context as _;
use http::HeaderMap;
use serde::Deserialize;
use shared::http_client::Trust;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How long the answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// What `/health/ready` says.
#[derive(Debug, Deserialize)]
pub(crate) struct Readiness {
    status: String,
    parts: BTreeMap<String, String>,
}

impl Readiness {
    /// Asks the API that runs on this machine with these settings. Over TLS it has to show the certificate
    /// that they name; who may be asked for it by which name says nothing here.
    ///
    /// # Errors
    /// [`NoAnswer`] when there is none in time, or else what is wrong with it.
    pub(crate) async fn ask(settings: &api::Settings) -> anyhow::Result<Self> {
        let (scheme, trust) = match &settings.api_tls_cert {
            None => ("http", Trust::Nobody),
            Some(certificate) => ("https", Trust::Verifier(Arc::new(Pinned::read(certificate)?))),
        };
        let url = format!("{scheme}://{}/health/ready", here(settings.api_addr)).parse()?;
        let http_client = HttpClient::new(trust)?;
        let asked = async { http_client.get(&url, HeaderMap::new()).await?.whole().await };
        let body = timeout(ANSWER_TIMEOUT, asked).await.map_err(NoAnswer::from)??;
        serde_json::from_slice(&body).context("it does not say whether it is ready")
    }

    /// The parts that are not ready, and why; none if all are.
    pub(crate) fn missing(&self) -> Option<String> {
        if self.status == "ready" {
            return None;
        }
        let parts = self.parts.iter().filter(|(_, state)| *state != "ready");
        let parts: Vec<_> = parts.map(|(part, state)| format!("{part} ({state})")).collect();
        Some(parts.join(", "))
    }
}

/// Asks, says what came of it in a line, and fails unless it is ready.
///
/// # Errors
/// When it can't be asked, or the result can't be printed.
pub async fn run(settings: &api::Settings) -> anyhow::Result<ExitCode> {
    let addr = settings.api_addr;
    let readiness = Readiness::ask(settings).await;
    match readiness.with_context(|| format!("the API at {addr} can't be asked"))?.missing() {
        None => output::answer("ready\n", ExitCode::SUCCESS),
        Some(parts) => output::answer(format!("not ready: {parts}\n"), ExitCode::FAILURE),
    }
}
