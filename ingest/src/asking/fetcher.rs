//! Fetches from sources what they have and is not here: by C-MOVE to ourselves, so that it comes as any other instance, or
//! by WADO-RS. Which instances that are the indexer decides, once for each revision.

use super::no_answer::NoAnswer;
use super::query::{
    QUERY_RETRIEVE_LEVEL, QuerySource, SERIES_INSTANCE_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID,
};
use super::source::{Way, by_title};
use super::web::WebSource;
use crate::errands::{self, Outcomes};
use crate::server::connection::{Reception, new_id};
use crate::settings::Settings;
use crate::stow::receive_retrieved;
use async_nats::jetstream::Context;
use async_nats::{Client, Message};
use contract::event::{AssociationIdentity, Ending, InstancesFetched, InstancesWanted};
use contract::uid::StudyInstanceUid;
use dimse::Status;
use dimse::identifier::{self, Encoding, Key};
use hyper_util::client::legacy::connect::HttpInfo;
use jiff::Timestamp;
use shared::errands::FETCHES;
use shared::metrics::Metrics;
use shared::senders::SenderEntry;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{interval, timeout};
use tokio_util::sync::CancellationToken;

/// Study Root Query/Retrieve Information Model - MOVE.
const STUDY_ROOT_MOVE: &str = "1.2.840.10008.5.1.4.1.2.2.2";

/// What is fetched at one time, in all; from each source it is one series.
const AT_ONCE: usize = 4;

/// UIDs of one C-MOVE: some sources take no long lists.
const UIDS_AT_ONCE: usize = 50;

/// How long a source may say nothing, and how long all may take.
const SILENCE: Duration = Duration::from_secs(30);
const LIMIT: Duration = Duration::from_secs(120);

/// How often NATS is told that somebody is at it: it would give the request to another receiver.
const ALIVE: Duration = Duration::from_secs(5);

/// A part of a fetched instance comes as a file, in whatever transfer syntax it is there.
const ACCEPT: &str = "multipart/related; type=\"application/dicom\"; transfer-syntax=*";

/// The word for success among the reasons why there is none.
const FETCHED: &str = "fetched";

/// A source that is fetched from, one series at a time.
#[derive(Debug)]
struct FetchSource {
    way: Way,
    place: Semaphore,
}

/// Fetches from the sources that can be fetched from. Clones are one.
#[derive(Debug, Clone)]
pub(crate) struct Fetcher {
    /// By the AE title by which they call.
    sources: Arc<HashMap<String, FetchSource>>,
    ae_title: String,
    node_name: String,
    outcomes: Outcomes,
}

impl Fetcher {
    /// `None` where nothing is fetched.
    ///
    /// # Errors
    /// When a file that an `ask` names can't be read or holds something else.
    pub(crate) fn of(
        senders: &[SenderEntry],
        settings: &Settings,
        metrics: &Metrics,
    ) -> anyhow::Result<Option<Self>> {
        let sources = by_title(senders, |ask| {
            ask.fetch_limit?;
            let way = Way::of(ask.clone());
            Some(way.map(|way| FetchSource { way, place: Semaphore::new(1) }))
        })?;
        if sources.is_empty() {
            return Ok(None);
        }
        let outcomes = Outcomes::new(
            metrics,
            "fetches",
            "Requests to sources for instances that are missing, by what came of them",
            NoAnswer::ALL.map(NoAnswer::as_str).into_iter().chain([FETCHED]),
        );
        Ok(Some(Self {
            sources: Arc::new(sources),
            ae_title: settings.ae_title.clone(),
            node_name: settings.node_name(),
            outcomes,
        }))
    }

    /// Fetches until told to stop. What is cut off by that is given to another receiver, or to this one when it starts
    /// again.
    pub(crate) async fn run(
        &self,
        jetstream: &Context,
        reception: &Arc<Reception>,
        stop: &CancellationToken,
    ) {
        let nats = jetstream.client();
        errands::run(&nats, FETCHES, AT_ONCE, stop, |request| {
            let (fetcher, nats, jetstream) = (self.clone(), nats.clone(), jetstream.clone());
            let reception = reception.clone();
            async move { fetcher.answer(&nats, &jetstream, &reception, &request).await }
        })
        .await;
    }

    async fn answer(
        &self,
        nats: &Client,
        jetstream: &Context,
        reception: &Reception,
        request: &Message,
    ) {
        let wanted: InstancesWanted = match serde_json::from_slice(&request.payload) {
            Ok(wanted) => wanted,
            Err(error) => {
                let line = error.line();
                tracing::warn!(line, "what is to be fetched can't be read");
                return errands::acknowledge(nats, request).await;
            }
        };
        let fetched = {
            let alive = async {
                let mut alive = interval(ALIVE);
                loop {
                    alive.tick().await;
                    errands::in_progress(nats, request).await;
                }
            };
            tokio::select! {
                fetched = self.fetch(&wanted, reception) => fetched,
                () = alive => return,
            }
        };
        let fetched = self.event(wanted, fetched);
        if let Err(error) = errands::publish(jetstream, &fetched).await {
            // The instances are here, or are not: nothing depends on the event.
            tracing::warn!("it is not published that instances were fetched: {error}");
        }
        errands::acknowledge(nats, request).await;
    }

