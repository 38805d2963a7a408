//! User name and credentials of a service at the broker: with a password or a `.creds` file where
//! the broker has users ([`nats-users.conf`](../../nats-users.conf)), with a certificate where it asks for
//! one.

use crate::nats_tls::NatsTls;
use anyhow::{Context as _, ensure};
use async_nats::ConnectOptions;
use clap::Args;
use contract::subject::Token;
use std::fs;
use std::path::PathBuf;

/// A user of the broker, or nobody. Never holds a secret, so whatever shows it shows none.
#[derive(Debug, Clone, Default, Args)]
// Several `Settings` have it, and a group is named by its type.
#[group(skip)]
#[command(next_help_heading = "NATS")]
pub struct NatsUser {
    /// NATS user name [default: none]
    #[arg(long, env = "NATS_USER", requires = "nats_password_file")]
    pub nats_user: Option<String>,

    /// File with the password of NATS_USER
    #[arg(long, env = "NATS_PASSWORD_FILE", requires = "nats_user")]
    pub nats_password_file: Option<PathBuf>,

    /// Credentials file (JWT and nkey seed), as written by `nsc generate creds`
    #[arg(long, env = "NATS_CREDS_FILE", conflicts_with = "nats_user")]
    pub nats_creds_file: Option<PathBuf>,

    /// Prefix of reply subjects; no other user should be allowed to subscribe to it
    /// [default: `_INBOX_` and NATS_USER, or `_INBOX` without one]
    #[arg(long, env = "NATS_INBOX_PREFIX", value_parser = prefix)]
    pub nats_inbox_prefix: Option<String>,

    /// How it is known to be the right broker.
    #[command(flatten)]
    pub tls: NatsTls,
}

impl NatsUser {
    /// Has `options` say who connects, how that is proved, and what is trusted.
    ///
    /// # Errors
    /// When a file can't be read or holds something else; the file is named, and nothing that is in it.
    pub fn introduce(&self, options: ConnectOptions) -> anyhow::Result<ConnectOptions> {
        let mut options = self.tls.secure(options)?;
        if let (Some(user), Some(file)) = (&self.nats_user, &self.nats_password_file) {
            let what = || format!("NATS_PASSWORD_FILE {}", file.display());
            let password = fs::read_to_string(file).with_context(what)?;
            let password = password.trim_end_matches(['\r', '\n']);
            ensure!(!password.is_empty(), "{}: there is no password in it", what());
            options = options.user_and_password(user.clone(), password.to_owned());
            options = options.custom_inbox_prefix(format!("_INBOX_{}", Token::new(user).as_str()));
        }
        if let Some(file) = &self.nats_creds_file {
            let what = || format!("NATS_CREDS_FILE {}", file.display());
            let credentials = fs::read_to_string(file).with_context(what)?;
            options = options.credentials(&credentials).with_context(what)?;
        }
        if let Some(prefix) = &self.nats_inbox_prefix {
            options = options.custom_inbox_prefix(prefix.clone());
        }
        Ok(options)
    }

    /// Looks whether all of it can be used.
    ///
    /// # Errors
    /// As [`NatsUser::introduce`].
    pub fn check(&self) -> anyhow::Result<()> {
        self.introduce(ConnectOptions::new()).map(drop)
    }

    /// Whether anything is said of it, which the embedded nats-server of `collimator` has no use for.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.nats_user.is_some() || self.nats_creds_file.is_some() || self.tls.is_set()
    }
}

