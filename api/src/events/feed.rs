//! The one reader of both streams for all listeners: it turns events into SSE frames, and reads only while
//! somebody listens.

use super::progress::{Completion, Instance, ProgressTracker};
use super::reader::{Delivery, Reader, Stream, look};
use super::sse_frame::{EventPosition, SseFrame};
use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::DeliverPolicy;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{broadcast, watch};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

/// Events that a listener may be behind. One who is further behind is dropped.
pub(super) const BUFFERED: usize = 1024;

/// How often progress is told, and of how many series each time: two hundred a second in all.
const PROGRESS_TICK: Duration = Duration::from_millis(250);
const PROGRESS_AT_ONCE: usize = 50;

/// How long it goes on reading for nobody: a browser that loads its page again comes back.
const LINGER: Duration = Duration::from_secs(10);

/// Pause before it begins again after a failure.
const PAUSE: Duration = Duration::from_secs(1);

/// What series are seen to arrive by.
const STORED: &str = "dicom.instance.stored.>";

/// What all who listen share. Clones are one.
#[derive(Debug, Clone)]
pub(super) struct Feed {
    frames: broadcast::Sender<Arc<SseFrame>>,
    /// Whether it reads: from then on a listener misses nothing.
    reads: watch::Sender<bool>,
    runs: Arc<Mutex<bool>>,
    stop: CancellationToken,
}

/// How far it has come.
#[derive(Debug, Default)]
struct Progress {
    tracker: ProgressTracker,
    instances: Option<u64>,
    series: Option<u64>,
}

impl Feed {
    /// One that ends with `stop`.
    pub(super) fn new(stop: CancellationToken) -> Self {
        let (frames, reads) = (broadcast::Sender::new(BUFFERED), watch::Sender::new(false));
        Self { frames, reads, runs: Arc::default(), stop }
    }

    /// Listens to all that is told from now on; waits until something can be.
    pub(super) async fn listen(&self, jetstream: &Context) -> broadcast::Receiver<Arc<SseFrame>> {
        let listener = self.frames.subscribe();
        self.start(jetstream);
        // It can't fail: the sender is in `self`.
        let _ = self.reads.subscribe().wait_for(|reads| *reads).await;
        listener
    }

    fn start(&self, jetstream: &Context) {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        if !*runs {
            *runs = true;
            tokio::spawn(self.clone().run(jetstream.clone()));
        }
    }

    /// Reads until nobody listens any more, or told to stop.
    async fn run(self, jetstream: Context) {
        let mut progress = Progress::default();
        let read = async {
            while let Err(error) = self.read(&jetstream, &mut progress).await {
                self.reads.send_replace(false);
                tracing::warn!(
                    "cannot read events; they are published to listeners later: {error:#}"
                );
                sleep(PAUSE).await;
                if self.ends() {
                    return;
                }
            }
        };
        tokio::select! {
            () = read => {}
            () = self.stop.cancelled() => {}
        }
    }

    async fn read(&self, jetstream: &Context, progress: &mut Progress) -> anyhow::Result<()> {
        let mut instances =
            open(jetstream, Stream::Instances, &[STORED], &mut progress.instances).await?;
        let mut series = open(jetstream, Stream::Series, &[], &mut progress.series).await?;
        self.reads.send_replace(true);
        let mut ticks = interval(PROGRESS_TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut alone_since = None;
        loop {
            tokio::select! {
                delivery = instances.next() => self.of_instances(progress, &delivery?),
                delivery = series.next() => self.of_series(progress, &delivery?),
                _ = ticks.tick() => {
                    let now = Instant::now();
                    for seen in progress.tracker.progress(now, PROGRESS_AT_ONCE) {
                        self.send(SseFrame::progress(&seen));
                    }
                    if self.frames.receiver_count() > 0 {
                        alone_since = None;
                    } else if now - *alone_since.get_or_insert(now) >= LINGER && self.ends() {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn of_instances(&self, progress: &mut Progress, delivery: &Delivery) {
        let Delivery { sequence, message, .. } = delivery;
        let (subject, payload) = (message.subject.as_str(), message.payload.as_ref());
        let position = EventPosition { stream: Stream::Instances, sequence: *sequence };
        progress.instances = Some(*sequence);
        if let Some(frame) = SseFrame::published(position, subject, payload) {
            progress.tracker.reached(*sequence);
            self.send(frame);
        } else if let Ok(instance) = serde_json::from_slice::<Instance>(payload)
            && let Some(seen) = progress.tracker.stored(*sequence, &instance, Instant::now())
        {
            self.send(SseFrame::opened(position, &seen));
        }
    }

    fn of_series(&self, progress: &mut Progress, delivery: &Delivery) {
        let Delivery { sequence, message, .. } = delivery;
        let position = EventPosition { stream: Stream::Series, sequence: *sequence };
        progress.series = Some(*sequence);
        if let Ok(completion) = serde_json::from_slice::<Completion>(&message.payload)
            && let Some(rest) = progress.tracker.completed(&completion, Instant::now())
        {
            self.send(SseFrame::progress(&rest));
        }
        if let Some(frame) = SseFrame::published(position, &message.subject, &message.payload) {
            self.send(frame);
        }
    }

    fn send(&self, frame: SseFrame) {
        // It fails when nobody listens, which is fine.
        let _ = self.frames.send(Arc::new(frame));
    }

    /// Ends unless somebody listens.
    fn ends(&self) -> bool {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        if self.frames.receiver_count() == 0 {
            *runs = false;
            self.reads.send_replace(false);
        }
        !*runs
    }
}

/// Begins after what was read before, or with what comes from now on: in a stream that was made
/// again, too.
async fn open(
    jetstream: &Context,
    stream: Stream,
    more: &[&str],
    read: &mut Option<u64>,
) -> anyhow::Result<Reader> {
    let last = look(jetstream, stream).await?.cached_info().state.last_sequence;
    let after = read.filter(|read| *read <= last).unwrap_or(last);
    *read = Some(after);
    let from = DeliverPolicy::ByStartSequence { start_sequence: after + 1 };
    Reader::open(jetstream, stream, &[stream.subjects(), more].concat(), from, None).await
}
