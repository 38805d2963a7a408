//! Who may send, and what becomes of those who may not.

use crate::harness::pipeline::COLLIMATOR;
use crate::harness::scu::conversation;
use crate::harness::tools::{dcmtk, have};
use crate::harness::{Collimator, eventually};
use collimator::synthetic::SyntheticStudy;
use serde_json::Value;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
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

/// What `collimator hash-passcode` says of a line.
fn hash_passcode(line: &str) -> Output {
    let mut hashing = Command::new(COLLIMATOR)
        .arg("hash-passcode")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    hashing.stdin.take().unwrap().write_all(line.as_bytes()).unwrap();
    hashing.wait_with_output().unwrap()
}

#[tokio::test]
async fn a_user_with_a_passcode_may_send_and_others_may_not() {
    if !have("storescu") {
        return;
    }
    const PASSCODE: &str = "correct horse";
    let hash = hash_passcode(&format!("{PASSCODE}\n"));
    let hash = String::from_utf8(hash.stdout).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let sources = folder.path().join("sources.toml");
    let text = format!(
        "[[allow]]\nae_title = 'MR1'\nuser = 'anna'\npasscode = '{}'\n\n\
         [[allow]]\nae_title = 'CT1'\nuser = 'bert'\n",
        hash.trim()
    );
    std::fs::write(&sources, text).unwrap();
    let collimator = Collimator::start_with(&[("SOURCES_FILE", sources.to_str().unwrap())]).await;
    let study = SyntheticStudy::new().series("MR", 2);
    let paths = study.write_to(folder.path()).unwrap();
    let paths: Vec<_> = paths.iter().map(PathBuf::as_path).collect();
    for (arguments, is_taken) in [
        // With -rsp the sender wants to be told that it was believed.
        (&["-aet", "MR1", "-usr", "anna", "-pwd", PASSCODE, "-rsp"][..], true),
        (&["-aet", "MR1", "-usr", "anna", "-pwd", PASSCODE], true),
        (&["-aet", "CT1", "-usr", "bert", "-rsp"], true),
        (&["-aet", "MR1", "-usr", "anna", "-pwd", "battery staple"], false),
        (&["-aet", "MR1", "-usr", "anna"], false),
        (&["-aet", "MR1", "-usr", "bert"], false),
        (&["-aet", "CT1", "-usr", "anna", "-pwd", PASSCODE], false),
        (&["-aet", "MR1"], false),
    ] {
        let stored = dcmtk("storescu", collimator.dicom, arguments, &paths).await;
        let said = String::from_utf8_lossy(&stored.stderr);
        assert_eq!(stored.status.success(), is_taken, "{arguments:?}: {said}");
        assert!(is_taken || said.contains("No Reason"), "{arguments:?}: {said}");
    }
    collimator.counts("association", "user", 5).await;
    collimator.lists(&study.series_instance_uids()[0], 2).await;
    let printed = collimator.process.printed();
    let secrets = [PASSCODE, "battery staple", hash.trim()];
    assert!(secrets.iter().all(|secret| !printed.contains(secret)), "{printed}");
}

#[tokio::test]
async fn who_was_told_that_it_was_believed_had_asked_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let sources = folder.path().join("sources.toml");
    std::fs::write(&sources, "[[allow]]\nuser = 'anna'\n").unwrap();
    let collimator = Collimator::start_with(&[("SOURCES_FILE", sources.to_str().unwrap())]).await;
    let image = SyntheticStudy::new().series("MR", 1).instances().unwrap().remove(0);
    // The user information is the last item; its length and that of the PDU grow by the sub-item.
    let with_user = |wants_answer: u8| {
        let mut request = conversation(&image).remove(0);
        let item = [&[0x58, 0, 0, 10, 1, wants_answer, 0, 4][..], b"anna", &[0, 0]].concat();
        let at = request.windows(4).rposition(|bytes| bytes[..2] == [0x50, 0]).unwrap();
        let grow = |bytes: &mut [u8]| {
            let length = u16::from_be_bytes([bytes[0], bytes[1]]) + item.len() as u16;
            bytes.copy_from_slice(&length.to_be_bytes());
        };
        grow(&mut request[at + 2..at + 4]);
        grow(&mut request[4..6]);
        [request, item].concat()
    };
    for (wants_answer, is_told) in [(1, true), (0, false)] {
        let mut socket = connect(collimator.dicom, "127.0.0.1").await;
        socket.write_all(&with_user(wants_answer)).await.unwrap();
        let mut answer = vec![0; 6];
        socket.read_exact(&mut answer).await.unwrap();
        answer.resize(u16::from_be_bytes([answer[4], answer[5]]).into(), 0);
        socket.read_exact(&mut answer).await.unwrap();
        // A server response of no length (PS3.7 section D.3.3.7.2).
        assert_eq!(answer.ends_with(&[0x59, 0, 0, 2, 0, 0]), is_told);
    }
}

#[test]
fn a_passcode_that_is_no_good_is_not_hashed_and_not_repeated() {
    let output = hash_passcode("secret\n");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{said}");
    assert!(said.contains("8 bytes or more") && !said.contains("secret"), "{said}");
}
