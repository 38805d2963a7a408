//! Series: lists, details, instances and revisions of series, `POST /store`, and what operators ask for.

pub mod details;
pub mod disagreement;
pub mod evidence;
pub mod instances;
pub mod kept;
pub mod operations;
pub mod parameters;
pub mod record;
pub mod register;
mod responses;
pub mod revisions;
