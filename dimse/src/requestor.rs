//! An association as its requestor has it: bytes in, messages out.

use crate::command::{
    CommandAssembly, CommandError, MOVE, Operation, Response, UnexpectedFragment, read_response,
};
use crate::framer::{Frame, Framer, FramingError};
use crate::identifier::MAX_IDENTIFIER_LENGTH;
use crate::negotiation::MAX_ASSOCIATE_LENGTH;
use crate::p_data::{Kind, fragment_length};
use crate::pdu::{A_ABORT, A_ASSOCIATE_RQ, A_RELEASE_RP, A_RELEASE_RQ, HEADER_LENGTH};
use crate::proposal::{Negotiated, Proposal};
use dicom_ul::pdu::{
    AssociationRJ, AssociationRQ, Pdu, ReadError, RequestorRoles, UserVariableItem, WriteError,
    read_pdu, write_pdu,
};

/// A-RELEASE-RQ (PS3.8 section 9.3.6).
pub const RELEASE_REQUEST: [u8; 10] = [A_RELEASE_RQ, 0, 0, 0, 0, 4, 0, 0, 0, 0];
/// A-ABORT by the service user (PS3.8 section 9.3.8).
pub const ABORT: [u8; 10] = [A_ABORT, 0, 0, 0, 0, 4, 0, 0, 0, 0];

/// What came from the acceptor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// A-ASSOCIATE-AC: the association is open.
    Accepted(Negotiated),
    /// A whole response. One of C-FIND that says so is followed by a data set.
    Response(Response),
    /// The data set of a response.
    DataSet(Vec<u8>),
    /// A-RELEASE-RQ.
    ReleaseRequest,
    /// A-RELEASE-RP.
    ReleaseResponse,
    /// A-ABORT.
    Abort,
}

