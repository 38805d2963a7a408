//! Who gets an association, and with which presentation contexts: the answer to an
//! A-ASSOCIATE-RQ (PS3.8 section 9.3).

use super::rejection::Rejection;
use crate::data_set::header::Encoding;
use dicom_core::dictionary::UidDictionary;
use dicom_dictionary_std::StandardSopClassDictionary;
use dicom_ul::pdu::{
    AssociationAC, AssociationRQ, PresentationContextProposed, PresentationContextResultReason,
};
use dimse::negotiation::{self, trimmed};
use std::collections::BTreeMap;

/// Verification SOP Class: C-ECHO.
const VERIFICATION: &str = "1.2.840.10008.1.1";
/// Under this root DICOM itself names SOP classes; all others are private.
const STANDARD_ROOT: &str = "1.2.840.10008.";
/// Where DICOM puts most of its storage SOP classes, those of the future too.
const STANDARD_STORAGE_ROOT: &str = "1.2.840.10008.5.1.4.1.1.";
/// What a SOP class is called that is not in the dictionary: a private one, or one of a later edition.
/// Their UIDs are for peers to choose, so there is no end of them.
pub(crate) const OTHER_CLASS: &str = "other";

/// An accepted presentation context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedContext {
    /// The transfer syntax of its data sets.
    pub transfer_syntax_uid: String,
    /// How their elements are written.
    pub encoding: Encoding,
    /// The keyword of its SOP class, [`OTHER_CLASS`] for one that the standard does not name.
    pub sop_class: &'static str,
}

/// An association that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// What to answer.
    pub answer: AssociationAC,
    /// The accepted presentation contexts by id.
    pub contexts: BTreeMap<u8, AcceptedContext>,
    /// Longest P-DATA-TF PDU that the peer takes.
    pub peer_max_pdu_length: u32,
}

/// Decides on a request. `called_ae_title` is the one that a caller has to use, if any;
/// `max_pdu_length` is of the PDUs that we take, in bytes; `services` are the SOP classes beside storage that are taken.
///
/// # Errors
/// When there is to be no association.
pub fn admit(
    request: &AssociationRQ,
    called_ae_title: Option<&str>,
    max_pdu_length: u32,
    services: &[&str],
) -> Result<Accepted, Rejection> {
    negotiation::check(request)?;
    if called_ae_title.is_some_and(|ours| ours != trimmed(&request.called_ae_title)) {
        return Err(Rejection::CalledAeTitle);
    }

    let answer = negotiation::accept(request, max_pdu_length, |it| transfer_syntax(it, services));
    let contexts = answer
        .presentation_contexts
        .iter()
        .zip(&request.presentation_contexts)
        .filter(|(result, _)| result.reason == PresentationContextResultReason::Acceptance)
        .map(|(result, proposed)| {
            let transfer_syntax_uid = result.transfer_syntax.clone();
            let encoding = Encoding::of(&transfer_syntax_uid);
            let sop_class = keyword(trimmed(&proposed.abstract_syntax));
            (result.id, AcceptedContext { transfer_syntax_uid, encoding, sop_class })
        })
        .collect();
    Ok(Accepted {
        answer,
        contexts,
        peer_max_pdu_length: negotiation::peer_max_pdu_length(request),
    })
}

/// The transfer syntax in which a presentation context is accepted, or why it is not.
fn transfer_syntax<'a>(
    proposed: &'a PresentationContextProposed,
    services: &[&str],
) -> Result<&'a str, PresentationContextResultReason> {
    if services.contains(&trimmed(&proposed.abstract_syntax)) {
        let mut uids = proposed.transfer_syntaxes.iter().map(|uid| trimmed(uid));
        let readable = uids.find(|uid| dimse::identifier::Encoding::of(uid).is_some());
        return readable.ok_or(PresentationContextResultReason::TransferSyntaxesNotSupported);
    }
    if !is_taken(trimmed(&proposed.abstract_syntax)) {
        return Err(PresentationContextResultReason::AbstractSyntaxNotSupported);
    }
    // All transfer syntaxes are taken, so the sender's first choice is: nothing is gained by
    // making it transcode pixel data that is not kept.
    let mut uids = proposed.transfer_syntaxes.iter().map(|uid| trimmed(uid));
    let first = uids.find(|uid| !uid.is_empty());
    first.ok_or(PresentationContextResultReason::TransferSyntaxesNotSupported)
}

/// Whether a SOP class is one to receive: verification, any storage class of the standard, and all
/// that are not of the standard, since only their makers know what those are.
pub(crate) fn is_taken(sop_class_uid: &str) -> bool {
    if sop_class_uid == VERIFICATION || sop_class_uid.starts_with(STANDARD_STORAGE_ROOT) {
        return true;
    }
    if sop_class_uid.starts_with(STANDARD_ROOT) {
        let name = StandardSopClassDictionary.by_uid(sop_class_uid).map_or("", |entry| entry.name);
        return name.contains("Storage") && !name.contains("Commitment");
    }
    !sop_class_uid.is_empty()
}

