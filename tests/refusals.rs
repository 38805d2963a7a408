//! Everything that is refused: what the peer is told, and that it is counted by its cause at `/metrics`.

use crate::harness::schemas::Schemas;
use crate::harness::scu::{Answer, Kind, Proposal, Received, Scu, command, conversation};
use crate::harness::{Collimator, eventually};
use collimator::synthetic::SyntheticStudy;
use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::{FileDicomObject, InMemDicomObject};
use dicom_transfer_syntax_registry::entries::EXPLICIT_VR_LITTLE_ENDIAN;
use dicom_ul::pdu::{AssociationRJResult, Pdu};
use flate2::Compression;
use flate2::write::DeflateEncoder;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::Write as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const MR: &str = uids::MR_IMAGE_STORAGE;
const EXPLICIT: &str = uids::EXPLICIT_VR_LITTLE_ENDIAN;
const DEFLATED: &str = uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN;

/// A pipeline whose limits are near.
async fn narrow() -> Collimator {
    Collimator::start_with(&[
        ("MAX_PDU_LENGTH", "16KiB"),
        ("HEADER_LIMIT", "64KiB"),
        ("INFLATE_LIMIT", "32KiB"),
        ("ARTIM_TIMEOUT", "1s"),
        ("RECEIVE_TIMEOUT", "2s"),
        ("PDU_TIMEOUT", "1s"),
        ("CHECK_CALLED_AE", "true"),
        ("MAX_ASSOCIATIONS_PER_PEER", "3"),
    ])
    .await
}

