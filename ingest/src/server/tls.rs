//! The TLS hand-shake on the port that has it (PS3.15 section B.12), with the certificate of the sender.

use crate::negotiation::certificate::Certificate;
use dimse::net::{Encrypted, buffered};
use shared::tls::{NoTls, Tls};
use std::time::Duration;
use tokio::net::TcpStream;

/// The hand-shake, within `limit`. Returns the certificate of the peer if it was asked for one.
///
/// # Errors
/// When there is no hand-shake; a TLS alert was sent to the peer, if it still listens.
pub(crate) async fn accept(
    tls: &Tls,
    socket: TcpStream,
    limit: Duration,
) -> Result<(Encrypted, Option<Certificate>), NoTls> {
    let encrypted = tls.accept(socket, limit, buffered).await?;
    let certificates = encrypted.get_ref().1.peer_certificates();
    let certificate = certificates.and_then(|chain| chain.first()).map(Certificate::of);
    Ok((encrypted, certificate))
}

/// The label of a counter for a hand-shake that was refused; `None` if the peer left or speaks no TLS.
#[must_use]
pub(crate) fn cause(error: &NoTls) -> Option<&'static str> {
    match error {
        NoTls::Silent(_) => Some("silent"),
        NoTls::PlainText(_) | NoTls::Lost(_) => None,
        NoTls::Certificate(_) => Some("bad_certificate"),
        NoTls::HandShake(_) => Some("tls_hand_shake"),
    }
}
