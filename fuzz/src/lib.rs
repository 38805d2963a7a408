//! Everything that reads what others wrote: inputs that are well-formed, and what has to hold of any
//! input at all. A test mutates the inputs on every run of CI; a fuzzer goes on from them for as long
//! as it is let (`fuzz/run`).
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a reader that is wrong is shown by a panic"
)]

mod associate_requests;
mod command_sets;
mod data_sets;
mod events;
mod mutate;
mod pdus;
mod settings;
mod subjects;

pub use mutate::mutate;

use fastrand::Rng;

/// One of the things that are read.
#[derive(Debug, Clone, Copy)]
pub struct Reader {
    /// What it is called, here and as a fuzz target.
    pub name: &'static str,
    /// Inputs that it takes.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Reads any bytes. Panics when something does not hold that has to.
    pub check: fn(&[u8]),
}

/// All of them.
pub const READERS: &[Reader] = &[
    associate_requests::READER,
    pdus::READER,
    command_sets::READER,
    data_sets::READER,
    events::READER,
    subjects::READER,
    settings::READER,
];

/// Runs one reader's check.
pub fn check(name: &str, input: &[u8]) {
    let reader = READERS.iter().find(|reader| reader.name == name);
    (reader.unwrap_or_else(|| panic!("there is no reader {name}")).check)(input);
}

/// Splits bytes into pieces as a network would; the same bytes into the same pieces.
fn pieces(mut bytes: &[u8], variant: u64) -> Vec<&[u8]> {
    let mut rng = Rng::with_seed(bytes.len() as u64 * 2 + variant);
    let mut pieces = Vec::new();
    while !bytes.is_empty() {
        let (piece, rest) = bytes.split_at(rng.usize(1..=bytes.len().min(300)));
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}
