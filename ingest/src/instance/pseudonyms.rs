//! Pseudonyms: what events say of a patient in the place of the ID and the name, where that is asked
//! for. They are made with a key: without it nobody can tell whose they are, nor try a guess.

use crate::data_set::attributes::digits;
use anyhow::{Context as _, bail, ensure};
use clap::{Args, ValueEnum};
use contract::attributes::ATTRIBUTES;
use contract::event::{AttributeValue, Attributes, Remarks};
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Length of the shortest key, in bytes: as much as BLAKE3 can make use of.
const MIN_KEY_LENGTH: usize = 32;

/// Length of the longest, in bytes: a file that is longer was not meant.
const MAX_KEY_LENGTH: usize = 4096;

/// What keeps the pseudonyms of one attribute apart from those of others. They are part of what a
/// patient's pseudonym is made of, so they can never change.
const PATIENT_ID: &str = "Collimator 2026 pseudonyms: PatientID";
const PATIENT_NAME: &str = "Collimator 2026 pseudonyms: PatientName";

/// Family name of all patients. It says that there is nobody of that name.
const FAMILY_NAME: &str = "Pseudonym";

/// Settings of pseudonyms.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Pseudonyms")]
pub struct PseudonymSettings {
    /// Replace patient identifiers in events, and so in the catalogue [default: off]
    // Not an `off` by default: a key without this one would then be a mistake that nobody sees.
    #[arg(long, env = "PSEUDONYMISE")]
    pub pseudonymise: Option<Pseudonymise>,

    /// File with the key of the pseudonyms, at least 32 random bytes [default: none]
    #[arg(long, env = "PSEUDONYM_KEY_FILE")]
    pub pseudonym_key_file: Option<PathBuf>,
}

/// How patients are called in events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Pseudonymise {
    /// Patient identifiers as in the instances
    Off,
    /// Pseudonyms made with the key of PSEUDONYM_KEY_FILE
    Keyed,
}

impl PseudonymSettings {
    /// Reads the key, if pseudonyms are asked for.
    ///
    /// # Errors
    /// When there is no key, or one of which nobody said what it is for.
    pub fn read(&self) -> anyhow::Result<Option<Pseudonyms>> {
        match (self.pseudonymise, &self.pseudonym_key_file) {
            (Some(Pseudonymise::Keyed), Some(file)) => Pseudonyms::read(file).map(Some),
            (Some(Pseudonymise::Keyed), None) => {
                bail!("PSEUDONYMISE=keyed needs PSEUDONYM_KEY_FILE as well")
            }
            (None, Some(_)) => bail!(
                "PSEUDONYM_KEY_FILE is of no use without PSEUDONYMISE=keyed; set that, or \
                 PSEUDONYMISE=off"
            ),
            (Some(Pseudonymise::Off), _) | (None, None) => Ok(None),
        }
    }
}

/// Makes pseudonyms: the same of the same patient, as long as the key is the same.
pub struct Pseudonyms {
    patient_id: [u8; blake3::KEY_LEN],
    patient_name: [u8; blake3::KEY_LEN],
}

impl Pseudonyms {
    /// Reads the key: all bytes of the file, whatever they are.
    ///
    /// # Errors
    /// When it can't be read, or is too short to be random, or too long to be meant.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let what = || format!("PSEUDONYM_KEY_FILE: {}", path.display());
        let file = File::open(path).with_context(what)?;
        warn_if_others_may_read(&file, path);
        let mut key = Vec::with_capacity(MAX_KEY_LENGTH + 1);
        file.take(MAX_KEY_LENGTH as u64 + 1).read_to_end(&mut key).with_context(what)?;
        ensure!(
            (MIN_KEY_LENGTH..=MAX_KEY_LENGTH).contains(&key.len()),
            "{}: a key has {MIN_KEY_LENGTH} to {MAX_KEY_LENGTH} bytes; make one with `openssl rand -out \
             FILE 32`",
            what()
        );
        Ok(Self::new(&key))
    }

    fn new(key: &[u8]) -> Self {
        Self {
            patient_id: blake3::derive_key(PATIENT_ID, key),
            patient_name: blake3::derive_key(PATIENT_NAME, key),
        }
    }

    /// Replaces the ID and the name of the patient, and takes away all else that identifies the patient: of the
    /// birth date there are too few days for a pseudonym that is a date, and one that is none would be no DA.
    /// What is absent stays so. Nor do remarks tell how it was sent.
    pub fn replace(&self, attributes: &mut Attributes, remarks: &mut Remarks) {
        let text = |keyword| match attributes.get(keyword) {
            Some(AttributeValue::Text(text)) => text.as_str(),
            _ => "",
        };
        let (id, issuer) = (text("PatientID"), text("IssuerOfPatientID"));
        let pseudonyms = [
            ("PatientID", self.patient_id(id, issuer)),
            ("PatientName", self.patient_name(text("PatientName"), id, issuer)),
        ];
        for attribute in ATTRIBUTES.iter().filter(|attribute| attribute.identifies_patient) {
            remarks.forget(attribute.keyword);
            attributes.remove(attribute.keyword);
        }
        for (keyword, pseudonym) in pseudonyms {
            if let Some(pseudonym) = pseudonym {
                attributes.insert(keyword, AttributeValue::Text(pseudonym.into()));
            }
        }
    }

    /// The pseudonym of a Patient ID, a LO of 32 hex digits; none of an empty one. The same ID of
    /// another issuer is another patient.
    #[must_use]
    pub fn patient_id(&self, id: &str, issuer: &str) -> Option<String> {
        let (id, issuer) = (significant(id), significant(issuer));
        (!id.is_empty()).then(|| hash(&self.patient_id, &[id, issuer]))
    }

    /// The pseudonym of a Patient's Name, a PN. It is of the name of this patient: how many patients
    /// have one name would give away the frequent ones.
    fn patient_name(&self, name: &str, id: &str, issuer: &str) -> Option<String> {
        let name = significant_name(name);
        let of = [name.as_str(), significant(id), significant(issuer)];
        (!name.is_empty()).then(|| format!("{FAMILY_NAME}^{}", hash(&self.patient_name, &of)))
    }
}

