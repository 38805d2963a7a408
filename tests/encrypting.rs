//! DICOM over TLS: with and without certificates of senders, who is kept out, and new certificates.

use crate::harness::scu::{Proposal, Scu};
use crate::harness::tls::{Authority, Identity, tunnel, tunnel_of};
use crate::harness::tools::{dcmtk, have};
use crate::harness::{Collimator, eventually};
use collimator::send::{SendSettings, send};
use collimator::synthetic::SyntheticStudy;
use dicom_dictionary_std::uids;
use dicom_ul::pdu::{AssociationRJResult, Pdu};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Output;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::rustls::version::{TLS12, TLS13};

/// What there is to begin with: a receiver's certificate, and the CAs of both sides.
struct Papers {
    ours: Authority,
    receiver: Identity,
    senders: Authority,
    folder: TempDir,
}

impl Papers {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ours = Authority::new(folder.path(), "ours");
        let receiver = ours.issue("receiver");
        let senders = Authority::new(folder.path(), "senders");
        Self { ours, receiver, senders, folder }
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// A receiver with a port for TLS; senders need certificates if they are asked for them.
    async fn receiver(
        &self,
        asks: bool,
        more: &[(&'static str, &str)],
    ) -> (Collimator, SocketAddr) {
        let text = |path: &PathBuf| path.to_str().unwrap().to_owned();
        let (certificate, key) = (text(&self.receiver.certificate), text(&self.receiver.key));
        let ca = text(&self.senders.file);
        let mut settings = vec![
            ("DICOM_TLS_ADDR", "127.0.0.1:0"),
            ("DICOM_TLS_CERT", &certificate),
            ("DICOM_TLS_KEY", &key),
            ("ARTIM_TIMEOUT", "2s"),
        ];
        if asks {
            settings.push(("DICOM_TLS_CLIENT_CA", &ca));
        }
        settings.extend(more);
        let mut collimator = Collimator::start_with(&settings).await;
        let tls = collimator.tls().await;
        (collimator, tls)
    }

    /// What dcmtk's echoscu says over TLS, with a certificate or without.
    async fn echo(&self, to: SocketAddr, identity: Option<&Identity>, more: &[&str]) -> Output {
        let without = ["+tla"];
        let identity = identity.map(Identity::for_dcmtk);
        let identity = identity.as_ref().map_or(&without[..], |with| &with[..]);
        let trust = ["+cf", self.ours.file.to_str().unwrap()];
        dcmtk("echoscu", to, &[identity, &trust, more].concat(), &[]).await
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn study(folder: &Path, instances: u32) -> (SyntheticStudy, Vec<PathBuf>) {
    let study = SyntheticStudy::new().series("MR", instances);
    let paths = study.write_to(folder).unwrap();
    (study, paths)
}

#[tokio::test]
async fn a_sender_without_a_certificate_stores_over_tls_beside_a_plain_one() {
    if !have("storescu") {
        return;
    }
    let papers = Papers::new();
    let (collimator, tls) = papers.receiver(false, &[]).await;
    let (encrypted, paths) = study(&papers.folder.path().join("encrypted"), 3);
    let paths: Vec<_> = paths.iter().map(PathBuf::as_path).collect();
    let trust = ["+tla", "+cf", papers.ours.file.to_str().unwrap()];
    for profile in ["+py", "+px"] {
        let arguments = [&trust[..], &[profile]].concat();
        let stored = dcmtk("storescu", tls, &arguments, &paths).await;
        assert!(stored.status.success(), "{profile}: {}", said(&stored));
    }
    let (plain, paths) = study(&papers.folder.path().join("plain"), 2);
    collimator.receives(paths).await;
    collimator.lists(&encrypted.series_instance_uids()[0], 3).await;
    collimator.lists(&plain.series_instance_uids()[0], 2).await;
    // Each event of an association says whether it was encrypted.
    for kind in ["opened", "released"] {
        let subject = format!("dicom.association.{kind}.");
        let of_kind = eventually("the events of three associations", async || {
            let mut events = collimator.events("INSTANCES").await;
            events.retain(|event| event.subject.starts_with(&subject));
            (events.len() == 3).then_some(events)
        })
        .await;
        let tls = |payload: &[u8]| serde_json::from_slice::<Value>(payload).unwrap()["TLS"].clone();
        let tls: Vec<_> = of_kind.iter().map(|event| tls(&event.payload)).collect();
        assert_eq!(tls, [true, true, false], "{kind}");
    }

    // One that does not trust our certificate goes no further.
    let foreign = ["+tla", "+cf", papers.senders.file.to_str().unwrap()];
    let distrusts = dcmtk("echoscu", tls, &foreign, &[]).await;
    assert!(!distrusts.status.success(), "{}", said(&distrusts));
    collimator.counts("association", "tls_hand_shake", 1).await;
}

#[tokio::test]
async fn only_senders_with_a_good_certificate_get_through_where_they_are_asked_for_one() {
    if !have("echoscu") {
        return;
    }
    let papers = Papers::new();
    let (collimator, tls) = papers.receiver(true, &[]).await;
    let good = papers.senders.issue("MR1");
    let expired = papers.senders.issue_until("MR2", 2020);
    let foreign = Authority::new(papers.folder.path(), "foreign").issue("MR3");
    let echo = papers.echo(tls, Some(&good), &[]).await;
    assert!(echo.status.success(), "{}", said(&echo));
    for (number, bad) in [None, Some(&expired), Some(&foreign)].into_iter().enumerate() {
        let echo = papers.echo(tls, bad, &[]).await;
        assert!(!echo.status.success(), "number {number} got through");
        collimator.counts("association", "bad_certificate", number as u64 + 1).await;
    }
    let echo = papers.echo(tls, Some(&good), &[]).await;
    assert!(echo.status.success(), "{}", said(&echo));
    let printed = collimator.process.printed();
    assert!(printed.contains("the caller's certificate: ") && printed.contains("expired"));
}

#[tokio::test]
async fn an_allowed_certificate_is_one_that_was_shown_and_no_other() {
    if !have("echoscu") {
        return;
    }
    let papers = Papers::new();
    let sources = papers
        .file("sources.toml", "[[allow]]\nae_title = 'MR1'\ncertificate = 'CN=MR1,O=Hospital'\n");
    let (collimator, tls) = papers.receiver(true, &[("SOURCES_FILE", &sources)]).await;
    let (mr1, mr2) = (papers.senders.issue("MR1"), papers.senders.issue("MR2"));
    let echo = papers.echo(tls, Some(&mr1), &["-aet", "MR1"]).await;
    assert!(echo.status.success(), "{}", said(&echo));
    let not_recognized = |output: Output| {
        assert!(said(&output).contains("Calling AE Title Not Recognized"), "{}", said(&output));
    };
    // Of another machine of the same CA, and of none.
    not_recognized(papers.echo(tls, Some(&mr2), &["-aet", "MR1"]).await);
    collimator.counts("association", "certificate", 1).await;
    not_recognized(dcmtk("echoscu", collimator.dicom, &["-aet", "MR1"], &[]).await);
    collimator.counts("association", "certificate", 2).await;
    // An operator finds in the log what to write down.
    let printed = collimator.process.printed();
    assert!(printed.contains("CN=MR2,O=Hospital sha256:"), "{printed}");
}

#[tokio::test]
async fn new_certificates_are_taken_in_the_middle_of_an_association_and_bad_ones_are_not() {
    let papers = Papers::new();
    let (mut collimator, tls) = papers.receiver(false, &[]).await;
    let before = tunnel(tls, &papers.ours.file, None).await;
    let images = SyntheticStudy::new().series("MR", 2).instances().unwrap();
    let mut scu = Scu::for_mr(before).await;
    scu.stores(&images[0]).await;

    let others = Authority::new(papers.folder.path(), "others");
    let (now, at) = (others.issue("new"), &papers.receiver);
    std::fs::copy(&now.certificate, &at.certificate).unwrap();
    std::fs::copy(&now.key, &at.key).unwrap();
    let line = |text: &'static str| move |line: &str| line.contains(text).then_some(());
    collimator.process.signal("HUP");
    collimator.process.says("that it read them", line("certificates were read again")).await;
    // Who was there notices nothing, and whoever comes sees the new one.
    scu.stores(&images[1]).await;
    scu.release().await;
    let after = tunnel(tls, &others.file, None).await;
    Scu::for_mr(after).await.release().await;
    // Who trusts the old one alone is not served by it any more.
    assert!(is_hung_up_on(before).await);

    std::fs::write(&at.certificate, "no certificate").unwrap();
    collimator.process.signal("HUP");
    let complaint = line("certificates stay as they were: DICOM_TLS_CERT");
    collimator.process.says("that it did not take them", complaint).await;
    Scu::for_mr(after).await.release().await;
}

/// Whether a connection ends without a word.
async fn is_hung_up_on(addr: SocketAddr) -> bool {
    let mut socket = TcpStream::connect(addr).await.unwrap();
    !matches!(socket.read(&mut [0; 1]).await, Ok(1..))
}

#[tokio::test]
async fn certificates_of_both_sides_are_shown_in_each_version_of_tls() {
    let papers = Papers::new();
    let (collimator, tls) = papers.receiver(true, &[]).await;
    let sender = papers.senders.issue("MR1");
    for (number, version) in [&TLS12, &TLS13].into_iter().enumerate() {
        let through = tunnel_of(&[version], tls, &papers.ours.file, Some(&sender)).await;
        let mut scu = Scu::for_mr(through).await;
        let image = SyntheticStudy::new().series("MR", 1).instances().unwrap().remove(0);
        scu.stores(&image).await;
        scu.release().await;
        let without = tunnel_of(&[version], tls, &papers.ours.file, None).await;
        assert!(is_hung_up_on(without).await);
        collimator.counts("association", "bad_certificate", number as u64 + 1).await;
    }
}

#[tokio::test]
async fn a_caller_at_the_wrong_port_is_told_so_and_nobody_hangs() {
    if !have("echoscu") {
        return;
    }
    let papers = Papers::new();
    let (collimator, tls) = papers.receiver(false, &[]).await;
    let plain = dcmtk("echoscu", tls, &[], &[]).await;
    assert!(said(&plain).contains("Association Rejected"), "{}", said(&plain));
    collimator.counts("association", "plain_text", 1).await;
    let encrypted = papers.echo(collimator.dicom, None, &[]).await;
    assert!(!encrypted.status.success());
    collimator.counts("association", "tls_on_plain_port", 1).await;
    let printed = collimator.process.printed();
    assert!(printed.contains("no TLS on the port for it"));
    assert!(printed.contains("a TLS hand-shake came to the port for plain DICOM"));

    // No byte at all, the beginning of a hand-shake, and something else.
    for (says, cause, count) in [
        (&b""[..], "silent", 1),
        (b"\x16\x03\x01", "silent", 2),
        (b"GET / HTTP/1.1\r\n\r\n", "no_associate_request", 1),
    ] {
        let mut socket = TcpStream::connect(tls).await.unwrap();
        socket.write_all(says).await.unwrap();
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer).await;
        collimator.counts("association", cause, count).await;
    }
}

#[tokio::test]
async fn tls_can_be_the_only_way_in() {
    let papers = Papers::new();
    let (collimator, tls) = papers.receiver(false, &[("DICOM_ADDR", "none")]).await;
    assert_eq!(collimator.dicom, tls, "there is no other port");
    let through = tunnel(tls, &papers.ours.file, None).await;
    let (study, paths) = study(&papers.folder.path().join("study"), 2);
    let settings = SendSettings::new(through.to_string(), paths);
    let report = send(&settings).await.unwrap();
    assert!(report.is_complete(), "{report:?}");
    collimator.lists(&study.series_instance_uids()[0], 2).await;
}

#[tokio::test]
async fn a_hand_shake_that_is_not_ended_takes_a_place_and_gives_it_back() {
    let papers = Papers::new();
    let settings = [("MAX_ASSOCIATIONS", "2"), ("ARTIM_TIMEOUT", "60s")];
    let (_collimator, tls) = papers.receiver(false, &settings).await;
    let mut silent = Vec::new();
    for _ in 0..2 {
        silent.push(TcpStream::connect(tls).await.unwrap());
    }
    let through = tunnel(tls, &papers.ours.file, None).await;
    let contexts = &[(uids::VERIFICATION, &[uids::IMPLICIT_VR_LITTLE_ENDIAN][..])];
    let proposal = || Proposal { contexts, max_pdu_length: 16384, called_ae_title: "COLLIMATOR" };
    let Err(Some(Pdu::AssociationRJ(no_room))) = Scu::associate(through, proposal()).await else {
        panic!("it was let in")
    };
    assert_eq!(no_room.result, AssociationRJResult::Transient);
    drop(silent);
    let scu = eventually("room", async || Scu::associate(through, proposal()).await.ok()).await;
    scu.release().await;
}
