//! Senders, by calling AE title, and what their evidence is worth. Paths and names of the API call them sources.

pub mod operations;
pub mod record;
