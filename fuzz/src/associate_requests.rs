//! A-ASSOCIATE-RQ, and what we answer.

use crate::Reader;
use dicom_ul::pdu::{
    AssociationRQ, Pdu, PresentationContextProposed, UserVariableItem, read_pdu, write_pdu,
};
use dimse::negotiation::{MAX_ASSOCIATE_LENGTH, MAX_PDU_LENGTH, read_request};
use ingest::internals::admit;

pub(crate) const READER: Reader = Reader { name: "associate_requests", seeds, check };

fn check(input: &[u8]) {
    let Some(request) = read_request(input) else { return };
    let answer = match admit(&request, None, MAX_PDU_LENGTH, &[]) {
        Ok(accepted) => {
            assert!(accepted.contexts.len() <= request.presentation_contexts.len());
            assert!((128..=MAX_PDU_LENGTH).contains(&accepted.peer_max_pdu_length));
            Pdu::AssociationAC(accepted.answer)
        }
        Err(rejection) => Pdu::AssociationRJ(rejection.answer()),
    };
    let mut bytes = Vec::new();
    // A title that came in bytes of no character set may be too long for an answer.
    if write_pdu(&mut bytes, &answer).is_ok() {
        let read = read_pdu(bytes.as_slice(), MAX_ASSOCIATE_LENGTH, true);
        assert!(matches!(read, Ok(Some(_))), "nobody can read the answer {bytes:?}");
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let context = |id, abstract_syntax: &str, transfer_syntaxes: &[&str]| {
        let transfer_syntaxes = transfer_syntaxes.iter().map(|uid| (*uid).to_owned()).collect();
        let abstract_syntax = abstract_syntax.to_owned();
        PresentationContextProposed { id, abstract_syntax, transfer_syntaxes }
    };
    let request = Pdu::AssociationRQ(AssociationRQ {
        protocol_version: 1,
        calling_ae_title: "STORESCU".to_owned(),
        called_ae_title: "COLLIMATOR".to_owned(),
        application_context_name: "1.2.840.10008.3.1.1.1".to_owned(),
        presentation_contexts: vec![
            context(1, "1.2.840.10008.1.1", &["1.2.840.10008.1.2"]),
            context(3, "1.2.840.10008.5.1.4.1.1.4", &["1.2.840.10008.1.2.1", "1.2.840.10008.1.2"]),
            context(5, "1.2.840.10008.1.20.1", &["1.2.840.10008.1.2"]),
        ],
        user_variables: vec![
            UserVariableItem::MaxLength(16384),
            UserVariableItem::ImplementationClassUID("1.2.276.0.7230010.3.0.3.6.7".to_owned()),
            UserVariableItem::ImplementationVersionName("OFFIS_DCMTK_367".to_owned()),
        ],
    });
    let mut bytes = Vec::new();
    write_pdu(&mut bytes, &request).unwrap();
    assert!(
        read_request(&bytes)
            .is_some_and(|request| admit(&request, None, MAX_PDU_LENGTH, &[]).is_ok())
    );
    vec![bytes]
}
