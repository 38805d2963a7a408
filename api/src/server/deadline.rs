//! How long a connection may go on without anything coming of it.

use super::request_head::HeadEnd;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};

/// The limits of one connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// From one time that something was sent to the next.
    pub(super) silence: Duration,
    /// From the first byte of a request, and at first from the beginning, to the end of its head.
    pub(super) head: Duration,
}

/// Ends a connection that breaks a limit. The server ends one that is idle between requests, but waits for
/// the end of a request that has begun, which may never come.
pub(super) struct Deadline {
    limits: Limits,
    sent: Instant,
    /// When the head that is being read began.
    head: Option<(Instant, HeadEnd)>,
    is_whole: bool,
    /// Fires at the earliest end that was known when it was set.
    alarm: Pin<Box<Sleep>>,
}

impl Deadline {
    pub(super) fn new(limits: Limits) -> Self {
        let now = Instant::now();
        let alarm = Box::pin(sleep_until(now + limits.silence.min(limits.head)));
        let head = Some((now, HeadEnd::default()));
        Self { limits, sent: now, head, is_whole: false, alarm }
    }

    /// Something was sent; what comes next is another request.
    pub(super) fn sent(&mut self) {
        self.sent = Instant::now();
        (self.head, self.is_whole) = (None, false);
    }

    /// Something was received.
    pub(super) fn received(&mut self, bytes: &[u8]) {
        if self.is_whole || bytes.is_empty() {
            return;
        }
        let begins = self.head.is_none();
        let (_, end) = self.head.get_or_insert_with(|| (Instant::now(), HeadEnd::default()));
        if end.find(bytes).is_some() {
            (self.head, self.is_whole) = (None, true);
        } else if begins {
            let end = self.end();
            self.alarm.as_mut().reset(end);
        }
    }

    /// Ready once a limit is broken. None is while something is being uploaded.
    pub(super) fn poll_ended(
        &mut self,
        context: &mut Context<'_>,
        is_uploading: impl Fn() -> bool,
    ) -> Poll<()> {
        while self.alarm.as_mut().poll(context).is_ready() {
            let (now, end) = (Instant::now(), self.end());
            let next = match end <= now {
                true if is_uploading() => now + self.limits.silence,
                true => return Poll::Ready(()),
                false => end,
            };
            self.alarm.as_mut().reset(next);
        }
        Poll::Pending
    }

    fn end(&self) -> Instant {
        let silence = self.sent + self.limits.silence;
        self.head.map_or(silence, |(since, _)| silence.min(since + self.limits.head))
    }
}
