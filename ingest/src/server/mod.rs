//! The ports: connections, the PROXY header, and the TLS hand-shake.

pub(crate) mod connection;
pub(crate) mod listener;
mod proxy;
mod tls;
