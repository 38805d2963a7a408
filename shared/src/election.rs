//! Elections in a NATS cluster, and how long whoever asks NATS for something waits for their end.
//!
//! When a server dies, the streams and consumers that it led have no leader until the others have elected
//! one. Meanwhile NATS answers "no responders" or "no leader", or not at all. None of that is a refusal:
//! the same question gets its answer from the new leader.

use crate::acknowledgements::{self, LEADERLESS};
use async_nats::jetstream::consumer::pull::{BatchError, MessagesErrorKind};
use async_nats::jetstream::context::{
    ConsumerInfoErrorKind, CreateStreamErrorKind, GetStreamErrorKind,
    RequestErrorKind as JetStreamRequestErrorKind,
};
use async_nats::jetstream::stream::{
    ConsumerCreateStrictErrorKind, ConsumerErrorKind, ConsumerUpdateErrorKind,
    DeleteMessageErrorKind, DirectGetErrorKind, LastRawMessageErrorKind, PurgeErrorKind,
};
use async_nats::jetstream::{self, Context};
use async_nats::{Client, RequestErrorKind, StatusCode};
use std::error::Error;
use std::fmt::{Debug, Display};
use std::time::Duration;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, sleep_until, timeout_at};

/// How long an election may take, and what follows it. nats-server begins one 4 to 9 s after the leader's last word,
/// and another as much later if nobody wins the first: mostly it takes 5 to 8 s, and 12 s were measured.
pub const ELECTION_TIMEOUT: Duration = Duration::from_secs(20);

/// How long NATS may take for one of several tries. Whoever was asked may have died with the question.
pub const TRY_TIMEOUT: Duration = Duration::from_secs(3);

/// Pause between two tries: as long as an election lasts, many are made.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// Whether NATS is a cluster, in which there are elections.
#[must_use]
pub fn is_cluster(client: &Client) -> bool {
    client.server_info().cluster.is_some()
}

/// JetStream, for questions that are asked again by [`outlast`]: in a cluster it answers within [`TRY_TIMEOUT`] or
/// not at all.
#[must_use]
pub fn jetstream(client: Client) -> Context {
    let is_asked_again = is_cluster(&client);
    let mut jetstream = jetstream::new(client);
    if is_asked_again {
        jetstream.set_timeout(TRY_TIMEOUT);
    }
    jetstream
}

/// Asks NATS for something, again after each failure that [passes](is_passing), until the deadline. Whatever
/// `ask` does has to have the same effect once or several times: a try without an answer may have succeeded.
///
/// # Errors
/// What the latest try failed with.
pub async fn until<T, F: Future<Output = anyhow::Result<T>>>(
    deadline: Instant,
    mut ask: impl FnMut() -> F,
) -> anyhow::Result<T> {
    let mut failed = None;
    loop {
        let error = match timeout_at(deadline, ask()).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => error,
            Err(elapsed) => {
                let silent = || anyhow::Error::new(elapsed).context("NATS does not answer in time");
                return Err(failed.unwrap_or_else(silent));
            }
        };
        let again = Instant::now() + RETRY_PAUSE;
        if again >= deadline || !is_passing(&error) {
            return Err(error);
        }
        tracing::debug!("asking NATS again: {error:#}");
        failed = Some(error);
        sleep_until(again).await;
    }
}

/// Asks NATS for something: where NATS is a cluster, as [`until`] the end of an election, else once.
///
/// # Errors
/// What the latest try failed with.
pub async fn outlast<T, F: Future<Output = anyhow::Result<T>>>(
    client: &Client,
    mut ask: impl FnMut() -> F,
) -> anyhow::Result<T> {
    match is_cluster(client) {
        true => until(Instant::now() + ELECTION_TIMEOUT, ask).await,
        false => ask().await,
    }
}

/// Whether the same question may be answered a moment later, without anybody doing anything: nobody leads what
/// was asked, the one who was asked is gone, or the connection is.
#[must_use]
pub fn is_passing(error: &anyhow::Error) -> bool {
    // The cause of a publish that failed says less than the publish does.
    match error.chain().find_map(|cause| cause.downcast_ref()) {
        Some(publish) => acknowledgements::is_passing(publish),
        None => error.chain().any(is_passing_cause),
    }
}

