//! A sender of our own, for what no well-behaved one can be made to do.

use dicom_core::{DataElement, PrimitiveValue, Tag, VR, dicom_value};
use dicom_dictionary_std::uids;
use dicom_object::mem::InMemElement;
use dicom_object::{FileDicomObject, InMemDicomObject};
use dicom_transfer_syntax_registry::entries::{
    EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN,
};
use dicom_ul::pdu::{
    AssociationAC, AssociationRQ, PDataValue, PDataValueType, Pdu, PresentationContextProposed,
    UserVariableItem, read_pdu, write_pdu,
};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What an association asks for.
pub struct Proposal<'a> {
    /// Presentation contexts: abstract syntax and transfer syntaxes; their ids are 1, 3, 5...
    pub contexts: &'a [(&'a str, &'a [&'a str])],
    /// The longest PDU that we say we take; 0 is unlimited.
    pub max_pdu_length: u32,
    /// How the receiver is called.
    pub called_ae_title: &'a str,
}

/// An open association.
pub struct Scu {
    socket: TcpStream,
    /// What was accepted.
    pub accepted: AssociationAC,
    message_id: u16,
    max_pdu_length: u32,
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
        let mut socket = TcpStream::connect(to).await.unwrap();
        socket.set_nodelay(true).unwrap();
        write(&mut socket, &request(&proposal)).await;
        let max_pdu_length = match proposal.max_pdu_length {
            0 => 1 << 17,
            length => length,
        };
        match read(&mut socket).await {
            Some(Pdu::AssociationAC(accepted)) => {
                Ok(Self { socket, accepted, message_id: 0, max_pdu_length })
            }
            other => Err(other),
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
        self.send(1, PDataValueType::Command, &command, 1000).await;
        let mut pieces = data_set.chunks(data_set.len().div_ceil(pieces)).peekable();
        while let Some(piece) = pieces.next() {
            tokio::time::sleep(pause).await;
            self.send_part(piece, pieces.peek().is_none()).await;
        }
        assert_eq!(self.answer().await.status, 0);
    }

    /// Sends a part of a data set through the first presentation context.
    pub async fn send_part(&mut self, part: &[u8], is_last: bool) {
        let value = PDataValue {
            presentation_context_id: 1,
            value_type: PDataValueType::Data,
            is_last,
            data: part.to_vec(),
        };
        write(&mut self.socket, &Pdu::PData { data: vec![value] }).await;
    }

    /// Stores an instance through a presentation context and gives the answer.
    pub async fn store(
        &mut self,
        context_id: u8,
        sop_class: &str,
        sop_instance: &str,
        data_set: &[u8],
    ) -> Answer {
        let command = self.store_command(sop_class, sop_instance, true);
        self.send(context_id, PDataValueType::Command, &command, 1000).await;
        self.send(context_id, PDataValueType::Data, data_set, 10_000).await;
        self.answer().await
    }

    /// The command set of a C-STORE with the next Message ID.
    pub fn store_command(
        &mut self,
        sop_class: &str,
        sop_instance: &str,
        data_set: bool,
    ) -> Vec<u8> {
        self.message_id += 1;
        store_command(sop_class, sop_instance, self.message_id, data_set)
    }

    /// Sends a set in presentation data values of `piece` bytes, one a PDU.
    pub async fn send(&mut self, context_id: u8, kind: PDataValueType, bytes: &[u8], piece: usize) {
        let mut pieces = bytes.chunks(piece).peekable();
        while let Some(data) = pieces.next() {
            let value = PDataValue {
                presentation_context_id: context_id,
                value_type: kind.clone(),
                is_last: pieces.peek().is_none(),
                data: data.to_vec(),
            };
            write(&mut self.socket, &Pdu::PData { data: vec![value] }).await;
        }
    }

    /// Sends bytes as they are.
    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).await.unwrap();
    }

    /// Sends one more byte; `Some` once the receiver has ended the association.
    pub async fn drip(&mut self) -> Option<()> {
        let sent = self.socket.write_all(&[0]).await;
        let mut pdu = [0; 10];
        let answered = self.socket.try_read(&mut pdu);
        // An A-ABORT, or what the operating system says after one.
        let ended = answered.is_ok_and(|length| length == 0 || pdu[0] == 7);
        (sent.is_err() || ended).then_some(())
    }

    /// The next answer, put together from as many PDUs as it takes.
    pub async fn answer(&mut self) -> Answer {
        let mut command = Vec::new();
        loop {
            let Some(Pdu::PData { data }) = read(&mut self.socket).await else {
                panic!("no answer came")
            };
            let length: usize = data.iter().map(|value| value.data.len() + 6).sum();
            assert!(length <= self.max_pdu_length as usize, "a PDU of {length} bytes");
            for value in data {
                assert_eq!(value.value_type, PDataValueType::Command);
                command.extend_from_slice(&value.data);
                if value.is_last {
                    return read_answer(&command);
                }
            }
        }
    }

    /// Releases the association and waits for the confirmation.
    pub async fn release(mut self) {
        write(&mut self.socket, &Pdu::ReleaseRQ).await;
        assert_eq!(read(&mut self.socket).await, Some(Pdu::ReleaseRP));
    }

    /// What comes next: a PDU, or `None` for the end of the connection.
    pub async fn next(&mut self) -> Option<Pdu> {
        read(&mut self.socket).await
    }
}

