//! Collimator in one process: its own nats-server, the three services, and the commands around
//! them.

pub mod check_config;
mod disk;
pub mod embedded_nats;
pub mod pipeline;
pub mod send;
pub mod synthetic;
mod watchdog;
