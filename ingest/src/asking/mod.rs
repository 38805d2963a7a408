//! Asks sources how many instances they have of a series, for the indexer, which holds a series back while its source
//! has more; and fetches what it has more. Runs only where SOURCES_FILE has a source with `ask`.

mod asker;
mod fetcher;
mod no_answer;
mod query;
mod source;
mod web;

pub(crate) use asker::Asker;
pub(crate) use fetcher::Fetcher;
