//! `GET /events`: events as they happen (server-sent events).
//!
//! One reader tells all who listen, through one buffer of a fixed size; only who resumes reads the
//! streams for itself, until it has caught up. Nothing is kept for a listener: one that falls behind
//! the buffer is told so and dropped, and resumes.

mod feed;
mod filter;
mod listener;
pub mod operations;
mod progress;
mod reader;
pub(crate) mod recent;
mod replay;
mod sse_frame;

use crate::broker::BrokerHandle;
use crate::http::problem::Problem;
use crate::settings::Settings;
use feed::Feed;
use filter::Filter;
use listener::Listener;
use poem::http::StatusCode;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use reader::ListenerPermit;
use replay::{Missed, Replay};
use shared::election;
use sse_frame::EventPosition;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How often a listener hears that the connection still stands: proxies end one that is silent for
/// a minute. A listener that is gone is noticed by the second write that it does not take, and holds
/// its place until then. `HTTP_IDLE_TIMEOUT` may be short, and this is a third of it at most.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// Those who listen, and what they listen to. Clones are one.
#[derive(Debug, Clone)]
pub struct Events {
    broker: BrokerHandle,
    feed: Feed,
    permits: Arc<Semaphore>,
    most: u32,
    keep_alive: Duration,
    stop: CancellationToken,
}

impl Events {
    /// The events of this broker. Every listener is let go with `stop`: one that stayed
    /// would hold the stop up.
    #[must_use]
    pub fn new(broker: BrokerHandle, settings: &Settings, stop: CancellationToken) -> Self {
        let most = settings.max_event_subscribers;
        Self {
            broker,
            feed: Feed::new(stop.clone()),
            permits: Arc::new(Semaphore::new(most as usize)),
            most,
            keep_alive: KEEP_ALIVE.min(settings.http_idle_timeout / 3),
            stop,
        }
    }

    /// Lets somebody listen.
    ///
    /// # Errors
    /// 503 when there is no room, or the broker is away.
    async fn listen(
        &self,
        filter: Filter,
        last: Option<EventPosition>,
    ) -> Result<Listener, Problem> {
        let Ok(permit) = self.permits.clone().try_acquire_owned().map(ListenerPermit::new) else {
            let most = self.most;
            return Err(unavailable(&format!("{most} are listening, as many as may")));
        };
        let jetstream = self.broker.connection().map_err(|error| away(&error.to_string()))?;
        // In a cluster it waits for the end of an election.
        let deadline = Instant::now() + self.broker.timeout();
        let listen = election::until(deadline, || async {
            // Asked first, and each time: a reader notices only later that the broker is away.
            reader::look(jetstream, reader::Stream::Series).await?;
            let frames = self.feed.listen(jetstream).await;
            // Listening already, so that nothing is lost between what was missed and what comes.
            let missed = match last {
                Some(last) => Some(Replay::after(jetstream, last, &permit).await?),
                None => None,
            };
            anyhow::Ok((frames, missed))
        });
        let listening = tokio::select! {
            listening = listen => listening,
            () = self.stop.cancelled() => return Err(unavailable("the service is stopping")),
        };
        let (frames, missed) = listening.map_err(|error| away(&format!("{error:#}")))?;
        let mut listener =
            Listener::new(frames, filter, self.keep_alive, self.stop.clone(), permit);
        match missed {
            Some(Missed::Kept(replay)) => listener.catch_up(replay),
            Some(Missed::Unknown(why)) => listener.tell_of_gap(why),
            None => {}
        }
        Ok(listener)
    }
}

/// How many listen.
impl Collector for Events {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let listening = u64::from(self.most) - self.permits.available_permits() as u64;
        let (name, help) = ("collimator_event_listeners", "Who listens to GET /events.");
        let gauge = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        ConstGauge::new(listening).encode(gauge)
    }
}

fn away(reason: &str) -> Problem {
    tracing::warn!(reason, "event stream unavailable");
    unavailable(&format!("events can't be read: {reason}; see that NATS runs, and try again"))
}

fn unavailable(detail: &str) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
}
