//! DIMSE command sets (PS3.7 section 6.3.1): always implicit VR little endian, so they need nothing but the
//! bytes. What a [`Request`] or a [`Response`] is made of is one list of elements, whatever the operation.

mod assembly;
mod elements;
mod request;
mod response;
mod retrieve;

pub use assembly::{CommandAssembly, UnexpectedFragment};
pub use request::{Request, read_request, write_request};
pub use response::{Response, error_comment, read_response, write_refusal, write_response};
pub use retrieve::{MOVE, write_move};

/// Longest command set accepted, in bytes. One of C-STORE has about 200.
pub const MAX_COMMAND_LENGTH: usize = 16 * 1024;

/// Command Data Set Type (0000,0800) of a message that has no data set (PS3.7 section 9.3).
const NO_DATA_SET: u16 = 0x0101;

/// What distinguishes the Command Field of a response from that of its request.
pub(crate) const RESPONSE_BIT: u16 = 0x8000;

/// What is asked for: Command Field (0000,0100), PS3.7 section E.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// C-STORE.
    Store,
    /// C-FIND.
    Find,
    /// C-ECHO.
    Echo,
    /// N-EVENT-REPORT.
    EventReport,
    /// N-SET.
    Set,
    /// N-ACTION.
    Action,
    /// N-CREATE.
    Create,
    /// C-CANCEL, which has no response.
    Cancel,
    /// Any other, by the Command Field of its request.
    Other(u16),
}

impl Operation {
    fn of(command_field: u16) -> Self {
        match command_field {
            0x0001 => Self::Store,
            0x0020 => Self::Find,
            0x0030 => Self::Echo,
            0x0100 => Self::EventReport,
            0x0120 => Self::Set,
            0x0130 => Self::Action,
            0x0140 => Self::Create,
            0x0fff => Self::Cancel,
            other => Self::Other(other),
        }
    }

    /// The element that has the number of its event or action, if it has one (PS3.7 sections 10.1.1 and 10.1.4).
    fn type_id(self) -> Option<u32> {
        match self {
            Self::EventReport => Some(elements::EVENT_TYPE_ID),
            Self::Action => Some(elements::ACTION_TYPE_ID),
            _ => None,
        }
    }

    /// Whether its request names the SOP instance that it is about as requested, and not as affected.
    fn is_requested(self) -> bool {
        matches!(self, Self::Set | Self::Action)
    }

    /// The Command Field of its request.
    #[must_use]
    pub fn command_field(self) -> u16 {
        match self {
            Self::Store => 0x0001,
            Self::Find => 0x0020,
            Self::Echo => 0x0030,
            Self::EventReport => 0x0100,
            Self::Set => 0x0120,
            Self::Action => 0x0130,
            Self::Create => 0x0140,
            Self::Cancel => 0x0fff,
            Self::Other(field) => field,
        }
    }
}

/// The bytes are no command set that can be acted on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// They end in the middle of an element.
    #[error("the command set ends in the middle of an element")]
    Truncated,
    /// It is a request, by this Command Field, where a response has to be.
    #[error("command {0:#06x} came instead of a response")]
    NoResponse(u16),
    /// An element that every command set of its kind has is missing or has the wrong length.
    #[error("the command set has no {0}")]
    Missing(&'static str),
}
