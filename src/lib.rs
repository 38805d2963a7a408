//! Collimator in one process: its own nats-server, the three services, and the commands around
//! them.

mod disk;
pub mod doctor;
pub mod embedded_nats;
mod output;
pub mod pipeline;
pub mod send;
pub mod series;
pub mod synthetic;
mod watchdog;
