//! How Collimator's services start, run and stop, and the streams that they share. What they say to each other
//! is in `contract`, what they agree on in `catalog`, and when a series is complete in `completion`.

pub mod acknowledgements;
pub mod admin;
pub mod audit;
#[cfg(feature = "http-client")]
pub mod client_tls;
pub mod config;
pub mod connection_limit;
pub mod dead;
pub mod disk;
#[cfg(feature = "http-client")]
pub mod durability;
pub mod durable;
pub mod election;
pub mod ephemeral;
pub mod errands;
pub mod health;
#[cfg(feature = "http-client")]
pub mod http_client;
pub mod media_type;
pub mod message;
pub mod metrics;
mod nats_tls;
pub mod nats_url;
pub mod nats_user;
pub mod nats_version;
pub mod nodes;
pub mod pem;
mod process;
pub mod senders;
pub mod settings;
pub mod shutdown;
pub mod sighup;
pub mod stow;
pub mod stream;
pub mod telemetry;
#[cfg(feature = "tls")]
pub mod tls;
pub mod web_url;
