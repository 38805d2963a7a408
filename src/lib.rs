//! Collimator in one process: its own nats-server, the three services, and the commands around
//! them.

pub mod catalog_copy;
pub mod check_config;
pub mod config;
mod disk;
pub mod doctor;
pub mod embedded_nats;
mod http_client;
pub mod manual;
mod output;
pub mod pipeline;
pub mod pseudonym;
pub mod readiness;
pub mod send;
pub mod series;
pub mod store_verify;
pub mod synthetic;
mod watchdog;
