//! Senders whose names, UIDs and proposals are something else: lines of a log, subjects, labels, too much.

use super::printed_beside_the_log;
use crate::harness::scu::{Scu, conversation, written};
use crate::harness::{Collimator, eventually};
use collimator::synthetic::SyntheticStudy;
use dicom_core::{DataElement, PrimitiveValue, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::{FileDicomObject, InMemDicomObject};
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How a receiver answers at the start, by the type of its PDU (PS3.8 section 9.3.1).
const ACCEPTED: u8 = 2;
const REJECTED: u8 = 3;
const ABORTED: u8 = 7;

/// AE titles, without what pads them to 16 bytes: ends of lines, escape sequences, JSON, wild cards of subjects, no characters.
const TITLES: [&[u8]; 14] = [
    b"A\r\nB\nC\rD\x0b\x0c\x85EFGH ",
    b"\x1b[2J\x1b[31mPWNED\x07 ",
    b"\x1b]0;pwned\x07\x1b[0m  ",
    b"\",\"pwned\":\"x\"}  ",
    b"}\n{\"level\":\"x\"} ",
    b"dicom.>         ",
    b"*.>.*  .  .*.>  ",
    b"a b\tc\x00d\x00e\x00f\x00g\x00",
    b"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
    b"\xff\xfe\xfd\xfc\xc0\xaf\xed\xa0\x80\xf8\x88\x80\x80\x80\x00\x00",
    b"'; DROP TABLE x;",
    b"${jndi:ldap://a}",
    b"\xe2\x80\xae\xe2\x80\xa8\xe2\x80\xa9\xef\xbb\xbfXYZA",
    b"../../etc/passwd",
];

fn item(kind: u8, value: &[u8]) -> Vec<u8> {
    [&[kind, 0][..], &(value.len() as u16).to_be_bytes(), value].concat()
}

/// An A-ASSOCIATE-RQ (PS3.8 section 9.3.2) of these items.
fn request(calling: &[u8], items: &[Vec<u8>]) -> Vec<u8> {
    let mut title = *b"                ";
    title[..calling.len()].copy_from_slice(calling);
    let fixed = [b"\0\x01\0\0COLLIMATOR      ", &title[..], &[0; 32]].concat();
    let body = [fixed, items.concat()].concat();
    [&[1, 0][..], &(body.len() as u32).to_be_bytes(), &body].concat()
}

fn application_context() -> Vec<u8> {
    item(0x10, b"1.2.840.10008.3.1.1.1")
}

fn context(id: u8, abstract_syntax: &[u8], transfer_syntaxes: &[&[u8]]) -> Vec<u8> {
    let syntaxes: Vec<_> = transfer_syntaxes.iter().map(|uid| item(0x40, uid)).collect();
    item(0x20, &[&[id, 0, 0, 0][..], &item(0x30, abstract_syntax), &syntaxes.concat()].concat())
}

fn user_information(more: &[Vec<u8>]) -> Vec<u8> {
    let known = [item(0x51, &16384_u32.to_be_bytes()), item(0x52, b"2.25.1")].concat();
    item(0x50, &[known, more.concat()].concat())
}

fn good_context() -> Vec<u8> {
    context(1, uids::MR_IMAGE_STORAGE.as_bytes(), &[uids::EXPLICIT_VR_LITTLE_ENDIAN.as_bytes()])
}

/// Says this and gives the type of the PDU that is answered; nothing when it is hung up on.
async fn answer(to: SocketAddr, pdu: &[u8]) -> Option<u8> {
    let mut socket = TcpStream::connect(to).await.unwrap();
    let _ = socket.write_all(pdu).await;
    let mut kind = [0; 1];
    let read = timeout(Duration::from_secs(30), socket.read_exact(&mut kind)).await;
    read.expect("an answer, or the end").ok().map(|_| kind[0])
}

/// What is counted by at the moment: each sample without its value.
async fn samples(collimator: &Collimator) -> BTreeSet<String> {
    let metrics = collimator.metrics().await;
    let samples = metrics.lines().filter_map(|line| line.rsplit_once(' '));
    // Whoever asks is counted too.
    let samples = samples.filter(|(name, _)| !name.starts_with("collimator_http_"));
    samples.filter(|(name, _)| !name.starts_with('#')).map(|(name, _)| name.to_owned()).collect()
}

/// Says what a sender of this title says, up to the end.
async fn is_survived(
    collimator: &Collimator,
    image: &FileDicomObject<InMemDicomObject>,
    title: &[u8],
) {
    let wanted = [application_context(), good_context(), user_information(&[])];
    let mut said = conversation(image);
    said[0] = request(title, &wanted);
    let mut socket = TcpStream::connect(collimator.dicom).await.unwrap();
    for pdu in &said {
        // One whose title can't be said back may be hung up on.
        let _ = socket.write_all(pdu).await;
    }
    let mut answers = Vec::new();
    let _ = timeout(Duration::from_secs(30), socket.read_to_end(&mut answers)).await.unwrap();
    let first = answers.first().copied();
    assert!(matches!(first, None | Some(ACCEPTED | REJECTED | ABORTED)), "{title:?}: {first:?}");
}

#[tokio::test]
async fn no_ae_title_is_a_line_of_the_log_a_subject_or_a_label() {
    for format in ["json", "pretty"] {
        let settings = [("LOG_FORMAT", format), ("RUST_LOG", "trace")];
        let collimator = Collimator::start_with(&settings).await;
        let subjects = async || {
            let events = collimator.events("INSTANCES").await;
            events.iter().map(|event| event.subject.to_string()).collect::<Vec<_>>()
        };
        let image = SyntheticStudy::new().series("MR", 1).size(8, 8).instances().unwrap().remove(0);
        let (before, beside) = (subjects().await.len(), collimator.process.printed());
        let beside = beside.lines().filter(|line| !line.starts_with('{')).count();
        let mut had = Vec::new();
        // The second time under other titles, but there is nothing more to count by.
        for is_again in [false, true] {
            for title in TITLES {
                let mut title = title.to_vec();
                if is_again {
                    title.reverse();
                }
                is_survived(&collimator, &image, &title).await;
            }
            had.push(samples(&collimator).await);
        }
        let more: Vec<_> = had[1].difference(&had[0]).collect();
        assert!(more.len() < TITLES.len(), "a sample for each title: {more:?}");
        for subject in &subjects().await[before..] {
            let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            assert!(subject.bytes().all(legal), "{subject}");
            let tokens = if subject.contains(".association.") { 4 } else { 3 };
            assert!(subject.split('.').count() >= tokens, "{subject}");
        }
        let printed = collimator.process.printed();
        let is_control = |c: char| c.is_control() && c != '\n';
        assert!(!printed.contains(is_control), "{format}: a control character in the log");
        assert!(printed.contains("association"));
        match format {
            "json" => assert_eq!(printed_beside_the_log(&printed).len(), beside),
            // Each line begins with its time, but for what is printed at the start.
            _ => {
                let lines = printed.lines().filter(|line| !line.starts_with("20"));
                let lines: Vec<_> = lines.filter(|line| line.contains("pwned")).collect();
                assert!(lines.is_empty(), "{lines:?}");
            }
        }
        assert!(collimator.is_ready().await);
    }
}

#[tokio::test]
async fn no_modality_or_uid_is_more_than_a_token_of_a_subject() {
    let collimator = Collimator::start().await;
    let mut expected = 0;
    for (modality, uid) in [
        (">", "1.2.840.1"),
        ("*", ">"),
        ("MR.>", "*"),
        ("M R", "dicom.>"),
        ("MR\r\nPUB x", "1.2.*.>"),
        ("", "..."),
        ("MR", "' or '1'='1"),
        ("a.b.c.d", "$JS.API.STREAM.DELETE.INSTANCES"),
        ("\u{1b}[31m", "../../../etc/passwd"),
        ("MR", "1.2\r\n+OK"),
        ("MR", &"1".repeat(10_000)),
    ] {
        let (value, series) = (modality.to_owned(), uid.to_owned());
        let study = SyntheticStudy::new().series("MR", 1).size(8, 8).extra(move |data_set| {
            let mut put = |tag, vr, text: &str| {
                data_set.put(DataElement::new(tag, vr, PrimitiveValue::from(text)));
            };
            put(tags::MODALITY, VR::CS, &value);
            put(tags::SERIES_INSTANCE_UID, VR::UI, &series);
        });
        let image = study.instances().unwrap().remove(0);
        let (sop, data_set) = written(&image);
        let mut scu = Scu::for_mr(collimator.dicom).await;
        let answer = scu.store(1, uids::MR_IMAGE_STORAGE, &sop, &data_set).await;
        let is_legal = uid.len() <= 64 && !uid.contains(char::is_control);
        assert_eq!(answer.status, if is_legal { 0 } else { 0xa900 }, "{uid:?}: {answer:?}");
        expected += usize::from(is_legal);
        scu.release().await;
    }
    let stored = collimator.stored().await;
    assert_eq!(stored.len(), expected);
    for event in &stored {
        let tokens: Vec<_> = event.subject.split('.').collect();
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        let is_token = |token: &&str| !token.is_empty() && token.bytes().all(legal);
        assert!(tokens.iter().all(is_token) && tokens.len() >= 6, "{}", event.subject);
        serde_json::from_slice::<Value>(&event.payload).unwrap();
    }
    // Each is a series of its own, and the streams are still there.
    eventually("each series", async || (collimator.series().await.len() == expected).then_some(()))
        .await;
    assert!(collimator.events("DEAD").await.is_empty());
    printed_beside_the_log(&collimator.process.printed());
}

#[tokio::test]
async fn proposals_that_are_too_much_are_answered_or_hung_up_on() {
    let collimator = Collimator::start().await;
    let explicit = uids::EXPLICIT_VR_LITTLE_ENDIAN.as_bytes();
    let mr = uids::MR_IMAGE_STORAGE.as_bytes();
    let titled = |items: &[Vec<u8>]| request(b"ATTACKER", items);
    let with = |context: Vec<u8>, more: &[Vec<u8>]| {
        titled(&[application_context(), context, user_information(more)])
    };
    let many: Vec<u8> = (0..128).flat_map(|n| context(2 * n + 1, mr, &[explicit; 1000])).collect();
    let some: Vec<u8> = (0..128).flat_map(|n| context(2 * n + 1, mr, &[explicit; 300])).collect();
    let same: Vec<u8> = (0..5000).flat_map(|_| good_context()).collect();
    let identity = |kind: u8, name: usize, passcode: usize| {
        let part =
            |length: usize| [&(length as u16).to_be_bytes()[..], &vec![b'x'; length]].concat();
        item(0x58, &[&[kind, 1][..], &part(name), &part(passcode)].concat())
    };
    let role = |uid: &[u8], scu, scp| {
        let length = (uid.len() as u16).to_be_bytes();
        item(0x54, &[&length[..], uid, &[scu, scp]].concat())
    };
    let roles: Vec<_> = (0..1000).map(|_| role(mr, 1, 1)).collect();
    let lies = |kind: u8, length: u16| [&[kind, 0][..], &length.to_be_bytes(), b"xyz"].concat();
    let proposals = [
        ("128 contexts with 1,000 syntaxes", with(many, &[]), &[ABORTED][..]),
        ("128 contexts with 300 syntaxes", with(some, &[]), &[ACCEPTED, ABORTED]),
        ("one context 5,000 times", with(same, &[]), &[ACCEPTED, ABORTED]),
        ("a UID of 10 kB", with(context(1, &[b'1'; 10_000], &[explicit]), &[]), &[ACCEPTED]),
        ("a syntax of 10 kB", with(context(1, mr, &[&[b'1'; 10_000]]), &[]), &[ACCEPTED, ABORTED]),
        (
            "a syntax of control characters",
            with(context(1, mr, &[b"\x1b[31m\r\n"]), &[]),
            &[ACCEPTED],
        ),
        ("a context without a syntax", with(context(1, mr, &[]), &[]), &[ACCEPTED, ABORTED]),
        ("an even context", with(context(2, mr, &[explicit]), &[]), &[ACCEPTED, ABORTED]),
        ("a user of 60 kB", with(good_context(), &[identity(2, 30_000, 30_000)]), &[ACCEPTED]),
        ("a ticket of 60 kB", with(good_context(), &[identity(3, 60_000, 0)]), &[ACCEPTED]),
        ("an unknown identity", with(good_context(), &[identity(77, 5, 5)]), &[ACCEPTED, ABORTED]),
        ("identities", with(good_context(), &vec![identity(1, 40, 0); 1000]), &[ACCEPTED, ABORTED]),
        ("1,000 roles", with(good_context(), &roles), &[ACCEPTED]),
        ("a role of 99", with(good_context(), &[role(mr, 99, 99)]), &[ACCEPTED]),
        ("a role that lies", with(good_context(), &[lies(0x54, 9000)]), &[ACCEPTED, ABORTED]),
        ("an identity that lies", with(good_context(), &[lies(0x58, 9000)]), &[ACCEPTED, ABORTED]),
        ("unknown items", with(good_context(), &vec![item(0x99, &[0; 900]); 60]), &[ACCEPTED]),
        ("nothing", titled(&[]), &[ABORTED, REJECTED]),
    ];
    for (what, pdu, allowed) in proposals {
        let began = std::time::Instant::now();
        let answer = answer(collimator.dicom, &pdu).await;
        println!("{what}: {} bytes, {answer:?} after {:?}", pdu.len(), began.elapsed());
        assert!(answer.is_none_or(|kind| allowed.contains(&kind)), "{what}: {answer:?}");
        // Others notice nothing.
        let image = SyntheticStudy::new().series("MR", 1).size(8, 8).instances().unwrap().remove(0);
        let mut scu = Scu::for_mr(collimator.dicom).await;
        scu.stores(&image).await;
        scu.release().await;
    }
    let printed = collimator.process.printed();
    assert!(!printed.contains("panicked"), "{printed}");
    printed_beside_the_log(&printed);
}
