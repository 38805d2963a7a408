//! The receiver: a C-STORE and C-ECHO SCP that publishes one durable event per instance and says
//! Success only once the broker has it on disk.

mod announced;
mod asking;
mod association;
mod audit;
mod data_set;
mod errands;
mod instance;
mod intake;
mod listing;
mod log_limit;
mod metrics;
mod negotiation;
mod publish;
mod reports;
mod server;
mod settings;
mod sink;
mod stow;

use anyhow::Context;
use asking::{Asker, Fetcher};
use async_nats::Client;
use contract::subject::Service;
pub use instance::pseudonyms::Pseudonyms;
use intake::Intake;
use listing::{Listing, Reporter};
use negotiation::negotiator::Negotiator;
use publish::health::PublishHealth;
use publish::publisher::Publisher;
use reports::Reports;
use server::connection::Reception;
use server::listener::{self, Ports};
pub use settings::Settings;
use shared::acknowledgements::Acknowledgements;
use shared::audit::{AuditSettings, Auditor};
use shared::connection_limit::ConnectionLimit;
use shared::health::{Health, Part};
use shared::metrics::Metrics;
use shared::nodes::{AE_TITLE, DICOM_PORT, DICOM_TLS_PORT, NODE_NAME};
use shared::senders::{AllowList, SendersFile, SendersSettings};
use shared::settings::StreamSettings;
use shared::shutdown::Shutdown;
use shared::sighup::{Rereading, Sighup};
use shared::stow::StowToken;
use shared::stream;
use sink::Sink;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use stow::StowPort;
pub use stow::StowSettings;
use tokio::net::TcpListener;

/// What `fuzz/`, `bench/` and `tests/` call of the receiver. No service uses it.
pub mod internals {
    pub use crate::data_set::attributes::{WANTED, decode};
    pub use crate::data_set::header;
    pub use crate::negotiation::admission::admit;
}

/// The receiver, with its port open and nobody served yet.
#[derive(Debug)]
pub struct Ingest {
    ports: Ports,
    stow: Option<StowPort>,
    /// Reads the certificates again on SIGHUP.
    _rereading: Rereading,
    settings: Settings,
    allow: AllowList,
    /// Asks sources, if any can be asked.
    asker: Option<Asker>,
    /// Fetches from sources, if any can be fetched from.
    fetcher: Option<Fetcher>,
    /// Who may list instances.
    listing: Listing,
    /// Reports on requests for storage commitment, if there can be any.
    reporter: Option<Reporter>,
    pseudonyms: Option<Pseudonyms>,
    sink: Sink,
    /// Calling AE titles whose instances are not kept.
    not_kept: HashSet<String>,
    health: Health,
    publishing: Part,
    acknowledgements: Acknowledgements,
    reports: Reports,
}

impl Ingest {
    /// Opens the ports.
    ///
    /// # Errors
    /// When one can't be listened on, the senders file, the certificates or the key of the pseudonyms can't be read or
    /// understood, or the instance store can't be used.
    pub async fn bind(
        settings: Settings,
        senders: &SendersSettings,
        audit: &AuditSettings,
        health: &Health,
        metrics: &Metrics,
    ) -> anyhow::Result<Self> {
        let sighup = Sighup::listen()?;
        let auditor = Auditor::new(audit, Service::Ingest, &settings.node_name(), metrics);
        let publishing = health.part("ingest");
        health.describe(NODE_NAME, settings.node_name());
        let SendersFile { allow, senders } = senders.read()?;
        settings.check(&allow)?;
        let not_kept = senders.iter().filter(|it| !it.keep).map(|it| it.ae_title.clone()).collect();
        let listing = Listing::of(&senders);
        let reporter = Reporter::of(&listing, &settings, metrics);
        let asker = Asker::of(&senders, &settings, metrics)?;
        let fetcher = Fetcher::of(&senders, &settings, metrics)?;
        let pseudonyms = settings.pseudonyms.read()?;
        if pseudonyms.is_some() {
            tracing::info!("pseudonymisation is on");
        }
        let sink = Sink::open(&settings.store, settings.node_name(), health, metrics).await?;
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
        let reports = Reports::new(metrics, auditor);
        let ingest = Self {
            ports,
            stow: None,
            _rereading: sighup.each("ingest", again),
            settings,
            allow,
            asker,
            fetcher,
            listing,
            reporter,
            pseudonyms,
            sink,
            not_kept,
            health: health.clone(),
            publishing,
            acknowledgements,
            reports,
        };
        ingest.describe()?;
        Ok(ingest)
    }

