//! Whether a service is alive and ready, and where that is asked.

use poem::http::StatusCode;
use poem::web::{Data, Json};
use poem::{EndpointExt, IntoResponse, Response, get, handler};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// What a service needs in order to do its work, each part with its state, and what else there is to tell of it.
/// Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Health {
    parts: Arc<Mutex<BTreeMap<&'static str, State>>>,
    descriptions: Arc<Mutex<BTreeMap<&'static str, String>>>,
}

/// The state of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// It does its work.
    Ready,
    /// Another process does its work, for this reason, and it is ready to take over.
    StandingBy(String),
    /// It can't do its work, for this reason.
    NotReady(String),
}

impl State {
    fn reason(&self) -> Option<&str> {
        match self {
            Self::NotReady(reason) => Some(reason),
            Self::Ready | Self::StandingBy(_) => None,
        }
    }

    fn report(&self) -> String {
        match self {
            Self::Ready => "ready".to_owned(),
            Self::StandingBy(reason) => format!("standing by: {reason}"),
            Self::NotReady(reason) => reason.clone(),
        }
    }
}

impl Health {
    /// Adds a part, which is not ready until it says so.
    #[must_use]
    pub fn part(&self, name: &'static str) -> Part {
        let part = Part { health: self.clone(), name };
        part.not_ready("starting");
        part
    }

    /// The parts that are not ready, with the reason of each. Ready is when there are none.
    #[must_use]
    pub fn not_ready(&self) -> Vec<(&'static str, String)> {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let missing =
            |(name, state): (&&'static str, &State)| Some((*name, state.reason()?.to_owned()));
        parts.iter().filter_map(missing).collect()
    }

    fn put(&self, name: &'static str, state: State) {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).insert(name, state);
    }

    /// Tells something of the service that has nothing to do with readiness, such as its `role`.
    pub fn describe(&self, what: &'static str, as_this: impl Into<String>) {
        let mut descriptions = self.descriptions.lock().unwrap_or_else(PoisonError::into_inner);
        descriptions.insert(what, as_this.into());
    }

    /// All that is told by [`describe`](Self::describe).
    #[must_use]
    pub fn descriptions(&self) -> BTreeMap<String, String> {
        let descriptions = self.descriptions.lock().unwrap_or_else(PoisonError::into_inner);
        descriptions.iter().map(|(what, this)| ((*what).to_owned(), this.clone())).collect()
    }

    fn report(&self) -> Value {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let parts: Map<String, Value> =
            parts.iter().map(|(name, state)| ((*name).to_owned(), state.report().into())).collect();
        json!(parts)
    }
}

/// Whether each part is ready; the reasons are told by `/health/ready` and the log.
impl Collector for Health {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let help = "Whether a part of the service is ready (1) or not (0).";
        let name = "collimator_ready";
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (part, state) in parts.iter() {
            let gauge = ConstGauge::new(i64::from(state.reason().is_none()));
            gauge.encode(family.encode_family(&[("part", *part)])?)?;
        }
        Ok(())
    }
}

/// One part of a service's health, held by the code that knows its state.
#[derive(Debug, Clone)]
pub struct Part {
    health: Health,
    name: &'static str,
}

impl Part {
    /// The part does its work.
    pub fn ready(&self) {
        self.health.put(self.name, State::Ready);
    }

    /// The part is ready to take over from another process, which does its work for this reason.
    pub fn standing_by(&self, reason: impl Into<String>) {
        self.health.put(self.name, State::StandingBy(reason.into()));
    }

    /// The part can't do its work, for this reason (which names no patient).
    pub fn not_ready(&self, reason: impl Into<String>) {
        self.health.put(self.name, State::NotReady(reason.into()));
    }
}

/// Where a service tells that it is alive.
pub const LIVE: &str = "/health/live";

/// Where it tells whether it is ready.
pub const READY: &str = "/health/ready";

/// 200 while the process answers.
#[must_use]
pub fn live() -> impl poem::Endpoint<Output = Response> + use<> {
    get(is_live).map_to_response()
}

/// 200, or 503 with what is missing.
#[must_use]
pub fn ready(health: Health) -> impl poem::Endpoint<Output = Response> + use<> {
    get(is_ready).data(health).map_to_response()
}

#[handler]
fn is_live() -> Json<Value> {
    Json(json!({ "status": "live" }))
}

#[handler]
fn is_ready(Data(health): Data<&Health>) -> Response {
    let (status, word) = match health.not_ready().is_empty() {
        true => (StatusCode::OK, "ready"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready"),
    };
    Json(json!({ "status": word, "parts": health.report() })).with_status(status).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_ready_when_all_its_parts_are() {
        let health = Health::default();
        let (nats, catalogue) = (health.part("nats"), health.part("catalogue"));
        nats.ready();
        assert_eq!(health.not_ready(), [("catalogue", "starting".to_owned())]);
        catalogue.ready();
        assert!(health.not_ready().is_empty());
        nats.not_ready("disconnected");
        assert_eq!(health.report(), json!({"catalogue": "ready", "nats": "disconnected"}));
        nats.standing_by("another one works");
        assert!(health.not_ready().is_empty(), "one that stands by is ready for a load balancer");
        assert_eq!(health.report()["nats"], "standing by: another one works");
    }
}
