//! What every PDU begins with (PS3.8 section 9.3.1): type, a reserved byte, and the length of what follows.

/// Bytes of a PDU's header.
pub(crate) const HEADER_LENGTH: usize = 6;

/// A-ASSOCIATE-RQ, the first of the types.
pub(crate) const A_ASSOCIATE_RQ: u8 = 0x01;
/// P-DATA-TF.
pub(crate) const P_DATA_TF: u8 = 0x04;
/// A-RELEASE-RQ.
pub(crate) const A_RELEASE_RQ: u8 = 0x05;
/// A-RELEASE-RP.
pub(crate) const A_RELEASE_RP: u8 = 0x06;
/// A-ABORT, the last of the types.
pub(crate) const A_ABORT: u8 = 0x07;
