//! `collimator check-config`: what the settings and the files that they name mean, in words, or what is
//! wrong with them.

use crate::pipeline::PipelineSettings;
use api::guard::Guard;
use api::requests::Requests;
use api::webhooks::Webhooks;
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
    describe_ports(settings, to)?;
    if let Err(problem) = settings.ingest.tls.read() {
        problems.push(format!("{problem:#}"));
    }
    match settings.sources.read() {
        Ok(file) => {
            describe_sources(&file, to)?;
            if let Err(problem) = settings.ingest.check(&file.allow) {
                problems.push(format!("{problem:#}"));
            }
            if let Err(problem) = settings.indexer.sources(file) {
                problems.push(format!("{problem:#}"));
            }
        }
        Err(problem) => problems.push(format!("{problem:#}")),
    }
    if let Err(problem) = Guard::new(&settings.api) {
        problems.push(format!("{problem:#}"));
    }
    let webhooks = settings.api.webhooks_file.as_deref();
    if let Err(problem) = Webhooks::new(webhooks, Requests::default()) {
        problems.push(format!("{problem:#}"));
    }
    Ok(if problems.is_empty() { Ok(()) } else { Err(problems) })
}

fn describe_ports(settings: &PipelineSettings, to: &mut impl Write) -> io::Result<()> {
    let ingest = &settings.ingest;
    let called = match ingest.check_called_ae {
        true => format!("by the AE title {}", ingest.ae_title),
        false => "by any AE title".to_owned(),
    };
    if let Some(addr) = ingest.dicom_addr.0 {
        writeln!(to, "DICOM on {addr}, to be called {called}.")?;
    }
    if let Some(addr) = ingest.tls.dicom_tls_addr {
        writeln!(to, "DICOM over TLS on {addr}, to be called {called}.")?;
        if let Some(ca) = &ingest.tls.dicom_tls_client_ca {
            writeln!(to, "There each sender needs a certificate of a CA in {}.", ca.display())?;
        }
    }
    Ok(())
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
