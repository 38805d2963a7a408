//! Association establishment (PS3.8 section 9.3, PS3.7 annex D): the A-ASSOCIATE-RQ, and an acceptor's answer to it.
//! Which presentation contexts to accept is for the acceptor to choose.

use dicom_ul::pdu::{
    AssociationAC, AssociationRQ, Pdu, PresentationContextProposed, PresentationContextResult,
    PresentationContextResultReason, UserVariableItem, read_pdu,
};

/// Longest P-DATA-TF PDU that we ever take or send, in bytes without its header (PS3.8 annex D.1):
/// longer ones gain nothing, since what has arrived of one is not waited for.
pub const MAX_PDU_LENGTH: u32 = 128 * 1024;

/// Longest A-ASSOCIATE-RQ, in bytes: 128 presentation contexts with some twenty transfer syntaxes
/// each have a quarter of it.
pub const MAX_ASSOCIATE_LENGTH: u32 = 1024 * 1024;

/// The only application context there is (PS3.7 section A.2.1).
pub const DICOM_APPLICATION_CONTEXT: &str = "1.2.840.10008.3.1.1.1";

/// What identifies this implementation to its peers (PS3.7 section D.3.3.2).
pub const IMPLEMENTATION_CLASS_UID: &str = "2.25.205469134063298372154862046173825196527";
const IMPLEMENTATION_VERSION_NAME: &str = concat!("COLLIMATOR_", env!("CARGO_PKG_VERSION"));

/// Protocol version 1 (PS3.8 section 9.3.2).
pub(crate) const PROTOCOL_VERSION: u16 = 1;
/// Longest PDU that the shortest of peers takes; one that claims less still gets this.
const SMALLEST_PDU_LENGTH: u32 = 128;

/// A request that no acceptor of ours can accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsupported {
    /// Not the one protocol version there is.
    ProtocolVersion,
    /// Not the one application context there is.
    ApplicationContext,
}

/// Reads a PDU, if it is an A-ASSOCIATE-RQ.
#[must_use]
pub fn read_request(pdu: &[u8]) -> Option<AssociationRQ> {
    match read_pdu(pdu, MAX_ASSOCIATE_LENGTH, true) {
        Ok(Some(Pdu::AssociationRQ(request))) => Some(request),
        _ => None,
    }
}

/// Checks what has to be the same in every request.
///
/// # Errors
/// When the request is for another protocol.
pub fn check(request: &AssociationRQ) -> Result<(), Unsupported> {
    if request.protocol_version & PROTOCOL_VERSION == 0 {
        return Err(Unsupported::ProtocolVersion);
    }
    if trimmed(&request.application_context_name) != DICOM_APPLICATION_CONTEXT {
        return Err(Unsupported::ApplicationContext);
    }
    Ok(())
}

/// The A-ASSOCIATE-AC that answers `request`. Of each proposed presentation context `choose` returns the transfer
/// syntax, or why there is none; `max_pdu_length` is of the PDUs that we take, in bytes.
#[must_use]
pub fn accept(
    request: &AssociationRQ,
    max_pdu_length: u32,
    choose: impl Fn(&PresentationContextProposed) -> Result<&str, PresentationContextResultReason>,
) -> AssociationAC {
    let answer = |proposed: &PresentationContextProposed| {
        let (reason, transfer_syntax) = match choose(proposed) {
            Ok(uid) => (PresentationContextResultReason::Acceptance, uid),
            Err(reason) => (reason, ""),
        };
        let transfer_syntax = transfer_syntax.to_owned();
        PresentationContextResult { id: proposed.id, reason, transfer_syntax }
    };
    AssociationAC {
        protocol_version: PROTOCOL_VERSION,
        // Both are sent back as they came (PS3.8 section 9.3.3).
        calling_ae_title: request.calling_ae_title.clone(),
        called_ae_title: request.called_ae_title.clone(),
        application_context_name: DICOM_APPLICATION_CONTEXT.to_owned(),
        presentation_contexts: request.presentation_contexts.iter().map(answer).collect(),
        user_variables: user_information(max_pdu_length),
    }
}

/// What each side says of itself (PS3.7 section D.3.3): the longest PDU that it takes, and what it is.
pub(crate) fn user_information(max_pdu_length: u32) -> Vec<UserVariableItem> {
    vec![
        UserVariableItem::MaxLength(max_pdu_length),
        UserVariableItem::ImplementationClassUID(IMPLEMENTATION_CLASS_UID.to_owned()),
        UserVariableItem::ImplementationVersionName(IMPLEMENTATION_VERSION_NAME.to_owned()),
    ]
}

/// The longest P-DATA-TF PDU that the requestor takes and that we send, in bytes.
#[must_use]
pub fn peer_max_pdu_length(request: &AssociationRQ) -> u32 {
    let length = max_pdu_length(&request.user_variables).unwrap_or(MAX_PDU_LENGTH);
    length.clamp(SMALLEST_PDU_LENGTH, MAX_PDU_LENGTH)
}

/// The Maximum Length Received of a peer in bytes; `None` if there is no limit (PS3.8 annex D.1).
pub(crate) fn max_pdu_length(user_variables: &[UserVariableItem]) -> Option<u32> {
    let length = user_variables.iter().find_map(|item| match item {
        UserVariableItem::MaxLength(length) => Some(*length),
        _ => None,
    });
    // Zero is "unlimited".
    length.filter(|length| *length > 0)
}

/// Without the padding that AE titles and UIDs may have.
#[must_use]
pub fn trimmed(text: &str) -> &str {
    text.trim_matches([' ', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> AssociationRQ {
        AssociationRQ {
            protocol_version: 1,
            calling_ae_title: "PACS ".into(),
            called_ae_title: "COLLIMATOR".into(),
            application_context_name: DICOM_APPLICATION_CONTEXT.into(),
            presentation_contexts: vec![],
            user_variables: vec![UserVariableItem::MaxLength(16384)],
        }
    }

    #[test]
    fn another_protocol_is_not_supported() {
        assert_eq!(check(&request()), Ok(()));
        let other = AssociationRQ { protocol_version: 2, ..request() };
        assert_eq!(check(&other), Err(Unsupported::ProtocolVersion));
        let other = AssociationRQ { application_context_name: "1.2.3".into(), ..request() };
        assert_eq!(check(&other), Err(Unsupported::ApplicationContext));
    }

    #[test]
    fn an_unlimited_pdu_length_is_ours_and_a_tiny_one_still_carries_an_answer() {
        for (said, used) in
            [(0, MAX_PDU_LENGTH), (4096, 4096), (u32::MAX, MAX_PDU_LENGTH), (1, 128)]
        {
            let mut request = request();
            request.user_variables = vec![UserVariableItem::MaxLength(said)];
            assert_eq!(peer_max_pdu_length(&request), used);
        }
        assert_eq!(
            peer_max_pdu_length(&AssociationRQ { user_variables: vec![], ..request() }),
            MAX_PDU_LENGTH
        );
    }
}
