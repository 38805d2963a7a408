//! Who sends: dcmtk's programs as people run them, and a sender of our own that no receiver waits
//! for.

pub(crate) mod dcmtk;
pub(crate) mod fast;
pub(crate) mod message;

use std::time::Duration;

/// What was sent, every instance of it answered with Success.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sent {
    /// Instances.
    pub(crate) instances: u64,
    /// Bytes of their data sets or files.
    pub(crate) bytes: u64,
    /// From the first to the last.
    pub(crate) wall: Duration,
    /// CPU seconds of the sender.
    pub(crate) cpu: f64,
}
