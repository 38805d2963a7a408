//! Tokens of subjects, made of text that a peer chose.

use crate::uid::{MAX_UID_LENGTH, SeriesInstanceUid};

/// Characters that a token of a name has at most: of a receiver, a webhook, a reason. They are chosen by
/// operators, whose longest is a host name.
const MAX_NAME: usize = 64;

/// Characters of the longest AE title (PS3.5 section 6.2, VR AE).
const MAX_AE_TITLE: usize = 16;

/// The token of a modality that the standard does not define.
pub const OTHER_MODALITY: &str = "OTHER";

/// The defined terms of Modality (0008,0060), retired ones included (PS3.3 section C.7.3.1.1.1), in
/// ascending order.
const MODALITIES: &[&str] = &[
    "ANN",
    "AR",
    "AS",
    "ASMT",
    "AU",
    "BDUS",
    "BI",
    "BMD",
    "CD",
    "CF",
    "CFM",
    "CP",
    "CR",
    "CS",
    "CT",
    "CTPROTOCOL",
    "DD",
    "DF",
    "DG",
    "DM",
    "DMS",
    "DOC",
    "DS",
    "DX",
    "EC",
    "ECG",
    "EEG",
    "EMG",
    "EOG",
    "EPS",
    "ES",
    "FA",
    "FID",
    "FS",
    "GM",
    "HC",
    "HD",
    "IO",
    "IOL",
    "IVOCT",
    "IVUS",
    "KER",
    "KO",
    "LEN",
    "LP",
    "LS",
    "M3D",
    "MA",
    "MG",
    "MR",
    "MS",
    "NM",
    "OAM",
    "OCT",
    "OP",
    "OPM",
    "OPR",
    "OPT",
    "OPTBSV",
    "OPTENF",
    "OPV",
    "OSS",
    "OT",
    "PA",
    "PLAN",
    "POS",
    "PR",
    "PT",
    "PX",
    "REG",
    "RESP",
    "RF",
    "RG",
    "RTDOSE",
    "RTIMAGE",
    "RTINTENT",
    "RTPLAN",
    "RTRAD",
    "RTRECORD",
    "RTSEGANN",
    "RTSTRUCT",
    "RWV",
    "SEG",
    "SM",
    "SMR",
    "SR",
    "SRF",
    "ST",
    "STAIN",
    "TEXTUREMAP",
    "TG",
    "US",
    "VA",
    "VF",
    "XA",
    "XAPROTOCOL",
    "XC",
];

/// One legal subject token made of text that a peer chose: anything outside `[A-Za-z0-9_-]`
/// becomes `_`, so no AE title or modality can inject a token or a wildcard, and its length is bounded, so
/// that no subject exceeds what the broker takes in a line.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Token(String);

impl Token {
    /// The token for the name of something; blank text becomes `none`.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self::of(text, MAX_NAME)
    }

    /// The token for an AE title.
    #[must_use]
    pub fn ae_title(text: &str) -> Self {
        Self::of(text, MAX_AE_TITLE)
    }

    /// The token for a modality: a defined term whatever its case, of several values the first, `none` for
    /// blank text, and `OTHER` for everything else, or senders could choose how many subjects the broker has to know.
    #[must_use]
    pub fn modality(text: &str) -> Self {
        let first = text.split('\\').next().unwrap_or_default();
        match first.trim_matches([' ', '\0']) {
            "" => Self("none".to_owned()),
            text => {
                let known = MODALITIES.iter().find(|term| term.eq_ignore_ascii_case(text));
                Self((*known.unwrap_or(&OTHER_MODALITY)).to_owned())
            }
        }
    }

    fn of(text: &str, most: usize) -> Self {
        let text = text.trim_matches([' ', '\0']);
        let end = text.char_indices().nth(most).map_or(text.len(), |(end, _)| end);
        Self::read(&text[..end])
    }

    /// The token of a subject that is there: older versions had no bounds.
    pub(super) fn read(text: &str) -> Self {
        match sanitise(text) {
            empty if empty.is_empty() => Self("none".to_owned()),
            token => Self(token),
        }
    }

    /// The token's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A Series Instance UID as trailing tokens: the dots stay, so the UID can be pasted into a
/// subscription and a UID root is a wildcard. For a legal UID this is the UID itself; in others
/// illegal characters become `_` and empty tokens vanish.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UidTokens(String);

impl UidTokens {
    /// The tokens for `series`.
    #[must_use]
    pub fn new(series: &SeriesInstanceUid) -> Self {
        Self::from_text(series.as_str())
    }

    /// The tokens' text, parted by dots.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Of text that may be no UID: as long as one may be.
    pub(super) fn bounded(text: &str) -> Self {
        let end = text.char_indices().nth(MAX_UID_LENGTH).map_or(text.len(), |(end, _)| end);
        Self::from_text(&text[..end])
    }

    pub(super) fn from_text(text: &str) -> Self {
        let tokens: Vec<String> = text.split('.').filter(|t| !t.is_empty()).map(sanitise).collect();
        match tokens.join(".") {
            empty if empty.is_empty() => Self("none".to_owned()),
            tokens => Self(tokens),
        }
    }
}

fn sanitise(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '_' })
        .collect()
}
