//! OpenID Connect: JSON Web Tokens (RFC 7519, RFC 9068) of one issuer, taken as ours are when they are
//! signed by a key of it, for us, and of now.

mod jwks_fetcher;
mod keys;
pub mod settings;
mod signatures;

use crate::auth::reloadable_file::ReloadableFile;
use crate::auth::tokens::Scope;
use anyhow::{Context as _, bail, ensure};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{AlgorithmFamily, Validation, decode, decode_header};
use jwks_fetcher::{JwksFetcher, JwksLocation};
use keys::Keys;
use serde_json::Value;
pub use settings::OidcSettings;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Longest token, in bytes: those of users in many groups have a few thousand.
const MAX_LENGTH: usize = 16 * 1024;

/// Longest subject, in characters (OpenID Connect Core 1.0 section 2).
const MAX_SUBJECT: usize = 255;

/// How far the issuer's clock and ours may be apart, in seconds.
const LEEWAY: u64 = 30;

/// Why a token is not taken. None says more of it than its own bearer knows.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Untrusted {
    /// It is none, or its header or claims are no such.
    #[error("the token is no JSON Web Token that can be read here")]
    Malformed,
    /// By nobody whom we know, or in a way that anybody could.
    #[error("the token is not signed by a key of its issuer")]
    Signature,
    /// `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// `nbf` has not come.
    #[error("the token is not valid yet")]
    Early,
    /// `iss` is another.
    #[error("the token is of another issuer")]
    Issuer,
    /// `aud` are others.
    #[error("the token is for another audience")]
    Audience,
    /// What has to be there is not.
    #[error("the token needs exp, iss, aud and sub")]
    Incomplete,
    /// There is nothing to verify it with; not the token's fault.
    #[error("the keys of the issuer are not there yet; try again, or see the log")]
    NoKeys,
}

/// What is needed to judge tokens of an issuer.
#[derive(Debug)]
pub struct Oidc {
    keys: KeySource,
    validation: Validation,
    scope_claims: Vec<String>,
    scope_prefix: String,
}

#[derive(Debug)]
enum KeySource {
    File(ReloadableFile<Keys>),
    Issuer(Box<JwksFetcher>),
}

