//! Why an association is rejected: for the caller (A-ASSOCIATE-RJ), the operator, and the audit trail.

use dicom_ul::pdu::{
    AssociationRJ, AssociationRJResult, AssociationRJServiceProviderASCEReason,
    AssociationRJServiceProviderPresentationReason, AssociationRJServiceUserReason,
    AssociationRJSource,
};
use dimse::negotiation::Unsupported;
use shared::audit::{Code, code};
use shared::connection_limit::Full;
use shared::senders::NotAllowed;
use std::fmt;

/// Why a caller gets no association.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// There are as many as there may be.
    NoRoom,
    /// There are as many of this peer as there may be.
    NoRoomForPeer,
    /// Not the one protocol version there is.
    ProtocolVersion,
    /// Not the one application context there is.
    ApplicationContext,
    /// The called AE title is not ours, and `CHECK_CALLED_AE` is set.
    CalledAeTitle,
    /// It speaks in plain text where TLS is spoken.
    PlainText,
    /// It may not send.
    NotAllowed(NotAllowed),
}

impl From<Full> for Rejection {
    fn from(full: Full) -> Self {
        match full {
            Full::InAll => Self::NoRoom,
            Full::ForPeer => Self::NoRoomForPeer,
        }
    }
}

impl From<Unsupported> for Rejection {
    fn from(unsupported: Unsupported) -> Self {
        match unsupported {
            Unsupported::ProtocolVersion => Self::ProtocolVersion,
            Unsupported::ApplicationContext => Self::ApplicationContext,
        }
    }
}

impl Rejection {
    /// The A-ASSOCIATE-RJ (PS3.8 section 9.3.4).
    #[must_use]
    pub fn answer(self) -> AssociationRJ {
        use AssociationRJServiceProviderASCEReason as Asce;
        use AssociationRJServiceProviderPresentationReason as Presentation;
        use AssociationRJServiceUserReason as User;
        use AssociationRJSource as Source;
        let (result, source) = match self {
            Self::NoRoom | Self::NoRoomForPeer => (
                AssociationRJResult::Transient,
                Source::ServiceProviderPresentation(Presentation::LocalLimitExceeded),
            ),
            Self::ProtocolVersion => (
                AssociationRJResult::Permanent,
                Source::ServiceProviderASCE(Asce::ProtocolVersionNotSupported),
            ),
            Self::ApplicationContext => (
                AssociationRJResult::Permanent,
                Source::ServiceUser(User::ApplicationContextNameNotSupported),
            ),
            Self::CalledAeTitle => (
                AssociationRJResult::Permanent,
                Source::ServiceUser(User::CalledAETitleNotRecognized),
            ),
            Self::PlainText => {
                (AssociationRJResult::Permanent, Source::ServiceProviderASCE(Asce::NoReasonGiven))
            }
            Self::NotAllowed(NotAllowed::User) => {
                (AssociationRJResult::Permanent, Source::ServiceUser(User::NoReasonGiven))
            }
            // The same whatever is wrong: who guesses is not told which part of it was right.
            Self::NotAllowed(_) => (
                AssociationRJResult::Permanent,
                Source::ServiceUser(User::CallingAETitleNotRecognized),
            ),
        };
        AssociationRJ { result, source }
    }

    /// The label of a counter.
    #[must_use]
    pub fn cause(self) -> &'static str {
        match self {
            Self::NoRoom => "no_room",
            Self::NoRoomForPeer => "no_room_for_peer",
            Self::ProtocolVersion => "protocol_version",
            Self::ApplicationContext => "application_context",
            Self::CalledAeTitle => "called_ae_title",
            Self::PlainText => "plain_text",
            Self::NotAllowed(NotAllowed::AeTitle) => "calling_ae_title",
            Self::NotAllowed(NotAllowed::Address) => "address",
            Self::NotAllowed(NotAllowed::Certificate) => "certificate",
            Self::NotAllowed(NotAllowed::User) => "user",
        }
    }

    /// The type of its audit event (PS3.15 section A.5.3.11).
    #[must_use]
    pub fn alert(self) -> Code {
        match self {
            Self::NotAllowed(NotAllowed::User) => code::AUTHENTICATION_DECISION,
            Self::NotAllowed(_) | Self::CalledAeTitle | Self::PlainText => {
                code::NODE_AUTHENTICATION
            }
            Self::NoRoom
            | Self::NoRoomForPeer
            | Self::ProtocolVersion
            | Self::ApplicationContext => code::ACCESS_CONTROL_DECISION,
        }
    }
}

/// For operators, with more detail than the A-ASSOCIATE-RJ has.
impl fmt::Display for Rejection {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAllowed(NotAllowed::Address) => {
                to.write_str("calling AE title not recognized: not from this address")
            }
            Self::NotAllowed(NotAllowed::Certificate) => {
                to.write_str("calling AE title not recognized: not with this certificate")
            }
            Self::NotAllowed(NotAllowed::User) => {
                to.write_str("no reason given: it identifies as no user that may send")
            }
            Self::PlainText => to.write_str("no TLS on the port for it"),
            _ => self.answer().source.fmt(to),
        }
    }
}