    /// Tells other nodes how to send to this one.
    fn describe(&self) -> anyhow::Result<()> {
        self.health.describe(AE_TITLE, &*self.settings.ae_title);
        for (what, addr) in [(DICOM_PORT, self.addr()?), (DICOM_TLS_PORT, self.tls_addr()?)] {
            if let Some(addr) = addr {
                self.health.describe(what, addr.port().to_string());
            }
        }
        Ok(())
    }

    /// Opens a port for STOW-RS as well, for those who have the token. Returns where it is.
    ///
    /// # Errors
    /// When it can't be listened on.
    pub async fn listen_for_stow(
        &mut self,
        addr: SocketAddr,
        token: StowToken,
    ) -> anyhow::Result<SocketAddr> {
        let port = StowPort::bind(addr, token).await?;
        let addr = port.addr()?;
        self.stow = Some(port);
        Ok(addr)
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

    /// Serves associations until told to drain; then it is not ready and no new ones are accepted. Once told to stop,
    /// the message that each has begun is finished and answered, and A-ABORT ends it. When none is left everything is
    /// told to stop.
    ///
    /// # Errors
    /// When the broker won't keep the streams.
    pub async fn run(
        self,
        nats: &Client,
        streams: &StreamSettings,
        shutdown: Shutdown,
    ) -> anyhow::Result<()> {
        let Shutdown { draining, stop } = shutdown;
        let jetstream = async_nats::jetstream::new(nats.clone());
        if !stream::ensure_streams_eventually(&jetstream, streams, &self.publishing, &draining)
            .await?
        {
            stop.cancel();
            return Ok(());
        }
        let node_name = self.settings.node_name();
        tracing::info!(node_name, "ingest starting");
        let (settings, reports) = (Arc::new(self.settings), self.reports);
        let (auditor, audited) = (reports.auditor.clone(), jetstream.clone());
        let (asker, fetcher, reporter) = (self.asker, self.fetcher, self.reporter);
        let taking = jetstream.clone();
        let sink = self.sink.clone();
        let publisher = Arc::new(Publisher::new(
            jetstream,
            settings.publish_timeout(streams),
            node_name.clone(),
            PublishHealth::new(self.publishing, self.acknowledgements),
            reports.metrics.acknowledged_after.clone(),
        ));
        let limit =
            ConnectionLimit::new(settings.max_associations, settings.max_associations_per_peer);
        let reception = Arc::new(Reception {
            negotiator: Negotiator::new(
                settings.clone(),
                node_name,
                self.allow,
                self.listing.clone(),
                publisher.clone(),
                reports.clone(),
            )?,
            intake: Intake {
                settings: settings.clone(),
                pseudonyms: self.pseudonyms,
                sink: self.sink,
                not_kept: self.not_kept,
                publisher: publisher.clone(),
                listing: self.listing,
                reports: reports.clone(),
                stop: stop.clone(),
            },
            limit,
            settings,
            reports,
        });
        // Callers are let in meanwhile; what they send waits for the start to be published.
        let started = publisher.start_eventually(&stop);
        let watched = publisher.watch(&stop);
        let store_watched = sink.watch(&stop);
        let asked = async {
            if let Some(asker) = asker {
                asker.run(&taking, &stop).await;
            }
        };
        let reported = async {
            if let Some(reporter) = reporter {
                reporter.run(&taking, &stop).await;
            }
        };
        let fetched = async {
            if let Some(fetcher) = fetcher {
                fetcher.run(&taking, &reception, &stop).await;
            }
        };
        let served = async {
            let listened = async {
                let close = async {
                    draining.cancelled().await;
                    // So answers /health/ready while the associations that are open end; the ports close at once.
                    self.health.part("draining").not_ready("no new associations are accepted");
                };
                let stow = async {
                    if let Some(port) = self.stow {
                        port.run(reception.clone(), draining.cancelled()).await;
                    }
                };
                tokio::join!(listener::run(self.ports, reception.clone(), close), stow);
                // What watches for outages of the broker has nobody to watch for any more.
                stop.cancel();
            };
            tokio::join!(listened, started, watched, store_watched, asked, fetched, reported);
        };
        auditor.run_audited(async { audited }, served).await;
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
