//! The streams of the pipeline on the broker: how they are made, and what the broker says of them.

mod connection;
mod inspection;

pub use connection::connect;
pub use inspection::{Follower, Kept, inspect, look, shared_hosts};

use crate::election::{self, ELECTION_TIMEOUT, TRY_TIMEOUT, is_cluster, is_passing, outlast};
use crate::health::Part;
use crate::nats_version::OLDEST;
use crate::settings::StreamSettings;
use anyhow::{Context as _, bail, ensure};
use async_nats::client::Request;
use async_nats::jetstream::context::{
    CreateStreamError, CreateStreamErrorKind, GetStreamError, GetStreamErrorKind,
};
use async_nats::jetstream::stream::{
    Config, DiscardPolicy, PersistenceMode, RetentionPolicy, StorageType, Stream,
};
use async_nats::jetstream::{self, Context, ErrorCode};
use async_nats::{Client, HeaderMap};
use connection::CONNECT_PAUSE;
use contract::event;
use contract::subject::Subject;
use inspection::differences;
use jiff::Timestamp;
use serde::Deserialize;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// What was received, instances and the associations that brought them, and what was asked for:
/// all that decides what the catalogue says, in one order.
pub const INSTANCES: &str = "INSTANCES";
/// The subjects of [`INSTANCES`].
pub const INSTANCES_SUBJECTS: [&str; 6] = [
    "dicom.instance.>",
    "dicom.association.>",
    "dicom.ingest.>",
    "dicom.request.>",
    "dicom.evidence.>",
    "dicom.clock.*",
];
/// What was decided: completed and deleted series, completed studies.
pub const SERIES: &str = "SERIES";
const SERIES_SUBJECTS: [&str; 2] = ["dicom.series.>", "dicom.study.>"];
/// What could not be processed.
pub const DEAD: &str = "DEAD";
/// The audit trail: who sent, read, searched or was refused.
pub const AUDIT: &str = "AUDIT";
/// All of them.
pub const ALL: [&str; 4] = [INSTANCES, SERIES, DEAD, AUDIT];

/// How long completions and dead letters are kept.
const KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How long the broker recognises an announcement that is published again. The outbox tries again
/// until it is told of success, so this must outlast an outage of the broker's answers.
const SERIES_DUPLICATE_WINDOW: Duration = Duration::from_secs(24 * 60 * 60);

/// From one look at the settings of the streams to the next.
const GUARD_PAUSE: Duration = Duration::from_secs(60);

/// From one look for a stream that was just made to the next.
const MADE_PAUSE: Duration = Duration::from_millis(100);

/// The headers of an event, for async-nats.
#[must_use]
pub fn headers(subject: &Subject, source: &str, id: &str, time: Timestamp) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in event::headers(subject, source, id, time) {
        headers.insert(name, value);
    }
    headers
}

/// As [`ensure_streams`], however long the broker takes to be able to: a service that starts while
/// the broker comes up, or goes down again, waits and says so. `false` when told to stop before.
///
/// # Errors
/// When the broker won't keep the streams as the promises need them.
pub async fn ensure_streams_eventually(
    jetstream: &Context,
    settings: &StreamSettings,
    part: &Part,
    stop: &CancellationToken,
) -> anyhow::Result<bool> {
    let mut pause = CONNECT_PAUSE.0;
    loop {
        let error = tokio::select! {
            ensured = ensure_streams(jetstream, settings) => match ensured {
                Ok(()) => return Ok(true),
                Err(error) if !is_passing(&error) => return Err(error),
                Err(error) => error,
            },
            () = stop.cancelled() => return Ok(false),
        };
        part.not_ready(format!("{error:#}"));
        tracing::warn!("the streams are not there yet; trying again: {error:#}");
        tokio::select! {
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(CONNECT_PAUSE.1),
            () = stop.cancelled() => return Ok(false),
        }
    }
}

