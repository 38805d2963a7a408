//! Says audit messages: takes them at once, whatever the broker does, and publishes them by and by.
//!
//! Whoever receives or answers must not wait for the audit trail, so it may lose messages, when the
//! broker is away for longer than there is room for them. Those are counted, and said in the log.

use super::draft::Draft;
use super::repeats::{Due, Repeats};
use super::{
    Action, ActiveParticipant, AuditMessage, AuditSourceIdentification, Code, EventId,
    EventIdentification, Outcome, code,
};
use crate::message::Message;
use crate::metrics::{AuditMessages, AuditOutcome, Metrics};
use crate::stream::headers;
use async_nats::connection::State as Connection;
use async_nats::jetstream::Context;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use clap::{ArgAction, Args};
use contract::event::{API, INDEXER, INGEST};
use contract::subject::Service;
use futures_util::future::join_all;
use jiff::Timestamp;
use std::collections::VecDeque;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::time::timeout;

/// Bytes of messages that wait for the broker: some ten thousand of them, an hour of a busy day.
const MAX_WAITING: usize = 16 * 1024 * 1024;

/// Messages that are on their way to the broker at one time. It syncs those that come together at once.
const IN_FLIGHT: usize = 64;

/// Pause before what the broker did not take is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// How long the broker may take for what is in flight: longer than async-nats waits for an
/// acknowledgement.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the last messages of a service may take after it has ended. There is some of
/// `SHUTDOWN_GRACE` left for the others then.
const DRAIN: Duration = Duration::from_secs(2);

/// Whether there is an audit trail.
#[derive(Debug, Clone, Args)]
#[group(skip)]
#[command(next_help_heading = "Audit trail")]
pub struct AuditSettings {
    /// Publish an audit trail (DICOM PS3.15 section A.5) on `dicom.audit.>`: who sent, read, searched or
    /// was refused
    #[arg(long, env = "AUDIT", default_value_t = true, action = ArgAction::Set)]
    pub audit: bool,
}

/// Says audit messages for one service. Clones say them together; one that is off says nothing.
#[derive(Debug, Clone)]
pub struct Auditor(Option<Arc<Trail>>);

#[derive(Debug)]
struct Trail {
    service: Service,
    source: AuditSourceIdentification,
    metrics: AuditMessages,
    /// Makes keys of events, which nobody can make equal to those of others.
    keys: RandomState,
    backlog: Mutex<Backlog>,
    /// Something waits, or is to be looked at later.
    filled: Notify,
    /// What was on its way has arrived, or not.
    tried: Notify,
}

#[derive(Debug, Default)]
struct Backlog {
    repeats: Repeats,
    waiting: VecDeque<Message>,
    /// Those, and those in flight.
    unstored: u64,
    /// Their bytes.
    bytes: usize,
    /// Messages that were lost since one was stored last.
    lost: u64,
}

impl Backlog {
    fn keep(&mut self, message: &Message) {
        self.unstored += 1;
        self.bytes += message.payload.len();
    }

    fn let_go(&mut self, message: &Message) {
        self.unstored -= 1;
        self.bytes -= message.payload.len();
    }
}

impl Auditor {
    /// For a service on a node.
    #[must_use]
    pub fn new(settings: &AuditSettings, service: Service, node: &str, metrics: &Metrics) -> Self {
        let trail = || Trail {
            service,
            source: AuditSourceIdentification::new(service, node),
            metrics: metrics.audit(),
            keys: RandomState::new(),
            backlog: Mutex::default(),
            filled: Notify::new(),
            tried: Notify::new(),
        };
        Self(settings.audit.then(|| Arc::new(trail())))
    }

    /// One that says nothing.
    #[must_use]
    pub fn off() -> Self {
        Self(None)
    }

    /// Whether it says anything.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Who says so, as a participant.
    #[must_use]
    pub fn itself(&self) -> ActiveParticipant {
        let id = self.0.as_ref().map(|trail| trail.source.audit_source_id.clone());
        ActiveParticipant::other(id.unwrap_or_default())
    }

