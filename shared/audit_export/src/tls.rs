//! How TLS is spoken with an Audit Record Repository.

use anyhow::Context as _;
use rustls::ClientConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use shared::pem::{Named, authorities, certificates};
use std::path::PathBuf;
use std::sync::Arc;

/// By what a repository is known, and who we are to it. The files are read for each connection, so
/// renewed ones are used from the next on.
#[derive(Debug, Clone)]
pub(crate) struct Tls {
    pub(crate) ca: PathBuf,
    pub(crate) identity: Option<(PathBuf, PathBuf)>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// When one can't be read or holds something else, with the name of its setting.
    pub(crate) fn read(&self) -> anyhow::Result<Arc<ClientConfig>> {
        let ca = Named::new("AUDIT_SYSLOG_CA", &self.ca);
        let roots = authorities(ca.path()).with_context(|| ca.to_string())?;
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        let Some((certificate, key)) = &self.identity else {
            return Ok(Arc::new(builder.with_no_client_auth()));
        };
        let certificate = Named::new("AUDIT_SYSLOG_CERT", certificate);
        let key = Named::new("AUDIT_SYSLOG_KEY", key);
        let chain = certificates(certificate.path()).with_context(|| certificate.to_string())?;
        let private = PrivateKeyDer::from_pem_file(key.path()).with_context(|| key.to_string())?;
        let config = builder.with_client_auth_cert(chain, private);
        Ok(Arc::new(config.with_context(|| format!("{certificate} with {}", key.setting()))?))
    }
}
