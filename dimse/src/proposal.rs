//! What a requestor proposes and what came of it (PS3.8 sections 9.3.2 and 9.3.3).

use crate::negotiation::{
    DICOM_APPLICATION_CONTEXT, MAX_PDU_LENGTH, PROTOCOL_VERSION, max_pdu_length, trimmed,
    user_information,
};
use dicom_ul::pdu::{
    AssociationAC, AssociationRQ, PresentationContextProposed, PresentationContextResultReason,
};

/// Presentation contexts of one association: their ids are the odd numbers from 1 to 255 (PS3.8 section 9.3.2.2).
pub const MAX_PRESENTATION_CONTEXTS: usize = 128;

/// What an association is requested for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// Our AE title.
    pub calling_ae_title: String,
    /// The AE title of the acceptor.
    pub called_ae_title: String,
    /// Abstract syntax and transfer syntaxes of each presentation context, up to [`MAX_PRESENTATION_CONTEXTS`];
    /// their ids are 1, 3, 5...
    pub contexts: Vec<(String, Vec<String>)>,
    /// The longest PDU that we take in bytes, and that we send even if the acceptor takes longer ones; 0 is
    /// unlimited.
    pub max_pdu_length: u32,
}

impl Proposal {
    /// The A-ASSOCIATE-RQ.
    #[must_use]
    pub fn request(&self) -> AssociationRQ {
        let proposed = |(index, (abstract_syntax, transfer_syntaxes)): (usize, &(_, Vec<_>))| {
            PresentationContextProposed {
                id: (2 * index + 1) as u8,
                abstract_syntax: String::clone(abstract_syntax),
                transfer_syntaxes: transfer_syntaxes.clone(),
            }
        };
        AssociationRQ {
            protocol_version: PROTOCOL_VERSION,
            calling_ae_title: self.calling_ae_title.clone(),
            called_ae_title: self.called_ae_title.clone(),
            application_context_name: DICOM_APPLICATION_CONTEXT.to_owned(),
            presentation_contexts: self.contexts.iter().enumerate().map(proposed).collect(),
            user_variables: user_information(self.max_pdu_length),
        }
    }
}

/// A presentation context that the acceptor accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NegotiatedContext {
    /// Its id.
    pub id: u8,
    /// The SOP class that it is for.
    pub abstract_syntax: String,
    /// How its data sets are to be encoded.
    pub transfer_syntax: String,
}

/// What an acceptor accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Negotiated {
    /// Its answer.
    pub answer: AssociationAC,
    /// Those of the proposed presentation contexts that are open. There may be none.
    pub contexts: Vec<NegotiatedContext>,
    /// The longest PDU to send, in bytes.
    pub max_pdu_length: u32,
}

impl Negotiated {
    /// What came of a request; `our_max_pdu_length` is that of its proposal.
    #[must_use]
    pub fn of(request: &AssociationRQ, answer: AssociationAC, our_max_pdu_length: u32) -> Self {
        let contexts = answer.presentation_contexts.iter().filter_map(|result| {
            if result.reason != PresentationContextResultReason::Acceptance {
                return None;
            }
            let proposed = request.presentation_contexts.iter().find(|it| it.id == result.id)?;
            Some(NegotiatedContext {
                id: result.id,
                abstract_syntax: proposed.abstract_syntax.clone(),
                transfer_syntax: trimmed(&result.transfer_syntax).to_owned(),
            })
        });
        let ours = match our_max_pdu_length {
            0 => MAX_PDU_LENGTH,
            ours => ours,
        };
        let max_pdu_length = max_pdu_length(&answer.user_variables).map_or(ours, |it| it.min(ours));
        Self { contexts: contexts.collect(), max_pdu_length, answer }
    }

    /// The id of the presentation context for a SOP class in a transfer syntax, if it was accepted.
    #[must_use]
    pub fn context_id(&self, sop_class_uid: &str, transfer_syntax_uid: &str) -> Option<u8> {
        let is_it = |context: &&NegotiatedContext| {
            context.abstract_syntax == sop_class_uid
                && context.transfer_syntax == transfer_syntax_uid
        };
        self.contexts.iter().find(is_it).map(|context| context.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::negotiation::{accept, read_request};
    use dicom_ul::pdu::{Pdu, UserVariableItem, write_pdu};

    fn proposal() -> Proposal {
        let context = |class: &str, syntaxes: &[&str]| {
            (class.to_owned(), syntaxes.iter().map(|uid| (*uid).to_owned()).collect())
        };
        Proposal {
            calling_ae_title: "SCU".to_owned(),
            called_ae_title: "SCP".to_owned(),
            contexts: vec![context("1.2.1", &["1.2.3", "1.2.4"]), context("1.2.2", &["1.2.3"])],
            max_pdu_length: 16384,
        }
    }

    #[test]
    fn what_is_accepted_of_a_proposal_is_known_by_class_and_transfer_syntax() {
        let request = proposal().request();
        let mut bytes = Vec::new();
        write_pdu(&mut bytes, &Pdu::AssociationRQ(request.clone())).unwrap();
        let read = read_request(&bytes).unwrap();
        let answer = accept(&read, 4096, |proposed| match proposed.id {
            1 => Ok("1.2.4"),
            _ => Err(PresentationContextResultReason::AbstractSyntaxNotSupported),
        });
        let negotiated = Negotiated::of(&request, answer, 16384);
        assert_eq!(negotiated.context_id("1.2.1", "1.2.4"), Some(1));
        assert_eq!(negotiated.context_id("1.2.1", "1.2.3"), None);
        assert_eq!(negotiated.context_id("1.2.2", "1.2.3"), None);
        assert_eq!((negotiated.contexts.len(), negotiated.max_pdu_length), (1, 4096));
    }

    #[test]
    fn pdus_are_no_longer_than_either_side_takes() {
        let request = proposal().request();
        for (theirs, ours, used) in [
            (Some(4096), 16384, 4096),
            (Some(131_072), 16384, 16384),
            (Some(0), 16384, 16384),
            (None, 16384, 16384),
            (Some(4096), 0, 4096),
            (Some(0), 0, MAX_PDU_LENGTH),
        ] {
            let mut answer = accept(&request, 0, |_| Ok(""));
            answer.user_variables = theirs.map(UserVariableItem::MaxLength).into_iter().collect();
            let negotiated = Negotiated::of(&request, answer, ours);
            assert_eq!(negotiated.max_pdu_length, used, "{theirs:?} and {ours}");
        }
    }
}
