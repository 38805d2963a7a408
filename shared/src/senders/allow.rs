//! `[[allow]]`: who may send.

use super::certificate::{CertificateId, CertificateName};
use super::entry::ae_title;
use super::network::Network;
use super::passcode::PasscodeHash;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use std::fmt;
use std::net::IpAddr;

/// Who may send: whoever fits one of the entries, and anybody where there are none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowList(Vec<Allowed>);

/// One of those who may send. A caller fits it by all that it names, which is something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    ae_title: Option<String>,
    addresses: Vec<Network>,
    certificate: Option<CertificateName>,
    user: Option<User>,
}

/// Who a caller may have to identify as (PS3.7 section D.3.3.7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// As the caller writes it.
    pub name: String,
    /// Of the passcode that proves it; where there is none, it is believed.
    pub passcode: Option<PasscodeHash>,
}

/// By what a caller may send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fit<'a> {
    /// By what is known of it.
    Freely,
    /// If it is one of these users.
    As(Vec<&'a User>),
}

/// One `[[allow]]` of the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    #[serde(default, deserialize_with = "some_ae_title")]
    ae_title: Option<String>,
    #[serde(default)]
    addresses: Vec<Network>,
    certificate: Option<CertificateName>,
    #[serde(default, deserialize_with = "user_name")]
    user: Option<String>,
    passcode: Option<PasscodeHash>,
}

impl TryFrom<Entry> for Allowed {
    type Error = &'static str;

    fn try_from(entry: Entry) -> Result<Self, Self::Error> {
        let Entry { ae_title, addresses, certificate, user, passcode } = entry;
        let user = match (user, passcode) {
            (None, Some(_)) => return Err("a passcode needs a user that it is of"),
            (name, passcode) => name.map(|name| User { name, passcode }),
        };
        if ae_title.is_none() && addresses.is_empty() && certificate.is_none() && user.is_none() {
            return Err("an [[allow]] has to name an ae_title, addresses, a certificate or a user");
        }
        Ok(Self { ae_title, addresses, certificate, user })
    }
}

/// Who asks for an association.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    /// Its AE title, without padding.
    pub calling_ae_title: &'a str,
    /// The address that it calls from; of IPv4, never in the form of IPv6.
    pub address: IpAddr,
    /// Its certificate, if it showed one that is good.
    pub certificate: Option<CertificateId<'a>>,
}

/// By what a caller fits no entry, if it came as far as that with any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAllowed {
    /// None is for its AE title.
    AeTitle,
    /// None that is for its AE title is for its address.
    Address,
    /// None that is for both is for its certificate.
    Certificate,
    /// It is none of the users that those are for.
    User,
}

impl AllowList {
    /// Of these entries.
    #[must_use]
    pub fn new(entries: Vec<Allowed>) -> Self {
        Self(entries)
    }

    /// Whether anybody may send.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.is_empty()
    }

    /// The entries.
    #[must_use]
    pub fn entries(&self) -> &[Allowed] {
        &self.0
    }

    /// Whether an entry is for a certificate.
    #[must_use]
    pub fn names_certificates(&self) -> bool {
        self.0.iter().any(|entry| entry.certificate.is_some())
    }

    /// Whether anybody at this address may send.
    #[must_use]
    pub fn knows(&self, address: IpAddr) -> bool {
        self.is_open() || self.0.iter().any(|entry| entry.fits_address(address))
    }

    /// Looks for the caller.
    ///
    /// # Errors
    /// When it may not send, whoever it identifies as.
    pub fn check(&self, caller: &Caller<'_>) -> Result<Fit<'_>, NotAllowed> {
        if self.is_open() {
            return Ok(Fit::Freely);
        }
        let mut titled = self.0.iter().filter(|entry| entry.fits_ae_title(caller)).peekable();
        if titled.peek().is_none() {
            return Err(NotAllowed::AeTitle);
        }
        let mut placed = titled.filter(|entry| entry.fits_address(caller.address)).peekable();
        if placed.peek().is_none() {
            return Err(NotAllowed::Address);
        }
        let fitting: Vec<_> = placed.filter(|entry| entry.fits_certificate(caller)).collect();
        if fitting.is_empty() {
            return Err(NotAllowed::Certificate);
        }
        let users: Option<Vec<_>> = fitting.iter().map(|entry| entry.user.as_ref()).collect();
        Ok(users.map_or(Fit::Freely, Fit::As))
    }
}

