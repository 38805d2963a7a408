//! The way of audit messages from AUDIT to the repository, in order and at least once.
//!
//! A message is acknowledged to the broker when it was written and the connection has lasted for
//! [`HOLD`](super::unconfirmed::HOLD) since. When the connection ends before, what was not acknowledged is given
//! back, and comes again before anything newer. What can be lost is what the repository's machine has
//! acknowledged and its program has not read, when that one hangs for longer and dies.

use super::connection::Connection;
use super::message::Originator;
use super::metrics::SyslogMetrics;
use super::session::Session;
use super::settings::{Repository, SyslogSettings};
use super::tls::Tls;
use anyhow::Context as _;
use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::{AckPolicy, Consumer, DeliverPolicy, pull};
use shared::durable;
use shared::metrics::Metrics;
use shared::stream::{AUDIT, is_stream_not_found};
use std::time::Duration;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// The durable consumer of AUDIT.
const CONSUMER: &str = "syslog";

/// How long the broker waits for word of a message: longer than it may take to be written, and is held.
const ACK_WAIT: Duration = Duration::from_secs(20);

/// Messages that may be held at one time: more than a thousand a second, and of each a few hundred bytes.
const MAX_HELD: i64 = 10_000;

/// First and longest pause before it connects again.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// Sends audit messages to the repository.
#[derive(Debug)]
pub struct Relay {
    repository: Repository,
    tls: Tls,
    sender: Originator,
    metrics: SyslogMetrics,
}

impl Relay {
    /// To the repository of the settings, if there is one.
    ///
    /// # Errors
    /// When a file of the settings is not named, can't be read, or holds something else.
    pub fn new(settings: &SyslogSettings, metrics: &Metrics) -> anyhow::Result<Option<Self>> {
        let metrics = SyslogMetrics::registered(metrics);
        let relay =
            |(repository, tls)| Self { repository, tls, sender: Originator::here(), metrics };
        Ok(settings.read()?.map(relay))
    }

    /// Sends until told to stop, once there is a connection to NATS.
    pub async fn run<'a>(
        &self,
        connected: impl Future<Output = &'a Context>,
        stop: &CancellationToken,
    ) {
        let jetstream = tokio::select! {
            jetstream = connected => jetstream,
            () = stop.cancelled() => return,
        };
        let (mut pause, mut is_known, mut is_first) = (PAUSE.0, false, true);
        while !stop.is_cancelled() {
            let opened = tokio::select! {
                opened = self.open(jetstream, &mut is_first) => opened,
                () = stop.cancelled() => return,
            };
            let ended = match opened {
                Ok((consumer, connection)) => {
                    let (sender, metrics) = (&self.sender, &self.metrics);
                    let session = Session { consumer, connection, sender, metrics };
                    let has_lasted = || {
                        pause = PAUSE.0;
                        self.takes_messages(std::mem::replace(&mut is_known, false));
                    };
                    metrics.connected(true);
                    let ended = session.run(has_lasted, stop).await;
                    metrics.connected(false);
                    ended
                }
                Err(error) => Err(error),
            };
            if let Err(error) = ended
                // At the first start of all the stream comes only now.
                && !error.downcast_ref().is_some_and(is_stream_not_found)
            {
                self.takes_nothing(&error, !std::mem::replace(&mut is_known, true));
            }
            tokio::select! {
                () = sleep(pause.mul_f64(0.75 + fastrand::f64() / 2.0)) => {}
                () = stop.cancelled() => {}
            }
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    fn takes_nothing(&self, error: &anyhow::Error, is_news: bool) {
        let repository = &self.repository;
        match is_news {
            true => tracing::warn!(
                %repository,
                "audit messages do not reach the repository, and wait in {AUDIT}: {error:#}"
            ),
            false => tracing::debug!(%repository, "audit messages not sent yet: {error:#}"),
        }
    }

    fn takes_messages(&self, is_news: bool) {
        if is_news {
            let repository = &self.repository;
            tracing::info!(%repository, "audit messages reach the repository again");
        }
    }

    /// The consumer, made or brought up to date, and a connection for what it gives.
    async fn open(
        &self,
        jetstream: &Context,
        is_first: &mut bool,
    ) -> anyhow::Result<(Consumer<pull::Config>, Connection)> {
        let stream = jetstream.get_stream(AUDIT).await?;
        let wanted = pull::Config {
            durable_name: Some(CONSUMER.to_owned()),
            description: Some("sends audit messages to the Audit Record Repository".to_owned()),
            // A new repository gets all that is still there.
            deliver_policy: DeliverPolicy::All,
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACK_WAIT,
            max_ack_pending: MAX_HELD,
            ..pull::Config::default()
        };
        let consumer = durable::create(&stream, wanted).await.context("its consumer")?;
        let info = consumer.cached_info();
        self.metrics.waiting(info.num_pending + info.num_ack_pending as u64);
        if std::mem::replace(is_first, false) && info.num_ack_pending > 0 {
            // Of a process that was killed. The broker gives them out again after that time, and from then
            // on before anything newer.
            sleep(ACK_WAIT).await;
        }
        let connection = Connection::open(&self.repository, &self.tls).await?;
        Ok((consumer, connection))
    }
}
