//! Metrics and log lines of HTTP requests: by the template of the path, never by the path, which names a series
//! or whatever somebody made up.

use super::documented_path::DocumentedPath;
use crate::dashboard;
use poem::http::{Method, StatusCode};
use poem::{Endpoint, PathPattern, Request, Response};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use shared::metrics::{Metrics, Refusals, Refused};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bounds of the buckets for a request, in seconds: up to where the catalogue or NATS is given up.
const REQUEST_SECONDS: [f64; 11] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// The route of what is nowhere.
const NOWHERE: &str = "other";

/// What is counted of HTTP requests. Clones count together.
#[derive(Debug, Clone)]
pub(crate) struct HttpMetrics {
    requests: Family<Answered, Counter>,
    durations: Family<Routed, Histogram, fn() -> Histogram>,
    refusals: Refusals,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    route: String,
    method: &'static str,
    status: u16,
}

/// Each is a dozen of samples, so there is one for a route and not for each method that somebody tries.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Routed {
    route: String,
}

impl HttpMetrics {
    /// At nought, to be told among `metrics`.
    pub(crate) fn registered(metrics: &Metrics) -> Self {
        Self {
            requests: metrics.counters("http_requests", "Requests answered"),
            durations: metrics.register(
                "http_request_duration_seconds",
                "Time from a request to the beginning of its answer",
                Family::new_with_constructor(|| Histogram::new(REQUEST_SECONDS)),
            ),
            refusals: metrics.refusals(),
        }
    }

    /// Counts a request, and logs that it was answered: never what was asked for, nor with what.
    pub(crate) async fn count<E: Endpoint<Output = Response>>(
        self,
        next: Arc<E>,
        request: Request,
    ) -> poem::Result<Response> {
        let began = Instant::now();
        let method = request.method().clone();
        let known_route = match DocumentedPath::of(&request) {
            Some(documented) => Some(documented.template()),
            None => Some(request.uri().path()).filter(|it| dashboard::has(it)).map(str::to_owned),
        };
        let response = next.call(request).await?;
        let status = response.status();
        let route = known_route.unwrap_or_else(|| template(response.data::<PathPattern>()));
        tracing::debug!(method = word(&method), route, status = status.as_u16(), "answered");
        self.answered(route, &method, status, began.elapsed());
        if status.is_client_error() || status.is_server_error() {
            self.refusals.count(Refused::Request, status.as_str().to_owned());
        }
        Ok(response)
    }

    fn answered(&self, route: String, method: &Method, status: StatusCode, took: Duration) {
        let routed = Routed { route: route.clone() };
        self.durations.get_or_create(&routed).observe(took.as_secs_f64());
        let (method, status) = (word(method), status.as_u16());
        self.requests.get_or_create(&Answered { route, method, status }).inc();
    }
}

/// The template of a path from what the router knows of it, with the names of its parameters in
/// braces, as in OpenAPI.
fn template(pattern: Option<&PathPattern>) -> String {
    let pattern = pattern.map_or("", |PathPattern(pattern)| pattern).trim_end_matches('/');
    if pattern.is_empty() {
        return NOWHERE.to_owned();
    }
    let segments = pattern.split('/').map(|segment| match segment.strip_prefix([':', '*']) {
        Some(name) => format!("{{{name}}}"),
        None => segment.to_owned(),
    });
    segments.collect::<Vec<_>>().join("/")
}

/// A method for a label or a log line: anybody can make one up.
fn word(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_names_its_parameters_as_openapi_does() {
        let template = |pattern: &str| template(Some(&PathPattern(pattern.into())));
        assert_eq!(
            template("/dicom-web/studies/:study/series"),
            "/dicom-web/studies/{study}/series"
        );
        assert_eq!(template("/dicom-web/:study/*path"), "/dicom-web/{study}/{path}");
        assert_eq!(template("/metrics"), "/metrics");
        assert_eq!(template("/docs/"), "/docs");
        assert_eq!(template(""), NOWHERE);
        assert_eq!(super::template(None), NOWHERE);
    }
}
