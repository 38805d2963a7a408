//! The C-STORE and C-ECHO SCP on the wire: what real senders do, and what odd ones do.

use crate::harness::scu::{Kind, Proposal, Received, Scu};
use crate::harness::tools::{dcmtk, have};
use crate::harness::{Collimator, eventually};
use collimator::synthetic::SyntheticStudy;
use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_object::InMemDicomObject;
use dicom_transfer_syntax_registry::entries::{
    EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN,
};
use dicom_ul::pdu::{AssociationRJResult, Pdu, PresentationContextResultReason};
use serde_json::Value;

const MR: &str = "1.2.840.10008.5.1.4.1.1.4";
const VERIFICATION: &str = "1.2.840.10008.1.1";
const IMPLICIT: &str = "1.2.840.10008.1.2";
const EXPLICIT: &str = "1.2.840.10008.1.2.1";
const BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";
const DEFLATED: &str = "1.2.840.10008.1.2.1.99";

/// A small data set of its own class and series.
fn instance(class: &str, series: &str, sop: &str) -> InMemDicomObject {
    let put = |tag, vr, value: &str| DataElement::new(tag, vr, PrimitiveValue::from(value));
    InMemDicomObject::from_element_iter([
        put(Tag(0x0008, 0x0016), VR::UI, class),
        put(Tag(0x0008, 0x0018), VR::UI, sop),
        put(Tag(0x0008, 0x0060), VR::CS, "MR"),
        put(Tag(0x0010, 0x0010), VR::PN, "Roe^Jane"),
        put(Tag(0x0020, 0x000d), VR::UI, "2.25.100"),
        put(Tag(0x0020, 0x000e), VR::UI, series),
        DataElement::new(Tag(0x0028, 0x0010), VR::US, PrimitiveValue::from(320_u16)),
        DataElement::new(Tag(0x7fe0, 0x0010), VR::OW, PrimitiveValue::U16(vec![7; 50_000].into())),
    ])
}

fn written(object: &InMemDicomObject, transfer_syntax: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let syntax = match transfer_syntax {
        IMPLICIT => IMPLICIT_VR_LITTLE_ENDIAN.erased(),
        BIG_ENDIAN => EXPLICIT_VR_BIG_ENDIAN.erased(),
        _ => EXPLICIT_VR_LITTLE_ENDIAN.erased(),
    };
    object.write_dataset_with_ts(&mut bytes, &syntax).unwrap();
    bytes
}

/// The payloads of all instances that were stored so far.
async fn stored(collimator: &Collimator) -> Vec<Value> {
    let events = collimator.stored().await;
    events.iter().map(|event| serde_json::from_slice(&event.payload).unwrap()).collect()
}