/// Looks now and then whether the streams are still kept as the promises need them, and changes back what is
/// not; `part` says what can't be. Until told to stop.
pub async fn guard_streams(
    jetstream: &Context,
    settings: &StreamSettings,
    part: &Part,
    stop: &CancellationToken,
) {
    part.ready();
    let guarding = async {
        loop {
            tokio::time::sleep(GUARD_PAUSE).await;
            match ensure_streams(jetstream, settings).await {
                Ok(()) => part.ready(),
                // The broker is away, which others say.
                Err(error) if is_passing(&error) => {}
                Err(error) => {
                    tracing::error!("the streams have the wrong settings: {error:#}");
                    part.not_ready(format!("{error:#}"));
                }
            }
        }
    };
    stop.run_until_cancelled(guarding).await;
}

/// Makes the streams, or brings them up to what this version wants, and reads back that they are:
/// an old server drops what it doesn't know without a word.
///
/// # Errors
/// When the broker can't or won't keep the streams as the promises need them.
pub async fn ensure_streams(jetstream: &Context, settings: &StreamSettings) -> anyhow::Result<()> {
    let [required @ .., audit] = wanted(settings);
    // The others do without it, so it must not hold them up. It comes first: a service that may not make
    // streams goes on once it finds the others.
    if let Err(error) = ensure_stream(jetstream, audit).await {
        tracing::warn!("the audit trail is not kept: stream {AUDIT}: {error:#}");
    }
    for wanted in required {
        let name = wanted.name.clone();
        ensure_stream(jetstream, wanted).await.with_context(|| format!("stream {name}"))?;
    }
    Ok(())
}

fn wanted(settings: &StreamSettings) -> [Config; 4] {
    let kept = |name: &str, subjects: &[&str]| Config {
        name: name.to_owned(),
        subjects: subjects.iter().map(|subject| (*subject).to_owned()).collect(),
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        max_age: KEPT,
        allow_direct: true,
        // 0 leaves it to the broker, and to whoever set it there.
        num_replicas: settings.stream_replicas.map_or(0, usize::from),
        ..Config::default()
    };
    let instances = Config {
        // A full stream refuses the publish, and so the sender is refused; with the default it
        // would drop its oldest events, which nobody may have read yet.
        discard: DiscardPolicy::New,
        max_bytes: settings.instances_max_bytes.0 as i64,
        max_age: Duration::ZERO,
        ..kept(INSTANCES, &INSTANCES_SUBJECTS)
    };
    let series =
        Config { duplicate_window: SERIES_DUPLICATE_WINDOW, ..kept(SERIES, &SERIES_SUBJECTS) };
    let audit = Config {
        // A full one drops its oldest, so that nobody is ever refused for the trail's sake.
        max_bytes: settings.audit_max_bytes.0 as i64,
        max_age: settings.audit_retention,
        ..kept(AUDIT, &["dicom.audit.>"])
    };
    [instances, series, kept(DEAD, &["dicom.dead.>"]), audit]
}

async fn ensure_stream(jetstream: &Context, wanted: Config) -> anyhow::Result<()> {
    match jetstream.get_stream(&wanted.name).await {
        Ok(stream) => {
            // What an operator added (placement, a description, replicas if none are asked for) stays.
            let mut config = stream.cached_info().config.clone();
            impose(&mut config, &wanted);
            let kept = &stream.cached_info().config;
            if config != *kept {
                let differs = differences(kept, &wanted).join(", ");
                let name = &wanted.name;
                jetstream.update_stream(&config).await.map_err(|error| {
                    let advice = advice(&error).map_or_else(
                        || {
                            format!(
                                "{differs} of it can't be kept as the promises need it; make the \
                                 stream anew"
                            )
                        },
                        str::to_owned,
                    );
                    anyhow::Error::new(error).context(advice)
                })?;
                if !differs.is_empty() {
                    tracing::warn!(stream = name, differs, "stream settings were changed back");
                }
            }
        }
        Err(error) if is_stream_not_found(&error) => {
            let created = jetstream.create_stream(&wanted).await;
            created.map_err(|error| match advice(&error) {
                Some(advice) => anyhow::Error::new(error).context(advice),
                None => error.into(),
            })?;
        }
        Err(error) => return Err(error.into()),
    }
    let kept = made(jetstream, &wanted.name).await?.cached_info().config.clone();
    let mut imposed = kept.clone();
    impose(&mut imposed, &wanted);
    ensure!(kept == imposed, "the server did not keep its configuration: {kept:?}");
    Ok(())
}

