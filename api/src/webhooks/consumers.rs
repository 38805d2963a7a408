//! The consumers of SERIES that stand for webhooks on the broker.

use super::TrackedHook;
use super::file::Hook;
use super::start_position::StartPosition;
use anyhow::Context as _;
use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::{AckPolicy, Consumer, Info, pull};
use async_nats::jetstream::context::ConsumerInfoErrorKind;
use async_nats::jetstream::stream::Stream;
use catalog::CatalogReader;
use futures_util::TryStreamExt;
use shared::durable;
use shared::stream::SERIES;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// What their names begin with.
const PREFIX: &str = "webhook-";

/// How long the broker waits for word of a delivery, beyond what its receiver may take.
const MARGIN: Duration = Duration::from_secs(10);

/// Deliveries of one webhook that are under way or wait to be tried again. When there are as many,
/// its receiver gets nothing else until one of them is taken, or dead.
const MAX_UNANSWERED: i64 = 1000;

/// Pause before the broker is asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// The consumer of a webhook, made or brought up to date. A new one begins where `from` says, which is asked
/// only then; an old one goes on where it was.
///
/// # Errors
/// When the broker does not answer, or has no such stream, or what `from` failed with.
pub(super) async fn open(
    jetstream: &Context,
    hook: &Hook,
    from: impl AsyncFnOnce() -> anyhow::Result<StartPosition>,
) -> anyhow::Result<Consumer<pull::Config>> {
    let stream = jetstream.get_stream(SERIES).await?;
    let wanted = |deliver_policy, memory_storage| pull::Config {
        durable_name: Some(name(hook)),
        description: Some("tells a webhook of completions".to_owned()),
        deliver_policy,
        ack_policy: AckPolicy::Explicit,
        ack_wait: hook.timeout + MARGIN,
        max_ack_pending: MAX_UNANSWERED,
        filter_subjects: hook.subjects(),
        memory_storage,
        ..pull::Config::default()
    };
    let known = match stream.consumer_info(name(hook)).await {
        Ok(info) => Some((info.config.deliver_policy, info.config.memory_storage)),
        Err(error) => match error.kind() {
            ConsumerInfoErrorKind::NotFound => None,
            _ => return Err(error.into()),
        },
    };
    // Where it began can't be changed, nor where it is kept.
    match known {
        Some((began, in_memory)) => {
            stream.update_consumer(wanted(began, in_memory)).await.context("its consumer")
        }
        None => {
            let created = durable::create(&stream, wanted(from().await?.policy(), false)).await;
            created.context("a consumer for it")
        }
    }
}

/// What the broker says of the consumers of webhooks, by the name of the webhook.
///
/// # Errors
/// When it does not answer.
pub(super) async fn infos(stream: &Stream) -> anyhow::Result<HashMap<String, Info>> {
    let mut consumers = stream.consumers();
    let mut infos = HashMap::new();
    while let Some(info) = consumers.try_next().await? {
        if let Some(hook) = info.name.strip_prefix(PREFIX) {
            infos.insert(hook.to_owned(), info);
        }
    }
    Ok(infos)
}

/// Removes the consumers of webhooks that are not in the file, and says what they were owed. Tries
/// until the broker does it.
pub(super) async fn remove_others(
    jetstream: &Context,
    catalog: &CatalogReader,
    all: &[TrackedHook],
    stop: &CancellationToken,
) {
    while let Err(error) = try_to_remove_others(jetstream, catalog, all).await {
        tracing::debug!("webhooks that left the file can't be removed yet: {error:#}");
        tokio::select! {
            () = sleep(PAUSE) => {}
            () = stop.cancelled() => return,
        }
    }
}

async fn try_to_remove_others(
    jetstream: &Context,
    catalog: &CatalogReader,
    all: &[TrackedHook],
) -> anyhow::Result<()> {
    let stream = jetstream.get_stream(SERIES).await?;
    for (hook, info) in infos(&stream).await? {
        if all.iter().any(|tracked| tracked.hook.name == hook) {
            continue;
        }
        stream.delete_consumer(&info.name).await?;
        let undelivered = info.num_pending + info.num_ack_pending as u64;
        tracing::warn!(hook, undelivered, "a webhook that left WEBHOOKS_FILE was removed");
    }
    let names: Vec<_> = all.iter().map(|tracked| tracked.hook.name.as_str()).collect();
    Ok(catalog.forget_other_webhooks(&names).await?)
}

fn name(hook: &Hook) -> String {
    format!("{PREFIX}{}", hook.name)
}
