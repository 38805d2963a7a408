//! The ordinary sender of the tests, and what it takes to send what no well-behaved one does.

use super::DEADLINE;
use dicom_dictionary_std::uids;
use dicom_object::mem::InMemElement;
use dicom_object::{FileDicomObject, InMemDicomObject};
use dicom_transfer_syntax_registry::entries::{
    EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN,
};
use dicom_ul::pdu::{AssociationAC, Pdu};
use dimse::command::{Request, Response, write_request};
use dimse::net::ScuError;
pub use dimse::p_data::Kind;
use dimse::p_data::put_fragment;
pub use dimse::requestor::Received;
use dimse::requestor::{RELEASE_REQUEST, Requestor, RequestorError};
use futures_util::FutureExt;
use std::net::SocketAddr;
use std::time::Duration;

/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = DEADLINE;

/// What an association asks for.
pub struct Proposal<'a> {
    /// Presentation contexts: abstract syntax and transfer syntaxes; their ids are 1, 3, 5...
    pub contexts: &'a [(&'a str, &'a [&'a str])],
    /// The longest PDU that we say we take; 0 is unlimited.
    pub max_pdu_length: u32,
    /// How the receiver is called.
    pub called_ae_title: &'a str,
}

impl Proposal<'_> {
    fn proposal(&self) -> dimse::proposal::Proposal {
        let context = |(class, syntaxes): &(&str, &[&str])| {
            ((*class).to_owned(), syntaxes.iter().map(|uid| (*uid).to_owned()).collect())
        };
        dimse::proposal::Proposal {
            calling_ae_title: "TEST_SCU".to_owned(),
            called_ae_title: self.called_ae_title.to_owned(),
            contexts: self.contexts.iter().map(context).collect(),
            max_pdu_length: self.max_pdu_length,
        }
    }
}

/// An open association.
pub struct Scu {
    association: dimse::net::Scu,
    /// What was accepted.
    pub accepted: AssociationAC,
}

/// The answer to a request.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// Command Field.
    pub command: u16,
    /// Message ID Being Responded To.
    pub message_id: u16,
    /// Status.
    pub status: u16,
    /// Error Comment, empty when absent.
    pub comment: String,
}

impl Scu {
    /// Asks for an association.
    ///
    /// # Errors
    /// The PDU that came instead of an acceptance.
    pub async fn associate(to: SocketAddr, proposal: Proposal<'_>) -> Result<Self, Option<Pdu>> {
        match dimse::net::Scu::open(to, &proposal.proposal(), ANSWER_TIMEOUT).await {
            Ok(association) => {
                Ok(Self { accepted: association.negotiated().answer.clone(), association })
            }
            Err(ScuError::Requestor(RequestorError::Rejected(rejection))) => {
                Err(Some(Pdu::AssociationRJ(rejection)))
            }
            Err(ScuError::Requestor(RequestorError::NoAnswer(pdu))) => Err(Some(*pdu)),
            Err(ScuError::Lost(_)) => Err(None),
            Err(error) => panic!("{error}"),
        }
    }

    /// An association for one SOP class in one transfer syntax.
    pub async fn for_class(to: SocketAddr, sop_class: &str, transfer_syntax: &str) -> Self {
        let contexts = &[(sop_class, &[transfer_syntax][..])];
        let proposal = Proposal { contexts, max_pdu_length: 16384, called_ae_title: "COLLIMATOR" };
        Self::associate(to, proposal).await.unwrap_or_else(|other| panic!("{other:?}"))
    }

    /// An association for MR images in explicit VR little endian.
    pub async fn for_mr(to: SocketAddr) -> Self {
        Self::for_class(to, uids::MR_IMAGE_STORAGE, uids::EXPLICIT_VR_LITTLE_ENDIAN).await
    }

    /// Stores an MR image; it must be taken.
    pub async fn stores(&mut self, image: &FileDicomObject<InMemDicomObject>) {
        let (sop, data_set) = written(image);
        let answer = self.store(1, uids::MR_IMAGE_STORAGE, &sop, &data_set).await;
        assert_eq!(answer.status, 0, "{answer:?}");
    }

    /// Stores an MR image that takes `pieces` times `pause` to arrive.
    pub async fn stores_slowly(
        &mut self,
        image: &FileDicomObject<InMemDicomObject>,
        pieces: usize,
        pause: Duration,
    ) {
        let (sop, data_set) = written(image);
        let command = self.store_command(uids::MR_IMAGE_STORAGE, &sop, true);
        self.send(1, Kind::Command, &command, 1000).await;
        let mut pieces = data_set.chunks(data_set.len().div_ceil(pieces)).peekable();
        while let Some(piece) = pieces.next() {
            tokio::time::sleep(pause).await;
            self.send_part(piece, pieces.peek().is_none()).await;
        }
        assert_eq!(self.answer().await.status, 0);
    }

    /// Sends a part of a data set through the first presentation context.
    pub async fn send_part(&mut self, part: &[u8], is_last: bool) {
        self.send_fragment(1, Kind::DataSet, part, is_last).await;
    }

