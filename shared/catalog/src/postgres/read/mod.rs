//! What the API reads, and the little that it writes.

mod columns;
mod comparison;
mod details;
mod matching;
mod names;
mod paging;
mod qido;
mod series;
mod studies;
