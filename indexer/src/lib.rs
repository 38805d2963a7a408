//! The indexer: reads INSTANCES, writes the catalogue, decides which series are complete, and
//! announces them.

pub mod announcer;
pub mod batch;
pub mod consumer;
pub mod continuity;
pub mod dead;
pub mod decision;
pub mod driver;
pub mod duplicates;
pub mod history;
pub mod keeper;
pub mod lag_metrics;
pub mod lease;
pub mod losses;
pub mod metrics;
pub mod pause_metrics;
pub mod purger;
pub mod reading;
pub mod record;
pub mod remover;
pub mod replay;
pub mod restore;
pub mod retention;
mod senders;
pub mod settings;
pub mod standby;
pub mod ticks;

use announcer::Announcer;
use anyhow::{Context as _, ensure};
use async_nats::Client;
use catalog::{CatalogSettings, CatalogWriter};
use completion::Senders;
use contract::event::ListKind;
use contract::subject::Service;
use driver::Driver;
use jiff::SignedDuration;
use keeper::{Keeper, Keeping};
use lease::{Ended, Lease};
use losses::Losses;
use metrics::IndexerMetrics;
use purger::{Purger, Purging};
use remover::{Remover, Removing};
pub use settings::Settings;
use shared::acknowledgements::Acknowledgements;
use shared::audit::{AuditSettings, Auditor};
use shared::election;
use shared::health::{Health, Part};
use shared::metrics::{Metrics, Refusals};
use shared::senders::SendersSettings;
use shared::settings::{StreamSettings, host_name};
use shared::sighup::{Rereading, Sighup};
use shared::stream;
use std::sync::Arc;
use std::time::Duration;
use store::StoreSettings;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use url::Url;

/// What the indexer tells of itself beside its readiness: whether it is the one that writes, `active`, or a `standby`.
const ROLE: &str = "role";

/// The indexer, not yet at work.
#[derive(Debug)]
pub struct Indexer {
    senders: Senders,
    commitments: bool,
    study_quiet_period: Option<SignedDuration>,
    ack_wait: Duration,
    history: Duration,
    retention: Option<SignedDuration>,
    catalog: CatalogSettings,
    health: Health,
    indexer_health: Part,
    streams_health: Part,
    announcer_health: Part,
    /// Where it has an instance store.
    keeping: Option<Keeping>,
    /// There too.
    space: Option<(Removing, Purging)>,
    losses: Losses,
    acknowledgements: Acknowledgements,
    refusals: Refusals,
    metrics: IndexerMetrics,
    auditor: Auditor,
    /// SIGHUP, for which there is nothing to do.
    _rereading: Rereading,
}

impl Indexer {
    /// With its parts in `health`, not ready yet.
    ///
    /// # Errors
    /// When the senders file can't be read or understood, or the signal SIGHUP can't be taken.
    pub fn new(
        settings: &Settings,
        senders: &SendersSettings,
        store: &StoreSettings,
        audit: &AuditSettings,
        catalog: CatalogSettings,
        health: &Health,
        metrics: &Metrics,
    ) -> anyhow::Result<Self> {
        let (indexer_health, announcer_health) = (health.part("indexer"), health.part("announcer"));
        let senders = senders.read()?;
        let commitments =
            senders.senders.iter().any(|it| it.lists().any(|kind| kind == ListKind::Commitment));
        let senders = settings.senders(senders)?;
        let study_quiet_period = settings.study_quiet_period()?;
        let (ack_wait, history) = (settings.ack_wait, settings.history);
        let retention = settings.catalog_retention()?;
        let keeping = Keeping::of(store, health, metrics)?;
        let (store_retention, max_bytes) = (settings.store_retention()?, settings.store_max_bytes);
        ensure!(
            keeping.is_some() || store_retention.is_none() && max_bytes.is_none(),
            "STORE_RETENTION and STORE_MAX_BYTES are of no use without STORE_URL"
        );
        let removing = Removing::of(store, settings.store_remove_after, metrics)?;
        let space = removing.map(|it| (it, Purging::new(store_retention, max_bytes, metrics)));
        let auditor = Auditor::new(audit, Service::Indexer, &host_name(), metrics);
        let (refusals, metrics) = (metrics.refusals(), IndexerMetrics::registered(metrics));
        let losses = Losses::new(health.part("instances_stream"), metrics.clone());
        let acknowledgements = Acknowledgements::default();
        Ok(Self {
            senders,
            commitments,
            study_quiet_period,
            ack_wait,
            history,
            retention,
            catalog,
            health: health.clone(),
            indexer_health,
            streams_health: health.part("streams"),
            announcer_health,
            keeping,
            space,
            losses,
            acknowledgements,
            refusals,
            metrics,
            auditor,
            _rereading: Sighup::listen()?.reads_nothing("indexer"),
        })
    }

    /// With the URL by which clients reach the API, if that is known: events say where series are retrieved that are kept.
    #[must_use]
    pub fn with_public_url(self, public_url: Option<&Url>) -> Self {
        Self { keeping: self.keeping.map(|keeping| keeping.served_at(public_url)), ..self }
    }

    /// Whether the broker acknowledges its announcements.
    #[must_use]
    pub fn acknowledgements(&self) -> Acknowledgements {
        self.acknowledgements.clone()
    }

