//! The HTTP server below the routes: its connections, how many there are, and how long each may take.

mod clock;
pub mod connections;
mod head;