/// The keyword of a SOP class, [`OTHER_CLASS`] for one that the standard does not name.
pub(crate) fn keyword(sop_class_uid: &str) -> &'static str {
    StandardSopClassDictionary.by_uid(sop_class_uid).map_or(OTHER_CLASS, |entry| entry.alias)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dicom_ul::pdu::UserVariableItem;
    use dimse::negotiation::{DICOM_APPLICATION_CONTEXT, MAX_PDU_LENGTH};

    fn request(contexts: Vec<PresentationContextProposed>) -> AssociationRQ {
        AssociationRQ {
            protocol_version: 1,
            calling_ae_title: "PACS ".into(),
            called_ae_title: "COLLIMATOR".into(),
            application_context_name: DICOM_APPLICATION_CONTEXT.into(),
            presentation_contexts: contexts,
            user_variables: vec![UserVariableItem::MaxLength(16384)],
        }
    }

    fn proposed(
        id: u8,
        sop_class: &str,
        transfer_syntaxes: &[&str],
    ) -> PresentationContextProposed {
        PresentationContextProposed {
            id,
            abstract_syntax: sop_class.into(),
            transfer_syntaxes: transfer_syntaxes.iter().map(|uid| (*uid).into()).collect(),
        }
    }

    #[test]
    fn storage_and_verification_are_taken_and_other_services_are_not() {
        for taken in [
            VERIFICATION,
            "1.2.840.10008.5.1.4.1.1.4",
            "1.2.840.10008.5.1.4.1.1.4\0",
            "1.2.840.10008.5.1.4.1.1.999.1", // of a later edition
            "1.2.840.10008.5.1.4.38.1",      // Hanging Protocol Storage
            "1.2.840.113619.4.26",           // private
            "2.25.1",
        ] {
            assert!(is_taken(trimmed(taken)), "{taken}");
        }
        for refused in [
            "1.2.840.10008.5.1.4.1.2.2.1", // Study Root Query/Retrieve - FIND
            "1.2.840.10008.1.20.1",        // Storage Commitment Push Model
            "1.2.840.10008.3.1.2.3.3",     // Modality Performed Procedure Step
            "1.2.840.10008.5.1.4.31",      // Modality Worklist - FIND
            "",
        ] {
            assert!(!is_taken(refused), "{refused}");
        }
    }

    #[test]
    fn each_context_gets_its_senders_first_choice_known_or_not() {
        let accepted = admit(
            &request(vec![
                proposed(
                    1,
                    "1.2.840.10008.5.1.4.1.1.4",
                    &["1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2"],
                ),
                proposed(3, "1.2.840.10008.5.1.4.1.1.4", &["1.3.46.670589.33.1.4.1"]),
                proposed(5, "1.2.840.10008.1.20.1", &["1.2.840.10008.1.2"]),
                proposed(7, "1.2.840.10008.5.1.4.1.1.4", &[]),
                proposed(9, "1.2.840.113619.4.26", &["1.2.840.113619.5.2\0"]),
            ]),
            None,
            MAX_PDU_LENGTH,
            &[],
        )
        .unwrap();
        let encodings: Vec<_> = accepted.contexts.iter().map(|(id, c)| (*id, c.encoding)).collect();
        assert_eq!(
            encodings,
            [(1, Encoding::Explicit), (3, Encoding::Explicit), (9, Encoding::Implicit)]
        );
        let classes: Vec<_> = accepted.contexts.values().map(|context| context.sop_class).collect();
        assert_eq!(classes, ["MRImageStorage", "MRImageStorage", OTHER_CLASS]);
        let reasons: Vec<_> =
            accepted.answer.presentation_contexts.iter().map(|c| c.reason.clone() as u8).collect();
        assert_eq!(reasons, [0, 0, 3, 4, 0]);
        assert_eq!(accepted.peer_max_pdu_length, 16384);
    }

    #[test]
    fn a_foreign_called_ae_title_is_rejected_only_when_told_so() {
        let request = request(vec![]);
        assert!(admit(&request, None, MAX_PDU_LENGTH, &[]).is_ok());
        assert!(admit(&request, Some("COLLIMATOR"), MAX_PDU_LENGTH, &[]).is_ok());
        assert_eq!(
            admit(&request, Some("OTHER"), MAX_PDU_LENGTH, &[]),
            Err(Rejection::CalledAeTitle)
        );
    }

    #[test]
    fn another_protocol_is_rejected() {
        let mut other = request(vec![]);
        other.protocol_version = 2;
        assert_eq!(admit(&other, None, MAX_PDU_LENGTH, &[]), Err(Rejection::ProtocolVersion));
        let mut other = request(vec![]);
        other.application_context_name = "1.2.3".into();
        assert_eq!(admit(&other, None, MAX_PDU_LENGTH, &[]), Err(Rejection::ApplicationContext));
    }
}
