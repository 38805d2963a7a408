//! One listener of `GET /events`, and the frames that it is sent.

use super::filter::Filter;
use super::reader::{ListenerPermit, Stream};
use super::replay::Replay;
use super::sse_frame::{self, SseFrame};
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
    frames: broadcast::Receiver<Arc<SseFrame>>,
    filter: Filter,
    /// To be sent before anything else.
    first: VecDeque<Bytes>,
    replay: Option<Replay>,
    /// How far it has caught up in each stream: the rest of it is no news when it is told.
    caught_up: [u64; 2],
    /// Whether it was told late that a series opened.
    opened_late: bool,
    keep_alive: Interval,
    stop: CancellationToken,
    ended: bool,
    _permit: ListenerPermit,
}

impl Listener {
    pub(super) fn new(
        frames: broadcast::Receiver<Arc<SseFrame>>,
        filter: Filter,
        keep_alive: Duration,
        stop: CancellationToken,
        permit: ListenerPermit,
    ) -> Self {
        let mut keep_alive = interval_at(Instant::now() + keep_alive, keep_alive);
        keep_alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            frames,
            filter,
            first: VecDeque::from([Bytes::from_static(RETRY.as_bytes())]),
            replay: None,
            caught_up: [0, 0],
            opened_late: false,
            keep_alive,
            stop,
            ended: false,
            _permit: permit,
        }
    }

    /// Is to be sent what it missed first.
    pub(super) fn catch_up(&mut self, missed: Replay) {
        self.replay = Some(missed);
    }

    /// Is to know that it missed something, and why it isn't told what.
    pub(super) fn tell_of_gap(&mut self, why: &str) {
        let detail =
            format!("{why}: ask /series for what you may have missed; what comes now is told");
        self.first.push_back(sse_frame::gap(&detail));
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
        if let Some(missed) = &mut self.replay {
            match missed.next().await {
                Ok(Some(frame)) => return self.caught(&frame),
                Ok(None) => self.replay = None,
                Err(error) => {
                    tracing::warn!("replay of missed events failed: {error:#}");
                    self.ended = true;
                }
            }
            return None;
        }
        tokio::select! {
            frame = self.frames.recv() => match frame {
                Ok(frame) => self.live(&frame),
                Err(RecvError::Lagged(missed)) => {
                    self.ended = true;
                    Some(sse_frame::dropped(missed))
                }
                Err(RecvError::Closed) => {
                    self.ended = true;
                    None
                }
            },
            _ = self.keep_alive.tick() => Some(Bytes::from_static(KEEP_ALIVE.as_bytes())),
        }
    }

    fn caught(&mut self, frame: &SseFrame) -> Option<Bytes> {
        if let Some(position) = frame.position {
            self.caught_up[index(position.stream)] = position.sequence;
        }
        self.filter.takes(frame).then(|| frame.text.clone())
    }

    /// An event as it happens, or as it happened while this one caught up.
    fn live(&mut self, frame: &SseFrame) -> Option<Bytes> {
        if !self.filter.takes(frame) {
            return None;
        }
        if self.is_news(frame) {
            return Some(frame.text.clone());
        }
        // A series that opened meanwhile is told only here. Then its completion follows once more:
        // else it would seem to be open still.
        self.opened_late |= !frame.is_replayed;
        self.opened_late.then(|| frame.without_id())
    }

    /// Whether it was not told when it caught up.
    fn is_news(&self, frame: &SseFrame) -> bool {
        frame
            .position
            .is_none_or(|position| position.sequence > self.caught_up[index(position.stream)])
    }
}

fn index(stream: Stream) -> usize {
    match stream {
        Stream::Instances => 0,
        Stream::Series => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::sse_frame::EventPosition;
    use tokio::sync::Semaphore;

    fn frame(stream: Stream, sequence: u64, name: &str) -> Arc<SseFrame> {
        Arc::new(SseFrame {
            position: Some(EventPosition { stream, sequence }),
            is_replayed: name != "series.opened",
            modality: None,
            calling_ae_title: None,
            text: Bytes::from(format!("id: {}:{sequence}\nevent: {name}\n\n", stream.name())),
        })
    }

    #[tokio::test]
    async fn a_series_that_opened_while_it_caught_up_is_told_and_does_not_seem_open_for_ever() {
        let (tell, listen) = broadcast::channel(8);
        let permit =
            ListenerPermit::new(Arc::new(Semaphore::new(1)).acquire_owned().await.unwrap());
        let filter = Filter::read(&[]).unwrap();
        let stop = CancellationToken::new();
        let mut listener = Listener::new(listen, filter, Duration::from_secs(60), stop, permit);
        // It has caught up with all of this but the last.
        listener.caught_up = [10, 5];
        for (stream, sequence, name) in [
            (Stream::Instances, 8, "association.opened"),
            (Stream::Instances, 9, "series.opened"),
            (Stream::Instances, 10, "association.released"),
            (Stream::Series, 5, "series.completed"),
            (Stream::Series, 6, "series.completed"),
        ] {
            tell.send(frame(stream, sequence, name)).unwrap();
        }
        drop(tell);
        let mut sent = Vec::new();
        while let Some(text) = listener.next().await {
            sent.push(String::from_utf8(text.to_vec()).unwrap());
        }
        let expected = [
            RETRY,
            "event: series.opened\n\n",
            "event: association.released\n\n",
            "event: series.completed\n\n",
            "id: SERIES:6\nevent: series.completed\n\n",
        ];
        assert_eq!(sent, expected);
    }
}