/// The key is in no log, whoever prints this.
impl fmt::Debug for Pseudonyms {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("Pseudonyms").finish_non_exhaustive()
    }
}

/// 32 hex digits of the keyed hash of several texts. Each has its length before it: no two lists are
/// the same bytes.
fn hash(key: &[u8; blake3::KEY_LEN], texts: &[&str]) -> String {
    let mut hasher = blake3::Hasher::new_keyed(key);
    for text in texts {
        hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
    }
    digits(&hasher.finalize())
}

/// A LO without the spaces that mean nothing (PS3.5 section 6.2: leading and trailing ones).
fn significant(text: &str) -> &str {
    text.trim_matches(['\0', ' '])
}

/// A PN without what means nothing (PS3.5 section 6.2.1): spaces around a component, and delimiters
/// that nothing follows.
fn significant_name(name: &str) -> String {
    let groups = name.split('=').map(|group| {
        let components: Vec<_> = group.split('^').map(significant).collect();
        components.join("^").trim_end_matches('^').to_owned()
    });
    groups.collect::<Vec<_>>().join("=").trim_end_matches('=').to_owned()
}

/// Whoever can read the key can find out whose pseudonyms they are.
fn warn_if_others_may_read(file: &File, path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let others = file.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o044 != 0);
    if others {
        let path = path.display();
        tracing::warn!("PSEUDONYM_KEY_FILE: others may read {path}; chmod 600 keeps them away");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    const KEY: &[u8] = b"thirty-two bytes that are known.";

    fn attributes(all: &[(&'static str, &str)]) -> Attributes {
        let text = |text: &str| AttributeValue::Text(text.into());
        all.iter().map(|(keyword, value)| (Cow::Borrowed(*keyword), text(value))).collect()
    }

    fn replaced(key: &[u8], all: &[(&'static str, &str)]) -> Attributes {
        let mut attributes = attributes(all);
        let texts = all.iter().map(|(keyword, text)| ((*keyword).to_owned(), (*text).to_owned()));
        let texts: contract::event::Texts = texts.collect();
        let mut remarks = Remarks {
            undecoded_values: texts.clone(),
            original_values: texts,
            ..Remarks::default()
        };
        Pseudonyms::new(key).replace(&mut attributes, &mut remarks);
        for keyword in ["PatientID", "PatientName", "PatientBirthDate"] {
            let left = [&remarks.undecoded_values, &remarks.original_values];
            assert!(left.iter().all(|texts| !texts.contains_key(keyword)), "{keyword}");
        }
        attributes
    }

    #[test]
    fn what_names_a_patient_is_replaced_and_all_else_stays() {
        let others = [
            ("IssuerOfPatientID", "WARD"),
            ("PatientSex", "F"),
            ("ReferringPhysicianName", "Who^Doctor"),
            ("StudyDate", "20260102"),
        ];
        let patient =
            [("PatientID", "4711"), ("PatientName", "Roe^Jane"), ("PatientBirthDate", "19700102")];
        let pseudonymous = replaced(KEY, &[&patient[..], &others].concat());
        for (keyword, value) in others {
            assert_eq!(pseudonymous[keyword], AttributeValue::Text(value.into()), "{keyword}");
        }
        assert_eq!(pseudonymous.get("PatientBirthDate"), None);
        let written = serde_json::to_string(&pseudonymous).unwrap();
        for (_, value) in patient {
            assert!(!written.contains(value), "{written}");
        }
    }

    #[test]
    fn pseudonyms_are_valid_in_their_vr_and_never_change() {
        let pseudonymous = replaced(KEY, &[("PatientID", "4711"), ("PatientName", "Roe^Jane")]);
        let AttributeValue::Text(id) = &pseudonymous["PatientID"] else { panic!("no text") };
        let AttributeValue::Text(name) = &pseudonymous["PatientName"] else { panic!("no text") };
        // LO and each group of a PN have at most 64 characters (PS3.5 section 6.2).
        assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
        assert!(name.len() <= 64 && name.starts_with("Pseudonym^"), "{name}");
        assert_ne!(name.strip_prefix("Pseudonym^"), Some(id.as_str()));
        assert_eq!((id.as_str(), name.as_str()), (ID_OF_4711, NAME_OF_ROE));
    }

    // Those of an earlier version: with others, a patient would be two.
    const ID_OF_4711: &str = "e20a469bcba642085f2176e048f62e89";
    const NAME_OF_ROE: &str = "Pseudonym^743f26ebd4a8135bc0786478e85c53d1";

    #[test]
    fn padding_makes_no_other_patient() {
        let expected = replaced(KEY, &[("PatientID", "1"), ("PatientName", "Roe^Jane")]);
        for (id, name) in [("1 ", "Roe^Jane^^^"), (" 1", "Roe ^ Jane^="), ("1\0", "Roe^Jane==")] {
            let padded = replaced(
                KEY,
                &[("PatientID", id), ("PatientName", name), ("IssuerOfPatientID", " ")],
            );
            for keyword in ["PatientID", "PatientName"] {
                assert_eq!(padded[keyword], expected[keyword], "{id:?} {name:?}");
            }
        }
    }

    #[test]
    fn the_same_id_of_another_issuer_and_another_key_give_another_pseudonym() {
        let (one, other) = (Pseudonyms::new(KEY), Pseudonyms::new(&[7; 32]));
        let made = [
            one.patient_id("1", ""),
            one.patient_id("1", "A"),
            one.patient_id("1", "B"),
            one.patient_id("1A", ""),
            one.patient_id("", "1"),
            other.patient_id("1", ""),
            one.patient_name("1", "", ""),
            one.patient_name("Roe", "1", ""),
            one.patient_name("Roe", "2", ""),
            one.patient_name("Roe", "1", "A"),
        ];
        let distinct: std::collections::BTreeSet<_> = made.iter().collect();
        assert_eq!(distinct.len(), made.len(), "{made:?}");
    }

    #[test]
    fn what_is_absent_or_blank_has_no_pseudonym() {
        assert_eq!(replaced(KEY, &[]), Attributes::new());
        let blank = [("PatientID", " "), ("PatientName", "^^ ="), ("PatientBirthDate", "1970")];
        assert_eq!(replaced(KEY, &blank), Attributes::new());
    }

    #[test]
    fn a_key_that_is_no_good_is_one_line_and_is_not_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        let settings = |pseudonymise, file: Option<&Path>| PseudonymSettings {
            pseudonymise,
            pseudonym_key_file: file.map(Path::to_owned),
        };
        let keyed = Some(Pseudonymise::Keyed);
        let complaint = |settings: PseudonymSettings| {
            let line = format!("{:#}", settings.read().unwrap_err());
            assert!(line.contains("PSEUDONYM_KEY_FILE") && !line.contains('\n'), "{line}");
            line
        };
        complaint(settings(keyed, None));
        complaint(settings(None, Some(&file)));
        complaint(settings(keyed, Some(&file)));
        complaint(settings(keyed, Some(folder.path())));
        for key in [&b"a short secret"[..], &[b'x'; 4097]] {
            std::fs::write(&file, key).unwrap();
            let line = complaint(settings(keyed, Some(&file)));
            assert!(line.contains("openssl") && !line.contains("secret"), "{line}");
        }
        std::fs::write(&file, KEY).unwrap();
        let pseudonyms = settings(keyed, Some(&file)).read().unwrap().unwrap();
        assert_eq!(format!("{pseudonyms:?}"), "Pseudonyms { .. }");
        assert!(settings(Some(Pseudonymise::Off), Some(&file)).read().unwrap().is_none());
        assert!(settings(None, None).read().unwrap().is_none());
    }
}
