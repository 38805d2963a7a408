//! The receiver: a C-STORE and C-ECHO SCP that publishes one durable event per instance and says
//! Success only once the broker has it on disk.

mod acr_nema;
pub mod admission;
pub mod association;
pub mod attributes;
pub mod auditing;
pub mod broker;
pub mod certificate;
pub mod header;
pub mod heartbeat;
pub mod identification;
pub mod instance;
pub mod ledger;
pub mod listener;
pub mod metrics;
pub mod occurrences;
pub mod pseudonyms;
pub mod publish_refused;
pub mod publisher;
pub mod rejection_limit;
pub mod settings;
pub mod shares;
pub mod text;
pub mod tls;
pub mod transfers;

use anyhow::Context;
use association::Service;
use async_nats::Client;
use broker::Broker;
use contract::subject::Service as Speaker;
use identification::Identification;
use listener::Ports;
use metrics::IngestMetrics;
use occurrences::Occurrences;
use pseudonyms::Pseudonyms;
use publisher::Publisher;
pub use settings::Settings;
use shared::acknowledgements::Acknowledgements;
use shared::audit::{AuditSettings, Auditor};
use shared::hangup::{Hangup, Rereading};
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
    ports: Ports,
    /// Reads the certificates again on SIGHUP.
    _rereading: Rereading,
    settings: Settings,
    allow: AllowList,
    pseudonyms: Option<Pseudonyms>,
    health: Part,
    acknowledgements: Acknowledgements,
    refusals: Refusals,
    metrics: IngestMetrics,
    auditor: Auditor,
}

impl Ingest {
    /// Opens the ports.
    ///
    /// # Errors
    /// When one can't be listened on, or the sources file, the certificates or the key of the pseudonyms
    /// can't be read or understood.
    pub async fn bind(
        settings: Settings,
        sources: &SourcesSettings,
        audit: &AuditSettings,
        health: &Health,
        metrics: &Metrics,
    ) -> anyhow::Result<Self> {
        let hangup = Hangup::listen()?;
        let auditor = Auditor::new(audit, Speaker::Ingest, &settings.node_name(), metrics);
        let (health, refusals) = (health.part("ingest"), metrics.refusals());
        let allow = sources.read()?.allow;
        settings.check(&allow)?;
        let pseudonyms = settings.pseudonyms.read()?;
        if pseudonyms.is_some() {
            tracing::info!("patients are called by pseudonyms");
        }
        let mut ports = Ports::default();
        if let Some(addr) = settings.dicom_addr.0 {
            ports.plain = Some(listen(addr, "DICOM_ADDR").await?);
            warn_if_open(addr, &allow);
        }
        if let (Some(addr), Some(tls)) = (settings.tls.dicom_tls_addr, settings.tls.read()?) {
            if !tls.asks_for_certificates() {
                warn_if_open(addr, &allow);
            }
            ports.tls = Some((listen(addr, "DICOM_TLS_ADDR").await?, Arc::new(tls)));
        }
        let again = ports.tls.as_ref().map(|(_, tls)| {
            let tls = tls.clone();
            move || tls.again()
        });
        let acknowledgements = Acknowledgements::default();
        let metrics = IngestMetrics::registered(metrics);
        Ok(Self {
            ports,
            _rereading: hangup.each("ingest", again),
            settings,
            allow,
            pseudonyms,
            health,
            acknowledgements,
            refusals,
            metrics,
            auditor,
        })
    }

    /// Where it listens for plain DICOM, if it does.
    ///
    /// # Errors
    /// When the operating system does not say.
    pub fn addr(&self) -> anyhow::Result<Option<SocketAddr>> {
        let addr = self.ports.plain.as_ref().map(TcpListener::local_addr).transpose();
        addr.context("where ingest listens")
    }

    /// Where it listens for DICOM over TLS, if it does.
    ///
    /// # Errors
    /// When the operating system does not say.
    pub fn tls_addr(&self) -> anyhow::Result<Option<SocketAddr>> {
        let addr = self.ports.tls.as_ref().map(|(listener, _)| listener.local_addr()).transpose();
        addr.context("where ingest listens for TLS")
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
        let (auditor, audited) = (self.auditor.clone(), jetstream.clone());
        let service = Arc::new(Service {
            publisher: Publisher::new(
                jetstream,
                timeout,
                node_name.clone(),
                broker,
                self.metrics.acknowledged_after.clone(),
            ),
            settings: self.settings,
            allow: self.allow,
            identification: Identification::new()?,
            pseudonyms: self.pseudonyms,
            node_name,
            refusals: self.refusals,
            metrics: self.metrics,
            auditor: self.auditor,
            rejections: Mutex::new(Occurrences::said_at_most(1)),
            rejection_limit: Mutex::default(),
            troubles: Mutex::new(Occurrences::said_at_most(TROUBLES_SAID)),
            stop,
        });
        // Callers are let in meanwhile; what they send waits for the start to be published.
        let started = service.publisher.start_eventually(&service.stop);
        let watched = service.publisher.watch(&service.stop);
        let served = async {
            tokio::join!(listener::run(self.ports, service.clone()), started, watched);
        };
        auditor.attend(async { audited }, served).await;
        Ok(())
    }
}

async fn listen(addr: SocketAddr, setting: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(addr).await.with_context(|| {
        format!("cannot listen on {addr} for DICOM; stop the other program or set {setting}")
    })
}

fn warn_if_open(addr: SocketAddr, allow: &AllowList) {
    if allow.is_open() && !addr.ip().is_loopback() {
        tracing::warn!("whoever reaches {addr} may send: SOURCES_FILE names nobody to [[allow]]");
    }
}