/// Reads the beginning of a subject: tokens with dots between them (NATS: "Subject-Based Messaging").
fn prefix(text: &str) -> Result<String, String> {
    let is_token = |token: &str| {
        !token.is_empty() && token.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '*' | '>'))
    };
    match text.split('.').all(is_token) {
        true => Ok(text.to_owned()),
        false => Err("is no subject; write it like `_INBOX_ingest`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nats_tls::NatsTls;
    use clap::Parser;
    use std::path::Path;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        user: NatsUser,
    }

    fn of(file: PathBuf) -> NatsUser {
        let nats_user = Some("ingest".to_owned());
        NatsUser { nats_user, nats_password_file: Some(file), ..NatsUser::default() }
    }

    fn trouble(user: &NatsUser) -> String {
        format!("{:#}", user.check().unwrap_err())
    }

    #[test]
    fn a_password_is_never_shown_and_its_file_is_named_when_there_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        let user = of(file.clone());
        assert!(trouble(&user).contains(file.to_str().unwrap()), "{}", trouble(&user));
        fs::write(&file, "\n").unwrap();
        assert!(trouble(&user).ends_with("there is no password in it"), "{}", trouble(&user));
        fs::write(&file, "sesame\n").unwrap();
        let options = user.introduce(ConnectOptions::new()).unwrap();
        assert!(!format!("{user:?}{options:?}").contains("sesame"));
    }

    #[test]
    fn a_file_of_credentials_is_named_when_it_is_no_good_and_never_shown() {
        /// The example of NATS' own documentation.
        const SEED: &str = "SUAIO3FHUX5PNV2LQIIP7TZ3N4L7TX3W53MQGEIVYFIGA635OZCKEYHFLM";
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ingest.creds");
        let user = NatsUser { nats_creds_file: Some(file.clone()), ..NatsUser::default() };
        let named = format!("NATS_CREDS_FILE {}", file.display());
        assert!(trouble(&user).starts_with(&named), "{}", trouble(&user));
        let text = |seed: &str| {
            format!(
                "-----BEGIN NATS USER JWT-----\neyJ0.eyJq.c2ln\n------END NATS USER JWT------\n\n\
                 -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
            )
        };
        for bad in ["", "sesame", &text("SESAME"), &text(&SEED.replace('3', "4"))] {
            fs::write(&file, bad).unwrap();
            let said = trouble(&user);
            assert!(said.starts_with(&named) && !said.contains("SESAME"), "{said}");
        }
        fs::write(&file, text(SEED)).unwrap();
        let options = user.introduce(ConnectOptions::new()).unwrap();
        assert!(!format!("{user:?}{options:?}").contains(SEED));
    }

    #[test]
    fn a_file_of_tls_is_named_when_it_is_no_good() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file.pem");
        let certificate = || NatsTls {
            nats_tls_cert: Some(file.clone()),
            nats_tls_key: Some(file.clone()),
            ..NatsTls::default()
        };
        let ca = || NatsTls { nats_tls_ca: Some(file.clone()), ..NatsTls::default() };
        for (tls, setting) in [(ca(), "NATS_TLS_CA"), (certificate(), "NATS_TLS_CERT")] {
            let user = NatsUser { tls, ..NatsUser::default() };
            let named = format!("{setting} {}", file.display());
            let _ = fs::remove_file(&file);
            assert!(trouble(&user).starts_with(&named), "{}", trouble(&user));
            fs::write(&file, "no PEM").unwrap();
            assert_eq!(trouble(&user), format!("{named}: holds no certificate in PEM"));
        }
    }

    #[test]
    fn what_makes_no_sense_together_is_refused() {
        let refused = [
            &["--nats-user", "u"][..],
            &["--nats-password-file", "f"],
            &["--nats-user", "u", "--nats-password-file", "f", "--nats-creds-file", "f"],
            &["--nats-tls-cert", "f"],
            &["--nats-tls-key", "f"],
            &["--nats-inbox-prefix", "_INBOX.>"],
            &["--nats-inbox-prefix", "_INBOX."],
            &["--nats-inbox-prefix", "my inbox"],
        ];
        for arguments in refused {
            let parsed = Program::try_parse_from([&["x"], arguments].concat());
            assert!(parsed.is_err(), "{arguments:?}");
        }
        let good =
            ["x", "--nats-creds-file", "f", "--nats-tls-ca", "c", "--nats-inbox-prefix", "_I.x"];
        let user = Program::try_parse_from(good).unwrap().user;
        assert_eq!(user.nats_creds_file.as_deref(), Some(Path::new("f")));
        assert!(user.is_set() && !NatsUser::default().is_set());
    }
}
