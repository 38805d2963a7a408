//! Associations over sockets of tokio.

mod acceptor;
mod quick_ack;
mod socket;

pub use acceptor::{Abort, Acceptor, AssociationError, Incoming};
pub use socket::{Encrypted, Socket, buffered};
