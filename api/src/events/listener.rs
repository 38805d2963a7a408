//! One who listens, and what it is sent.

use super::catching_up::CatchingUp;
use super::filter::Filter;
use super::reader::{Room, Stream};
use super::told::{self, Told};
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{broadcast, broadcast::error::RecvError};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

/// The first thing that is sent: how long a browser waits before it connects again, in ms.
const RETRY: &str = "retry: 2000\n\n";

/// A comment, which readers skip.
const KEEP_ALIVE: &str = ": still here\n\n";

/// One who listens.
pub(super) struct Listener {
    told: broadcast::Receiver<Arc<Told>>,
    filter: Filter,
    /// To be sent before anything else.
    first: VecDeque<Bytes>,
    catching_up: Option<CatchingUp>,
    /// How far it has caught up in each stream: the rest of it is no news when it is told.
    caught_up: [u64; 2],
    keep_alive: Interval,
    stop: CancellationToken,
    ended: bool,
    _room: Room,
}

impl Listener {
    pub(super) fn new(
        told: broadcast::Receiver<Arc<Told>>,
        filter: Filter,
        keep_alive: Duration,
        stop: CancellationToken,
        room: Room,
    ) -> Self {
        let mut keep_alive = interval_at(Instant::now() + keep_alive, keep_alive);
        keep_alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            told,
            filter,
            first: VecDeque::from([Bytes::from_static(RETRY.as_bytes())]),
            catching_up: None,
            caught_up: [0, 0],
            keep_alive,
            stop,
            ended: false,
            _room: room,
        }
    }

    /// Is to be sent what it missed first.
    pub(super) fn catch_up(&mut self, missed: CatchingUp) {
        self.catching_up = Some(missed);
    }

    /// Is to know that it missed something, and why it isn't told what.
    pub(super) fn tell_of_gap(&mut self, why: &str) {
        let detail =
            format!("{why}: ask /series for what you may have missed; what comes now is told");
        self.first.push_back(told::gap(&detail));
    }

    /// What is sent next; `None` at the end.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        if let Some(first) = self.first.pop_front() {
            return Some(first);
        }
        while !self.ended {
            let stop = self.stop.clone();
            tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                sent = self.event() => if let Some(sent) = sent {
                    self.keep_alive.reset();
                    return Some(sent);
                },
            }
        }
        None
    }

    /// Waits for the next event; `None` for one that is not for it.
    async fn event(&mut self) -> Option<Bytes> {
        if let Some(missed) = &mut self.catching_up {
            match missed.next().await {
                Ok(Some(told)) => return self.caught(&told),
                Ok(None) => self.catching_up = None,
                Err(error) => {
                    tracing::warn!("catching up broke off: {error:#}");
                    self.ended = true;
                }
            }
            return None;
        }
        tokio::select! {
            told = self.told.recv() => match told {
                Ok(told) => (self.is_news(&told) && self.filter.takes(&told)).then(|| told.text.clone()),
                Err(RecvError::Lagged(missed)) => {
                    self.ended = true;
                    Some(told::dropped(missed))
                }
                Err(RecvError::Closed) => {
                    self.ended = true;
                    None
                }
            },
            _ = self.keep_alive.tick() => Some(Bytes::from_static(KEEP_ALIVE.as_bytes())),
        }
    }

    fn caught(&mut self, told: &Told) -> Option<Bytes> {
        if let Some(place) = told.place {
            self.caught_up[index(place.stream)] = place.sequence;
        }
        self.filter.takes(told).then(|| told.text.clone())
    }

    /// Whether it was not told when it caught up.
    fn is_news(&self, told: &Told) -> bool {
        told.place.is_none_or(|place| place.sequence > self.caught_up[index(place.stream)])
    }
}

fn index(stream: Stream) -> usize {
    match stream {
        Stream::Instances => 0,
        Stream::Series => 1,
    }
}
