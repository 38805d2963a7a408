//! `GET /webhooks`: the webhooks, and the state of their deliveries.

use super::delivery_record::DeliveryState;
use super::{TrackedHook, Webhooks, consumers};
use crate::http::problem::Problem;
use anyhow::Context as _;
use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::Info;
use contract::subject::Subject;
use futures_util::TryStreamExt;
use poem_openapi::Object;
use poem_openapi::types::Example;
use serde::Serialize;
use shared::stream::{DEAD, SERIES};
use std::collections::HashMap;

/// The webhooks and the state of their deliveries
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Object)]
#[serde(rename_all = "PascalCase")]
#[oai(rename_all = "PascalCase", example)]
pub struct Webhook {
    /// Its name in the webhooks file
    pub name: String,
    /// Where to, without the query
    #[serde(rename = "URL")]
    #[oai(rename = "URL")]
    pub url: String,
    /// Only series of these modalities; `[]` stands for all
    pub modalities: Vec<String>,
    /// Only series of these senders; `[]` stands for all
    #[serde(rename = "CallingAETitles")]
    #[oai(rename = "CallingAETitles")]
    pub calling_ae_titles: Vec<String>,
    /// Completions that wait for their first try
    pub pending: u64,
    /// Completions that are being delivered, or wait to be tried again
    pub in_flight: u64,
    /// Completions that were given up, and lie in the stream `DEAD`
    pub dead_letters: u64,
    /// When it last took a delivery, UTC, since the API started
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_success_at: Option<String>,
    /// When a delivery last failed, UTC, since the API started
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure_at: Option<String>,
    /// The error then
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<String>,
}

impl Example for Webhook {
    fn example() -> Self {
        Self {
            name: "lung-ai".into(),
            url: "https://ai.example.org/collimator".into(),
            modalities: vec!["CT".into()],
            calling_ae_titles: Vec::new(),
            pending: 0,
            in_flight: 1,
            dead_letters: 0,
            last_success_at: Some("2026-02-03T04:05:17.5Z".into()),
            last_failure_at: Some("2026-02-03T04:06:01Z".into()),
            last_failure: Some("the answer was 503".into()),
        }
    }
}

impl Webhooks {
    /// All of them, in the order of the file.
    ///
    /// # Errors
    /// 503 when the broker does not say how it is with them.
    pub(super) async fn states(&self) -> Result<Vec<Webhook>, Problem> {
        let Some(all) = self.all.as_deref().filter(|all| !all.is_empty()) else {
            return Ok(Vec::new());
        };
        let asked = self.broker.ask("how the webhooks are is not known", || async {
            ask(self.broker.connection()?).await
        });
        let (mut consumer_infos, dead) = asked.await?;
        let state = |tracked: &TrackedHook| {
            let hook = &tracked.hook;
            let letters = dead.get(&Subject::undelivered(&hook.name).to_string()).copied();
            of(tracked, consumer_infos.remove(&hook.name).as_ref(), letters.unwrap_or(0))
        };
        Ok(all.iter().map(state).collect())
    }
}

fn of(
    TrackedHook { hook, record }: &TrackedHook,
    info: Option<&Info>,
    dead_letters: u64,
) -> Webhook {
    let DeliveryState { succeeded_at, failed, .. } = record.seen();
    let (failed_at, cause) = failed.unzip();
    Webhook {
        name: hook.name.clone(),
        url: hook.shown_url(),
        modalities: hook.modalities.clone(),
        calling_ae_titles: hook.calling_ae_titles.clone(),
        pending: info.map_or(0, |info| info.num_pending),
        in_flight: info.map_or(0, |info| info.num_ack_pending as u64),
        dead_letters,
        last_success_at: succeeded_at.map(|at| at.to_string()),
        last_failure_at: failed_at.map(|at| at.to_string()),
        last_failure: cause,
    }
}

/// The consumers by webhook, and the dead letters by subject.
async fn ask(jetstream: &Context) -> anyhow::Result<(HashMap<String, Info>, HashMap<String, u64>)> {
    let series = jetstream.get_stream(SERIES).await.context(SERIES)?;
    let consumer_infos = consumers::infos(&series).await.context("the consumers of webhooks")?;
    let dead = jetstream.get_stream(DEAD).await.context(DEAD)?;
    let subjects = dead.info_with_subjects("dicom.dead.webhook.>").await.context(DEAD)?;
    let dead = subjects.map_ok(|(subject, count)| (subject, count as u64));
    Ok((consumer_infos, dead.try_collect().await?))
}
