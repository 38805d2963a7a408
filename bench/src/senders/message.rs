//! A C-STORE-RQ as it goes over the wire, ready to be sent again and again with another SOP Instance
//! UID, and what comes back.

use crate::input::Template;
use anyhow::{Context as _, bail, ensure};
use dicom_dictionary_std::uids;
use dicom_ul::pdu::{
    AssociationRQ, Pdu, PresentationContextProposed, UserVariableItem, read_pdu, write_pdu,
};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The longest PDU that is sent, if the receiver takes it: what dcmtk's senders have at the most.
const LONGEST_PDU: u32 = 128 * 1024;

/// The one presentation context.
const CONTEXT: u8 = 1;

/// PDU type, reserved byte and length; length, context id and control header of its one PDV
/// (PS3.8 9.3.5).
const HEADERS: u32 = 12;

/// Control header of a PDV (PS3.8 E.2).
const COMMAND: u8 = 1;
const LAST: u8 = 2;

/// An association for MR images.
#[derive(Debug)]
pub(crate) struct Association {
    pub(crate) socket: TcpStream,
    /// The longest PDU that the receiver takes.
    pub(crate) longest_pdu: u32,
}

impl Association {
    /// Asks for it.
    pub(crate) fn open(to: SocketAddr) -> anyhow::Result<Self> {
        let mut socket = TcpStream::connect_timeout(&to, PATIENCE)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        let mut bytes = Vec::new();
        write_pdu(&mut bytes, &request())?;
        socket.write_all(&bytes)?;
        let answer = read(&mut socket)?;
        let Some(Pdu::AssociationAC(accepted)) = read_pdu(answer.as_slice(), 1 << 20, false)?
        else {
            bail!("the association is rejected");
        };
        let longest = accepted.user_variables.iter().find_map(|item| match item {
            UserVariableItem::MaxLength(length) => Some(*length),
            _ => None,
        });
        // 0 is any length (PS3.8 D.1).
        let longest_pdu = match longest {
            Some(0) | None => LONGEST_PDU,
            Some(length) => length.min(LONGEST_PDU),
        };
        Ok(Self { socket, longest_pdu })
    }

    /// Waits for the C-STORE-RSP, which has to say Success.
    pub(crate) fn success(&mut self) -> anyhow::Result<()> {
        // Status (0000,0900) with its length and value.
        const SUCCESS: [u8; 10] = [0, 0, 0, 9, 2, 0, 0, 0, 0, 0];
        let answer = read(&mut self.socket).context("no C-STORE-RSP")?;
        let answered = answer.windows(SUCCESS.len()).any(|bytes| bytes == SUCCESS);
        ensure!(
            answer[0] == 4 && answered,
            "not stored: {:02x?}",
            &answer[..answer.len().min(200)]
        );
        Ok(())
    }

    /// Releases it.
    pub(crate) fn release(mut self) -> anyhow::Result<()> {
        self.socket.write_all(&[5, 0, 0, 0, 0, 4, 0, 0, 0, 0])?;
        read(&mut self.socket)?;
        Ok(())
    }
}

fn request() -> Pdu {
    Pdu::AssociationRQ(AssociationRQ {
        protocol_version: 1,
        calling_ae_title: "BENCH".to_owned(),
        called_ae_title: "COLLIMATOR".to_owned(),
        application_context_name: uids::DICOM_APPLICATION_CONTEXT.to_owned(),
        presentation_contexts: vec![PresentationContextProposed {
            id: CONTEXT,
            abstract_syntax: uids::MR_IMAGE_STORAGE.to_owned(),
            transfer_syntaxes: vec![uids::EXPLICIT_VR_LITTLE_ENDIAN.to_owned()],
        }],
        user_variables: vec![
            UserVariableItem::MaxLength(LONGEST_PDU),
            UserVariableItem::ImplementationClassUID("2.25.1".to_owned()),
        ],
    })
}

