//! The DICOM message exchange over an association (PS3.7), on the upper layer protocol for TCP/IP (PS3.8).
//!
//! The protocol is bytes in and messages out, without a socket or a runtime. An acceptor answers requests for
//! associations by [`negotiation`] and frames what comes through one by a [`framer::Framer`]; a requestor begins with a
//! [`proposal`] and reads answers by a [`requestor::Requestor`]. [`command`] has the command sets and [`p_data`] writes
//! both sides' PDUs. With the feature `net`, [`net`] speaks it over sockets
//! of tokio. PDUs of association control are those of `dicom-ul`.

pub mod command;
pub mod data_set;
pub mod framer;
pub mod identifier;
pub mod negotiation;
#[cfg(feature = "net")]
pub mod net;
pub mod p_data;
mod pdu;
pub mod proposal;
pub mod requestor;
pub mod status;

pub use status::Status;