    /// Stands by while another indexer has the catalogue, then indexes, until told to stop. One whose lease another
    /// has taken, since it was stopped or hung for a while, stands by again.
    ///
    /// # Errors
    /// When the catalogue can't be made or brought up to this version, the broker won't keep the streams, or an
    /// indexer with another catalogue is on it.
    pub async fn run(
        self,
        nats: &Client,
        streams: &StreamSettings,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        let named = self.catalog.name()?;
        let what = || format!("cannot open {named} (see DATABASE_URL)");
        let mut parts = vec![&self.indexer_health, &self.announcer_health, &self.streams_health];
        parts.extend(self.keeping.as_ref().map(Keeping::health));
        loop {
            self.metrics.stands_by();
            self.keeping.iter().for_each(Keeping::stands_by);
            if let Some((removing, purging)) = &self.space {
                removing.stands_by();
                purging.stands_by();
            }
            self.health.describe(ROLE, "standby");
            let taken = standby::take_over(&self.catalog, &parts, &stop).await;
            let Some(catalog) = taken.with_context(what)? else { return Ok(()) };
            for part in &parts {
                part.not_ready("starting");
            }
            let keeping = self.keeping.as_ref();
            let has_store = keeping.is_some();
            let catalog = catalog
                .listing_to_keep(has_store)
                .listing_to_remove(has_store)
                .with_files_at(keeping.and_then(Keeping::service));
            let indexed = self.index(nats, streams, &catalog, &stop).await;
            catalog.close().await;
            match indexed? {
                Ended::Stopped => return Ok(()),
                Ended::Superseded(by) => {
                    tracing::warn!("another indexer has taken over ({by}): standing by");
                }
            }
        }
    }

    /// Indexes as the holder of the lease on the catalogue.
    async fn index(
        &self,
        nats: &Client,
        streams: &StreamSettings,
        catalog: &CatalogWriter,
        stop: &CancellationToken,
    ) -> anyhow::Result<Ended> {
        let jetstream = election::jetstream(nats.clone());
        let health = &self.indexer_health;
        if !stream::ensure_streams_eventually(&jetstream, streams, health, stop).await? {
            return Ok(Ended::Stopped);
        }
        let owner = lease::Owner::of(&catalog.lease());
        let Some(lease) = Lease::acquire(nats, owner, health, stop).await? else {
            return Ok(Ended::Stopped);
        };
        self.health.describe(ROLE, "active");

        self.metrics.active.set(1);
        let max_bytes = streams.instances_max_bytes.0;
        self.metrics.stream_max_bytes.set(i64::try_from(max_bytes).unwrap_or(i64::MAX));
        let (outbox_filled, announced) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let driver = Driver {
            nats: nats.clone(),
            lease: lease.clone(),
            catalog: catalog.clone(),
            senders: self.senders.clone(),
            commitments: self.commitments,
            study_quiet_period: self.study_quiet_period,
            ack_wait: self.ack_wait,
            outbox_filled: outbox_filled.clone(),
            health: self.indexer_health.clone(),
            losses: self.losses.clone(),
            refusals: self.refusals.clone(),
            metrics: self.metrics.clone(),
        };
        let announcer = Announcer {
            catalog: catalog.clone(),
            jetstream: jetstream.clone(),
            filled: outbox_filled.clone(),
            announced: announced.clone(),
            health: self.announcer_health.clone(),
            acknowledgements: self.acknowledgements.clone(),
            metrics: self.metrics.clone(),
            refusals: self.refusals.clone(),
        };
        // Whoever has lost the lease stops, as if told to.
        let stop = stop.child_token();
        // In memory of their own, each from where it is made: a future that is moved into another one takes its size in both,
        // and together they are more than the stack takes.
        let retention = Box::pin(async {
            if let Some(retention) = self.retention {
                let (catalog, nats) = (catalog.clone(), nats.clone());
                retention::run(catalog, nats, retention, outbox_filled.clone(), stop.clone()).await;
            }
        });
        let keeper = Box::pin(async {
            if let Some(keeping) = self.keeping.clone() {
                let (catalog, outbox_filled) = (catalog.clone(), outbox_filled.clone());
                let keeper = Keeper { keeping, catalog, announced, outbox_filled };
                keeper.run(stop.clone()).await;
            }
        });
        let space = Box::pin(async {
            if let Some((removing, purging)) = self.space.clone() {
                let remover = Remover { removing, catalog: catalog.clone(), nats: nats.clone() };
                let (catalog, nats) = (catalog.clone(), nats.clone());
                let purger =
                    Purger { purging, catalog, nats, outbox_filled: outbox_filled.clone() };
                tokio::join!(remover.run(stop.clone()), purger.run(stop.clone()));
            }
        });
        let (audited, guarded) = (jetstream.clone(), jetstream.clone());
        let (metrics, done) = (self.metrics.clone(), CancellationToken::new());
        let indexed = Box::pin(async {
            tokio::join!(
                Box::pin(driver.run(stop.clone())),
                Box::pin(announcer.run(stop.clone())),
                history::run(nats.clone(), jetstream, self.history, stop.clone()),
                lag_metrics::run(nats.clone(), catalog.clone(), metrics, stop.clone()),
                retention,
                keeper,
                space,
                stream::guard_streams(&guarded, streams, &self.streams_health, &stop),
            );
            done.cancel();
        });
        let kept = Box::pin(async {
            let kept = tokio::select! {
                kept = lease.keep(&done) => kept,
                by = standby::keep(catalog) => Ok(Ended::Superseded(by)),
            };
            stop.cancel();
            kept
        });
        let both = async { tokio::join!(indexed, kept).1 };
        self.auditor.run_audited(async { audited }, both).await
    }
}