    /// Stores an instance through a presentation context and gives the answer.
    pub async fn store(
        &mut self,
        context_id: u8,
        sop_class: &str,
        sop_instance: &str,
        data_set: &[u8],
    ) -> Answer {
        if !data_set.len().is_multiple_of(2) {
            // Cut off on purpose. A well-behaved sender would pad it.
            let command = self.store_command(sop_class, sop_instance, true);
            self.send(context_id, Kind::Command, &command, 1000).await;
            self.send(context_id, Kind::DataSet, data_set, 10_000).await;
            return self.answer().await;
        }
        let (mut bytes, length) = (data_set, data_set.len() as u64);
        let stored = self
            .association
            .store(context_id, sop_class, sop_instance, &mut bytes, length, |_| ())
            .await;
        answer(stored.expect("an answer"))
    }

    /// The command set of a C-STORE with the next Message ID.
    pub fn store_command(
        &mut self,
        sop_class: &str,
        sop_instance: &str,
        has_data_set: bool,
    ) -> Vec<u8> {
        let request = Request::store(self.association.next_message_id(), sop_class, sop_instance);
        write_request(&Request { has_data_set, ..request })
    }

    /// Sends a set in presentation data values of `piece` bytes, one a PDU.
    pub async fn send(&mut self, context_id: u8, kind: Kind, bytes: &[u8], piece: usize) {
        let mut pieces = bytes.chunks(piece).peekable();
        while let Some(piece) = pieces.next() {
            self.send_fragment(context_id, kind, piece, pieces.peek().is_none()).await;
        }
    }

    async fn send_fragment(&mut self, context_id: u8, kind: Kind, fragment: &[u8], last: bool) {
        let mut pdu = Vec::new();
        put_fragment(&mut pdu, context_id, kind, last, fragment);
        self.send_bytes(&pdu).await;
    }

    /// Sends bytes as they are.
    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        self.association.send_bytes(bytes).await.unwrap();
    }

    /// Sends one more byte; `Some` once the receiver has ended the association.
    pub async fn drip(&mut self) -> Option<()> {
        let sent = self.association.send_bytes(&[0]).await;
        // An A-ABORT, or what the operating system says after one.
        let ended = matches!(
            self.association.receive().now_or_never(),
            Some(Ok(Received::Abort) | Err(ScuError::Lost(_)))
        );
        (sent.is_err() || ended).then_some(())
    }

    /// The next answer.
    pub async fn answer(&mut self) -> Answer {
        match self.association.receive().await {
            Ok(Received::Response(response)) => answer(response),
            other => panic!("no answer came: {other:?}"),
        }
    }

    /// Releases the association and waits for the confirmation.
    pub async fn release(self) {
        self.association.release().await.unwrap();
    }

    /// What comes next, or `None` for the end of the connection.
    pub async fn next(&mut self) -> Option<Received> {
        match self.association.receive().await {
            Ok(received) => Some(received),
            Err(ScuError::Lost(_)) => None,
            Err(error) => panic!("{error}"),
        }
    }
}

fn answer(response: Response) -> Answer {
    Answer {
        command: 0x8000 | response.operation.command_field(),
        message_id: response.message_id,
        status: response.status.code(),
        comment: response.error_comment,
    }
}

/// All that a sender of one MR image says, from the request to the release, as it goes over the wire.
pub fn conversation(image: &FileDicomObject<InMemDicomObject>) -> Vec<Vec<u8>> {
    let contexts = &[(uids::MR_IMAGE_STORAGE, &[uids::EXPLICIT_VR_LITTLE_ENDIAN][..])];
    let proposal = Proposal { contexts, max_pdu_length: 16384, called_ae_title: "COLLIMATOR" };
    let (sop, data_set) = written(image);
    let command = write_request(&Request::store(1, uids::MR_IMAGE_STORAGE, &sop));
    let fragment = |kind, last, bytes: &[u8]| {
        let mut pdu = Vec::new();
        put_fragment(&mut pdu, 1, kind, last, bytes);
        pdu
    };
    let (begin, end) = data_set.split_at(data_set.len() / 2);
    vec![
        Requestor::new(&proposal.proposal()).request().unwrap(),
        fragment(Kind::Command, true, &command),
        fragment(Kind::DataSet, false, begin),
        fragment(Kind::DataSet, true, end),
        RELEASE_REQUEST.to_vec(),
    ]
}

/// The SOP Instance UID of an image, and its data set.
pub fn written(image: &FileDicomObject<InMemDicomObject>) -> (String, Vec<u8>) {
    let mut data_set = Vec::new();
    image.write_dataset_with_ts(&mut data_set, &EXPLICIT_VR_LITTLE_ENDIAN.erased()).unwrap();
    (image.meta().media_storage_sop_instance_uid().to_owned(), data_set)
}

/// A command set, in implicit VR little endian with its group length.
pub fn command(elements: impl IntoIterator<Item = InMemElement>) -> Vec<u8> {
    let mut bytes = Vec::new();
    InMemDicomObject::command_from_element_iter(elements)
        .write_dataset_with_ts(&mut bytes, &IMPLICIT_VR_LITTLE_ENDIAN.erased())
        .unwrap();
    bytes
}
