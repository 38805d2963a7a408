//! `collimator pseudonym`: by which pseudonym a patient is to be looked up.

use anyhow::{Context as _, ensure};
use clap::Args;
use ingest::Pseudonyms;
use std::io::{BufRead, Read as _, Write};
use std::path::PathBuf;

/// Longest line that is read, in bytes: an ID and an issuer of 64 characters each take less.
const MAX_LINE: usize = 4096;

/// Whose pseudonyms.
#[derive(Debug, Clone, Args)]
pub struct PseudonymCommand {
    /// The key that they were made with
    #[arg(long, env = "PSEUDONYM_KEY_FILE")]
    pseudonym_key_file: PathBuf,
}

impl PseudonymCommand {
    /// Reads a `PatientID` a line, with its `IssuerOfPatientID` behind a TAB where it has one, and writes
    /// the pseudonym of each. They are no arguments, which everybody on a machine may see.
    ///
    /// # Errors
    /// When the key can't be used, or a line is none; what stood in it is not said.
    pub fn run(&self, from: &mut impl BufRead, to: &mut impl Write) -> anyhow::Result<()> {
        let pseudonyms = Pseudonyms::read(&self.pseudonym_key_file)?;
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            if from.by_ref().take(MAX_LINE as u64 + 1).read_until(b'\n', &mut line)? == 0 {
                break;
            }
            ensure!(line.len() <= MAX_LINE, "line {number} has more than {MAX_LINE} bytes");
            let text =
                str::from_utf8(&line).ok().with_context(|| format!("line {number}: no UTF-8"))?;
            let text = text.trim_end_matches(['\r', '\n']);
            let (id, issuer) = text.split_once('\t').unwrap_or((text, ""));
            let pseudonym = pseudonyms.patient_id(id, issuer);
            writeln!(to, "{}", pseudonym.with_context(|| format!("line {number}: no PatientID"))?)?;
        }
        Ok(())
    }
}
