//! User Identity Negotiation (PS3.7 section D.3.3.7): which user a caller is, where only users may send.

use anyhow::anyhow;
use dicom_ul::pdu::{AssociationRQ, UserIdentityType, UserVariableItem};
use ring::rand::{SystemRandom, generate};
use shared::senders::{PasscodeHash, User};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// Passcodes that are checked at one time, since a check takes a core and some 20 MB.
const CHECKS: usize = 1;

/// User Identity sub-item of an A-ASSOCIATE-AC (PS3.7 section D.3.3.7.2), with a server response of no
/// length, as it is for users with and without passcodes.
const ACCEPTED: (u8, [u8; 2]) = (0x59, [0, 0]);

/// The user that a caller claims to be. Has no Debug: nothing of it is for logs.
pub(crate) struct UserIdentity {
    name: Vec<u8>,
    passcode: Option<Vec<u8>>,
    /// Whether it requests a positive response.
    pub wants_response: bool,
}

impl UserIdentity {
    /// The one in a request: a user, with or without a passcode. Tickets and assertions are not taken.
    #[must_use]
    pub(crate) fn of(request: &AssociationRQ) -> Option<Self> {
        let offered = request.user_variables.iter().find_map(|item| match item {
            UserVariableItem::UserIdentityItem(offered) => Some(offered),
            _ => None,
        })?;
        let passcode = match offered.identity_type() {
            UserIdentityType::Username => None,
            UserIdentityType::UsernamePassword => Some(offered.secondary_field()),
            _ => return None,
        };
        let (name, wants_response) =
            (offered.primary_field(), offered.positive_response_requested());
        Some(Self { name, passcode, wants_response })
    }
}

/// The sub-item of an A-ASSOCIATE-AC for a caller that requests a positive response.
#[must_use]
pub(crate) fn positive_response() -> UserVariableItem {
    UserVariableItem::Unknown(ACCEPTED.0, ACCEPTED.1.to_vec())
}

/// Checks passcodes, and remembers those that were good for as long as the receiver runs: a sender that
/// opens an association for each instance is not kept waiting.
#[derive(Debug)]
pub(crate) struct UserVerifier {
    turn: Semaphore,
    /// Of what is remembered, so that it is of no use elsewhere.
    key: [u8; 32],
    /// What was good, by the hash that it is of.
    good: Mutex<HashMap<String, blake3::Hash>>,
}

impl UserVerifier {
    /// With no passcode remembered.
    ///
    /// # Errors
    /// When there is no randomness to be had.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let key = generate(&SystemRandom::new()).map_err(|_| anyhow!("no randomness to be had"))?;
        Ok(Self { turn: Semaphore::new(CHECKS), key: key.expose(), good: Mutex::default() })
    }

    /// Whether a caller is one of these users. A passcode that is not remembered is only looked at if it
    /// `may_guess`.
    pub(crate) async fn verifies(
        &self,
        users: &[&User],
        identity: &UserIdentity,
        may_guess: bool,
    ) -> bool {
        let named = || users.iter().filter(|user| user.name.as_bytes() == identity.name);
        if named().any(|user| user.passcode.is_none()) {
            return true;
        }
        let Some(passcode) = &identity.passcode else { return false };
        let mut hashes: Vec<PasscodeHash> =
            named().filter_map(|user| user.passcode.clone()).collect();
        if hashes.iter().any(|hash| self.remembers(hash, passcode)) {
            return true;
        }
        if !may_guess {
            return false;
        }
        let is_named = !hashes.is_empty();
        if !is_named {
            // Takes as long, so that nobody learns from the time who is a user.
            hashes.extend(users.iter().find_map(|user| user.passcode.clone()));
        }
        // Never closed.
        let Ok(_turn) = self.turn.acquire().await else { return false };
        let guess = passcode.clone();
        let checked = spawn_blocking(move || hashes.into_iter().find(|hash| hash.is_of(&guess)));
        match checked.await {
            Ok(Some(hash)) if is_named => {
                self.remember(&hash, passcode);
                true
            }
            _ => false,
        }
    }

    fn remembers(&self, hash: &PasscodeHash, passcode: &[u8]) -> bool {
        let good = self.good.lock().unwrap_or_else(PoisonError::into_inner);
        // Compared in constant time.
        good.get(hash.as_str()) == Some(&blake3::keyed_hash(&self.key, passcode))
    }

    fn remember(&self, hash: &PasscodeHash, passcode: &[u8]) {
        let mut good = self.good.lock().unwrap_or_else(PoisonError::into_inner);
        good.insert(hash.as_str().to_owned(), blake3::keyed_hash(&self.key, passcode));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str, passcode: Option<&[u8]>) -> User {
        let passcode = passcode.map(|passcode| PasscodeHash::of(passcode).unwrap());
        User { name: name.to_owned(), passcode }
    }

    fn identity(name: &str, passcode: Option<&[u8]>) -> UserIdentity {
        let passcode = passcode.map(<[u8]>::to_vec);
        UserIdentity { name: name.as_bytes().to_vec(), passcode, wants_response: false }
    }

    #[tokio::test]
    async fn a_user_is_known_by_its_passcode_or_where_it_has_none_by_its_name() {
        let (mr1, ct1) = (user("mr1", Some(b"correct horse")), user("ct1", None));
        let users = [&mr1, &ct1];
        let verifier = UserVerifier::new().unwrap();
        for (name, passcode, known) in [
            ("mr1", Some(&b"correct horse"[..]), true),
            ("mr1", Some(b"battery staple"), false),
            ("mr1", Some(b""), false),
            ("mr1", None, false),
            ("MR1", Some(b"correct horse"), false),
            ("ct1", None, true),
            ("ct1", Some(b"whatever"), true),
            ("", Some(b"correct horse"), false),
        ] {
            let identity = identity(name, passcode);
            assert_eq!(verifier.verifies(&users, &identity, true).await, known, "{name}");
        }
    }

    #[tokio::test]
    async fn who_may_not_guess_is_known_by_what_was_good_before() {
        let mr1 = user("mr1", Some(b"correct horse"));
        let verifier = UserVerifier::new().unwrap();
        let right = identity("mr1", Some(b"correct horse"));
        assert!(!verifier.verifies(&[&mr1], &right, false).await);
        assert!(verifier.verifies(&[&mr1], &right, true).await);
        assert!(verifier.verifies(&[&mr1], &right, false).await);
        // Under another user's hash it is worth nothing.
        let ct1 = user("ct1", Some(b"battery staple"));
        assert!(!verifier.verifies(&[&ct1], &identity("ct1", Some(b"correct horse")), false).await);
    }
}