/// A stream that was just made. A cluster can confirm it before all its servers know it, when several services make it
/// at the same time.
async fn made(jetstream: &Context, name: &str) -> Result<Stream, GetStreamError> {
    let deadline = Instant::now() + ELECTION_TIMEOUT;
    loop {
        match jetstream.get_stream(name).await {
            Err(error) if is_stream_not_found(&error) && Instant::now() < deadline => {
                sleep(MADE_PAUSE).await;
            }
            found => return found,
        }
    }
}

/// What may be done about a stream that could not be made, where that is known.
fn advice(error: &CreateStreamError) -> Option<&'static str> {
    const NO_ROOM: [ErrorCode; 4] = [
        ErrorCode::ACCOUNT_RESOURCES_EXCEEDED,
        ErrorCode::INSUFFICIENT_RESOURCES,
        ErrorCode::STORAGE_RESOURCES_EXCEEDED,
        ErrorCode::STREAM_MAX_STREAM_BYTES_EXCEEDED,
    ];
    const TOO_FEW_SERVERS: [ErrorCode; 2] =
        [ErrorCode::STREAM_REPLICAS_NOT_SUPPORTED, ErrorCode::CLUSTER_NO_PEERS];
    match error.kind() {
        CreateStreamErrorKind::JetStream(error)
            if TOO_FEW_SERVERS.contains(&error.error_code()) =>
        {
            Some("STREAM_REPLICAS is more than NATS has servers that can take the stream")
        }
        CreateStreamErrorKind::JetStream(error) if NO_ROOM.contains(&error.error_code()) => {
            Some("INSTANCES_MAX_BYTES must fit the server's JetStream storage")
        }
        // Who has no right to ask gets no answer; the refusal comes beside it, and is in the log.
        CreateStreamErrorKind::TimedOut => Some(
            "no answer to the wish to make it: NATS hangs, or does not let this user make streams \
             (with nats-users.conf the indexer makes them)",
        ),
        _ => None,
    }
}

/// Sets in `config` what the promises rest on, and leaves the rest.
fn impose(config: &mut Config, wanted: &Config) {
    if wanted.name != AUDIT {
        impose_all_is_kept(config);
    }
    config.subjects.clone_from(&wanted.subjects);
    config.retention = wanted.retention;
    config.storage = wanted.storage;
    config.discard = wanted.discard;
    config.max_bytes = match wanted.max_bytes {
        0 => config.max_bytes,
        bytes => bytes,
    };
    if wanted.num_replicas > 0 {
        config.num_replicas = wanted.num_replicas;
    }
    // Whoever keeps what was decided for longer may.
    let keeps_more = config.max_age.is_zero() || config.max_age > wanted.max_age;
    if wanted.max_age != KEPT || !keeps_more {
        config.max_age = wanted.max_age;
    }
    config.allow_direct = wanted.allow_direct;
    if !wanted.duplicate_window.is_zero() {
        config.duplicate_window = config.duplicate_window.max(wanted.duplicate_window);
    }
}

/// Sets in `config` what an acknowledgement means: that the event is stored, as it came, and stays.
fn impose_all_is_kept(config: &mut Config) {
    /// No limit, as the broker has it.
    const NONE: i64 = -1;
    (config.max_messages, config.max_messages_per_subject) = (NONE, NONE);
    config.max_message_size = NONE as i32;
    config.discard_new_per_subject = false;
    config.no_ack = false;
    config.subject_transform = None;
    if config.persist_mode == Some(PersistenceMode::Async) {
        config.persist_mode = None;
    }
}

/// Whether there is no such stream.
#[must_use]
pub fn is_stream_not_found(error: &GetStreamError) -> bool {
    match error.kind() {
        GetStreamErrorKind::JetStream(error) => error.error_code() == ErrorCode::STREAM_NOT_FOUND,
        _ => false,
    }
}