impl Oidc {
    /// As the settings say, if they name an issuer.
    ///
    /// # Errors
    /// When they do not go together, or a file or URL is no good, with the name of the setting.
    pub fn new(settings: &OidcSettings) -> anyhow::Result<Option<Self>> {
        let Some(issuer) = &settings.oidc_issuer else {
            for (name, is_set) in [
                ("OIDC_AUDIENCE", settings.oidc_audience.is_some()),
                ("OIDC_JWKS_FILE", settings.oidc_jwks_file.is_some()),
                ("OIDC_JWKS_URL", settings.oidc_jwks_url.is_some()),
            ] {
                ensure!(!is_set, "{name} is of no use without OIDC_ISSUER");
            }
            return Ok(None);
        };
        ensure!(!issuer.is_empty(), "OIDC_ISSUER must not be empty");
        // Without one, a token that any other service was given would be good here.
        let audience = settings.oidc_audience.as_deref().filter(|audience| !audience.is_empty());
        let audience = audience.context("OIDC_ISSUER needs OIDC_AUDIENCE as well")?;
        let fetched = |setting, published: anyhow::Result<JwksLocation>| {
            let fetcher = published.and_then(JwksFetcher::new).context(setting);
            fetcher.map(|fetcher| KeySource::Issuer(Box::new(fetcher)))
        };
        let keys = match (&settings.oidc_jwks_file, &settings.oidc_jwks_url) {
            (None, None) => fetched("OIDC_ISSUER", JwksLocation::by(issuer))?,
            (None, Some(url)) => fetched("OIDC_JWKS_URL", JwksLocation::at(url))?,
            (Some(path), None) => {
                KeySource::File(ReloadableFile::new("OIDC_JWKS_FILE", path, Keys::read)?)
            }
            (Some(_), Some(_)) => {
                bail!("OIDC_JWKS_FILE and OIDC_JWKS_URL: one or none of them")
            }
        };
        // It is there already when this process has made one before.
        let _ = signatures::RING.install_default();
        let mut validation = Validation::default();
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[audience]);
        validation.leeway = LEEWAY;
        validation.validate_nbf = true;
        Ok(Some(Self {
            keys,
            validation,
            scope_claims: settings.oidc_scope_claim.clone(),
            scope_prefix: settings.oidc_scope_prefix.clone(),
        }))
    }

    /// Whose a token is, its subject, and what it is good for.
    ///
    /// # Errors
    /// Why it is not taken.
    pub async fn holder(&self, token: &str) -> Result<(Arc<str>, Arc<[Scope]>), Untrusted> {
        if token.len() > MAX_LENGTH {
            return Err(Untrusted::Malformed);
        }
        let header = decode_header(token).map_err(|_| Untrusted::Malformed)?;
        // What is not understood here must not be passed over (RFC 7515 section 4.1.11).
        if header.crit.is_some() {
            return Err(Untrusted::Malformed);
        }
        if header.alg.family() == AlgorithmFamily::Hmac {
            return Err(Untrusted::Signature);
        }
        let keys = match &self.keys {
            KeySource::File(file) => file.current(),
            KeySource::Issuer(fetcher) => {
                fetcher.keys_with(header.kid.as_deref()).await.ok_or(Untrusted::NoKeys)?
            }
        };
        let key = keys.find(&header).ok_or(Untrusted::Signature)?;
        let validation = Validation { algorithms: vec![header.alg], ..self.validation.clone() };
        let claims = decode::<Value>(token, key, &validation).map_err(reason)?.claims;
        let subject = claims["sub"].as_str().filter(|it| is_subject(it));
        Ok((subject.ok_or(Untrusted::Malformed)?.into(), self.scopes(&claims)))
    }

    /// Reads the keys again, or has them fetched soon.
    pub(crate) fn reload(&self) {
        match &self.keys {
            KeySource::File(file) => file.reload(),
            KeySource::Issuer(fetcher) => fetcher.fetch_soon(),
        }
    }

    /// Keeps the keys fresh, until told to stop.
    pub(crate) async fn run(&self, stop: &CancellationToken) {
        if let KeySource::Issuer(fetcher) = &self.keys {
            fetcher.run(stop).await;
        }
    }

    /// Those of ours that the claims have: in one string with spaces between (RFC 8693 section 4.2), or
    /// in an array.
    fn scopes(&self, claims: &Value) -> Arc<[Scope]> {
        let claims = self.scope_claims.iter().filter_map(|name| claim(claims, name));
        let given: Vec<_> = claims.flat_map(words).collect();
        let has = |scope: &Scope| {
            let is = |word: &&str| word.strip_prefix(&*self.scope_prefix) == Some(scope.as_str());
            given.iter().any(is)
        };
        Scope::ALL.into_iter().filter(has).collect()
    }
}

/// A claim by its name, which may have dots, or by the way to it (`resource_access.collimator.roles`).
fn claim<'a>(claims: &'a Value, name: &str) -> Option<&'a Value> {
    let inner = || name.split('.').try_fold(claims, |value, key| value.get(key));
    claims.get(name).or_else(inner)
}

fn words(claim: &Value) -> Vec<&str> {
    match claim {
        Value::String(text) => text.split(' ').collect(),
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn is_subject(text: &str) -> bool {
    (1..=MAX_SUBJECT).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

fn reason(error: jsonwebtoken::errors::Error) -> Untrusted {
    match error.kind() {
        ErrorKind::InvalidSignature | ErrorKind::InvalidAlgorithm => Untrusted::Signature,
        ErrorKind::ExpiredSignature => Untrusted::Expired,
        ErrorKind::ImmatureSignature => Untrusted::Early,
        ErrorKind::InvalidIssuer => Untrusted::Issuer,
        ErrorKind::InvalidAudience => Untrusted::Audience,
        ErrorKind::MissingRequiredClaim(_) => Untrusted::Incomplete,
        _ => Untrusted::Malformed,
    }
}

#[cfg(test)]
mod tests;
