//! The elements of a command set (PS3.7 section E.1): group 0000, ascending, values padded to an even length.

use super::CommandError;

pub(super) const AFFECTED_SOP_CLASS_UID: u32 = 0x0000_0002;
pub(super) const REQUESTED_SOP_CLASS_UID: u32 = 0x0000_0003;
pub(super) const COMMAND_FIELD: u32 = 0x0000_0100;
pub(super) const MESSAGE_ID: u32 = 0x0000_0110;
pub(super) const MESSAGE_ID_RESPONDED_TO: u32 = 0x0000_0120;
pub(super) const MOVE_DESTINATION: u32 = 0x0000_0600;
pub(super) const PRIORITY: u32 = 0x0000_0700;
pub(super) const COMMAND_DATA_SET_TYPE: u32 = 0x0000_0800;
pub(super) const STATUS: u32 = 0x0000_0900;
pub(super) const ERROR_COMMENT: u32 = 0x0000_0902;
pub(super) const ERROR_ID: u32 = 0x0000_0903;
pub(super) const AFFECTED_SOP_INSTANCE_UID: u32 = 0x0000_1000;
pub(super) const REQUESTED_SOP_INSTANCE_UID: u32 = 0x0000_1001;
pub(super) const EVENT_TYPE_ID: u32 = 0x0000_1002;
pub(super) const ACTION_TYPE_ID: u32 = 0x0000_1008;

/// Command Group Length (0000,0000): how many bytes follow it.
const COMMAND_GROUP_LENGTH: u32 = 0x0000_0000;

/// Tags and values of a command set's elements, in their order; the last is an error where the bytes end in the
/// middle of an element.
pub(super) struct Elements<'a> {
    rest: &'a [u8],
}

impl<'a> Elements<'a> {
    pub(super) fn of(command_set: &'a [u8]) -> Self {
        Self { rest: command_set }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<(u32, &'a [u8]), CommandError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        match split_element(self.rest) {
            Some((tag, value, after)) => {
                self.rest = after;
                Some(Ok((tag, value)))
            }
            None => {
                self.rest = &[];
                Some(Err(CommandError::Truncated))
            }
        }
    }
}

/// Tag, value, and what comes after the first element of `bytes`.
fn split_element(bytes: &[u8]) -> Option<(u32, &[u8], &[u8])> {
    let (group, rest) = bytes.split_first_chunk()?;
    let (element, rest) = rest.split_first_chunk()?;
    let (length, rest) = rest.split_first_chunk()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (value, rest) = rest.split_at_checked(length)?;
    let tag = u32::from(u16::from_le_bytes(*group)) << 16 | u32::from(u16::from_le_bytes(*element));
    Some((tag, value, rest))
}

/// A value of VR US; `None` if it has the wrong length.
pub(super) fn number(value: &[u8]) -> Option<u16> {
    Some(u16::from_le_bytes(value.try_into().ok()?))
}

/// A value of VR UI or LO, without padding.
pub(super) fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).trim_matches(['\0', ' ']).to_owned()
}

/// A command set that is being written. Its elements are put in ascending order.
pub(super) struct Writer {
    elements: Vec<u8>,
}

impl Writer {
    pub(super) fn new() -> Self {
        Self { elements: Vec::with_capacity(256) }
    }

    /// Puts an element of VR US.
    pub(super) fn number(&mut self, tag: u32, value: u16) {
        put(&mut self.elements, tag, &value.to_le_bytes(), 0);
    }

    /// Puts an element of VR UI, unless it is empty.
    pub(super) fn uid(&mut self, tag: u32, uid: &str) {
        if !uid.is_empty() {
            put(&mut self.elements, tag, uid.as_bytes(), 0);
        }
    }

    /// Puts an element of VR LO.
    pub(super) fn text(&mut self, tag: u32, text: &str) {
        put(&mut self.elements, tag, text.as_bytes(), b' ');
    }

    /// The whole command set, with its group length.
    pub(super) fn finish(self) -> Vec<u8> {
        let mut command_set = Vec::with_capacity(self.elements.len() + 12);
        let length = self.elements.len() as u32;
        put(&mut command_set, COMMAND_GROUP_LENGTH, &length.to_le_bytes(), 0);
        command_set.extend_from_slice(&self.elements);
        command_set
    }
}

/// Appends an element, its value padded to an even length.
pub(super) fn put(command_set: &mut Vec<u8>, tag: u32, value: &[u8], padding: u8) {
    let odd = value.len() % 2;
    command_set.extend_from_slice(&((tag >> 16) as u16).to_le_bytes());
    command_set.extend_from_slice(&(tag as u16).to_le_bytes());
    command_set.extend_from_slice(&((value.len() + odd) as u32).to_le_bytes());
    command_set.extend_from_slice(value);
    command_set.extend(std::iter::repeat_n(padding, odd));
}
