//! A hundred thousand inputs that nobody should send, over everything that reads what others wrote.
//! None makes it panic, hang or keep more than its limits.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use fastrand::Rng;
use fuzz::{READERS, Reader, mutate};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Inputs for each reader.
const INPUTS: u64 = 15_000;

/// Says which input failed, so that it can be tried again.
fn survives(reader: &Reader, name: &str, input: &[u8]) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (reader.check)(input))) {
        eprintln!("{}: {name}: {input:?}", reader.name);
        resume_unwind(panic);
    }
}

fn survives_mutations(name: &str) {
    let reader = READERS.iter().find(|reader| reader.name == name).unwrap();
    let seeds = (reader.seeds)();
    for number in 0..INPUTS {
        let mut rng = Rng::with_seed(number);
        let seed = rng.choice(&seeds).unwrap();
        survives(reader, &format!("mutation {number}"), &mutate(seed, &mut rng));
    }
}

#[test]
fn a_request_for_an_association() {
    survives_mutations("associate_requests");
}

#[test]
fn the_pdus_of_an_association() {
    survives_mutations("pdus");
}

#[test]
fn a_command_set() {
    survives_mutations("command_sets");
}

#[test]
fn a_data_set() {
    survives_mutations("data_sets");
}

#[test]
fn an_event() {
    survives_mutations("events");
}

#[test]
fn a_subject() {
    survives_mutations("subjects");
}

#[test]
fn settings() {
    survives_mutations("settings");
}

/// With `COLLIMATOR_CORPUS=FOLDER` they are written there, for a fuzzer to begin with.
#[test]
fn the_inputs_to_begin_with_are_well_formed() {
    let corpus = std::env::var_os("COLLIMATOR_CORPUS");
    for reader in READERS {
        let seeds = (reader.seeds)();
        assert!(!seeds.is_empty(), "{}", reader.name);
        for (number, seed) in seeds.iter().enumerate() {
            survives(reader, &format!("seed {number}"), seed);
            if let Some(corpus) = &corpus {
                let folder = std::path::Path::new(corpus).join(reader.name);
                std::fs::create_dir_all(&folder).unwrap();
                std::fs::write(folder.join(format!("seed-{number}")), seed).unwrap();
            }
        }
    }
}