    /// Says what happens once.
    pub fn say(&self, draft: Draft) {
        if let Some(trail) = &self.0 {
            trail.say(draft, Timestamp::now(), None);
        }
    }

    /// Counts what has the same key as something within the last second. Otherwise it is to be said, by
    /// [`say_as`](Self::say_as).
    #[must_use]
    pub fn counts(&self, key: impl Hash) -> bool {
        let Some(trail) = &self.0 else { return true };
        let key = trail.keys.hash_one(key);
        trail.backlog().repeats.count(key, Timestamp::now())
    }

    /// Says what may happen again and again: what has the same key as something within the last second
    /// is counted, and said together with its like.
    pub fn say_as(&self, key: impl Hash, draft: impl FnOnce() -> Draft) {
        let Some(trail) = &self.0 else { return };
        let (key, now) = (trail.keys.hash_one(key), Timestamp::now());
        if trail.backlog().repeats.count(key, now) {
            return;
        }
        let draft = draft();
        {
            let mut backlog = trail.backlog();
            // Another may have said it meanwhile.
            if backlog.repeats.count(key, now)
                || !backlog.repeats.begin(key, &draft, Instant::now(), now)
            {
                return;
            }
        }
        trail.say(draft, now, None);
    }

    /// Publishes what is said while `service` runs: its start first, its stop last. Gives what it ended
    /// with, when the last message is stored or has had its time.
    pub async fn run_audited<T>(
        &self,
        jetstream: impl Future<Output = Context>,
        service: impl Future<Output = T>,
    ) -> T {
        let Some(trail) = &self.0 else { return service.await };
        trail.say_activity(code::APPLICATION_START);
        tokio::pin!(service);
        let publishing = async { trail.publish(&jetstream.await).await };
        tokio::pin!(publishing);
        let ended = tokio::select! {
            ended = &mut service => ended,
            never = &mut publishing => match never {},
        };
        trail.say_rest();
        trail.say_activity(code::APPLICATION_STOP);
        let drained = async {
            while !trail.is_drained() {
                tokio::select! {
                    () = trail.tried.notified() => {}
                    never = &mut publishing => match never {},
                }
            }
        };
        if timeout(DRAIN, drained).await.is_err() {
            trail.lose_rest();
        }
        ended
    }
}

