//! `collimator check-config`: what the settings and the files that they name mean, in words, or what is
//! wrong with them.

use crate::pipeline::PipelineSettings;
use shared::sources::SourcesFile;
use std::io::{self, Write};

/// Reads all files that are named and writes down what they mean. What is wrong is given in lines, each
/// with the name of its setting.
///
/// # Errors
/// When nothing can be written.
pub fn check(
    settings: &PipelineSettings,
    to: &mut impl Write,
) -> io::Result<Result<(), Vec<String>>> {
    let mut problems = Vec::new();
    describe_port(settings, to)?;
    match settings.sources.read() {
        Ok(file) => {
            describe_sources(&file, to)?;
            if let Err(problem) = settings.indexer.sources(file) {
                problems.push(format!("{problem:#}"));
            }
        }
        Err(problem) => problems.push(format!("{problem:#}")),
    }
    Ok(if problems.is_empty() { Ok(()) } else { Err(problems) })
}

fn describe_port(settings: &PipelineSettings, to: &mut impl Write) -> io::Result<()> {
    let ingest = &settings.ingest;
    let called = match ingest.check_called_ae {
        true => format!("by the AE title {}", ingest.ae_title),
        false => "by any AE title".to_owned(),
    };
    writeln!(to, "DICOM on {}, to be called {called}.", ingest.dicom_addr)
}

fn describe_sources(file: &SourcesFile, to: &mut impl Write) -> io::Result<()> {
    match file.allow.is_open() {
        true => writeln!(to, "Whoever reaches it may send.")?,
        false => {
            writeln!(to, "It takes associations of:")?;
            for entry in file.allow.entries() {
                writeln!(to, "  - {entry}")?;
            }
        }
    }
    if !file.sources.is_empty() {
        let titles: Vec<_> = file.sources.iter().map(|source| source.ae_title.as_str()).collect();
        writeln!(to, "Rules of their own have: {}.", titles.join(", "))?;
    }
    Ok(())
}