    fn event(&self, wanted: InstancesWanted, fetched: Result<(), NoAnswer>) -> InstancesFetched {
        let (series, source) = (&wanted.series_instance_uid, &wanted.calling_ae_title);
        let count = wanted.instances.len();
        match fetched {
            Ok(()) => tracing::info!(%series, source, count, "missing instances fetched"),
            Err(why) => {
                let cause = why.as_str();
                tracing::warn!(
                    %series, source, count, cause,
                    "missing instances could not be fetched; by C-MOVE the source has to know our AE title and address"
                );
            }
        }
        let failure = fetched.err().map(NoAnswer::as_str);
        self.outcomes.count(failure.unwrap_or(FETCHED));
        InstancesFetched {
            series_instance_uid: wanted.series_instance_uid,
            calling_ae_title: wanted.calling_ae_title,
            question_id: wanted.question_id,
            wanted: count as u64,
            failure: failure.map(str::to_owned),
            node_name: self.node_name.clone(),
            fetched_at: Timestamp::now(),
        }
    }

    async fn fetch(&self, wanted: &InstancesWanted, reception: &Reception) -> Result<(), NoAnswer> {
        let source = self.sources.get(&wanted.calling_ae_title);
        let source = source.ok_or(NoAnswer::NotConfigured)?;
        let Ok(_place) = source.place.acquire().await else { return Err(NoAnswer::Silent) };
        match &source.way {
            Way::Dimse(source) => {
                let moved = self.moved(source, wanted);
                timeout(LIMIT, moved).await.map_err(|_| NoAnswer::Silent)?
            }
            Way::Web(source) => self.retrieve(source, wanted, reception).await,
        }
    }

    /// By C-MOVE (PS3.4 section C.4.2), at IMAGE level.
    async fn moved(&self, source: &QuerySource, wanted: &InstancesWanted) -> Result<(), NoAnswer> {
        let mut scu = source.open(&self.ae_title, STUDY_ROOT_MOVE, SILENCE).await?;
        let context = scu.negotiated().contexts.first().ok_or(NoAnswer::NoContext)?;
        let encoding = Encoding::of(&context.transfer_syntax).ok_or(NoAnswer::NoContext)?;
        let (context_id, mut failed) = (context.id, false);
        for instances in wanted.instances.chunks(UIDS_AT_ONCE) {
            let instances = instances.join("\\");
            let study = wanted.study_instance_uid.as_deref().unwrap_or_default();
            let series = wanted.series_instance_uid.as_str();
            let keys = [
                Key { tag: SOP_INSTANCE_UID, vr: *b"UI", value: &instances },
                Key { tag: QUERY_RETRIEVE_LEVEL, vr: *b"CS", value: "IMAGE" },
                Key { tag: STUDY_INSTANCE_UID, vr: *b"UI", value: study },
                Key { tag: SERIES_INSTANCE_UID, vr: *b"UI", value: series },
            ];
            let identifier = identifier::write(&keys, encoding);
            let ended = scu.retrieve(context_id, STUDY_ROOT_MOVE, &self.ae_title, &identifier);
            let ended = ended.await?;
            if ended.status != Status::Success {
                tracing::debug!(status = %ended.status, said = ended.error_comment, "C-MOVE failed");
                failed = true;
            }
        }
        let _ = timeout(SILENCE, scu.release()).await;
        match failed {
            true => Err(NoAnswer::Refused),
            false => Ok(()),
        }
    }

    /// By WADO-RS, one instance after the other: together they are one association to the rules.
    async fn retrieve(
        &self,
        source: &WebSource,
        wanted: &InstancesWanted,
        reception: &Reception,
    ) -> Result<(), NoAnswer> {
        let study = wanted.study_instance_uid.as_deref().map(StudyInstanceUid::parse);
        let study = study.and_then(Result::ok).ok_or(NoAnswer::NotConfigured)?;
        let series = wanted.series_instance_uid.as_str();
        let intake = &reception.intake;
        let mut delivery = None;
        let mut failure = None;
        for instance in &wanted.instances {
            let path = format!("studies/{}/series/{series}/instances/{instance}", study.as_str());
            let answer = match timeout(SILENCE, source.get(&path, ACCEPT)).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(why)) => {
                    failure = Some(why);
                    continue;
                }
                Err(_elapsed) => {
                    failure = Some(NoAnswer::Silent);
                    break;
                }
            };
            let open = delivery.take().unwrap_or_else(|| {
                let peer = answer.extensions().get::<HttpInfo>();
                let peer = peer.map(|info| info.remote_addr().ip().to_canonical().to_string());
                intake.delivery(AssociationIdentity {
                    association_id: new_id(),
                    calling_ae_title: wanted.calling_ae_title.clone(),
                    called_ae_title: self.ae_title.clone(),
                    peer_address: peer.unwrap_or_default(),
                    node_name: self.node_name.clone(),
                    tls: Some(source.is_encrypted()),
                })
            });
            let (received, open) = receive_retrieved(intake, open, &study, answer).await;
            delivery = Some(open);
            if received != Ok(1) {
                tracing::debug!(
                    ?received,
                    "an answer of WADO-RS brought no instance that is stored"
                );
                failure = Some(NoAnswer::Unreadable);
            }
        }
        if let Some(mut delivery) = delivery {
            let closed_at = Timestamp::now();
            // What has come is here, and its source was not interrupted: what has not, is missing.
            delivery.end(Ending::Released, None);
            delivery.close(Ending::Released, None, closed_at).await;
        }
        failure.map_or(Ok(()), Err)
    }
}
