//! The keys of an issuer as it publishes them, fetched again now and then, and when a token names one
//! that is not among them. What was fetched last is kept for as long as nothing better comes.

use super::keys::{Keys, MAX_LENGTH};
use anyhow::{Context as _, anyhow, ensure};
use poem::http::Uri;
use poem::http::uri::Scheme;
use serde::Deserialize;
use shared::http_client::{Client, Trust, client, get_json};
use shared::web_url::web_url;
use std::net::IpAddr;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// How long fetching takes and pauses.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// The most that one fetch may take, with asking the issuer where. Who brings a token of an unknown
    /// key waits for it.
    limit: Duration,
    /// How long there is no other fetch after one, whatever tokens come: anybody can write an unknown
    /// `kid`.
    rest: Duration,
    /// How long keys are used before they are fetched again: a key that was withdrawn is out by then.
    every: Duration,
    /// When it is tried again after a fetch that failed, if no token asks for it sooner.
    retry: Duration,
}

const PACE: Pace = Pace {
    limit: Duration::from_secs(5),
    rest: Duration::from_secs(10),
    every: Duration::from_secs(600),
    retry: Duration::from_secs(60),
};

/// Where an issuer says where its keys are (OpenID Connect Discovery 1.0 section 4).
const CONFIGURATION: &str = "/.well-known/openid-configuration";

/// Where keys are published.
#[derive(Debug)]
pub(super) enum JwksLocation {
    /// Where the issuer's configuration says.
    Discovered { issuer: String, configuration: Uri },
    /// Here.
    At(Uri),
}

/// The keys of an issuer, and how they are got.
#[derive(Debug)]
pub(super) struct JwksFetcher {
    published: JwksLocation,
    pace: Pace,
    client: Client,
    state: watch::Sender<State>,
    /// A token asks for a key that is not known.
    wanted: Notify,
}

#[derive(Debug)]
struct State {
    /// What was fetched last, if anything ever was.
    keys: Option<Keys>,
    phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// A fetch is on its way.
    Fetches,
    /// It has come to its end a moment ago.
    Rests,
    /// There may be another one.
    Waits,
}

impl JwksLocation {
    /// By an issuer.
    ///
    /// # Errors
    /// When its name is no URL that can be asked.
    pub(super) fn by(issuer: &str) -> anyhow::Result<Self> {
        let configuration = web(&format!("{}{CONFIGURATION}", issuer.trim_end_matches('/')))?;
        Ok(Self::Discovered { issuer: issuer.to_owned(), configuration })
    }

    /// At a URL.
    ///
    /// # Errors
    /// When it is none that can be asked.
    pub(super) fn at(url: &str) -> anyhow::Result<Self> {
        Ok(Self::At(web(url)?))
    }

    fn asked_first(&self) -> &Uri {
        match self {
            Self::Discovered { configuration, .. } => configuration,
            Self::At(url) => url,
        }
    }
}

impl JwksFetcher {
    /// Nothing is fetched yet.
    ///
    /// # Errors
    /// When https is wanted and this machine trusts nobody.
    pub(super) fn new(published: JwksLocation) -> anyhow::Result<Self> {
        let is_secure = published.asked_first().scheme() == Some(&Scheme::HTTPS);
        let client = client(Trust::machine_if(is_secure), None)?;
        let (state, _) = watch::channel(State { keys: None, phase: Phase::Fetches });
        Ok(Self { published, pace: PACE, client, state, wanted: Notify::new() })
    }

    /// The keys, with the one of this `kid` if it can be got; `None` while there are none at all.
    pub(super) async fn keys_with(&self, id: Option<&str>) -> Option<Keys> {
        let known = self.state.borrow().keys.clone();
        if known.as_ref().is_some_and(|keys| id.is_none_or(|id| keys.have(id))) {
            return known;
        }
        let mut state = self.state.subscribe();
        if state.borrow().phase == Phase::Waits {
            self.wanted.notify_one();
        }
        let rested = state.wait_for(|state| state.phase == Phase::Rests);
        // It is as long as a fetch may take; after that, what there is has to do.
        let _ = timeout(self.pace.limit, rested).await;
        self.state.borrow().keys.clone()
    }

    /// Has them fetched again as soon as that may be.
    pub(super) fn fetch_soon(&self) {
        self.wanted.notify_one();
    }

    /// Fetches them now and then, until told to stop.
    pub(super) async fn run(&self, stop: &CancellationToken) {
        let _stopped = stop.run_until_cancelled(self.keep()).await;
    }

    async fn keep(&self) {
        let Pace { limit, rest, every, retry } = self.pace;
        let mut has_failed = false;
        loop {
            self.state.send_modify(|state| state.phase = Phase::Fetches);
            let fetched = timeout(limit, self.fetch()).await;
            let fetched = fetched.unwrap_or_else(|_| Err(anyhow!("no answer within {limit:?}")));
            let next = match &fetched {
                Ok(_) if has_failed => {
                    tracing::info!("the keys of OIDC_ISSUER can be fetched again");
                    every
                }
                Ok(_) => every,
                // Once for each time that it begins.
                Err(error) if !has_failed => {
                    tracing::error!("the keys of OIDC_ISSUER can't be fetched: {error:#}");
                    retry
                }
                Err(error) => {
                    tracing::debug!("the keys of OIDC_ISSUER can't be fetched: {error:#}");
                    retry
                }
            };
            has_failed = fetched.is_err();
            self.state.send_modify(|state| {
                state.phase = Phase::Rests;
                state.keys = fetched.ok().or(state.keys.take());
            });
            sleep(rest).await;
            self.state.send_modify(|state| state.phase = Phase::Waits);
            let _ = timeout(next, self.wanted.notified()).await;
        }
    }

    async fn fetch(&self) -> anyhow::Result<Keys> {
        let url = match &self.published {
            JwksLocation::At(url) => url,
            JwksLocation::Discovered { issuer, configuration } => {
                &self.discover(issuer, configuration).await?
            }
        };
        let set = get_json(&self.client, url, MAX_LENGTH).await?;
        Keys::parse(&set).with_context(|| url.to_string())
    }

    async fn discover(&self, issuer: &str, configuration: &Uri) -> anyhow::Result<Uri> {
        #[derive(Deserialize)]
        struct Configuration {
            issuer: String,
            jwks_uri: String,
        }
        let text = get_json(&self.client, configuration, MAX_LENGTH).await?;
        let said: Option<Configuration> = serde_json::from_slice(&text).ok();
        let said = said.with_context(|| format!("{configuration} has no issuer or jwks_uri"))?;
        // Section 4.3 asks for it.
        ensure!(
            said.issuer == issuer,
            "{configuration} is of {:?}, not of {issuer:?}",
            said.issuer
        );
        web(&said.jwks_uri).with_context(|| format!("jwks_uri of {configuration}"))
    }
}

/// A URL from which keys may come: whoever could change them on the way could let anybody in.
fn web(url: &str) -> anyhow::Result<Uri> {
    web_url(url).map_err(|error| anyhow!(error))?;
    let uri: Uri = url.parse().ok().with_context(|| format!("{url:?} is no URL"))?;
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let is_here = || host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    let is_safe = match uri.scheme_str() {
        Some("https") => !host.is_empty(),
        Some("http") => is_here(),
        _ => false,
    };
    ensure!(is_safe, "{url:?} must begin with https://, or http:// on loopback");
    Ok(uri)
}

#[cfg(test)]
mod tests;
