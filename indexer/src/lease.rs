//! One indexer on one NATS: a lease in the broker. The lease on the catalogue can't know of an indexer that has
//! another catalogue; the two would delete each other's consumer, and neither would have all.
//!
//! The lease is a consumer of INSTANCES that nobody but its owner asks for anything. The broker makes it
//! only where there is none, has in its metadata whose it is, and removes it once it has not been asked for
//! for ten seconds: by the broker's own time, so the clocks of the machines don't matter.

use crate::standby::this_process;
use anyhow::{Context as _, bail};
use async_nats::Client;
use async_nats::jetstream::consumer::{AckPolicy, Consumer, DeliverPolicy, Info, pull};
use async_nats::jetstream::context::{ConsumerInfoError, ConsumerInfoErrorKind};
use async_nats::jetstream::stream::Stream;
use futures_util::StreamExt as _;
use shared::election;
use shared::health::Part;
use shared::stream::INSTANCES;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

/// Name of the consumer.
const NAME: &str = "indexer-lease";

/// A subject of INSTANCES to which nobody ever publishes.
const NOTHING: &str = "dicom.ingest.lease";

/// How long the broker keeps a lease whose owner does not ask for it.
const LEASE: Duration = Duration::from_secs(10);

/// How often its owner does.
const RENEW_EVERY: Duration = Duration::from_secs(2);

/// How often one that waits for it looks, and how long in all: if it is still there then, its owner lives.
const LOOK_EVERY: Duration = Duration::from_millis(500);
const TAKEOVER_TIMEOUT: Duration = Duration::from_secs(13);

/// Keys of the metadata: who it is, for people; its catalogue's id, the epoch of its lease on that, and whether it has the
/// catalogue's lock; and what tells one start from the next.
const OWNER: &str = "owner";
const CATALOG: &str = "lock";
const EPOCH: &str = "epoch";
const HAS_LOCK: &str = "has_lock";
const START: &str = "start";

/// The lease as a consumer.
type LeaseConsumer = Consumer<pull::Config>;

/// Who asks for the lease.
#[derive(Debug, Clone)]
pub struct Owner {
    name: String,
    catalog_id: String,
    epoch: u64,
    has_lock: bool,
    start: String,
}

impl Owner {
    /// This process, which holds the lease on its catalogue.
    #[must_use]
    pub fn of(lease: &catalog::Lease) -> Self {
        let name = format!("{}, catalogue {}", this_process(), lease.catalog);
        let start = shared::ephemeral::name("start");
        let catalog::Lease { catalog_id, epoch, locked, .. } = lease.clone();
        Self { name, catalog_id, epoch, has_lock: locked, start }
    }

    fn metadata(&self) -> HashMap<String, String> {
        let (epoch, has_lock) = (self.epoch.to_string(), self.has_lock.to_string());
        let pairs = [
            (OWNER, &self.name),
            (CATALOG, &self.catalog_id),
            (EPOCH, &epoch),
            (HAS_LOCK, &has_lock),
            (START, &self.start),
        ];
        pairs.map(|(key, value)| (key.to_owned(), value.clone())).into()
    }

    /// The lease, if it is ours.
    fn own(&self, lease: LeaseConsumer) -> Result<LeaseConsumer, Taken> {
        let info = lease.cached_info();
        let metadata = &info.config.metadata;
        match metadata.get(START) == Some(&self.start) {
            true => Ok(lease),
            false => Err(Taken {
                by: name_of(info),
                same_catalog: metadata.get(CATALOG) == Some(&self.catalog_id),
            }),
        }
    }

    /// Whether the lease is of one that had our catalogue before us: at an earlier epoch, or with the lock that we
    /// have now, whatever the epoch. (A catalogue that was restored or begins anew has a low one.)
    fn follows(&self, lease: &Info) -> bool {
        let metadata = &lease.config.metadata;
        let epoch = metadata.get(EPOCH).and_then(|epoch| epoch.parse().ok()).unwrap_or(0);
        // Earlier versions always had the lock.
        let had_lock = metadata.get(HAS_LOCK).is_none_or(|had| had == "true");
        metadata.get(START) != Some(&self.start)
            && metadata.get(CATALOG) == Some(&self.catalog_id)
            && (epoch < self.epoch || self.has_lock && had_lock)
    }
}

/// The lease, held.
#[derive(Debug, Clone)]
pub struct Lease {
    nats: Client,
    owner: Owner,
}

/// Why an indexer has stopped indexing.
#[derive(Debug)]
pub enum Ended {
    /// It was told to.
    Stopped,
    /// Another one, of this name, has the catalogue.
    Superseded(String),
}

/// Somebody else has it.
struct Taken {
    /// Name of that one.
    by: String,
    /// Whether it has our catalogue, so that it has followed us there.
    same_catalog: bool,
}

impl Taken {
    /// What it means to one who works.
    fn end(self) -> anyhow::Result<Ended> {
        match self.same_catalog {
            true => Ok(Ended::Superseded(self.by)),
            false => bail!("{}", refusal(&self.by)),
        }
    }
}

