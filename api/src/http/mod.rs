//! The parts of requests and responses that all resources share.

pub mod cursor;
pub mod etag;
pub(crate) mod example_values;
pub mod json_body;
pub mod json_request;
pub mod matching;
pub mod paged_list;
pub mod parameters;
pub mod problem;