impl Allowed {
    fn fits_ae_title(&self, caller: &Caller<'_>) -> bool {
        self.ae_title.as_ref().is_none_or(|ae_title| ae_title == caller.calling_ae_title)
    }

    fn fits_address(&self, address: IpAddr) -> bool {
        self.addresses.is_empty() || self.addresses.iter().any(|network| network.contains(address))
    }

    fn fits_certificate(&self, caller: &Caller<'_>) -> bool {
        let fits = |name: &CertificateName| caller.certificate.is_some_and(|id| name.fits(id));
        self.certificate.as_ref().is_none_or(fits)
    }
}

/// In words, for an operator.
impl fmt::Display for Allowed {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        parts.extend(self.ae_title.as_ref().map(|ae_title| format!("calls itself {ae_title}")));
        let addresses: Vec<_> = self.addresses.iter().map(Network::to_string).collect();
        if !addresses.is_empty() {
            parts.push(format!("calls from {}", addresses.join(" or ")));
        }
        parts.extend(self.certificate.as_ref().map(|name| format!("has the certificate {name}")));
        if let Some(User { name, passcode }) = &self.user {
            let by = if passcode.is_some() { " by a passcode" } else { "" };
            parts.push(format!("identifies as the user {name}{by}"));
        }
        write!(to, "who {}", parts.join(" and "))
    }
}

fn some_ae_title<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    ae_title(from).map(Some)
}