/// Why an association can't go on, or does not begin.
#[derive(Debug, thiserror::Error)]
pub enum RequestorError {
    /// A-ASSOCIATE-RJ.
    #[error("the association was rejected ({})", .0.source)]
    Rejected(AssociationRJ),
    /// Another PDU than an answer to the request.
    #[error("the association request was answered with {}", .0.short_description())]
    NoAnswer(Box<Pdu>),
    /// An answer to the request that can't be read.
    #[error("the answer to the association request can't be read")]
    Unreadable(#[source] Box<ReadError>),
    /// The acceptor leaves no room for a fragment.
    #[error("the receiver takes PDUs of {0} bytes only: too short for any data")]
    PduTooShort(u32),
    /// The acceptor breaks the protocol of the upper layer.
    #[error(transparent)]
    Protocol(#[from] FramingError),
    /// A fragment of a data set where there is none: no response but a match has one.
    #[error("the receiver sent a data set")]
    DataSet,
    /// A data set that is longer than any identifier has to be.
    #[error("the receiver sent a data set of more than {MAX_IDENTIFIER_LENGTH} bytes")]
    DataSetTooLong,
    /// Fragments that are of no command set.
    #[error(transparent)]
    Fragment(#[from] UnexpectedFragment),
    /// A command set that is no response.
    #[error(transparent)]
    Command(#[from] CommandError),
}

/// The requestor's side of one association. What the acceptor sent goes in by [`receive`](Self::receive), and what
/// it is comes out by [`poll`](Self::poll).
#[derive(Debug)]
pub struct Requestor {
    request: AssociationRQ,
    max_pdu_length: u32,
    /// Whether the request is accepted.
    is_open: bool,
    /// What came and was not taken: up to one PDU until the request is answered, then the start of a header.
    unread: Vec<u8>,
    framer: Framer,
    command: CommandAssembly,
    /// The presentation context and what has come of the data set that follows the latest response, if one does.
    data_set: Option<(u8, Vec<u8>)>,
}

impl Requestor {
    /// For an association that is to be asked for, as is the first that is sent.
    #[must_use]
    pub fn new(proposal: &Proposal) -> Self {
        Self {
            request: proposal.request(),
            max_pdu_length: proposal.max_pdu_length,
            is_open: false,
            unread: Vec::new(),
            framer: Framer::new(match proposal.max_pdu_length {
                0 => u32::MAX,
                length => length,
            }),
            command: CommandAssembly::default(),
            data_set: None,
        }
    }

    /// The same, for one that is the SCP of a SOP class and not its SCU (PS3.7 section D.3.3.4).
    #[must_use]
    pub fn as_scp_of(mut self, sop_class_uid: &str) -> Self {
        let roles = RequestorRoles { scu: false, scp: true };
        let item = UserVariableItem::ScuScpRoleSelectionSubItem(sop_class_uid.to_owned(), roles);
        self.request.user_variables.push(item);
        self
    }

    /// The bytes of the A-ASSOCIATE-RQ.
    ///
    /// # Errors
    /// When a title or UID of the proposal does not fit its field.
    pub fn request(&self) -> Result<Vec<u8>, WriteError> {
        let mut bytes = Vec::new();
        write_pdu(&mut bytes, &Pdu::AssociationRQ(self.request.clone()))?;
        Ok(bytes)
    }

    /// Takes bytes that came, for [`poll`](Self::poll).
    pub fn receive(&mut self, bytes: &[u8]) {
        self.unread.extend_from_slice(bytes);
    }

    /// The next of what came, or `None` when more bytes are needed.
    ///
    /// # Errors
    /// When there is no association, or it can't go on.
    pub fn poll(&mut self) -> Result<Option<Received>, RequestorError> {
        if !self.is_open {
            return self.poll_answer();
        }
        let mut at = 0;
        let polled = self.poll_frame(&mut at);
        self.unread.drain(..at);
        polled
    }

    fn poll_answer(&mut self) -> Result<Option<Received>, RequestorError> {
        let Some(&[pdu_type, _reserved, l0, l1, l2, l3]) =
            self.unread.first_chunk::<HEADER_LENGTH>()
        else {
            return Ok(None);
        };
        if !(A_ASSOCIATE_RQ..=A_ABORT).contains(&pdu_type) {
            return Err(FramingError::UnexpectedPdu(pdu_type).into());
        }
        let length = u32::from_be_bytes([l0, l1, l2, l3]);
        if length > MAX_ASSOCIATE_LENGTH {
            return Err(FramingError::PduTooLong { length, limit: MAX_ASSOCIATE_LENGTH }.into());
        }
        let whole = HEADER_LENGTH + length as usize;
        let Some(pdu) = self.unread.get(..whole) else { return Ok(None) };
        let read = read_pdu(pdu, MAX_ASSOCIATE_LENGTH, true);
        self.unread.drain(..whole);
        match read.map_err(|error| RequestorError::Unreadable(Box::new(error)))? {
            Some(Pdu::AssociationAC(answer)) => {
                let negotiated = Negotiated::of(&self.request, answer, self.max_pdu_length);
                if fragment_length(negotiated.max_pdu_length) == 0 {
                    return Err(RequestorError::PduTooShort(negotiated.max_pdu_length));
                }
                self.is_open = true;
                Ok(Some(Received::Accepted(negotiated)))
            }
            Some(Pdu::AssociationRJ(rejection)) => Err(RequestorError::Rejected(rejection)),
            Some(other) => Err(RequestorError::NoAnswer(Box::new(other))),
            None => Ok(None),
        }
    }

    /// The next of what came through the open association; `at` is how much of `unread` it took.
    fn poll_frame(&mut self, at: &mut usize) -> Result<Option<Received>, RequestorError> {
        loop {
            let rest = &self.unread[*at..];
            // The framer knows what an acceptor may be sent, which is never a response to our release.
            if !self.framer.is_inside_pdu() && rest.first() == Some(&A_RELEASE_RP) {
                let whole = rest.len() >= RELEASE_REQUEST.len();
                *at += if whole { RELEASE_REQUEST.len() } else { 0 };
                return Ok(whole.then_some(Received::ReleaseResponse));
            }
            let (taken, frame) = self.framer.next(rest)?;
            let start = *at;
            *at += taken;
            match frame {
                None => return Ok(None),
                Some(Frame::Release) => return Ok(Some(Received::ReleaseRequest)),
                Some(Frame::Abort) => return Ok(Some(Received::Abort)),
                Some(Frame::Fragment { context_id, kind: Kind::DataSet, last, bytes }) => {
                    let fragment = &self.unread[start + bytes.start..start + bytes.end];
                    let (of, data_set) = self.data_set.as_mut().ok_or(RequestorError::DataSet)?;
                    if *of != context_id {
                        return Err(UnexpectedFragment.into());
                    }
                    if data_set.len() + fragment.len() > MAX_IDENTIFIER_LENGTH {
                        return Err(RequestorError::DataSetTooLong);
                    }
                    data_set.extend_from_slice(fragment);
                    if last {
                        return Ok(self.data_set.take().map(|(_, it)| Received::DataSet(it)));
                    }
                }
                Some(Frame::Fragment { context_id, last, bytes, .. }) => {
                    if self.data_set.is_some() {
                        return Err(UnexpectedFragment.into());
                    }
                    let fragment = &self.unread[start + bytes.start..start + bytes.end];
                    if let Some(command_set) = self.command.push(context_id, fragment, last)? {
                        let response = read_response(&command_set)?;
                        let has_one = [Operation::Find, MOVE].contains(&response.operation);
                        if has_one && response.has_data_set {
                            self.data_set = Some((context_id, Vec::new()));
                        }
                        return Ok(Some(Received::Response(response)));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Request, read_request, write_request, write_response};
    use crate::negotiation::{self, MAX_PDU_LENGTH};
    use crate::p_data::{put_fragment, put_set};
    use crate::status::Status;
    use dicom_ul::pdu::{AssociationRJResult, AssociationRJServiceUserReason, AssociationRJSource};
    use proptest::prelude::*;

    const MR: &str = "1.2.840.10008.5.1.4.1.1.4";
    const EXPLICIT: &str = "1.2.840.10008.1.2.1";

    fn requestor() -> Requestor {
        Requestor::new(&Proposal {
            calling_ae_title: "SCU".to_owned(),
            called_ae_title: "SCP".to_owned(),
            contexts: vec![(MR.to_owned(), vec![EXPLICIT.to_owned()])],
            max_pdu_length: 16384,
        })
    }

    fn written(pdu: &Pdu) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_pdu(&mut bytes, pdu).unwrap();
        bytes
    }

    /// An acceptor's answers to a request for an association, to the requests that come through it, and to a release.
    fn answers(request: &[u8], sent: &[u8]) -> Vec<u8> {
        let request = negotiation::read_request(request).unwrap();
        let answer = negotiation::accept(&request, 4096, |_| Ok(EXPLICIT));
        let mut answers = written(&Pdu::AssociationAC(answer));
        let longest = negotiation::peer_max_pdu_length(&request);
        let (mut framer, mut command, mut at) = (Framer::new(4096), CommandAssembly::default(), 0);
        while let (taken, Some(frame)) = framer.next(&sent[at..]).unwrap() {
            let start = at;
            at += taken;
            match frame {
                Frame::Fragment { kind: Kind::DataSet, .. } => {}
                Frame::Fragment { context_id, last, bytes, .. } => {
                    let fragment = &sent[start + bytes.start..start + bytes.end];
                    if let Some(command_set) = command.push(context_id, fragment, last).unwrap() {
                        let request = read_request(&command_set).unwrap();
                        let response = write_response(&request, Status::Success, "");
                        put_set(&mut answers, context_id, Kind::Command, &response, longest);
                    }
                }
                Frame::Release => answers.extend(written(&Pdu::ReleaseRP)),
                Frame::Abort => break,
            }
        }
        answers
    }

    /// What comes out of these bytes in pieces of `step`.
    fn polled(bytes: &[u8], step: usize) -> Result<Vec<Received>, RequestorError> {
        let (mut requestor, mut received) = (requestor(), Vec::new());
        for piece in bytes.chunks(step) {
            requestor.receive(piece);
            while let Some(next) = requestor.poll()? {
                received.push(next);
            }
        }
        Ok(received)
    }

    #[test]
    fn both_sides_understand_each_other_however_the_bytes_arrive() {
        let request = requestor().request().unwrap();
        let mut sent = Vec::new();
        let store = write_request(&Request::store(7, MR, "1.2.3"));
        put_set(&mut sent, 1, Kind::Command, &store, 128);
        put_set(&mut sent, 1, Kind::DataSet, &[0; 1000], 128);
        put_set(&mut sent, 1, Kind::Command, &write_request(&Request::echo(8)), 128);
        sent.extend(RELEASE_REQUEST);
        let bytes = answers(&request, &sent);
        for step in [1, 2, 5, 64, bytes.len()] {
            let received = polled(&bytes, step).unwrap();
            let [Received::Accepted(negotiated), store, echo, Received::ReleaseResponse] =
                &received[..]
            else {
                panic!("{received:?}")
            };
            assert_eq!(negotiated.context_id(MR, EXPLICIT), Some(1));
            assert_eq!(negotiated.max_pdu_length, 4096);
            for (response, operation, message_id) in
                [(store, Operation::Store, 7), (echo, Operation::Echo, 8)]
            {
                let (status, error_comment) = (Status::Success, String::new());
                let wanted =
                    Response { operation, message_id, status, error_comment, has_data_set: false };
                assert_eq!(response, &Received::Response(wanted));
            }
        }
    }

    #[test]
    fn an_acceptor_that_wants_to_end_the_association_is_heard() {
        let accepted = answers(&requestor().request().unwrap(), &[]);
        for (pdu, end) in [(RELEASE_REQUEST, Received::ReleaseRequest), (ABORT, Received::Abort)] {
            let received = polled(&[&accepted[..], &pdu].concat(), 1 << 16).unwrap();
            assert_eq!(received[1..], [end]);
        }
    }

    #[test]
    fn what_is_no_acceptance_is_told_apart() {
        let source = AssociationRJSource::ServiceUser(
            AssociationRJServiceUserReason::CalledAETitleNotRecognized,
        );
        let rejection = AssociationRJ { result: AssociationRJResult::Permanent, source };
        let rejected = polled(&written(&Pdu::AssociationRJ(rejection.clone())), 1).unwrap_err();
        assert!(matches!(rejected, RequestorError::Rejected(answer) if answer == rejection));
        let aborted = polled(&ABORT, 1).unwrap_err();
        assert!(
            matches!(&aborted, RequestorError::NoAnswer(pdu) if matches!(**pdu, Pdu::AbortRQ { .. }))
        );
        let http = polled(b"HTTP/1.1 400 Bad Request", 3).unwrap_err();
        assert_eq!(http.to_string(), "unexpected PDU of type 0x48");
        let too_long = polled(&[2, 0, 0xff, 0, 0, 0], 6).unwrap_err();
        assert!(matches!(too_long, RequestorError::Protocol(FramingError::PduTooLong { .. })));
        let nonsense = polled(&[2, 0, 0, 0, 0, 1, 0], 7).unwrap_err();
        assert!(matches!(nonsense, RequestorError::Unreadable(_)), "{nonsense:?}");
        let request = requestor().request;
        let narrow = negotiation::accept(&request, 7, |_| Ok(EXPLICIT));
        let narrow = polled(&written(&Pdu::AssociationAC(narrow)), 1).unwrap_err();
        assert!(matches!(narrow, RequestorError::PduTooShort(7)));
    }

    /// A match of a C-FIND: its command set, as the other side writes it.
    fn pending() -> Vec<u8> {
        let mut response = write_response(&Request::find(7, "1.2.3"), Status::of(0xFF00), "");
        // Command Data Set Type (0000,0800), whose value says that there is none.
        let tag = [0, 0, 0, 8, 2, 0, 0, 0];
        let at = response.windows(8).position(|it| it == tag).unwrap() + tag.len();
        response[at] = 0;
        response
    }

    #[test]
    fn the_data_set_of_a_match_comes_whole_after_its_response() {
        let mut bytes = answers(&requestor().request().unwrap(), &[]);
        put_set(&mut bytes, 1, Kind::Command, &pending(), 128);
        put_set(&mut bytes, 1, Kind::DataSet, &[7; 1000], 128);
        let last = write_response(&Request::find(7, "1.2.3"), Status::Success, "");
        put_set(&mut bytes, 1, Kind::Command, &last, 128);
        for step in [1, 5, 64, bytes.len()] {
            let received = polled(&bytes, step).unwrap();
            let [_, Received::Response(pending), Received::DataSet(data), Received::Response(last)] =
                &received[..]
            else {
                panic!("{received:?}")
            };
            assert!(pending.status.is_pending() && !last.status.is_pending());
            assert_eq!(data, &[7; 1000]);
        }
    }

    #[test]
    fn a_data_set_without_end_or_of_another_context_ends_the_association() {
        let accepted = answers(&requestor().request().unwrap(), &[]);
        let mut endless = accepted.clone();
        put_set(&mut endless, 1, Kind::Command, &pending(), 128);
        let mut other = endless.clone();
        for _ in 0..=MAX_IDENTIFIER_LENGTH / 1000 {
            put_fragment(&mut endless, 1, Kind::DataSet, false, &[0; 1000]);
        }
        assert!(matches!(polled(&endless, 4096), Err(RequestorError::DataSetTooLong)));
        let mut command = other.clone();
        put_fragment(&mut other, 3, Kind::DataSet, true, b"data");
        assert!(matches!(polled(&other, 4096), Err(RequestorError::Fragment(_))));
        put_set(&mut command, 1, Kind::Command, &pending(), 128);
        assert!(matches!(polled(&command, 4096), Err(RequestorError::Fragment(_))));
    }

    #[test]
    fn what_is_no_response_ends_the_association() {
        let accepted = answers(&requestor().request().unwrap(), &[]);
        let mut data_set = accepted.clone();
        put_fragment(&mut data_set, 1, Kind::DataSet, true, b"data");
        assert!(matches!(polled(&data_set, 1), Err(RequestorError::DataSet)));
        let mut request = accepted;
        let echo = write_request(&Request::echo(1));
        put_set(&mut request, 1, Kind::Command, &echo, MAX_PDU_LENGTH);
        assert!(matches!(polled(&request, 1), Err(RequestorError::Command(_))));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_requestor_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..300), step in 1_usize..40,
        ) {
            let _ = polled(&bytes, step);
            let accepted = answers(&requestor().request().unwrap(), &[]);
            let _ = polled(&[accepted, bytes].concat(), step);
        }
    }
}