/// The A-ASSOCIATE-RQ of a proposal.
fn request(proposal: &Proposal<'_>) -> Pdu {
    let contexts = proposal.contexts.iter().enumerate().map(|(index, (class, syntaxes))| {
        PresentationContextProposed {
            id: (2 * index + 1) as u8,
            abstract_syntax: (*class).to_owned(),
            transfer_syntaxes: syntaxes.iter().map(|uid| (*uid).to_owned()).collect(),
        }
    });
    Pdu::AssociationRQ(AssociationRQ {
        protocol_version: 1,
        calling_ae_title: "TEST_SCU".to_owned(),
        called_ae_title: proposal.called_ae_title.to_owned(),
        application_context_name: "1.2.840.10008.3.1.1.1".to_owned(),
        presentation_contexts: contexts.collect(),
        user_variables: vec![
            UserVariableItem::MaxLength(proposal.max_pdu_length),
            UserVariableItem::ImplementationClassUID("2.25.1".to_owned()),
        ],
    })
}

/// All that a sender of one MR image says, from the request to the release, as it goes over the wire.
pub fn conversation(image: &FileDicomObject<InMemDicomObject>) -> Vec<Vec<u8>> {
    let contexts = &[(uids::MR_IMAGE_STORAGE, &[uids::EXPLICIT_VR_LITTLE_ENDIAN][..])];
    let proposal = Proposal { contexts, max_pdu_length: 16384, called_ae_title: "COLLIMATOR" };
    let (sop, data_set) = written(image);
    let command = store_command(uids::MR_IMAGE_STORAGE, &sop, 1, true);
    let value = |value_type, is_last, data: &[u8]| PDataValue {
        presentation_context_id: 1,
        value_type,
        is_last,
        data: data.to_vec(),
    };
    let (begin, end) = data_set.split_at(data_set.len() / 2);
    let pdus = [
        request(&proposal),
        Pdu::PData { data: vec![value(PDataValueType::Command, true, &command)] },
        Pdu::PData { data: vec![value(PDataValueType::Data, false, begin)] },
        Pdu::PData { data: vec![value(PDataValueType::Data, true, end)] },
        Pdu::ReleaseRQ,
    ];
    let bytes = pdus.iter().map(|pdu| {
        let mut bytes = Vec::new();
        write_pdu(&mut bytes, pdu).unwrap();
        bytes
    });
    bytes.collect()
}

/// The SOP Instance UID of an image, and its data set.
pub fn written(image: &FileDicomObject<InMemDicomObject>) -> (String, Vec<u8>) {
    let mut data_set = Vec::new();
    image.write_dataset_with_ts(&mut data_set, &EXPLICIT_VR_LITTLE_ENDIAN.erased()).unwrap();
    (image.meta().media_storage_sop_instance_uid().to_owned(), data_set)
}

/// The command set of a C-STORE.
fn store_command(sop_class: &str, sop_instance: &str, message_id: u16, data_set: bool) -> Vec<u8> {
    let us =
        |element, value: u16| DataElement::new(Tag(0, element), VR::US, dicom_value!(U16, [value]));
    let ui = |element, value: &str| {
        DataElement::new(Tag(0, element), VR::UI, PrimitiveValue::from(value))
    };
    command([
        ui(0x0002, sop_class),
        us(0x0100, 0x0001),
        us(0x0110, message_id),
        us(0x0700, 0),
        us(0x0800, if data_set { 0 } else { 0x0101 }),
        ui(0x1000, sop_instance),
    ])
}

/// A command set, in implicit VR little endian with its group length.
pub fn command(elements: impl IntoIterator<Item = InMemElement>) -> Vec<u8> {
    let mut bytes = Vec::new();
    InMemDicomObject::command_from_element_iter(elements)
        .write_dataset_with_ts(&mut bytes, &IMPLICIT_VR_LITTLE_ENDIAN.erased())
        .unwrap();
    bytes
}

fn read_answer(command: &[u8]) -> Answer {
    let syntax = IMPLICIT_VR_LITTLE_ENDIAN.erased();
    let command = InMemDicomObject::read_dataset_with_ts(command, &syntax).unwrap();
    let number = |element| command.element(Tag(0, element)).unwrap().to_int().unwrap();
    let comment = command.element(Tag(0, 0x0902)).map(|e| e.to_str().unwrap().into_owned());
    Answer {
        command: number(0x0100),
        message_id: number(0x0120),
        status: number(0x0900),
        comment: comment.unwrap_or_default(),
    }
}

async fn write(socket: &mut TcpStream, pdu: &Pdu) {
    let mut bytes = Vec::new();
    write_pdu(&mut bytes, pdu).unwrap();
    socket.write_all(&bytes).await.unwrap();
}

async fn read(socket: &mut TcpStream) -> Option<Pdu> {
    let read = async {
        let mut pdu = vec![0; 6];
        socket.read_exact(&mut pdu).await.ok()?;
        let length = u32::from_be_bytes(pdu[2..6].try_into().unwrap()) as usize;
        pdu.resize(6 + length, 0);
        socket.read_exact(&mut pdu[6..]).await.ok()?;
        read_pdu(pdu.as_slice(), 1 << 20, false).unwrap()
    };
    tokio::time::timeout(PATIENCE, read).await.expect("an answer in time")
}
