//! TLS as a client speaks it to a peer that settings name: whose certificates it accepts, and which one it shows.

use crate::pem::{authorities, certificates};
use anyhow::Context as _;
use hyper_rustls::ConfigBuilderExt as _;
use rustls::ClientConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use std::path::Path;
use std::sync::Arc;

/// What is needed to speak TLS to a peer whose certificate is of one of the CAs in the file `ca`, or of one that this
/// machine trusts. `identity` are the files of our certificate and of its key, where we show one.
///
/// # Errors
/// When a file can't be read or holds something else, or this machine trusts no CA.
pub fn config(ca: Option<&Path>, identity: Option<(&Path, &Path)>) -> anyhow::Result<ClientConfig> {
    let what = |path: &Path| path.display().to_string();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?;
    let builder = match ca {
        Some(ca) => builder.with_root_certificates(authorities(ca).with_context(|| what(ca))?),
        None => builder.with_native_roots().context(
            "TLS needs trusted certificates: install ca-certificates, or name a file with `ca`",
        )?,
    };
    let Some((certificate, key)) = identity else { return Ok(builder.with_no_client_auth()) };
    let chain = certificates(certificate).with_context(|| what(certificate))?;
    let private = PrivateKeyDer::from_pem_file(key).with_context(|| what(key))?;
    builder.with_client_auth_cert(chain, private).with_context(|| what(certificate))
}
