//! Collimator in one process: its own nats-server, the three services, and the commands around
//! them.

mod asking;
pub mod check_config;
mod disk;
pub mod doctor;
pub mod embedded_nats;
pub mod manual;
mod output;
pub mod pipeline;
pub mod pseudonym;
pub mod readiness;
pub mod send;
pub mod series;
pub mod synthetic;
mod watchdog;
