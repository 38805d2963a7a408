//! The connection to the broker.

use crate::health::Part;
use crate::nats_version::{OLDEST, Outdated};
use crate::settings::NatsSettings;
use anyhow::ensure;
use async_nats::{Client, ConnectOptions};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// First and longest pause between two tries to reach the broker.
pub(super) const CONNECT_PAUSE: (Duration, Duration) =
    (Duration::from_millis(100), Duration::from_secs(5));

/// From one ping of the broker to the next while nothing else comes from it. After three without an answer
/// the connection is dead, though TCP may keep it for minutes, and a new one is made.
const PING_INTERVAL: Duration = Duration::from_secs(1);

/// Connects to the broker, however long it takes to come up, and keeps `part` of the health up to
/// date from then on. Reconnects by itself. `None` when told to stop before there was a connection.
///
/// # Errors
/// When the user's password can't be read, or the server is older than [`OLDEST`] and not allowed.
pub async fn connect(
    settings: &NatsSettings,
    name: &str,
    part: Part,
    stop: &CancellationToken,
) -> anyhow::Result<Option<Client>> {
    let mut pause = CONNECT_PAUSE.0;
    let options = settings.user.introduce(options(name, part.clone(), stop.clone()))?;
    let client = loop {
        let options = options.clone();
        let error = tokio::select! {
            connected = settings.nats_url.connect(options) => match connected {
                Ok(client) => break client,
                Err(error) => error,
            },
            () = stop.cancelled() => return Ok(None),
        };
        part.not_ready(format!("NATS can't be reached: {error}"));
        // At the first try, and then now and then.
        if pause == CONNECT_PAUSE.0 || pause == CONNECT_PAUSE.1 {
            tracing::warn!(
                %error,
                "NATS can't be reached at {}; trying again: start nats-server there, or see NATS_URL and NATS_USER",
                settings.nats_url
            );
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(CONNECT_PAUSE.1),
            () = stop.cancelled() => {}
        }
    };
    let version = client.server_info().version;
    if let Some(outdated) = Outdated::of(&version) {
        let line = format!("nats-server {version} is too old: {outdated}; {}", outdated.advice());
        ensure!(settings.old.allows(outdated), line);
        tracing::warn!(
            "nats-server {version} is old: {outdated}; use nats-server {OLDEST} or newer"
        );
    }
    part.ready();
    Ok(Some(client))
}

/// `stop` is that of [`connect`]: from then on the broker may go first.
fn options(name: &str, part: Part, stop: CancellationToken) -> ConnectOptions {
    let options = ConnectOptions::new().name(name).ping_interval(PING_INTERVAL);
    options.event_callback(move |event| {
        let (part, stopping) = (part.clone(), stop.is_cancelled());
        async move {
            match event {
                async_nats::Event::Connected => part.ready(),
                async_nats::Event::Disconnected => part.not_ready("NATS is disconnected"),
                async_nats::Event::Closed => tracing::debug!("NATS: closed"),
                event if stopping => tracing::debug!("NATS: {event}"),
                event => tracing::warn!("NATS: {event}"),
            }
        }
    })
}
