//! Publishing events to NATS, and what its refusals mean.

pub(crate) mod health;
pub(crate) mod publisher;
pub(crate) mod refused;
