//! The receiver: a C-STORE and C-ECHO SCP that publishes one durable event per instance and says
//! Success only once the broker has it on disk.

pub mod admission;
pub mod association;
pub mod attributes;
pub mod broker;
pub mod dimse;
pub mod framer;
pub mod header;
pub mod heartbeat;
pub mod instance;
pub mod ledger;
pub mod listener;
pub mod occurrences;
pub mod patience;
pub mod publisher;
pub mod room;
pub mod settings;
pub mod shares;
pub mod text;
pub mod wire;

use anyhow::Context;
use association::Service;
use async_nats::Client;
use broker::Broker;
use occurrences::Occurrences;
use publisher::Publisher;
pub use settings::Settings;
use shared::acknowledgements::Acknowledgements;
use shared::health::{Health, Part};
use shared::metrics::{Metrics, Refusals};
use shared::settings::StreamSettings;
use shared::sources::{AllowList, SourcesSettings};
use shared::stream;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Log lines a second about what peers do wrong.
const TROUBLES_SAID: u32 = 20;

/// The receiver, with its port open and nobody served yet.
#[derive(Debug)]
pub struct Ingest {
    listener: TcpListener,
    settings: Settings,
    allow: AllowList,
    health: Part,
    acknowledgements: Acknowledgements,
    refusals: Refusals,
}

impl Ingest {
    /// Opens the port.
    ///
    /// # Errors
    /// When it can't be listened on, or the sources file can't be read or understood.
    pub async fn bind(
        settings: Settings,
        sources: &SourcesSettings,
        health: &Health,
        metrics: &Metrics,
    ) -> anyhow::Result<Self> {
        let (health, refusals) = (health.part("ingest"), metrics.refusals());
        let allow = sources.read()?.allow;
        let listener = TcpListener::bind(settings.dicom_addr).await.with_context(|| {
            let addr = settings.dicom_addr;
            format!("cannot listen on {addr} for DICOM; stop the other program or set DICOM_ADDR")
        })?;
        if allow.is_open() && !settings.dicom_addr.ip().is_loopback() {
            let addr = settings.dicom_addr;
            tracing::warn!(
                "whoever reaches {addr} may send: SOURCES_FILE names nobody to [[allow]]"
            );
        }
        let acknowledgements = Acknowledgements::default();
        Ok(Self { listener, settings, allow, health, acknowledgements, refusals })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the operating system does not say.
    pub fn addr(&self) -> anyhow::Result<SocketAddr> {
        self.listener.local_addr().context("where ingest listens")
    }

    /// Whether the broker acknowledges its events.
    #[must_use]
    pub fn acknowledgements(&self) -> Acknowledgements {
        self.acknowledgements.clone()
    }

    /// Serves associations until told to stop; then no new ones are accepted, the message that
    /// each has begun is finished and answered, and A-ABORT ends it.
    ///
    /// # Errors
    /// When the broker won't keep the streams.
    pub async fn run(
        self,
        nats: &Client,
        streams: &StreamSettings,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        let jetstream = async_nats::jetstream::new(nats.clone());
        if !stream::ensure_streams_eventually(&jetstream, streams, &self.health, &stop).await? {
            return Ok(());
        }
        let node_name = self.settings.node_name();
        tracing::info!(node_name, "this receiver's name");
        let timeout = self.settings.publish_timeout;
        let broker = Broker::new(self.health, self.acknowledgements);
        let service = Arc::new(Service {
            publisher: Publisher::new(jetstream, timeout, node_name.clone(), broker),
            settings: self.settings,
            allow: self.allow,
            node_name,
            refusals: self.refusals,
            rejections: Mutex::new(Occurrences::said_at_most(1)),
            patience: Mutex::default(),
            troubles: Mutex::new(Occurrences::said_at_most(TROUBLES_SAID)),
            stop,
        });
        // Callers are let in meanwhile; what they send waits for the start to be published.
        let started = service.publisher.start_eventually(&service.stop);
        let watched = service.publisher.watch(&service.stop);
        tokio::join!(listener::run(self.listener, service.clone()), started, watched);
        Ok(())
    }
}