impl Trail {
    fn backlog(&self) -> MutexGuard<'_, Backlog> {
        self.backlog.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, draft: Draft, at: Timestamp, repeated: Option<u64>) {
        let message = AuditMessage {
            message_id: uuid::Uuid::new_v4().to_string(),
            event_identification: EventIdentification {
                event_id: draft.event,
                event_action_code: draft.action,
                event_date_time: at,
                event_outcome_indicator: draft.outcome,
                event_type_code: draft.types,
                event_outcome_description: draft.description,
            },
            active_participant: draft.participants,
            audit_source_identification: self.source.clone(),
            participant_object_identification: draft.objects,
            repeated,
        };
        let subject = message.subject(self.service);
        let source = match self.service {
            Service::Ingest => INGEST,
            Service::Indexer => INDEXER,
            Service::Api => API,
        };
        // It has no map with keys that are no text, and nothing else can't be written.
        let Ok(payload) = serde_json::to_vec(&message) else { return };
        let message = Message {
            headers: headers(&subject, source, &message.message_id, at),
            subject: subject.to_string(),
            payload: payload.into(),
        };
        let mut backlog = self.backlog();
        if backlog.bytes + message.payload.len() > MAX_WAITING {
            drop(backlog);
            return self.lose("too many wait");
        }
        backlog.keep(&message);
        backlog.waiting.push_back(message);
        drop(backlog);
        self.filled.notify_one();
    }

    fn say_activity(&self, what: Code) {
        let mut draft = Draft::new(EventId::ApplicationActivity, Action::Execute, Outcome::Success);
        draft.types.push(what);
        let this = ActiveParticipant::other(self.source.audit_source_id.clone());
        draft.participants.push(this.role(code::APPLICATION));
        self.say(draft, Timestamp::now(), None);
    }

    fn say_due(&self, due: Vec<Due>) {
        for Due { draft, events, latest } in due {
            self.say(draft, latest, (events > 1).then_some(events));
        }
    }

    fn say_rest(&self) {
        let rest = self.backlog().repeats.end(Instant::now());
        self.say_due(rest);
    }

    /// A message can't be kept. The first of an outage is said.
    fn lose(&self, why: &str) {
        self.metrics.count(&AuditOutcome::LOST);
        let lost = {
            let mut backlog = self.backlog();
            backlog.lost += 1;
            backlog.lost
        };
        if lost == 1 {
            tracing::error!(
                why,
                "audit messages are lost; see audit_messages_total, and that NATS runs"
            );
        }
    }

    fn lose_rest(&self) {
        // Those in flight too: they may be stored, but nobody knows.
        let rest = self.backlog().unstored;
        for _ in 0..rest {
            self.lose("the service stops, and NATS does not take them");
        }
    }

    fn is_drained(&self) -> bool {
        self.backlog().unstored == 0
    }

    /// Publishes what is said, for ever.
    async fn publish(&self, jetstream: &Context) -> std::convert::Infallible {
        loop {
            let (due, next_due) = {
                let mut backlog = self.backlog();
                let due = backlog.repeats.due(Instant::now());
                (due, backlog.repeats.next_due())
            };
            self.say_due(due);
            let batch: Vec<_> = {
                let mut backlog = self.backlog();
                let most = backlog.waiting.len().min(IN_FLIGHT);
                backlog.waiting.drain(..most).collect()
            };
            if batch.is_empty() {
                let wait = next_due.map(|due| due.saturating_duration_since(Instant::now()));
                // Without anything to look at later it waits to be told.
                let wait = wait.unwrap_or(Duration::MAX);
                let _ = timeout(wait, self.filled.notified()).await;
                continue;
            }
            if !self.publish_batch(jetstream, batch).await {
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    }

    /// Publishes messages together; those that the broker did not take wait again. Whether it took all.
    async fn publish_batch(&self, jetstream: &Context, batch: Vec<Message>) -> bool {
        let tried = batch.into_iter().map(async |message| {
            let tried = timeout(PUBLISH_TIMEOUT, try_once(jetstream, &message)).await;
            (message, tried)
        });
        let mut untaken = Vec::new();
        for (message, tried) in join_all(tried).await {
            match tried {
                Ok(Ok(())) => {
                    self.metrics.count(&AuditOutcome::STORED);
                    self.backlog().let_go(&message);
                }
                Ok(Err(Some(error))) if error.kind() == PublishErrorKind::MaxPayloadExceeded => {
                    self.backlog().let_go(&message);
                    self.lose("one does not fit a NATS message");
                }
                untried => {
                    tracing::debug!(?untried, "an audit message is not stored; it is tried again");
                    untaken.push(message);
                }
            }
        }
        let is_taken = untaken.is_empty();
        let lost = {
            let mut backlog = self.backlog();
            // In the order in which they were said.
            untaken.into_iter().rev().for_each(|message| backlog.waiting.push_front(message));
            match is_taken {
                true => std::mem::take(&mut backlog.lost),
                false => 0,
            }
        };
        if lost > 0 {
            tracing::warn!(lost, "audit messages are stored again");
        }
        self.tried.notify_one();
        is_taken
    }
}

/// `None` is why it was not even tried.
async fn try_once(jetstream: &Context, message: &Message) -> Result<(), Option<PublishError>> {
    // What is published without a connection gathers in the client, once more with each try.
    if jetstream.client().connection_state() != Connection::Connected {
        return Err(None);
    }
    // The same id every time, so one whose acknowledgement was lost is not stored twice.
    message.clone().store(jetstream).await?;
    Ok(())
}