/// The next PDU, whole.
fn read(socket: &mut TcpStream) -> anyhow::Result<Vec<u8>> {
    let mut pdu = vec![0; 6];
    socket.read_exact(&mut pdu)?;
    let length = u32::from_be_bytes([pdu[2], pdu[3], pdu[4], pdu[5]]);
    ensure!(length < 1 << 20, "a PDU of {length} bytes");
    pdu.resize(6 + length as usize, 0);
    socket.read_exact(&mut pdu[6..])?;
    Ok(pdu)
}

/// A C-STORE-RQ with its data set.
#[derive(Debug)]
pub(crate) struct Message {
    /// All of its PDUs.
    pub(crate) bytes: Vec<u8>,
    serials: Vec<usize>,
    message_id: usize,
}

impl Message {
    /// Of an instance, in PDUs of the length that the receiver takes. Without `whole` the data set
    /// goes on after it.
    pub(crate) fn new(instance: &Template, longest_pdu: u32, whole: bool) -> anyhow::Result<Self> {
        let mut bytes = Vec::with_capacity(instance.data_set.len() * 101 / 100 + 1024);
        put(&mut bytes, COMMAND | LAST, &command(&instance.uid));
        let mut pieces = instance.data_set.chunks((longest_pdu - HEADERS) as usize).peekable();
        while let Some(piece) = pieces.next() {
            put(&mut bytes, if whole && pieces.peek().is_none() { LAST } else { 0 }, piece);
        }
        // The SOP Instance UID is in the command and in the beginning of the data set.
        let start = &bytes[..bytes.len().min(longest_pdu as usize)];
        let uid = instance.uid.as_bytes();
        let found = (0..start.len()).filter(|at| start[*at..].starts_with(uid));
        let end = uid.len() - Template::serial(0).len();
        let serials: Vec<_> = found.map(|at| at + end).collect();
        ensure!(serials.len() == 2, "the SOP Instance UID is in it {} times", serials.len());
        let id = [0, 0, 0x10, 1, 2, 0, 0, 0];
        let message_id = bytes.windows(id.len()).position(|bytes| bytes == id);
        Ok(Self { serials, message_id: message_id.context("no Message ID")? + id.len(), bytes })
    }

    /// Makes another instance of it.
    pub(crate) fn renew(&mut self, serial: u64) {
        let digits = Template::serial(serial);
        for at in &self.serials {
            self.bytes[*at..*at + digits.len()].copy_from_slice(digits.as_bytes());
        }
        let id = (serial as u16).to_le_bytes();
        self.bytes[self.message_id..self.message_id + 2].copy_from_slice(&id);
    }
}

/// One P-DATA-TF PDU of one PDV.
pub(crate) fn put(bytes: &mut Vec<u8>, control: u8, value: &[u8]) {
    let length = value.len() as u32;
    bytes.extend_from_slice(&[4, 0]);
    bytes.extend_from_slice(&(length + 6).to_be_bytes());
    bytes.extend_from_slice(&(length + 2).to_be_bytes());
    bytes.extend_from_slice(&[CONTEXT, control]);
    bytes.extend_from_slice(value);
}

/// The command set of a C-STORE-RQ (PS3.7 9.3.1.1).
fn command(sop_instance_uid: &str) -> Vec<u8> {
    let mut elements = Vec::new();
    let mut element = |element: u16, value: &[u8]| {
        let odd = value.len() % 2;
        elements.extend_from_slice(&[0, 0]);
        elements.extend_from_slice(&element.to_le_bytes());
        elements.extend_from_slice(&((value.len() + odd) as u32).to_le_bytes());
        elements.extend_from_slice(value);
        elements.extend(std::iter::repeat_n(0, odd));
    };
    element(0x0002, uids::MR_IMAGE_STORAGE.as_bytes());
    element(0x0100, &1_u16.to_le_bytes()); // C-STORE-RQ
    element(0x0110, &0_u16.to_le_bytes()); // Message ID
    element(0x0700, &0_u16.to_le_bytes()); // Priority
    element(0x0800, &0_u16.to_le_bytes()); // a data set follows
    element(0x1000, sop_instance_uid.as_bytes());
    let mut command = vec![0, 0, 0, 0, 4, 0, 0, 0];
    command.extend_from_slice(&(elements.len() as u32).to_le_bytes());
    command.extend_from_slice(&elements);
    command
}