impl Collimator {
    /// Waits until so many of this kind and cause are counted.
    pub async fn counts(&self, what: &str, cause: &str, wanted: u64) {
        let sample = format!(r#"collimator_refusals_total{{what="{what}",cause="{cause}"}} "#);
        let url = format!("{}/metrics", self.api);
        eventually(&format!("{wanted} of {sample}"), async || {
            let text = reqwest::get(&url).await.unwrap().text().await.unwrap();
            let counted = text.lines().find_map(|line| line.strip_prefix(&sample));
            (counted.map(str::parse) == Some(Ok(wanted))).then_some(())
        })
        .await;
    }
}

fn image() -> FileDicomObject<InMemDicomObject> {
    SyntheticStudy::new().series("MR", 1).size(16, 16).instances().unwrap().remove(0)
}

fn bytes(data_set: &InMemDicomObject) -> Vec<u8> {
    let mut bytes = Vec::new();
    data_set.write_dataset_with_ts(&mut bytes, &EXPLICIT_VR_LITTLE_ENDIAN.erased()).unwrap();
    bytes
}

fn deflated(plain: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

/// A good data set, but for so many empty elements before its pixel data.
fn with_private_elements(count: u16) -> Vec<u8> {
    let mut object: InMemDicomObject = (*image()).clone();
    for element in 0x1001..0x1001 + count {
        object.put(DataElement::new(Tag(0x0029, element), VR::LO, PrimitiveValue::Empty));
    }
    bytes(&object)
}

/// A good data set, but for so many bytes before its pixel data.
fn with_private_element_of(length: usize) -> Vec<u8> {
    let mut object: InMemDicomObject = (*image()).clone();
    let value = PrimitiveValue::from(vec![0_u8; length]);
    object.put(DataElement::new(Tag(0x0029, 0x1010), VR::OB, value));
    bytes(&object)
}

/// What is sent as the data set of a C-STORE, and the Status and cause that it leads to.
fn unfit_data_sets() -> Vec<(Vec<u8>, u16, &'static str)> {
    let good: InMemDicomObject = (*image()).clone();
    let uid = |tag, value: &str| {
        let mut object = good.clone();
        object.put(DataElement::new(tag, VR::UI, PrimitiveValue::from(value)));
        bytes(&object)
    };
    let mut nested = Vec::new();
    for _ in 0..1000 {
        // A private sequence of undefined length, with an item of undefined length in it.
        nested.extend(*b"\x09\x00\x10\x10SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff");
    }
    vec![
        // In the middle of the first element.
        (bytes(&good)[..20].to_vec(), 0xc000, "truncated"),
        (nested, 0xc000, "nested_too_deep"),
        (uid(tags::SERIES_INSTANCE_UID, ""), 0xa900, "uid_empty"),
        (uid(tags::SERIES_INSTANCE_UID, &"1".repeat(65)), 0xa900, "uid_too_long"),
        (uid(tags::SERIES_INSTANCE_UID, "1.2\x003"), 0xa900, "uid_unprintable"),
        (uid(tags::SOP_INSTANCE_UID, "2.25.4"), 0xa900, "contradiction"),
        (uid(tags::SOP_CLASS_UID, uids::CT_IMAGE_STORAGE), 0xa900, "contradiction"),
        (with_private_elements(9000), 0xc000, "header_too_long"),
    ]
}

#[tokio::test]
async fn a_message_that_is_refused_is_answered_and_counted() {
    let collimator = narrow().await;
    let image = image();
    let sop = image.meta().media_storage_sop_instance_uid();
    let is_refused = |answer: Answer, status: u16, cause: &str| {
        assert_eq!(answer.status, status, "{cause}: {answer:?}");
        assert!(!answer.comment.is_empty() && answer.comment.len() <= 64, "{cause}: {answer:?}");
    };

    let mut scu = Scu::for_class(collimator.dicom, MR, EXPLICIT).await;
    let mut refused = HashMap::new();
    for (data_set, status, cause) in unfit_data_sets() {
        is_refused(scu.store(1, MR, sop, &data_set).await, status, cause);
        let times = refused.entry(cause).or_insert(0);
        *times += 1;
        collimator.counts("message", cause, *times).await;
    }
    let no_data_set = scu.store_command(MR, sop, false);
    scu.send(1, Kind::Command, &no_data_set, 1000).await;
    is_refused(scu.answer().await, 0xc000, "no_data_set");
    collimator.counts("message", "no_data_set", 1).await;
    let us = |element, value: u16| {
        DataElement::new(Tag(0, element), VR::US, PrimitiveValue::from(value))
    };
    let find = command([us(0x0100, 0x20), us(0x0110, 7), us(0x0800, 0x0101)]);
    scu.send(1, Kind::Command, &find, 1000).await;
    is_refused(scu.answer().await, 0x0211, "unknown_operation");
    collimator.counts("message", "unknown_operation", 1).await;
    scu.stores(&image).await;
    scu.release().await;

    let mut scu = Scu::for_class(collimator.dicom, MR, DEFLATED).await;
    let bomb = deflated(&with_private_element_of(60_000));
    assert!(bomb.len() < 1000, "{}", bomb.len());
    is_refused(scu.store(1, MR, sop, &bomb).await, 0xa700, "inflates_too_far");
    collimator.counts("message", "inflates_too_far", 1).await;
    is_refused(scu.store(1, MR, sop, &[0xff; 500]).await, 0xc000, "not_deflated");
    collimator.counts("message", "not_deflated", 1).await;
    // What stands behind the pixel data is not inflated.
    let harmless = deflated(&[&bytes(&image)[..], &[0; 64 << 20]].concat());
    assert_eq!(scu.store(1, MR, sop, &harmless).await.status, 0);
    scu.release().await;
}

#[tokio::test]
async fn the_end_of_an_association_says_what_its_sender_was_told() {
    let collimator = narrow().await;
    let image = image();
    let sop = image.meta().media_storage_sop_instance_uid();
    let mut scu = Scu::for_class(collimator.dicom, MR, EXPLICIT).await;
    let unfit = unfit_data_sets();
    let (contradicts, truncated) = (&unfit[5].0, &unfit[0].0);
    let mut told = Vec::new();
    for data_set in [contradicts, truncated, contradicts] {
        let Answer { status, comment, .. } = scu.store(1, MR, sop, data_set).await;
        told.push((format!("0x{status:04X}"), comment));
    }
    scu.stores(&image).await;
    scu.release().await;
    let mut fine = Scu::for_class(collimator.dicom, MR, EXPLICIT).await;
    fine.stores(&image).await;
    fine.release().await;

    let ends = eventually("the ends of both associations", async || {
        let events = collimator.events("INSTANCES").await;
        let is_end = |subject: &str| subject.starts_with("dicom.association.released.");
        let ends = events.iter().filter(|event| is_end(&event.subject));
        let ends: Vec<Value> =
            ends.map(|event| serde_json::from_slice(&event.payload).unwrap()).collect();
        (ends.len() == 2).then_some(ends)
    })
    .await;
    let [contradicts, truncated, _again] = &told[..] else { panic!("{told:?}") };
    assert_eq!(told[0], told[2]);
    let refusal = |(status, comment): &(String, String), count| json!({"Status": status, "ErrorComment": comment, "Count": count});
    assert_eq!(ends[0]["Refusals"], json!([refusal(contradicts, 2), refusal(truncated, 1)]));
    assert_eq!((&ends[0]["Failed"], &ends[0]["Acknowledged"]), (&json!(3), &json!(1)));
    assert_eq!(ends[1].get("Refusals"), None);
    let schemas = Schemas::read();
    for end in &ends {
        assert_eq!(end["TLS"], json!(false));
        assert_eq!(schemas.errors("dicom.association.released", end), [""; 0]);
    }

    // The API has it by sender, and who was turned away too.
    let contexts = &[(MR, &[EXPLICIT][..])];
    let proposal = Proposal { contexts, max_pdu_length: 16384, called_ae_title: "SOMEBODY_ELSE" };
    assert!(Scu::associate(collimator.dicom, proposal).await.is_err());
    let url = format!("{}/stats/associations", collimator.api);
    let sender = eventually("the rejection to be counted", async || {
        let answer: Value = reqwest::get(&url).await.unwrap().json().await.unwrap();
        let [sender] = &answer["Senders"].as_array()?[..] else { return None };
        (sender["Rejected"] == 1).then(|| sender.clone())
    })
    .await;
    let told = |(status, comment): &(String, String), count| json!([status, comment, count]);
    let refusals = sender["Refusals"].as_array().unwrap().iter();
    let refusals: Vec<_> =
        refusals.map(|it| json!([it["Status"], it["ErrorComment"], it["Count"]])).collect();
    assert_eq!(refusals, [told(truncated, 1), told(contradicts, 2)]);
    for (key, value) in [
        ("CallingAETitle", json!("TEST_SCU")),
        ("Addresses", json!(["127.0.0.1"])),
        ("Released", json!(2)),
        ("Aborted", json!(0)),
        ("Accepted", json!(2)),
        ("Refused", json!(3)),
        ("LastEnding", json!("rejected")),
        ("TLS", json!(false)),
    ] {
        assert_eq!(sender[key], value, "{key}");
    }
}

#[tokio::test]
async fn an_association_that_is_aborted_is_counted() {
    let collimator = narrow().await;
    let us = |element, value: u16| {
        DataElement::new(Tag(0, element), VR::US, PrimitiveValue::from(value))
    };
    let without_message_id = command([us(0x0100, 0x30), us(0x0800, 0x0101)]);
    let p_data = |value: &[u8]| {
        let lengths = [value.len() as u32 + 6, value.len() as u32 + 2].map(u32::to_be_bytes);
        [&[4, 0][..], &lengths.concat(), &[1, 3], value].concat()
    };
    for (nonsense, cause) in [
        // A value that is longer than its PDU, or empty.
        (vec![4, 0, 0, 0, 0, 8, 0, 0, 0, 9, 1, 3, 0, 0], "malformed_pdv"),
        (vec![4, 0, 0, 0, 0, 4, 0, 0, 0, 0], "malformed_pdv"),
        (vec![4, 0, 0, 0, 0x40, 1], "pdu_too_long"),
        // Of a context that was not accepted.
        (vec![4, 0, 0, 0, 0, 6, 0, 0, 0, 2, 99, 3], "out_of_order"),
        // A data set without a command.
        (vec![4, 0, 0, 0, 0, 7, 0, 0, 0, 3, 1, 2, 0], "out_of_order"),
        (vec![1, 0, 0, 0, 0, 0], "unexpected_pdu"),
        (vec![9, 0, 0, 0, 0, 0], "unknown_pdu"),
        (p_data(&without_message_id), "bad_command_set"),
        (p_data(&without_message_id[..9]), "bad_command_set"),
        // A PDU that never ends, and a message that never does.
        (vec![4, 0, 0, 0, 0, 99], "slow_pdu"),
        (vec![4, 0, 0, 0, 0, 6, 0, 0, 0, 2, 1, 1], "silent"),
    ] {
        let mut scu = Scu::for_class(collimator.dicom, MR, EXPLICIT).await;
        scu.send_bytes(&nonsense).await;
        assert!(matches!(scu.next().await, Some(Received::Abort)), "{cause}");
        assert_eq!(scu.next().await, None, "{cause}");
    }
    for (cause, wanted) in [
        ("malformed_pdv", 2),
        ("pdu_too_long", 1),
        ("out_of_order", 2),
        ("unexpected_pdu", 1),
        ("unknown_pdu", 1),
        ("bad_command_set", 2),
        ("slow_pdu", 1),
        ("silent", 1),
    ] {
        collimator.counts("abort", cause, wanted).await;
    }
}

#[tokio::test]
async fn a_caller_who_is_turned_away_is_counted() {
    let collimator = narrow().await;
    let request = &conversation(&image())[0];
    let mut of_version_2 = request.clone();
    of_version_2[7] = 2;
    let context = b"1.2.840.10008.3.1.1.1";
    let at = request.windows(context.len()).position(|part| part == context).unwrap();
    let mut of_another_context = request.clone();
    of_another_context[at + context.len() - 1] = b'9';
    // Result, source and reason of an A-ASSOCIATE-RJ (PS3.8 section 9.3.4), or an A-ABORT.
    for (says, answer, cause) in [
        (&of_version_2[..], Some([1, 2, 2]), "protocol_version"),
        (&of_another_context[..], Some([1, 1, 2]), "application_context"),
        (&[5, 0, 0, 0, 0, 4, 0, 0, 0, 0][..], None, "no_associate_request"),
        (&[1, 0, 0xff, 0xff, 0xff, 0xff][..], None, "pdu_too_long"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", None, "no_associate_request"),
        (&[][..], None, "silent"),
    ] {
        let mut socket = TcpStream::connect(collimator.dicom).await.unwrap();
        socket.write_all(says).await.unwrap();
        let mut pdu = [0; 10];
        socket.read_exact(&mut pdu).await.unwrap();
        match answer {
            Some(answer) => assert_eq!((pdu[0], &pdu[7..]), (3, &answer[..]), "{cause}"),
            None => assert_eq!(pdu[0], 7, "{cause}"),
        }
    }
    for cause in ["protocol_version", "application_context", "pdu_too_long", "silent"] {
        collimator.counts("association", cause, 1).await;
    }
    collimator.counts("association", "no_associate_request", 2).await;

    let contexts = &[(MR, &[EXPLICIT][..])];
    let calling = |called_ae_title| Proposal { contexts, max_pdu_length: 16384, called_ae_title };
    let foreign = Scu::associate(collimator.dicom, calling("SOMEBODY_ELSE")).await;
    let Err(Some(Pdu::AssociationRJ(foreign))) = foreign else { panic!("it was let in") };
    assert_eq!(foreign.result, AssociationRJResult::Permanent);
    collimator.counts("association", "called_ae_title", 1).await;

    // As many as there may be of one address, once those from above are gone.
    let mut open = Vec::new();
    eventually("three associations", async || {
        open.extend(Scu::associate(collimator.dicom, calling("COLLIMATOR")).await.ok());
        (open.len() == 3).then_some(())
    })
    .await;
    let fourth = Scu::associate(collimator.dicom, calling("COLLIMATOR")).await;
    let Err(Some(Pdu::AssociationRJ(fourth))) = fourth else { panic!("it was let in") };
    assert_eq!(fourth.result, AssociationRJResult::Transient);
}

#[tokio::test]
async fn an_event_and_a_request_that_make_no_sense_are_counted() {
    let collimator = narrow().await;
    let subject = "dicom.instance.stored.00.MR.1.2";
    let jetstream = async_nats::jetstream::new(collimator.nats.clone());
    jetstream.publish(subject, "nonsense".into()).await.unwrap().await.unwrap();
    collimator.counts("event", "unreadable", 1).await;
    assert_eq!(collimator.events("DEAD").await.len(), 1);

    let client = reqwest::Client::new();
    let store = format!("{}/store", collimator.api);
    let post = async |body: String| {
        let json = client.post(&store).header("Content-Type", "application/json").body(body);
        json.send().await.unwrap().status().as_u16()
    };
    assert_eq!(post("{}".into()).await, 422);
    // As long as a body may be, and a byte longer.
    assert_eq!(post(" ".repeat(65_536)).await, 422);
    assert_eq!(post(" ".repeat(65_537)).await, 413);
    collimator.counts("request", "422", 2).await;
    collimator.counts("request", "413", 1).await;
    assert_eq!(client.delete(&store).send().await.unwrap().status(), 405);
    collimator.counts("request", "405", 1).await;
}
