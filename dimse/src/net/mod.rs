//! Associations over sockets of tokio.

mod acceptor;
mod quick_ack;
mod scu;
mod socket;

pub use acceptor::{Abort, Acceptor, AssociationError, Incoming};
pub use scu::{Scu, ScuError, StoreError};
pub use socket::{Encrypted, Socket, buffered};
