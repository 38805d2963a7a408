//! The ports: connections, and the TLS hand-shake.

pub(crate) mod connection;
pub(crate) mod listener;
mod tls;
