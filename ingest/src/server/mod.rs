//! The ports: connections, and the TLS hand-shake.

pub mod connection;
pub mod listener;
pub mod tls;
