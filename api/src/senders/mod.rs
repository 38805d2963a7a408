//! Senders, by calling AE title, and whether their evidence is trusted. Paths and names of the API call them sources.

pub mod operations;
pub mod record;
