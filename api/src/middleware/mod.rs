//! Middleware around all routes, so that no new route can be forgotten.

pub(crate) mod audit;
pub(crate) mod authentication;
pub(crate) mod cors;
pub(crate) mod documented_path;
pub(crate) mod host_header;
pub(crate) mod http_metrics;
pub(crate) mod problem_responses;
pub(crate) mod repeated_values;
pub(crate) mod security_headers;
pub(crate) mod strict_parameters;
