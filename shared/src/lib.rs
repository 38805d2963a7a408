//! What Collimator's services say to each other (events, subjects, streams), the catalogue they
//! agree on, and how each of them starts and stops.

pub mod acknowledgements;
pub mod admin;
pub mod audit;
pub mod bounded;
#[cfg(feature = "catalog")]
pub mod catalog;
pub mod dead;
pub mod durability;
pub mod durable;
pub mod ephemeral;
pub mod event;
pub mod hangup;
pub mod health;
pub mod metrics;
mod nats_tls;
pub mod nats_url;
pub mod nats_user;
pub mod nats_version;
pub mod pem;
mod process;
pub mod room;
pub mod settings;
pub mod shutdown;
pub mod sources;
pub mod stream;
pub mod subject;
pub mod telemetry;
#[cfg(feature = "tls")]
pub mod tls;
pub mod uid;
pub mod web_url;
