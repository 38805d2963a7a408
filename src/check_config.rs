//! `collimator check-config`: what the settings and the files that they name mean, in words, or what is
//! wrong with them.

use crate::pipeline::PipelineSettings;
use api::broker::BrokerHandle;
use api::webhooks::Webhooks;
use shared::metrics::Metrics;
use shared::senders::{AskAt, Lists, ReportTo, SendersFile};
use std::io::{self, Write};
use store::{Objects, StoreUrl};

/// What the settings' files say, as far as they can be read.
pub(crate) struct Files {
    /// Who may send, and how they differ.
    senders: Option<SendersFile>,
    has_pseudonyms: bool,
    /// What is wrong, each in a line with the name of its setting.
    pub(crate) problems: Vec<String>,
}

impl Files {
    /// Reads all that are named.
    pub(crate) fn read(settings: &PipelineSettings) -> Self {
        let mut problems = Vec::new();
        let mut note = |problem: anyhow::Error| problems.push(format!("{problem:#}"));
        settings.check_nats().unwrap_or_else(&mut note);
        settings.ingest.tls.read().map(drop).unwrap_or_else(&mut note);
        let pseudonyms = settings.ingest.pseudonyms.read();
        let has_pseudonyms = pseudonyms.map(|it| it.is_some()).map_err(&mut note).unwrap_or(false);
        let senders = settings.senders.read().map_err(&mut note).ok();
        if let Some(file) = &senders {
            settings.ingest.check(&file.allow).unwrap_or_else(&mut note);
            settings.indexer.senders(file.clone()).map(drop).unwrap_or_else(&mut note);
        }
        Objects::open(&settings.ingest.store.store_url, &settings.ingest.store.s3)
            .map(drop)
            .unwrap_or_else(&mut note);
        settings.api.tls().map(drop).unwrap_or_else(&mut note);
        settings.api.guard().map(drop).unwrap_or_else(&mut note);
        let webhooks = settings.api.webhooks_file.as_deref();
        let webhooks = Webhooks::new(webhooks, BrokerHandle::default(), &Metrics::default());
        webhooks.map(drop).unwrap_or_else(&mut note);
        settings.api.syslog.check().unwrap_or_else(&mut note);
        Self { senders, has_pseudonyms, problems }
    }
}

/// Reads all files that are named and writes down what they mean. What is wrong is given in lines, each
/// with the name of its setting.
///
/// # Errors
/// When nothing can be written.
pub fn check(
    settings: &PipelineSettings,
    to: &mut impl Write,
) -> io::Result<Result<(), Vec<String>>> {
    let Files { senders, has_pseudonyms, problems } = Files::read(settings);
    describe_ports(settings, to)?;
    describe_api(settings, to)?;
    if has_pseudonyms {
        writeln!(to, "Patients are called by pseudonyms, but in POST /store.")?;
    }
    match &settings.ingest.store.store_url {
        StoreUrl::None => {}
        StoreUrl::Folder(folder) => writeln!(to, "Instances are kept in {}.", folder.display())?,
        StoreUrl::Bucket(bucket) => writeln!(to, "Instances are kept in {bucket}.")?,
    }
    if let Some(file) = &senders {
        describe_senders(file, to)?;
    }
    if let Some(repository) = &settings.api.syslog.audit_syslog_addr {
        writeln!(to, "Audit messages go to {repository} by syslog over TLS.")?;
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
    if settings.api.api_tls_cert.is_some() {
        writeln!(to, "The API on {}, over TLS.", settings.api.api_addr)?;
    }
    Ok(())
}

fn describe_api(settings: &PipelineSettings, to: &mut impl Write) -> io::Result<()> {
    let api = &settings.api;
    let (auth, oidc) = (&api.auth, &api.auth.oidc);
    writeln!(to, "HTTP on {}.", api.api_addr)?;
    if auth.tokens_file.is_none() && oidc.oidc_issuer.is_none() {
        return writeln!(to, "There whoever reaches it may ask.");
    }
    if let Some(file) = &auth.tokens_file {
        writeln!(to, "There a token of {} is taken.", file.display())?;
    }
    if let Some(issuer) = &oidc.oidc_issuer {
        let audience = oidc.oidc_audience.as_deref().unwrap_or_default();
        let keys = match (&oidc.oidc_jwks_file, &oidc.oidc_jwks_url) {
            (Some(file), _) => format!("by a key of {}", file.display()),
            (None, Some(url)) => format!("by a key of {url}"),
            (None, None) => "by a key that it publishes".to_owned(),
        };
        writeln!(to, "There a JSON Web Token of {issuer} for {audience} is taken, signed {keys}.")?;
    }
    Ok(())
}

fn describe_senders(file: &SendersFile, to: &mut impl Write) -> io::Result<()> {
    match file.allow.is_open() {
        true => writeln!(to, "Whoever reaches it may send.")?,
        false => {
            writeln!(to, "It takes associations of:")?;
            for entry in file.allow.entries() {
                writeln!(to, "  - {entry}")?;
            }
        }
    }
    for sender in &file.senders {
        if let Some(ask) = &sender.ask {
            let (source, over) =
                (&sender.ae_title, if ask.tls.is_some() { ", over TLS" } else { "" });
            match &ask.at {
                AskAt::Dimse { ae_title, host, port } => writeln!(
                    to,
                    "{source} is asked how many instances it has: {ae_title} at {host}, port {port}{over}."
                )?,
                AskAt::Web { url, .. } => {
                    writeln!(to, "{source} is asked how many instances it has: at {url}.")?;
                }
            }
            if let Some(limit) = ask.fetch_limit {
                writeln!(
                    to,
                    "Up to {limit} missing instances of a series are fetched from {source}."
                )?;
            }
        }
    }
    for sender in file.senders.iter().filter(|sender| !sender.keep) {
        writeln!(to, "Instances of {} are not kept in an instance store.", sender.ae_title)?;
    }
    for sender in file.senders.iter().filter(|it| it.commitment != Lists::Off) {
        let source = &sender.ae_title;
        match &sender.report_to {
            Some(ReportTo { ae_title, host, port }) => writeln!(
                to,
                "{source} may ask for storage commitment; reports go to {ae_title} at {host}, port {port}."
            )?,
            None => writeln!(
                to,
                "{source} may ask for storage commitment; without report_to it gets its report only while it \
                 keeps the association open."
            )?,
        }
    }
    for sender in &file.senders {
        for (lists, what) in [
            (sender.performed_steps, "performed procedure steps (MPPS)"),
            (sender.availability, "notifications of availability (IAN)"),
        ] {
            if lists != Lists::Off {
                writeln!(to, "{} may list instances by {what}.", sender.ae_title)?;
            }
        }
    }
    if !file.senders.is_empty() {
        let titles: Vec<_> = file.senders.iter().map(|sender| sender.ae_title.as_str()).collect();
        writeln!(to, "Rules of their own have: {}.", titles.join(", "))?;
    }
    Ok(())
}
