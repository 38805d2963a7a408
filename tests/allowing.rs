//! Who may send, and what becomes of those who may not.

use crate::harness::scu::conversation;
use crate::harness::tools::{dcmtk, have};
use crate::harness::{Collimator, eventually};
use collimator::synthetic::SyntheticStudy;
use serde_json::Value;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

const SOURCES: &str = "
[[allow]]
ae_title = 'MR1'
addresses = ['127.0.0.1', '::1']

[[allow]]
ae_title = 'CT1'
addresses = ['127.0.0.8/30']
";

/// A-ASSOCIATE-RJ: permanent, by the service user, calling AE title not recognized (PS3.8 section 9.3.4).
const NOT_RECOGNIZED: Option<[u8; 4]> = Some([3, 1, 1, 3]);

/// A-ASSOCIATE-AC.
const ACCEPTED: Option<[u8; 4]> = Some([2, 0, 0, 0]);

async fn guarded(folder: &Path) -> Collimator {
    let sources = folder.join("sources.toml");
    std::fs::write(&sources, SOURCES).unwrap();
    Collimator::start_with(&[("SOURCES_FILE", sources.to_str().unwrap())]).await
}

async fn connect(to: SocketAddr, from: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(from.parse::<IpAddr>().unwrap(), 0)).unwrap();
    socket.connect(to).await.unwrap()
}

/// Asks for an association from this address under this AE title. Gives the type of the PDU that is
/// answered, and of a rejection its result, source and reason; nothing when the connection is closed.
async fn call(to: SocketAddr, from: &str, ae_title: &str) -> Option<[u8; 4]> {
    let mut socket = connect(to, from).await;
    let image = SyntheticStudy::new().series("MR", 1).instances().unwrap().remove(0);
    let mut request = conversation(&image).remove(0);
    request[26..42].copy_from_slice(format!("{ae_title:16}").as_bytes());
    // Who is hung up on may find out while it still speaks.
    let _ = socket.write_all(&request).await;
    let mut pdu = [0; 10];
    socket.read_exact(&mut pdu).await.ok()?;
    Some(match pdu[0] {
        3 => [3, pdu[7], pdu[8], pdu[9]],
        other => [other, 0, 0, 0],
    })
}

#[tokio::test]
async fn who_is_not_on_the_list_is_rejected_counted_and_published() {
    let folder = tempfile::tempdir().unwrap();
    let collimator = guarded(folder.path()).await;
    for (from, ae_title, answer, cause) in [
        ("127.0.0.1", "MR1", ACCEPTED, None),
        ("127.0.0.9", "CT1", ACCEPTED, None),
        ("127.0.0.1", "MR2", NOT_RECOGNIZED, Some(("calling_ae_title", 1))),
        // To the letter.
        ("127.0.0.1", "mr1", NOT_RECOGNIZED, Some(("calling_ae_title", 2))),
        // Allowed elsewhere.
        ("127.0.0.1", "CT1", NOT_RECOGNIZED, Some(("address", 1))),
        // From where nobody is allowed.
        ("127.0.0.2", "MR1", NOT_RECOGNIZED, Some(("address", 2))),
    ] {
        assert_eq!(call(collimator.dicom, from, ae_title).await, answer, "{ae_title} at {from}");
        if let Some((cause, count)) = cause {
            collimator.counts("association", cause, count).await;
        }
    }
    // The first one; those right behind it are left to the next.
    let subject = "dicom.association.rejected.MR2";
    let rejected = eventually(subject, async || {
        collimator.events("INSTANCES").await.into_iter().find(|event| &*event.subject == subject)
    })
    .await;
    let rejected: Value = serde_json::from_slice(&rejected.payload).unwrap();
    assert_eq!(rejected["CallingAETitle"], "MR2");
    assert_eq!(rejected["PeerAddress"], "127.0.0.1");
    assert!(rejected["Cause"].as_str().unwrap().contains("calling AE title"), "{rejected}");
}

#[tokio::test]
async fn who_tries_again_and_again_is_hung_up_on_and_disturbs_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let collimator = guarded(folder.path()).await;
    // One from where nobody is allowed, one from where somebody else is.
    for (from, ae_title) in [("127.0.0.2", "MR1"), ("127.0.0.9", "MR1")] {
        let mut answers = Vec::new();
        for _ in 0..15 {
            answers.push(call(collimator.dicom, from, ae_title).await);
        }
        assert_eq!(answers[..10], [NOT_RECOGNIZED; 10], "{from}");
        assert!(answers[10..].contains(&None), "{from}: {answers:?}");
    }
    assert_eq!(call(collimator.dicom, "127.0.0.1", "MR1").await, ACCEPTED);
    // Who is allowed is heard, also from an address that has tried too often.
    assert_eq!(call(collimator.dicom, "127.0.0.9", "CT1").await, ACCEPTED);
}

#[tokio::test]
async fn callers_from_a_foreign_address_take_no_room() {
    let folder = tempfile::tempdir().unwrap();
    let sources = folder.path().join("sources.toml");
    std::fs::write(&sources, SOURCES).unwrap();
    let settings = [("SOURCES_FILE", sources.to_str().unwrap()), ("MAX_ASSOCIATIONS", "1")];
    let collimator = Collimator::start_with(&settings).await;
    // They say nothing, and so would stay until ARTIM_TIMEOUT.
    let mut silent = Vec::new();
    for _ in 0..5 {
        silent.push(connect(collimator.dicom, "127.0.0.2").await);
    }
    assert_eq!(call(collimator.dicom, "127.0.0.1", "MR1").await, ACCEPTED);
}

#[tokio::test]
async fn a_real_sender_is_told_that_its_title_is_not_recognized() {
    if !have("echoscu") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let collimator = guarded(folder.path()).await;
    let good = dcmtk("echoscu", collimator.dicom, &["-aet", "MR1"], &[]).await;
    assert!(good.status.success(), "{good:?}");
    let bad = dcmtk("echoscu", collimator.dicom, &["-aet", "MR2"], &[]).await;
    let said = String::from_utf8_lossy(&bad.stderr);
    assert!(!bad.status.success() && said.contains("Calling AE Title Not Recognized"), "{said}");
}

#[tokio::test]
async fn a_port_that_is_open_to_anybody_is_warned_of_unless_it_is_on_loopback() {
    let warned = "may send: SOURCES_FILE names nobody";
    let open = Collimator::start_with(&[("DICOM_ADDR", "0.0.0.0:0")]).await;
    assert_eq!(open.process.printed().matches(warned).count(), 1);
    let at_home = Collimator::start().await;
    assert_eq!(at_home.process.printed().matches(warned).count(), 0);
}
