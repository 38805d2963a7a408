//! The server of the catalogue: found, connected to and looked at.

pub(in crate::postgres) mod inspection;
mod lease;
pub(in crate::postgres) mod location;
pub(in crate::postgres) mod owned;
mod passfile;
pub(in crate::postgres) mod reader;
pub(in crate::postgres) mod servers;
pub(in crate::postgres) mod writer;
