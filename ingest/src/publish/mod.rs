//! Publishing events to NATS, and what its refusals mean.

pub mod health;
pub mod publisher;
pub mod refused;
