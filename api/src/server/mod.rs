//! The HTTP server below the routes: its connections, how many there are, and how long each may take.

pub mod aborts;
pub mod connections;
mod deadline;
mod peers;
mod request_head;
pub mod uploads;
