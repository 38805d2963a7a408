//! Audit messages sent to an Audit Record Repository: PS3.15 section A.6, which is syslog (RFC 5424) over
//! TLS (RFC 5425) with the message as XML (PS3.15 A.5.1).
//!
//! One durable consumer of AUDIT, so what the repository is owed is with the broker. RFC 5425 knows no
//! acknowledgement: `relay` says when a message counts as taken.

mod connection;
mod message;
mod metrics;
mod relay;
mod session;
mod settings;
mod tls;
mod unconfirmed;
pub mod xml;

pub use relay::Relay;
pub use settings::SyslogSettings;