fn is_passing_cause(cause: &(dyn Error + 'static)) -> bool {
    /// Whether the cause is of one of these kinds, or an answer of JetStream that nobody leads.
    macro_rules! is_one_of {
        ($kind:ident: $($passing:ident)|+) => {
            matches!(kind(cause), Some($($kind::$passing)|+))
        };
        ($kind:ident: $($passing:ident)|+ or JetStream) => {
            match kind(cause) {
                Some($kind::JetStream(error)) => is_leaderless(&error),
                kind => matches!(kind, Some($($kind::$passing)|+)),
            }
        };
    }
    cause.is::<Elapsed>()
        || cause.is::<BatchError>()
        || cause.downcast_ref().is_some_and(is_leaderless)
        || is_one_of!(RequestErrorKind: NoResponders | TimedOut | Other)
        || is_one_of!(JetStreamRequestErrorKind: NoResponders | TimedOut)
        || is_one_of!(MessagesErrorKind: MissingHeartbeat | NoResponders | Pull)
        || is_one_of!(GetStreamErrorKind: Request or JetStream)
        || is_one_of!(CreateStreamErrorKind: TimedOut | Response | JetStreamUnavailable or JetStream)
        || is_one_of!(ConsumerInfoErrorKind: TimedOut | Request | NoResponders | Offline or JetStream)
        || is_one_of!(ConsumerErrorKind: TimedOut | Request or JetStream)
        || is_one_of!(ConsumerUpdateErrorKind: TimedOut | Request or JetStream)
        || is_one_of!(ConsumerCreateStrictErrorKind: TimedOut | Request or JetStream)
        || is_one_of!(PurgeErrorKind: TimedOut | Request or JetStream)
        || is_one_of!(DeleteMessageErrorKind: TimedOut | Request or JetStream)
        || is_one_of!(DirectGetErrorKind: TimedOut | Request)
        || match kind(cause) {
            Some(DirectGetErrorKind::ErrorResponse(status, _)) => {
                status == StatusCode::NO_RESPONDERS
            }
            _ => false,
        }
        || match kind(cause) {
            Some(LastRawMessageErrorKind::JetStream(error)) => is_leaderless(&error),
            // The source of others says why.
            _ => false,
        }
}

/// What kind of NATS's errors it is, if it is one of this type.
fn kind<K: Clone + Debug + Display + PartialEq + 'static>(
    cause: &(dyn Error + 'static),
) -> Option<K> {
    cause.downcast_ref::<async_nats::error::Error<K>>().map(|error| error.kind())
}

/// Whether JetStream answered that nobody leads what was asked. It says so with HTTP's "service unavailable",
/// also while it comes up, or with a number of its own.
fn is_leaderless(error: &jetstream::Error) -> bool {
    const UNAVAILABLE: usize = 503;
    error.code() == UNAVAILABLE || LEADERLESS.contains(&error.error_code())
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{Context as _, anyhow, bail};
    use async_nats::RequestError;
    use async_nats::jetstream::context::{
        self, ConsumerInfoError, CreateStreamError, GetStreamError, PublishError, PublishErrorKind,
    };
    use async_nats::jetstream::stream::{
        ConsumerError, ConsumerUpdateError, DeleteMessageError, LastRawMessageError, PurgeError,
    };
    use std::cell::Cell;

    fn of_jetstream(code: usize, error: u64) -> jetstream::Error {
        let json = serde_json::json!({"code": code, "err_code": error, "description": "said"});
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn no_answer_and_no_leader_pass_and_a_refusal_does_not() {
        let leaderless = || of_jetstream(503, 10008);
        let offline = || of_jetstream(500, 10118);
        let refusal = || of_jetstream(404, 10059);
        let full = || of_jetstream(503, 10077);
        let passing = [
            anyhow!(PublishError::new(PublishErrorKind::StreamNotFound)),
            anyhow!(PublishError::new(PublishErrorKind::TimedOut)),
            anyhow!(PublishError::with_source(PublishErrorKind::Other, leaderless())),
            anyhow!(GetStreamError::new(GetStreamErrorKind::JetStream(leaderless()))),
            anyhow!(GetStreamError::new(GetStreamErrorKind::JetStream(offline()))),
            anyhow!(PublishError::with_source(PublishErrorKind::Other, offline())),
            anyhow!(CreateStreamError::new(CreateStreamErrorKind::TimedOut)),
            anyhow!(ConsumerInfoError::new(ConsumerInfoErrorKind::NoResponders)),
            anyhow!(ConsumerError::new(ConsumerErrorKind::JetStream(leaderless()))),
            anyhow!(ConsumerUpdateError::new(ConsumerUpdateErrorKind::TimedOut)),
            anyhow!(PurgeError::new(PurgeErrorKind::JetStream(leaderless()))),
            anyhow!(DeleteMessageError::new(DeleteMessageErrorKind::TimedOut)),
            anyhow!(context::RequestError::new(context::RequestErrorKind::NoResponders)),
            anyhow!(RequestError::new(RequestErrorKind::TimedOut)),
            anyhow!(LastRawMessageError::with_source(
                LastRawMessageErrorKind::Other,
                context::RequestError::new(context::RequestErrorKind::TimedOut),
            )),
        ];
        for error in passing {
            assert!(is_passing(&error.context("asking")), "no refusal");
        }
        let refusals = [
            anyhow!("of the catalogue"),
            anyhow!(PublishError::new(PublishErrorKind::MaxPayloadExceeded)),
            anyhow!(PublishError::with_source(PublishErrorKind::Other, refusal())),
            anyhow!(PublishError::with_source(PublishErrorKind::Other, full())).context("asking"),
            anyhow!(GetStreamError::new(GetStreamErrorKind::JetStream(refusal()))),
            anyhow!(CreateStreamError::new(CreateStreamErrorKind::JetStream(refusal()))),
            anyhow!(ConsumerInfoError::new(ConsumerInfoErrorKind::NotFound)),
            anyhow!(ConsumerError::new(ConsumerErrorKind::JetStream(refusal()))),
            anyhow!(PurgeError::new(PurgeErrorKind::JetStream(refusal()))),
            anyhow!(LastRawMessageError::new(LastRawMessageErrorKind::NoMessageFound)),
        ];
        for error in refusals {
            assert!(!is_passing(&error), "{error:#}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_passes_is_asked_again_and_what_does_not_is_an_answer() {
        let timed_out = || PublishError::new(PublishErrorKind::TimedOut);
        let tries = Cell::new(0);
        let deadline = Instant::now() + ELECTION_TIMEOUT;
        let answer = until(deadline, || async {
            tries.set(tries.get() + 1);
            match tries.get() {
                1..5 => Err(timed_out().into()),
                tries => Ok(tries),
            }
        });
        assert_eq!(answer.await.unwrap(), 5);
        let refused: anyhow::Result<()> = until(deadline, || async {
            tries.set(tries.get() + 1);
            bail!("no such series")
        })
        .await;
        assert_eq!((refused.unwrap_err().to_string(), tries.get()), ("no such series".into(), 6));
    }

    #[tokio::test(start_paused = true)]
    async fn at_the_deadline_the_latest_failure_is_told() {
        let deadline = Instant::now() + ELECTION_TIMEOUT;
        let fails = || async { Err::<(), _>(PublishError::new(PublishErrorKind::TimedOut).into()) };
        let error = until(deadline, fails).await.unwrap_err();
        assert!(error.is::<PublishError>() && Instant::now() <= deadline, "{error:#}");
        let deadline = Instant::now() + ELECTION_TIMEOUT;
        let hangs =
            || async { std::future::pending::<anyhow::Result<()>>().await.context("never") };
        let error = until(deadline, hangs).await.unwrap_err();
        assert_eq!(error.to_string(), "NATS does not answer in time");
        assert_eq!(Instant::now(), deadline);
    }
}
