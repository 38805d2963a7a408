//! What stands around all routes, so that no new route can be forgotten.

pub(crate) mod audit;
pub(crate) mod cors;
pub(crate) mod host_header;
pub(crate) mod http_metrics;
pub(crate) mod security_headers;
