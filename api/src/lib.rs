//! The HTTP API over the catalogue: a folder for each resource, and the middleware around all of them.

pub mod asyncapi;
pub mod auth;
pub mod broker;
mod dashboard;
pub mod dead_letters;
pub mod deployment;
pub mod dicomweb;
pub mod events;
pub mod http;
mod middleware;
pub mod openapi;
pub mod receivers;
pub mod routes;
pub mod senders;
pub mod series;
pub mod server;
pub mod settings;
pub mod statistics;
pub mod stow;
pub mod studies;
pub mod webhooks;

use anyhow::Context as _;
use audit_export::Relay;
use auth::guard::Guard;
use broker::BrokerHandle;
use catalog::CatalogReader;
use contract::subject::Service;
use dicomweb::retrieve::InstanceStore;
use events::Events;
use poem::listener::TcpAcceptor;
use poem::{EndpointExt as _, Server};
use routes::{CATALOGUE, check_catalogue};
use server::aborts::Aborts;
use server::connections::LimitedAcceptor;
pub use settings::Settings;
use shared::audit::{AuditSettings, Auditor};
use shared::connection_limit::ConnectionLimit;
use shared::health::Health;
use shared::metrics::Metrics;
use shared::settings::host_name;
use shared::sighup::{Rereading, Sighup};
use shared::tls::Tls;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use store::Objects;
use stow::Stow;
use tokio::net::TcpListener;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use webhooks::Webhooks;

/// How long answers that have begun may take after a stop. Without a limit, one slow reader would
/// hold the process up for ever.
const DRAIN: Duration = Duration::from_secs(5);

/// How often to check that the catalogue can be read.
const CHECK_EVERY: Duration = Duration::from_secs(2);

/// The HTTP API, with its port open and nobody served yet.
#[derive(Debug)]
pub struct Api {
    listener: TcpListener,
    /// What to speak TLS with, and nothing else.
    tls: Option<Arc<Tls>>,
    settings: Settings,
    catalog: CatalogReader,
    store: InstanceStore,
    broker: BrokerHandle,
    webhooks: Webhooks,
    relay: Option<Relay>,
    stow: Stow,
    guard: Guard,
    auditor: Auditor,
    /// Reads files again on SIGHUP.
    _rereading: Rereading,
    health: Health,
    metrics: Metrics,
}

impl Api {
    /// Opens the port. The catalogue may come later: until then it answers 503. Without a store nothing can be
    /// retrieved.
    ///
    /// # Errors
    /// When it can't be listened on, or would answer just anybody, or a file of the settings is not
    /// understood.
    pub async fn bind(
        settings: &Settings,
        audit: &AuditSettings,
        catalog: CatalogReader,
        objects: Option<Objects>,
        health: Health,
        metrics: Metrics,
    ) -> anyhow::Result<Self> {
        let sighup = Sighup::listen()?;
        let auditor = Auditor::new(audit, Service::Api, &host_name(), &metrics);
        let guard = settings.guard()?;
        let broker = BrokerHandle::default();
        let webhooks = settings.webhooks_file.as_deref();
        let webhooks = Webhooks::new(webhooks, broker.clone(), &metrics)?;
        let relay = Relay::new(&settings.syslog, &metrics)?;
        let addr = settings.api_addr;
        let tls = settings.tls()?.map(Arc::new);
        if tls.is_none() && !settings.auth.insecure && !addr.ip().is_loopback() {
            tracing::warn!(
                "whoever is between {addr} and its clients can read patients' names and tokens: set \
                 API_TLS_CERT and API_TLS_KEY, or INSECURE=true where something in front speaks TLS"
            );
        }
        let listener = TcpListener::bind(addr).await.with_context(|| {
            format!("cannot listen on {addr} for HTTP; stop the other program or set API_ADDR")
        })?;
        let store = InstanceStore::new(objects, settings.public_url.clone());
        let settings = settings.clone();
        let again = (tls.is_some() || guard.asks_for_tokens()).then(|| {
            let (guard, tls) = (guard.clone(), tls.clone());
            move || {
                guard.reload();
                tls.iter().for_each(|tls| tls.again());
            }
        });
        Ok(Self {
            listener,
            tls,
            settings,
            catalog,
            store,
            broker,
            webhooks,
            relay,
            stow: Stow::default(),
            guard,
            auditor,
            _rereading: sighup.each("api", again),
            health,
            metrics,
        })
    }

    /// The same, which passes STOW-RS requests on.
    #[must_use]
    pub fn with_stow(self, stow: Stow) -> Self {
        Self { stow, ..self }
    }

    /// Its handle to NATS, to be connected when there is a connection. Everything but requests to the
    /// indexer does without.
    #[must_use]
    pub fn broker(&self) -> BrokerHandle {
        self.broker.clone()
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the operating system does not say.
    pub fn addr(&self) -> anyhow::Result<SocketAddr> {
        self.listener.local_addr().context("where the API listens")
    }

    /// How it is asked: `http`, or `https`.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// Serves until told to stop.
    ///
    /// # Errors
    /// When the port fails.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let acceptor = TcpAcceptor::from_tokio(self.listener).context("cannot serve HTTP")?;
        let part = self.health.part(CATALOGUE);
        let events = Events::new(self.broker.clone(), &self.settings, stop.clone());
        let (webhooks, guard, tls) = (self.webhooks.clone(), self.guard.clone(), self.tls);
        let (auditor, broker) = (self.auditor.clone(), self.broker.clone());
        let catalog = self.catalog.clone();
        let server = async {
            // Whatever ends the one ends the other.
            let _ended = stop.clone().drop_guard();
            let idle = self.settings.http_idle_timeout;
            let of_one = self.settings.max_http_connections_per_address;
            let aborts = Aborts::default();
            let connection_limit = ConnectionLimit::new(self.settings.max_http_connections, of_one);
            Server::new_with_acceptor(
                LimitedAcceptor::new(acceptor, connection_limit, idle)
                    .with_uploads(self.stow.uploads())
                    .over(tls.clone())
                    .aborting(aborts.clone()),
            )
            .idle_timeout(idle)
            .run_with_graceful_shutdown(
                routes::routes(
                    self.catalog,
                    &self.store,
                    self.broker,
                    events,
                    webhooks,
                    self.stow,
                    self.guard,
                    self.auditor,
                    self.health,
                    self.metrics,
                )
                .around(move |next, request| aborts.clone().watch(next, request)),
                stop.cancelled(),
                Some(DRAIN),
            )
            .await
            .context("the API ended")
        };
        let keeping = guard.keep(&stop);
        let relaying = async {
            if let Some(relay) = &self.relay {
                // Not in this one's own memory, which moves about on the stack.
                Box::pin(relay.run(broker.connected(), &stop)).await;
            }
        };
        let limit = self.settings.receiver_gone_after;
        let watching = async {
            if !limit.is_zero() {
                receivers::silence::watch(limit, &broker, &stop).await;
            }
        };
        let webhooks = self.webhooks.run(&catalog, &stop);
        // For GET /health and the metrics; /health/ready checks by itself.
        let checking = stop.run_until_cancelled(async {
            loop {
                check_catalogue(&catalog, &part).await;
                sleep(CHECK_EVERY).await;
            }
        });
        let served =
            async { tokio::join!(server, webhooks, keeping, relaying, watching, checking).0 };
        auditor.run_audited(async { broker.connected().await.clone() }, served).await
    }
}
