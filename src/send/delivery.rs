//! Brings instances to the receiver over as many associations as it takes, and shows how far it is.

use std::time::Duration;

use dimse::{
    Status,
    command::{Operation, Response},
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::{Instant, sleep};

use super::{
    Notice, SendReport, SendSettings,
    association::{self, Association, Failure, context_refused},
    files::{Instance, Listing},
    stow::{self, Outcome, Stow, Unreadable},
};

/// How often in a row a lost association is opened again without one instance answered.
const MAX_RECONNECTS: u32 = 3;
/// The wait before the first of them; it doubles each time, so a receiver has 7 s to restart.
const FIRST_RECONNECT_DELAY: Duration = Duration::from_secs(1);

pub(super) async fn deliver(
    settings: &SendSettings,
    listing: Listing,
) -> anyhow::Result<SendReport> {
    let stow = stow::is_url(&settings.to).then(|| Stow::new(settings)).transpose()?;
    let mut delivery = Delivery {
        settings,
        stow,
        waiting: &listing.instances,
        connected: false,
        progress: Progress::new(&listing.instances),
        report: SendReport {
            not_stored: listing.unsendable,
            skipped_not_dicom: listing.not_dicom,
            skipped_dicomdirs: listing.dicomdirs,
            ..SendReport::default()
        },
    };
    let started = Instant::now();
    let result = delivery.run().await;
    delivery.report.elapsed = started.elapsed();
    delivery.progress.bar.finish_and_clear();
    result.map(|()| delivery.report)
}

struct Delivery<'a> {
    settings: &'a SendSettings,
    /// How they are sent, if not by C-STORE.
    stow: Option<Stow>,
    /// In order; an instance leaves when its fate is known.
    waiting: &'a [Instance],
    /// Whether there ever was an association. If not, the address is wrong rather than the
    /// receiver restarting, and waiting would only hide it.
    connected: bool,
    progress: Progress,
    report: SendReport,
}

impl Delivery<'_> {
    async fn run(&mut self) -> anyhow::Result<()> {
        let mut failures = 0;
        while !self.waiting.is_empty() {
            let waiting = self.waiting.len();
            let result = match self.stow.take() {
                Some(stow) => {
                    let sent = self.send_request(&stow).await;
                    self.stow = Some(stow);
                    sent
                }
                None => self.send_batch().await,
            };
            if self.waiting.len() < waiting {
                failures = 0;
            }
            let Err(error) = result else { continue };
            if !self.connected {
                return Err(error);
            }
            self.progress.rewind();
            if failures == MAX_RECONNECTS {
                self.give_up(&error);
                return Ok(());
            }
            let delay = FIRST_RECONNECT_DELAY * 2_u32.pow(failures);
            failures += 1;
            self.progress
                .say(&format!("{error:#}; reconnect {failures} of {MAX_RECONNECTS} in {delay:?}"));
            sleep(delay).await;
        }
        Ok(())
    }

    /// Sends what fits into one association; an error says that the association was lost.
    async fn send_batch(&mut self) -> anyhow::Result<()> {
        let batch = association::next_batch(self.waiting);
        let mut association = Association::open(self.settings, batch).await?;
        self.connected = true;
        for instance in batch {
            let result = match &mut association {
                Some(association) => association.store(instance, &self.progress.bar).await,
                None => Err(Failure::Instance(context_refused(&instance.context))),
            };
            match result {
                Ok(response) => self.settle(instance, Ok(response)),
                Err(Failure::Instance(reason)) => self.settle(instance, Err(reason)),
                Err(Failure::Association(error)) => return Err(error),
            }
        }
        if let Some(association) = association {
            association.release().await;
        }
        Ok(())
    }

    /// Sends what fits into one request; an error says that there is no answer about the instances.
    async fn send_request(&mut self, stow: &Stow) -> anyhow::Result<()> {
        let mut batch = stow::next_batch(self.waiting);
        let outcomes = loop {
            let error = match stow.store(batch, &self.progress.bar).await {
                Ok(outcomes) => break outcomes,
                Err(error) => error,
            };
            let Some(Unreadable { path, cause }) = error.downcast_ref() else { return Err(error) };
            match batch.iter().position(|instance| instance.path == *path) {
                // Those before it are sent without it, and then it is the first.
                Some(index @ 1..) => batch = &batch[..index],
                _ => {
                    self.settle(&batch[0], Err(format!("cannot be read: {cause}")));
                    return Ok(());
                }
            }
            self.progress.rewind();
        };
        self.connected = true;
        for (instance, outcome) in batch.iter().zip(outcomes) {
            let answered = |status| Response {
                operation: Operation::Store,
                message_id: 0,
                status,
                error_comment: String::new(),
                has_data_set: false,
            };
            self.settle(
                instance,
                match outcome {
                    Some(Outcome::Stored) => Ok(answered(Status::Success)),
                    Some(Outcome::Failed(reason)) => Ok(answered(reason)),
                    None => Err("the answer does not name it".to_owned()),
                },
            );
        }
        Ok(())
    }

    /// The first of those waiting needs no more sending.
    fn settle(&mut self, instance: &Instance, result: Result<Response, String>) {
        self.report.settle(instance, result);
        self.progress.settle(instance);
        self.waiting = &self.waiting[1..];
    }

    fn give_up(&mut self, error: &anyhow::Error) {
        self.progress.say(&format!("{error:#}; gave up after {MAX_RECONNECTS} reconnects"));
        let reason = if self.stow.is_some() { "no answer about it" } else { "association lost" };
        let notices = self.waiting.iter().map(|i| Notice::new(&i.path, None, reason));
        self.report.not_stored.extend(notices);
    }
}

/// The progress bar: instances that are settled, bytes that went out, and their rate.
/// indicatif hides it when stderr is no terminal.
struct Progress {
    bar: ProgressBar,
    total: usize,
    settled: usize,
    settled_bytes: u64,
}

impl Progress {
    fn new(instances: &[Instance]) -> Self {
        let bytes = instances.iter().map(|i| i.data_set_length).sum();
        let bar = ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::stderr());
        let template = "{bar:30} {msg} instances, {decimal_bytes} of {decimal_total_bytes}, \
                        {decimal_bytes_per_sec}, {eta} left";
        // A bar in another dress is no reason to fail.
        let style = ProgressStyle::with_template(template);
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        let progress = Self { bar, total: instances.len(), settled: 0, settled_bytes: 0 };
        progress.rewind();
        progress
    }

    fn settle(&mut self, instance: &Instance) {
        self.settled += 1;
        self.settled_bytes += instance.data_set_length;
        self.rewind();
    }

    /// A line on stderr that does not tear the bar.
    fn say(&self, line: &str) {
        self.bar.suspend(|| eprintln!("{line}"));
    }

    /// Takes back what went out of an instance that was not answered.
    fn rewind(&self) {
        let message = format!("{}/{}", self.settled, self.total);
        self.bar.set_message(message);
        self.bar.set_position(self.settled_bytes);
    }
}
