//! Reports on requests for commitment: takes them from INSTANCES, one after the other, and acknowledges each only once its
//! peer has answered the report. So a report that a receiver owes when it dies is made by the next.

use super::Listing;
use super::commitment::{self, PUSH_MODEL};
use super::transactions::Standing;
use crate::errands::{self, Outcomes};
use crate::settings::Settings;
use async_nats::jetstream::{self, Context};
use async_nats::{Client, Message};
use contract::event::{Event as _, InstancesListed, ListKind};
use dimse::identifier::{EXPLICIT_VR_LITTLE_ENDIAN, Encoding, IMPLICIT_VR_LITTLE_ENDIAN};
use dimse::net::Scu;
use dimse::proposal::Proposal;
use dimse::requestor::Requestor;
use jiff::{SignedDuration, Timestamp};
use shared::errands::COMMITMENTS;
use shared::metrics::Metrics;
use shared::senders::ReportTo;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Reports of this receiver at one time.
const AT_ONCE: usize = 8;

/// How long a peer may take for each answer.
const LIMIT: Duration = Duration::from_secs(10);

/// How long after the request a report is given up.
const LIFETIME: SignedDuration = SignedDuration::from_hours(24);

/// When a report is tried again: soon while its association is open, later where its peer can't be reached.
const SOON: Duration = Duration::from_secs(1);
const LATER: Duration = Duration::from_secs(30);

/// How often a request is left to the receiver that took it.
const LEFT_TO_OTHERS: i64 = 5;

const MAX_PDU_LENGTH: u32 = 16 * 1024;

/// What became of a report, in one word.
const OUTCOMES: [&str; 4] = ["reported", "failed", "no_address", "given_up"];

/// Reports. Clones are one.
#[derive(Debug, Clone)]
pub(crate) struct Reporter {
    listing: Listing,
    ae_title: String,
    node_name: String,
    outcomes: Outcomes,
}

impl Reporter {
    /// `None` where nobody asks for commitments.
    pub(crate) fn of(listing: &Listing, settings: &Settings, metrics: &Metrics) -> Option<Self> {
        if !listing.reports() {
            return None;
        }
        let outcomes = Outcomes::new(
            metrics,
            "commitment_reports",
            "Reports on requests for storage commitment, by what came of them",
            OUTCOMES,
        );
        let (ae_title, node_name) = (settings.ae_title.clone(), settings.node_name());
        Some(Self { listing: listing.clone(), ae_title, node_name, outcomes })
    }

    /// Reports until told to stop.
    pub(crate) async fn run(&self, jetstream: &Context, stop: &CancellationToken) {
        let nats = jetstream.client();
        errands::run(&nats, COMMITMENTS, AT_ONCE, stop, |request| {
            let (reporter, nats, jetstream) = (self.clone(), nats.clone(), jetstream.clone());
            async move { reporter.see_to(&nats, jetstream, request).await }
        })
        .await;
    }

    async fn see_to(&self, nats: &Client, jetstream: Context, message: Message) {
        let message = jetstream::Message { message, context: jetstream };
        let delivered = message.info().map_or(1, |info| info.delivered);
        let message = message.message;
        let again = match serde_json::from_slice::<InstancesListed>(&message.payload) {
            Ok(listed) if listed.kind == ListKind::Commitment => {
                self.report(&listed, delivered).await
            }
            _ => None,
        };
        match again {
            None => errands::acknowledge(nats, &message).await,
            Some(delay) => errands::leave(nats, &message, delay).await,
        }
    }

    /// Makes a report, unless it is made; gives when to try it again.
    async fn report(&self, listed: &InstancesListed, delivered: i64) -> Option<Duration> {
        let (transaction, peer) = (&listed.list_uid, &listed.calling_ae_title);
        if listed.node_name != self.node_name && delivered <= LEFT_TO_OTHERS {
            return Some(SOON);
        }
        match self.listing.transactions.take(&listed.id()) {
            Some(Standing::Waits) => return Some(SOON),
            Some(Standing::Reported(_)) => {
                self.count("reported");
                return None;
            }
            None => {}
        }
        let Some(to) = self.listing.report_to(peer) else {
            self.count("no_address");
            tracing::warn!(
                peer,
                transaction,
                "the association of a request for commitment is closed, and SOURCES_FILE has no report_to \
                 of its source: it gets no report"
            );
            return None;
        };
        match self.send(to, listed).await {
            Ok(()) => {
                self.count("reported");
                tracing::debug!(peer, transaction, "reported on a request for commitment");
                None
            }
            Err(error) if Timestamp::now().duration_since(listed.listed_at) > LIFETIME => {
                self.count("given_up");
                tracing::warn!(peer, transaction, "a report on commitment is given up: {error:#}");
                None
            }
            Err(error) => {
                self.count("failed");
                tracing::warn!(
                    peer,
                    transaction,
                    "a report on commitment is tried again: {error:#}"
                );
                Some(LATER)
            }
        }
    }

    /// Sends a report by an association of our own, as SCP of its SOP class.
    async fn send(&self, to: &ReportTo, listed: &InstancesListed) -> anyhow::Result<()> {
        let syntaxes = [EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN].map(str::to_owned);
        let proposal = Proposal {
            calling_ae_title: self.ae_title.clone(),
            called_ae_title: to.ae_title.clone(),
            contexts: vec![(PUSH_MODEL.to_owned(), syntaxes.into())],
            max_pdu_length: MAX_PDU_LENGTH,
        };
        let requestor = Requestor::new(&proposal).as_scp_of(PUSH_MODEL);
        let address = (to.host.as_str(), to.port.get());
        let mut scu = Scu::open_by(address, requestor, LIMIT).await?;
        let context = scu.negotiated().contexts.first().cloned();
        let encoding = context.as_ref().and_then(|it| Encoding::of(&it.transfer_syntax));
        let Some((context, encoding)) = context.zip(encoding) else {
            scu.abort().await;
            anyhow::bail!("it does not accept the Storage Commitment Push Model");
        };
        let request = commitment::report_request(scu.next_message_id());
        let report = commitment::report(listed, encoding);
        let response = scu.notify(context.id, &request, &report).await?;
        // The answer is there, whatever becomes of the association.
        let released = scu.release().await;
        let (transaction, status) = (&listed.list_uid, response.status);
        tracing::debug!(transaction, %status, ?released, "report on commitment answered");
        Ok(())
    }

    fn count(&self, outcome: &'static str) {
        self.outcomes.count(outcome);
    }
}
