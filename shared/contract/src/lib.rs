//! What the services say to each other: events as JSON, the subjects that they are published on, and the UIDs
//! that both are made of. `golden/` has one of each event; `docs/events.md` describes them.

pub mod attributes;
pub mod bounded;
pub mod dicomweb;
pub mod digest;
pub mod event;
pub mod subject;
pub mod uid;