/// What has to be free in INSTANCES for events to go on, in bytes.
const ROOM: u64 = 64 * 1024;

/// Whether INSTANCES has room for a few events.
///
/// # Errors
/// When the broker does not answer, or has no such stream.
pub async fn has_room(jetstream: &Context) -> anyhow::Result<bool> {
    let stream = jetstream.get_stream(INSTANCES).await.context("NATS does not answer")?;
    let info = stream.cached_info();
    let limit = u64::try_from(info.config.max_bytes).unwrap_or(u64::MAX);
    Ok(info.state.bytes.saturating_add(ROOM) <= limit)
}

/// Where the INSTANCES stream stands, in one answer of the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// When the stream was made: tells it from a later one of the same name.
    pub created: Timestamp,
    /// Sequence of its oldest event; one more than `last` when it is empty.
    pub first: u64,
    /// Sequence of its latest event; 0 when there never was one.
    pub last: u64,
    /// Its size on disk.
    pub bytes: u64,
    /// On how many servers it is kept.
    pub replicas: usize,
    /// The broker's time when it answered.
    pub now: Timestamp,
}

impl Position {
    /// How many events are left to whoever has read up to this sequence. What was dropped from the stream
    /// unread will not come any more.
    #[must_use]
    pub fn unread(&self, read: u64) -> u64 {
        self.last.saturating_sub(read.max(self.first.saturating_sub(1)))
    }
}

/// Asks the broker where the INSTANCES stream stands, in a cluster until the end of an election.
///
/// The reply is read raw: it carries the broker's own time, which async-nats drops.
///
/// # Errors
/// When the broker does not answer, or not with a stream.
pub async fn position(client: &Client) -> anyhow::Result<Position> {
    #[derive(Deserialize)]
    struct Reply {
        created: Option<Timestamp>,
        config: Option<Config>,
        state: Option<State>,
        ts: Option<Timestamp>,
        error: Option<jetstream::Error>,
    }
    #[derive(Deserialize)]
    struct Config {
        num_replicas: usize,
    }
    #[derive(Deserialize)]
    struct State {
        messages: u64,
        bytes: u64,
        first_seq: u64,
        last_seq: u64,
    }

    let reply = outlast(client, || async {
        let subject = format!("$JS.API.STREAM.INFO.{INSTANCES}");
        let mut request = Request::new();
        if is_cluster(client) {
            request = request.timeout(Some(TRY_TIMEOUT));
        }
        let reply = client.send_request(subject, request).await.context("asking for INSTANCES")?;
        let reply: Reply =
            serde_json::from_slice(&reply.payload).context("stream info of INSTANCES")?;
        match reply.error {
            Some(error) => {
                Err(anyhow::Error::new(error).context("NATS does not give the state of INSTANCES"))
            }
            None => Ok(reply),
        }
    })
    .await?;
    match reply {
        Reply {
            created: Some(created),
            config: Some(config),
            state: Some(state),
            ts: Some(now),
            error: None,
        } => {
            Ok(Position {
                created,
                // The broker says 0 of a new stream and something else of a purged one.
                first: if state.messages == 0 { state.last_seq + 1 } else { state.first_seq },
                last: state.last_seq,
                bytes: state.bytes,
                replicas: config.num_replicas,
                now,
            })
        }
        _ => bail!("the broker's stream info lacks its time; use nats-server {OLDEST} or newer"),
    }
}

/// When a stream was made, and the sequence of its last message.
///
/// # Errors
/// When the broker does not answer, or has no such stream.
pub async fn extent(client: &Client, name: &str) -> anyhow::Result<(Timestamp, u64)> {
    let jetstream = election::jetstream(client.clone());
    let stream = outlast(client, || async {
        jetstream.get_stream(name).await.with_context(|| format!("stream {name}"))
    });
    let stream = stream.await?;
    let info = stream.cached_info();
    let created = Timestamp::from_nanosecond(info.created.unix_timestamp_nanos())?;
    Ok((created, info.state.last_sequence))
}