fn user_name<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let name = String::deserialize(from)?;
    match name.is_empty() {
        false => Ok(Some(name)),
        true => Err(D::Error::custom("must not be empty")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::senders::SendersFile;

    fn list(text: &str) -> AllowList {
        SendersFile::parse(text).unwrap().allow
    }

    fn check(list: &AllowList, calling_ae_title: &str, address: &str) -> Result<(), NotAllowed> {
        let address = address.parse().unwrap();
        let fit = list.check(&Caller { calling_ae_title, address, certificate: None })?;
        assert_eq!(fit, Fit::Freely);
        Ok(())
    }

    #[test]
    fn without_an_entry_anybody_may_send() {
        let open = list("[[source]]\nae_title = 'MR1'");
        assert!(open.is_open());
        assert_eq!(check(&open, "", "192.0.2.1"), Ok(()));
    }

    #[test]
    fn a_caller_fits_an_entry_by_all_that_it_names() {
        let list = list(
            "[[allow]]\nae_title = ' MR1 '\naddresses = ['10.1.2.0/24', 'fd00::/8']\n\
             [[allow]]\nae_title = 'CT1'\n\
             [[allow]]\naddresses = ['192.0.2.7']\n",
        );
        for (ae_title, address, checked) in [
            ("MR1", "10.1.2.3", Ok(())),
            ("MR1", "fd12::1", Ok(())),
            ("MR1", "10.1.3.3", Err(NotAllowed::Address)),
            ("MR1", "fe80::1", Err(NotAllowed::Address)),
            ("mr1", "10.1.2.3", Err(NotAllowed::Address)), // only 192.0.2.7 may have any title
            ("CT1", "203.0.113.9", Ok(())),
            ("ANY", "192.0.2.7", Ok(())),
            ("ANY", "192.0.2.8", Err(NotAllowed::Address)),
        ] {
            assert_eq!(check(&list, ae_title, address), checked, "{ae_title} {address}");
        }
    }

    #[test]
    fn a_title_that_no_entry_is_for_is_told_from_an_address() {
        let list = list("[[allow]]\nae_title = 'MR1'\naddresses = ['10.1.2.0/24']");
        assert_eq!(check(&list, "MR2", "10.1.2.3"), Err(NotAllowed::AeTitle));
        assert_eq!(check(&list, "MR1", "10.1.3.3"), Err(NotAllowed::Address));
    }

    #[test]
    fn an_address_that_no_entry_is_for_is_known_before_anybody_speaks() {
        let knows = |text: &str, address: &str| list(text).knows(address.parse().unwrap());
        let of_a_network = "[[allow]]\naddresses = ['10.1.2.0/24']";
        assert!(knows(of_a_network, "10.1.2.3") && !knows(of_a_network, "10.1.3.3"));
        assert!(knows("[[allow]]\nae_title = 'MR1'", "10.1.3.3"));
        assert!(knows("", "10.1.3.3"));
    }

    #[test]
    fn a_certificate_is_known_by_its_whole_subject_or_its_fingerprint() {
        let fingerprint = "ab:".repeat(31) + "AB";
        let text = format!(
            "[[allow]]\nae_title = 'MR1'\ncertificate = 'CN=MR1,O=Hospital'\n\
             [[allow]]\nae_title = 'CT1'\ncertificate = 'SHA256:{fingerprint}'\n"
        );
        let list = list(&text);
        assert!(list.names_certificates());
        let check = |calling_ae_title, subject, fingerprint: Option<u8>| {
            let fingerprint = fingerprint.map(|byte| [byte; 32]);
            let certificate =
                fingerprint.as_ref().map(|fingerprint| CertificateId { subject, fingerprint });
            let address = "10.1.2.3".parse().unwrap();
            list.check(&Caller { calling_ae_title, address, certificate }).map(|_| ())
        };
        assert_eq!(check("MR1", "CN=MR1,O=Hospital", Some(1)), Ok(()));
        assert_eq!(check("CT1", "", Some(0xab)), Ok(()));
        for (ae_title, subject, fingerprint) in [
            ("MR1", "CN=MR1", Some(0xab)),
            ("MR1", "CN=MR1,O=Hospital", None),
            ("CT1", "CN=MR1,O=Hospital", Some(1)),
            ("CT1", "", None),
        ] {
            let checked = check(ae_title, subject, fingerprint);
            assert_eq!(checked, Err(NotAllowed::Certificate), "{ae_title} {subject}");
        }
    }

    #[test]
    fn a_user_is_asked_for_unless_an_entry_without_one_fits_as_well() {
        let list = list(
            "[[allow]]\nae_title = 'MR1'\nuser = 'anna'\n\
             [[allow]]\nae_title = 'MR1'\nuser = 'bert'\n\
             [[allow]]\naddresses = ['192.0.2.7']\n",
        );
        let check = |calling_ae_title, address: &str| {
            let address = address.parse().unwrap();
            list.check(&Caller { calling_ae_title, address, certificate: None })
        };
        let Ok(Fit::As(users)) = check("MR1", "10.1.2.3") else { panic!("nobody is asked for") };
        let names: Vec<_> = users.iter().map(|user| &*user.name).collect();
        assert_eq!(names, ["anna", "bert"]);
        assert_eq!(check("MR1", "192.0.2.7"), Ok(Fit::Freely));
        assert_eq!(check("MR2", "10.1.2.3"), Err(NotAllowed::Address));
    }

    #[test]
    fn an_entry_says_in_words_whom_it_allows() {
        let list = list(
            "[[allow]]\nae_title = 'MR1'\naddresses = ['10.1.2.0/24', 'fd00::/8']\n\
             [[allow]]\naddresses = ['192.0.2.7']\ncertificate = 'CN=CT1'\n\
             [[allow]]\nuser = 'anna'\n",
        );
        let words: Vec<_> = list.entries().iter().map(ToString::to_string).collect();
        assert_eq!(
            words,
            [
                "who calls itself MR1 and calls from 10.1.2.0/24 or fd00::/8",
                "who calls from 192.0.2.7/32 and has the certificate CN=CT1",
                "who identifies as the user anna"
            ]
        );
    }
}
