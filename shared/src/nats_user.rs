//! As whom a service speaks to the broker: a user with a password from a file, where the broker has
//! users ([`nats-users.conf`](../../nats-users.conf)).

use crate::subject::Token;
use anyhow::{Context as _, ensure};
use async_nats::ConnectOptions;
use clap::Args;
use std::fs;
use std::path::PathBuf;

/// A user of the broker, or nobody. Never holds the password, so whatever shows it shows none.
#[derive(Debug, Clone, Default, Args)]
// Several `Settings` have it, and a group is named by its type.
#[group(skip)]
pub struct NatsUser {
    /// As whom to speak to NATS [default: nobody in particular]
    #[arg(long, env = "NATS_USER", requires = "nats_password_file")]
    pub nats_user: Option<String>,

    /// The file with the password of NATS_USER
    #[arg(long, env = "NATS_PASSWORD_FILE", requires = "nats_user")]
    pub nats_password_file: Option<PathBuf>,
}

impl NatsUser {
    /// Has `options` say who connects. Answers then come to subjects of that user's own, which no
    /// other user of `nats-users.conf` may subscribe to.
    ///
    /// # Errors
    /// When the password can't be read; the file is named, and nothing that is in it.
    pub fn introduce(&self, options: ConnectOptions) -> anyhow::Result<ConnectOptions> {
        let (Some(user), Some(file)) = (&self.nats_user, &self.nats_password_file) else {
            return Ok(options);
        };
        let what = || format!("NATS_PASSWORD_FILE {}", file.display());
        let password = fs::read_to_string(file).with_context(what)?;
        let password = password.trim_end_matches(['\r', '\n']);
        ensure!(!password.is_empty(), "{}: there is no password in it", what());
        let inbox = format!("_INBOX_{}", Token::new(user).as_str());
        let options = options.user_and_password(user.clone(), password.to_owned());
        Ok(options.custom_inbox_prefix(inbox))
    }
}

/// An address of NATS, or several with commas between them, without users and passwords. async-nats
/// makes no use of those and logs them: who connects is said by [`NatsUser`].
#[must_use]
pub fn without_password(url: &str) -> String {
    let servers = url.split(',').map(|server| {
        let (scheme, rest) = match server.find("://") {
            Some(at) => server.split_at(at + 3),
            None => ("", server),
        };
        format!("{scheme}{}", rest.rsplit('@').next().unwrap_or_default())
    });
    servers.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(file: PathBuf) -> NatsUser {
        NatsUser { nats_user: Some("ingest".to_owned()), nats_password_file: Some(file) }
    }

    #[test]
    fn a_password_is_never_shown_and_its_file_is_named_when_there_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        let user = of(file.clone());
        let missing = format!("{:#}", user.introduce(ConnectOptions::new()).err().unwrap());
        assert!(missing.contains(file.to_str().unwrap()), "{missing}");
        fs::write(&file, "\n").unwrap();
        let empty = format!("{:#}", user.introduce(ConnectOptions::new()).err().unwrap());
        assert!(empty.ends_with("there is no password in it"), "{empty}");
        fs::write(&file, "sesame\n").unwrap();
        let options = user.introduce(ConnectOptions::new()).unwrap();
        assert!(!format!("{user:?}{options:?}").contains("sesame"));
    }

    #[test]
    fn no_password_is_shown() {
        assert_eq!(without_password("nats://u:p@a:4222,nats://b:1"), "nats://a:4222,nats://b:1");
        assert_eq!(without_password("tls://u:p@a"), "tls://a");
        assert_eq!(without_password("localhost"), "localhost");
        assert_eq!(without_password("u:p@localhost:4222"), "localhost:4222");
    }
}