impl Lease {
    /// Gets the lease: at once where nobody has it or the one before had our catalogue, and where another
    /// one has it once that has not asked for it for a while. `None` when told to stop before.
    ///
    /// # Errors
    /// When another one holds on to it.
    pub async fn acquire(
        nats: &Client,
        owner: Owner,
        health: &Part,
        stop: &CancellationToken,
    ) -> anyhow::Result<Option<Self>> {
        let lease = Self { nats: nats.clone(), owner };
        let mut taken_since: Option<Instant> = None;
        let mut said = false;
        loop {
            match lease.take().await {
                Ok(Ok(_)) => return Ok(Some(lease)),
                Ok(Err(Taken { by: other, .. })) => {
                    if taken_since.get_or_insert_with(Instant::now).elapsed() > TAKEOVER_TIMEOUT {
                        bail!("{}", refusal(&other));
                    }
                    if !said {
                        let wait = format!("another indexer is on this NATS ({other}), or was");
                        tracing::warn!("{wait}; waiting {TAKEOVER_TIMEOUT:?} to see which");
                        health.not_ready(wait);
                        said = true;
                    }
                }
                Err(error) => {
                    taken_since = None;
                    health.not_ready(format!("{error:#}"));
                    tracing::warn!("the indexer's lease can't be had yet; trying again: {error:#}");
                }
            }
            tokio::select! {
                () = sleep(LOOK_EVERY) => {}
                () = stop.cancelled() => return Ok(None),
            }
        }
    }

    /// Keeps the lease until told to stop, and gives it back then, or until another one with our catalogue has it:
    /// nothing must be decided any more.
    ///
    /// # Errors
    /// When one with another catalogue has it.
    pub async fn keep(&self, stop: &CancellationToken) -> anyhow::Result<Ended> {
        loop {
            let next = Instant::now() + RENEW_EVERY;
            let renewed = tokio::select! {
                renewed = self.renew() => renewed,
                () = stop.cancelled() => break,
            };
            match renewed {
                Ok(Ok(())) => {}
                Ok(Err(taken)) => return taken.end(),
                Err(error) => tracing::debug!("the lease is not renewed: {error:#}"),
            }
            tokio::select! {
                () = sleep_until(next) => {}
                () = stop.cancelled() => break,
            }
        }
        // What is not given back ends by itself.
        let _ = timeout(RENEW_EVERY, self.give_back()).await;
        Ok(Ended::Stopped)
    }

    async fn give_back(&self) -> anyhow::Result<()> {
        let stream = self.stream().await?;
        if holder(&stream).await?.is_some_and(|lease| self.owner.own(lease).is_ok()) {
            stream.delete_consumer(NAME).await?;
        }
        Ok(())
    }

    /// Whether it is still ours; takes it again where the broker has lost it.
    ///
    /// # Errors
    /// When another one has it, or the broker does not answer.
    pub async fn check(&self) -> anyhow::Result<()> {
        match self.take().await? {
            Ok(_) => Ok(()),
            Err(taken) if taken.same_catalog => {
                bail!("another indexer has taken over ({})", taken.by)
            }
            Err(taken) => bail!("{}", refusal(&taken.by)),
        }
    }

    /// Makes the lease if there is none, or the one that is there is of an indexer that is gone.
    async fn take(&self) -> anyhow::Result<Result<LeaseConsumer, Taken>> {
        let stream = self.stream().await?;
        if let Some(lease) = holder(&stream).await? {
            if !self.owner.follows(lease.cached_info()) {
                return Ok(self.owner.own(lease));
            }
            stream.delete_consumer(NAME).await.context("the lease of the one before")?;
        }
        let config = pull::Config {
            durable_name: Some(NAME.to_owned()),
            description: Some("the one indexer on this NATS".to_owned()),
            deliver_policy: DeliverPolicy::New,
            // Not as `filter_subject`, which would be a part of the request's own subject.
            filter_subjects: vec![NOTHING.to_owned()],
            ack_policy: AckPolicy::None,
            inactive_threshold: LEASE,
            metadata: self.owner.metadata(),
            ..pull::Config::default()
        };
        match stream.create_consumer_strict(config).await {
            Ok(lease) => Ok(Ok(lease)),
            // Created meanwhile, by another indexer or by another task of ours.
            Err(error) => match holder(&stream).await? {
                Some(lease) => Ok(self.owner.own(lease)),
                None => Err(error).context("the lease"),
            },
        }
    }

    /// Asks for it, which is what keeps it, until the broker has nothing to answer for a while.
    async fn renew(&self) -> anyhow::Result<Result<(), Taken>> {
        let lease = match self.take().await? {
            Ok(lease) => lease,
            Err(taken) => return Ok(Err(taken)),
        };
        let asked = lease.batch().max_messages(1).expires(RENEW_EVERY).messages().await;
        let mut nothing = asked.context("asking for the lease")?;
        let answer = timeout(RENEW_EVERY * 2, nothing.next()).await.context("NATS is silent")?;
        answer.transpose().map_err(|error| anyhow::anyhow!("the lease: {error}"))?;
        Ok(Ok(()))
    }

    async fn stream(&self) -> anyhow::Result<Stream<()>> {
        let jetstream = election::jetstream(self.nats.clone());
        jetstream.get_stream_no_info(INSTANCES).await.context("INSTANCES")
    }
}

/// The lease as the broker has it; `None` where there is none.
async fn holder(stream: &Stream<()>) -> anyhow::Result<Option<LeaseConsumer>> {
    match stream.get_consumer(NAME).await {
        Ok(lease) => Ok(Some(lease)),
        Err(error) => match error.downcast_ref::<ConsumerInfoError>().map(|it| it.kind()) {
            Some(ConsumerInfoErrorKind::NotFound) => Ok(None),
            _ => Err(anyhow::anyhow!("the lease: {error}")),
        },
    }
}

fn name_of(lease: &Info) -> String {
    let owner = lease.config.metadata.get(OWNER);
    owner.map_or_else(|| "one that does not say its name".to_owned(), Clone::clone)
}

fn refusal(other: &str) -> String {
    format!(
        "another indexer works on this NATS: {other}; one NATS has one catalogue, so stop that one, or \
         give this one its DATABASE_URL or another NATS_URL"
    )
}