#[tokio::test]
async fn echoscu_is_answered_by_its_own_message_ids() {
    if !have("echoscu") {
        return;
    }
    let collimator = Collimator::start().await;
    // Eight C-ECHOs in one association, each with the next Message ID.
    let output = dcmtk("echoscu", collimator.dicom, &["--repeat", "8"], &[]).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn storescu_sends_in_every_uncompressed_transfer_syntax_and_pdu_length() {
    if !have("storescu") {
        return;
    }
    let collimator = Collimator::start().await;
    let folder = tempfile::tempdir().unwrap();
    let study = SyntheticStudy::new().series("MR", 2).size(200, 200);
    // storescu deflates by itself; the others it sends as it finds them.
    for (file_syntax, arguments) in [
        (IMPLICIT, ["-xi", "-pdu", "4096"]),
        (BIG_ENDIAN, ["-xb", "-pdu", "16384"]),
        (EXPLICIT, ["-xe", "-pdu", "131072"]),
        (EXPLICIT, ["-xd", "-pdu", "65536"]),
    ] {
        let folder = folder.path().join(arguments[0]);
        let paths = study.clone().transfer_syntax(file_syntax).write_to(&folder).unwrap();
        let paths: Vec<_> = paths.iter().map(|path| path.as_path()).collect();
        let output = dcmtk("storescu", collimator.dicom, &arguments, &paths).await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {said}");
    }
    let stored = stored(&collimator).await;
    let syntaxes: Vec<_> =
        stored.iter().map(|i| i["TransferSyntaxUID"].as_str().unwrap()).collect();
    let expected = [IMPLICIT, BIG_ENDIAN, EXPLICIT, DEFLATED].map(|uid| [uid, uid]).concat();
    assert_eq!(syntaxes, expected);
    // The same instance in another transfer syntax says the same, so its digest is the same.
    for instance in &stored {
        let first = stored.iter().find(|i| i["SOPInstanceUID"] == instance["SOPInstanceUID"]);
        assert_eq!(instance["Digest"], first.unwrap()["Digest"]);
        assert_eq!(instance["Rows"], 200);
    }
}

#[tokio::test]
async fn each_message_is_read_by_its_own_presentation_context() {
    let collimator = Collimator::start().await;
    let private = "1.2.840.113619.4.26";
    let mut scu = Scu::associate(
        collimator.dicom,
        Proposal {
            contexts: &[
                (MR, &[IMPLICIT]),
                (MR, &[BIG_ENDIAN]),
                (private, &["1.3.46.670589.33.1.4.1"]),
                (private, &["1.2.840.113619.5.2"]),
                ("1.2.840.10008.1.20.1", &[IMPLICIT]),
            ],
            max_pdu_length: 16384,
            called_ae_title: "ANYBODY",
        },
    )
    .await
    .unwrap_or_else(|other| panic!("{other:?}"));
    let reasons: Vec<_> =
        scu.accepted.presentation_contexts.iter().map(|context| context.reason.clone()).collect();
    assert_eq!(reasons[4], PresentationContextResultReason::AbstractSyntaxNotSupported);
    for (round, (context, class, syntax)) in
        [(3, MR, BIG_ENDIAN), (1, MR, IMPLICIT), (7, private, IMPLICIT), (5, private, EXPLICIT)]
            .into_iter()
            .enumerate()
    {
        let sop = format!("2.25.{}", 500 + round);
        let data_set = written(&instance(class, "2.25.200", &sop), syntax);
        let answer = scu.store(context, class, &sop, &data_set).await;
        assert_eq!((answer.command, answer.status), (0x8001, 0), "{context}: {answer:?}");
        assert_eq!(usize::from(answer.message_id), round + 1);
    }
    scu.release().await;
    let stored = stored(&collimator).await;
    assert!(stored.iter().all(|i| i["Rows"] == 320 && i["PatientName"] == "Roe^Jane"));
    collimator.lists("2.25.200", 4).await;
}

#[tokio::test]
async fn any_fragmentation_and_any_pdu_length_will_do() {
    let collimator = Collimator::start().await;
    for (round, max_pdu_length) in [0, 4096, 131_072, 128].into_iter().enumerate() {
        let proposal = Proposal {
            contexts: &[(MR, &[EXPLICIT]), (VERIFICATION, &[IMPLICIT])],
            max_pdu_length,
            called_ae_title: "COLLIMATOR",
        };
        let mut scu = Scu::associate(collimator.dicom, proposal).await.ok().unwrap();
        let sop = format!("2.25.{}", 600 + round);
        let data_set = written(&instance(MR, "2.25.201", &sop), EXPLICIT);
        let command = scu.store_command(MR, &sop, true);
        // The command byte by byte, the data set in odd pieces.
        scu.send(1, Kind::Command, &command, 1).await;
        scu.send(1, Kind::DataSet, &data_set, 997).await;
        assert_eq!(scu.answer().await.status, 0);
        scu.release().await;
    }
    collimator.lists("2.25.201", 4).await;
}

#[tokio::test]
async fn an_instance_that_can_not_be_taken_is_refused_and_the_association_stays() {
    let collimator = Collimator::start_with(&[("HEADER_LIMIT", "64KiB")]).await;
    let mut scu = Scu::for_class(collimator.dicom, MR, EXPLICIT).await;
    let good = written(&instance(MR, "2.25.202", "2.25.700"), EXPLICIT);

    // In the middle of the last element before the pixel data.
    let truncated = &good[..good.len() - 100_000 - 12 - 1];
    let answer = scu.store(1, MR, "2.25.700", truncated).await;
    assert_eq!((answer.status, answer.comment.contains("middle of an element")), (0xc000, true));

    let mut nameless = instance(MR, "2.25.202", "2.25.700");
    nameless.remove_element(Tag(0x0020, 0x000e));
    let answer = scu.store(1, MR, "2.25.700", &written(&nameless, EXPLICIT)).await;
    assert_eq!(answer.status, 0xa900);
    assert!(answer.comment.contains("SeriesInstanceUID is empty"), "{answer:?}");

    let long = instance(MR, &"1".repeat(65), "2.25.700");
    assert_eq!(scu.store(1, MR, "2.25.700", &written(&long, EXPLICIT)).await.status, 0xa900);

    let answer = scu.store(1, MR, "2.25.999", &good).await;
    assert_eq!((answer.status, answer.comment.contains("differ")), (0xa900, true), "{answer:?}");

    let mut endless = instance(MR, "2.25.202", "2.25.700");
    for element in 0x1001..0x1001 + 9000 {
        endless.put(DataElement::new(Tag(0x0029, element), VR::LO, PrimitiveValue::Empty));
    }
    let answer = scu.store(1, MR, "2.25.700", &written(&endless, EXPLICIT)).await;
    assert_eq!((answer.status, answer.comment.contains("HEADER_LIMIT")), (0xc000, true));

    // Nor is what ends in the middle of its pixel data.
    let answer = scu.store(1, MR, "2.25.700", &good[..good.len() - 1]).await;
    assert_eq!((answer.status, answer.comment.contains("middle of an element")), (0xc000, true));

    let command = scu.store_command(MR, "2.25.700", false);
    scu.send(1, Kind::Command, &command, 1000).await;
    assert_eq!(scu.answer().await.status, 0xc000);

    // A C-CANCEL-RQ, which has no Message ID and no answer.
    let cancel = [
        [0, 0, 0, 1, 2, 0, 0, 0, 0xff, 0x0f],
        [0, 0, 0x20, 1, 2, 0, 0, 0, 1, 0],
        [0, 0, 0, 8, 2, 0, 0, 0, 1, 1],
    ];
    scu.send(1, Kind::Command, &cancel.concat(), 1000).await;

    // And then the same association stores what is right, with bulk data of whatever size in it.
    let mut private = instance(MR, "2.25.202", "2.25.700");
    let large = PrimitiveValue::from(vec![1_u8; 700_000]);
    private.put(DataElement::new(Tag(0x0029, 0x1010), VR::OB, large));
    assert_eq!(scu.store(1, MR, "2.25.700", &written(&private, EXPLICIT)).await.status, 0);
    scu.release().await;
    collimator.lists("2.25.202", 1).await;
}

#[tokio::test]
async fn a_series_uid_that_is_none_is_taken_as_it_is() {
    let collimator = Collimator::start().await;
    let mut scu = Scu::for_class(collimator.dicom, MR, EXPLICIT).await;
    for (sop, series) in [("2.25.710", "ANON series *.>"), ("2.25.711", "1..2")] {
        let data_set = written(&instance(MR, series, sop), EXPLICIT);
        assert_eq!(scu.store(1, MR, sop, &data_set).await.status, 0);
    }
    scu.release().await;
    collimator.lists("ANON series *.>", 1).await;
    collimator.lists("1..2", 1).await;
    let subjects: Vec<_> = collimator
        .stored()
        .await
        .iter()
        .map(|event| event.subject.split(".MR.").nth(1).unwrap().to_owned())
        .collect();
    assert_eq!(subjects, ["ANON_series__._", "1.2"]);
}

#[tokio::test]
async fn another_operation_is_answered_as_unrecognized() {
    let collimator = Collimator::start().await;
    let mut scu = Scu::for_class(collimator.dicom, MR, EXPLICIT).await;
    let us = |element, value: u16| {
        DataElement::new(Tag(0, element), VR::US, PrimitiveValue::from(value))
    };
    // C-FIND-RQ with Message ID 77 and an identifier.
    let find = crate::harness::scu::command([us(0x0100, 0x20), us(0x0110, 77), us(0x0800, 0)]);
    scu.send(1, Kind::Command, &find, 1000).await;
    scu.send(1, Kind::DataSet, b"whatever", 1000).await;
    let answer = scu.answer().await;
    assert_eq!((answer.command, answer.message_id, answer.status), (0x8020, 77, 0x0211));
    scu.release().await;
}

#[tokio::test]
async fn a_peer_that_breaks_the_protocol_gets_an_abort() {
    let collimator = Collimator::start().await;
    for nonsense in [
        &[4, 0, 0, 0, 0, 8, 0, 0, 0, 9, 1, 3, 0, 0][..], // a value longer than its PDU
        &[4, 0, 0xff, 0, 0, 0],                          // a PDU longer than negotiated
        &[4, 0, 0, 0, 0, 6, 0, 0, 0, 2, 99, 3],          // a context that was not accepted
        &[9, 0, 0, 0, 0, 0],                             // no PDU at all
    ] {
        let mut scu = Scu::for_class(collimator.dicom, MR, EXPLICIT).await;
        scu.send_bytes(nonsense).await;
        assert!(matches!(scu.next().await, Some(Received::Abort)), "{nonsense:?}");
        assert_eq!(scu.next().await, None);
    }
}

#[tokio::test]
async fn a_caller_beyond_the_limit_is_rejected_for_the_time_being() {
    let collimator = Collimator::start_with(&[("MAX_ASSOCIATIONS", "1")]).await;
    let first = Scu::for_class(collimator.dicom, MR, EXPLICIT).await;
    let proposal = || Proposal {
        contexts: &[(MR, &[EXPLICIT])],
        max_pdu_length: 16384,
        called_ae_title: "COLLIMATOR",
    };
    let Err(Some(Pdu::AssociationRJ(rejection))) =
        Scu::associate(collimator.dicom, proposal()).await
    else {
        panic!("the second association was not rejected")
    };
    assert_eq!(rejection.result, dicom_ul::pdu::AssociationRJResult::Transient);
    first.release().await;
    crate::harness::eventually("room for an association", async || {
        Scu::associate(collimator.dicom, proposal()).await.ok()
    })
    .await;
}

#[tokio::test]
async fn a_foreign_called_ae_title_is_rejected_when_told_so() {
    let collimator = Collimator::start_with(&[("CHECK_CALLED_AE", "true")]).await;
    let proposal = Proposal {
        contexts: &[(MR, &[EXPLICIT])],
        max_pdu_length: 16384,
        called_ae_title: "SOMEBODY_ELSE",
    };
    let rejected = Scu::associate(collimator.dicom, proposal).await;
    assert!(matches!(rejected, Err(Some(Pdu::AssociationRJ(_)))));
}

#[tokio::test]
async fn a_sender_that_drips_a_pdu_is_aborted_and_others_notice_nothing() {
    let settings = [("PDU_TIMEOUT", "1s"), ("RECEIVE_TIMEOUT", "1h"), ("IDLE_TIMEOUT", "1h")];
    let collimator = Collimator::start_with(&settings).await;
    let mut slow = Scu::for_class(collimator.dicom, MR, EXPLICIT).await;
    let mut slower = Scu::for_class(collimator.dicom, MR, EXPLICIT).await;
    // One in the middle of a value, a byte now and then; one in the middle of a PDU's header.
    slow.send_bytes(&[4, 0, 0, 0, 4, 6, 0, 0, 4, 2, 1, 0b01]).await;
    slower.send_bytes(&[4, 0]).await;
    let dripping = eventually("the abort", async || slow.drip().await);
    let waiting = async {
        assert!(matches!(slower.next().await, Some(Received::Abort)));
    };
    tokio::join!(dripping, waiting, async {
        let object = instance(MR, "2.25.1", "2.25.2");
        let mut other = Scu::for_class(collimator.dicom, MR, EXPLICIT).await;
        let stored = other.store(1, MR, "2.25.2", &written(&object, EXPLICIT)).await;
        assert_eq!(stored.status, 0);
        other.release().await;
    });
    let log = collimator.process.printed();
    assert_eq!(log.matches("a PDU took longer than 1s to arrive").count(), 2, "{log}");
}

#[tokio::test]
async fn one_peer_can_not_take_the_room_of_all() {
    let settings = [("MAX_ASSOCIATIONS_PER_PEER", "2")];
    let collimator = Collimator::start_with(&settings).await;
    let first = Scu::for_class(collimator.dicom, MR, EXPLICIT).await;
    let _second = Scu::for_class(collimator.dicom, MR, EXPLICIT).await;
    let contexts = &[(MR, &[EXPLICIT][..])];
    let proposal = || Proposal { contexts, max_pdu_length: 16384, called_ae_title: "COLLIMATOR" };
    let refused = Scu::associate(collimator.dicom, proposal()).await;
    let Err(Some(Pdu::AssociationRJ(rejection))) = refused else { panic!("it was let in") };
    assert_eq!(rejection.result, AssociationRJResult::Transient);
    first.release().await;
    eventually("a place to be free", async || {
        Scu::associate(collimator.dicom, proposal()).await.ok()
    })
    .await;
}
