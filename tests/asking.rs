//! Sources that are asked how many instances they have before a series of theirs is complete.

use crate::harness::pipeline::Ends;
use crate::harness::restricted::{RestrictedBroker, refusals};
use crate::harness::schemas::Schemas;
use crate::harness::scu::Scu;
use crate::harness::tools::{Orthanc, dcmqrscp, dcmtk, free_port, have};
use crate::harness::{Collimator, Services, eventually};
use collimator::synthetic::SyntheticStudy;
use contract::event::{Reason, SeriesCompleted, SourceAnswered};
use dicom_object::{FileDicomObject, InMemDicomObject};
use dimse::Status;
use dimse::command::{CommandAssembly, Request, read_request, write_response};
use dimse::framer::{Frame, Framer};
use dimse::identifier::{Encoding, IMPLICIT_VR_LITTLE_ENDIAN, Key, read, write};
use dimse::p_data::{Kind, put_set};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A sources file in which one is asked, and the path of it.
fn sources(folder: &TempDir, ae_title: &str, at: SocketAddr) -> &'static str {
    let file = folder.path().join("sources.toml");
    let entry = format!(
        "[[source]]\nae_title = '{ae_title}'\n\
         ask = {{ ae_title = 'PACS', host = '{}', port = {} }}\n",
        at.ip(),
        at.port()
    );
    std::fs::write(&file, entry).unwrap();
    file.to_str().unwrap().to_owned().leak()
}

pub(crate) fn settings(file: &'static str) -> [(&'static str, &'static str); 4] {
    [
        ("SETTLE_PERIOD", "300ms"),
        ("ASK_TIMEOUT", "1m"),
        ("SOURCES_FILE", file),
        ("QUIET_PERIOD", "1h"),
    ]
}

/// A series of small images, and its UID.
fn series(instances: u32) -> (String, Vec<FileDicomObject<InMemDicomObject>>) {
    let study = SyntheticStudy::new().series("MR", instances).size(16, 16);
    (study.series_instance_uids().remove(0), study.instances().unwrap())
}

/// Sends a whole association of `TEST_SCU`.
async fn sends(to: SocketAddr, images: &[FileDicomObject<InMemDicomObject>]) {
    let mut scu = Scu::for_mr(to).await;
    for image in images {
        scu.stores(image).await;
    }
    scu.release().await;
}

/// What sources have answered so far.
async fn answers(ends: &Ends) -> Vec<SourceAnswered> {
    let mut events = ends.events("INSTANCES").await;
    events.retain(|event| event.subject.starts_with("dicom.evidence."));
    let schemas = Schemas::read();
    events.iter().for_each(|event| assert!(schemas.hold(event).starts_with("dicom.evidence.")));
    events.retain(|event| event.subject.starts_with("dicom.evidence.answered."));
    events.iter().map(|event| serde_json::from_slice(&event.payload).unwrap()).collect()
}

/// Waits for so many answers.
pub(crate) async fn answered(ends: &Ends, count: usize) -> Vec<SourceAnswered> {
    eventually(&format!("{count} answers"), async || {
        Some(answers(ends).await).filter(|answers| answers.len() >= count)
    })
    .await
}

/// Waits for the first completion.
pub(crate) async fn completed(ends: &Ends) -> SeriesCompleted {
    eventually("a completion", async || ends.completions().await.into_iter().next()).await
}

pub(crate) fn said(completion: &SeriesCompleted) -> (u32, u64, Reason, Option<u64>) {
    let it = completion;
    (it.revision, it.instances_count, it.reason, it.expected_count)
}

#[tokio::test]
async fn a_series_of_which_orthanc_has_more_is_announced_once_the_rest_has_come() {
    if !have("Orthanc") {
        return;
    }
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let file = sources(&folder, "PACS", SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let collimator = Collimator::start_with(&settings(file)).await;
    let orthanc = Orthanc::start_at(port, collimator.dicom).await;
    let study = SyntheticStudy::new().series("MR", 17);
    for path in study.write_to(folder.path()).unwrap() {
        orthanc.import(&path).await;
    }
    let uid = study.series_instance_uids().remove(0);
    let instances = orthanc.all("instances").await;
    orthanc.push(&instances[..9]).await;
    let answers = answered(&collimator, 2).await;
    assert!(answers.iter().all(|it| it.count == Some(17)), "{answers:?}");
    assert_eq!(collimator.completions().await.len(), 0, "9 of 17 are not announced");
    orthanc.push(&instances[9..]).await;
    collimator.lists(&uid, 17).await;
    let completions = collimator.completions().await;
    let completions: Vec<_> = completions.iter().map(said).collect();
    assert_eq!(completions, [(1, 17, Reason::Released, None)]);
}

#[tokio::test]
async fn with_orthanc_stopped_the_old_rule_decides() {
    if !have("Orthanc") {
        return;
    }
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let file = sources(&folder, "PACS", SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let mut settings = settings(file);
    settings[0].1 = "5s";
    let collimator = Collimator::start_with(&settings).await;
    let orthanc = Orthanc::start_at(port, collimator.dicom).await;
    for path in SyntheticStudy::new().series("MR", 3).write_to(folder.path()).unwrap() {
        orthanc.import(&path).await;
    }
    let instances = orthanc.all("instances").await;
    orthanc.push(&instances[..2]).await;
    drop(orthanc);
    let answers = answered(&collimator, 1).await;
    assert_eq!(answers[0].no_answer.as_deref(), Some("unreachable"));
    assert_eq!(said(&completed(&collimator).await), (1, 2, Reason::Released, None));
}

#[tokio::test]
async fn a_series_that_stays_short_says_how_many_its_source_has() {
    if !have("Orthanc") {
        return;
    }
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let file = sources(&folder, "PACS", SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let mut settings = settings(file);
    settings[1].1 = "3s";
    let collimator = Collimator::start_with(&settings).await;
    let orthanc = Orthanc::start_at(port, collimator.dicom).await;
    for path in SyntheticStudy::new().series("MR", 5).write_to(folder.path()).unwrap() {
        orthanc.import(&path).await;
    }
    let instances = orthanc.all("instances").await;
    orthanc.push(&instances[..2]).await;
    assert_eq!(said(&completed(&collimator).await), (1, 2, Reason::Released, Some(5)));
    collimator.tells("incomplete_completions_total", 1).await;
    collimator.tells("questions_total{outcome=\"counted\"}", 2).await;
}

#[tokio::test]
async fn dcmqrscp_is_asked_for_each_instance_since_it_tells_no_number() {
    if !have("dcmqrscp") {
        return;
    }
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let collimator = Collimator::start_with(&settings(sources(&folder, "TEST_SCU", at))).await;
    let mut dcmqrscp = dcmqrscp(folder.path(), at, "").await;
    let study = SyntheticStudy::new().series("MR", 5).size(16, 16);
    let uid = study.series_instance_uids().remove(0);
    let files = study.write_to(&folder.path().join("files")).unwrap();
    let files: Vec<_> = files.iter().map(|path| path.as_path()).collect();
    let stored = dcmtk("storescu", at, &["-aec", "PACS"], &files).await;
    assert!(stored.status.success(), "{stored:?}");
    let images = study.instances().unwrap();
    sends(collimator.dicom, &images[..3]).await;
    let answers = answered(&collimator, 2).await;
    let counts: Vec<_> = answers.iter().map(|it| (it.count, it.instances.len())).collect();
    assert_eq!(counts[..2], [(Some(5), 5), (Some(5), 5)], "{answers:?}");
    assert_eq!(collimator.completions().await.len(), 0);
    sends(collimator.dicom, &images[3..]).await;
    collimator.lists(&uid, 5).await;
    dcmqrscp.kill().await.unwrap();
}

/// How a peer behaves that is no PACS.
#[derive(Debug, Clone, Copy)]
enum Peer {
    /// Nobody listens there.
    Closed,
    /// It takes connections and says nothing.
    Silent,
    /// It closes them at once.
    Resets,
    /// It talks of something else.
    Garbage,
    /// It begins as if it were one, and goes on with something else.
    HalfPacs,
}

/// Such a peer at a free port.
async fn peer(how: Peer) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    if matches!(how, Peer::Closed) {
        return at;
    }
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((mut socket, _)) = listener.accept().await {
            match how {
                Peer::Closed | Peer::Silent => held.push(socket),
                Peer::Resets => drop(socket),
                Peer::Garbage => {
                    let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
                    held.push(socket);
                }
                Peer::HalfPacs => {
                    tokio::spawn(accept_and_babble(socket));
                }
            }
        }
    });
    at
}

/// The next PDU.
async fn pdu(socket: &mut TcpStream) -> Option<Vec<u8>> {
    let mut header = [0; 6];
    socket.read_exact(&mut header).await.ok()?;
    let length = u32::from_be_bytes([header[2], header[3], header[4], header[5]]);
    let mut rest = vec![0; length as usize];
    socket.read_exact(&mut rest).await.ok()?;
    Some([&header[..], &rest].concat())
}

/// Accepts an association for queries.
async fn accept(socket: &mut TcpStream) -> Option<()> {
    let request = dimse::negotiation::read_request(&pdu(socket).await?)?;
    let answer = dimse::negotiation::accept(&request, 16384, |_| Ok(IMPLICIT_VR_LITTLE_ENDIAN));
    let mut bytes = Vec::new();
    dicom_ul::pdu::write_pdu(&mut bytes, &dicom_ul::Pdu::AssociationAC(answer)).ok()?;
    socket.write_all(&bytes).await.ok()
}

/// A PACS that says this number of a series, has so many images of it, and ends with this Status.
#[derive(Debug, Clone, Copy)]
struct Pacs(&'static str, u32, u16);

impl Pacs {
    async fn start(self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(self.serve(socket));
            }
        });
        at
    }

    async fn serve(self, mut socket: TcpStream) -> Option<()> {
        accept(&mut socket).await?;
        let (mut framer, mut command) = (Framer::new(u32::MAX), CommandAssembly::default());
        let (mut identifier, mut request) = (Vec::new(), None);
        loop {
            let bytes = pdu(&mut socket).await?;
            let mut at = 0;
            while let (taken, Some(frame)) = framer.next(&bytes[at..]).ok()? {
                let Frame::Fragment { context_id, kind, last, bytes: of } = frame else {
                    return None;
                };
                let fragment = &bytes[at + of.start..at + of.end];
                at += taken;
                match kind {
                    Kind::Command => {
                        if let Some(set) = command.push(context_id, fragment, last).ok()? {
                            request = Some(read_request(&set).ok()?);
                        }
                    }
                    Kind::DataSet => {
                        identifier.extend_from_slice(fragment);
                        if last {
                            let answer = self.answer(request.as_ref()?, &identifier);
                            socket.write_all(&answer).await.ok()?;
                            identifier.clear();
                        }
                    }
                }
            }
        }
    }

    /// The matches of an identifier, and the last response.
    fn answer(self, request: &Request, identifier: &[u8]) -> Vec<u8> {
        let Self(number, images, status) = self;
        let implicit = Encoding::Implicit;
        let [level, series] = read(identifier, implicit, [0x0008_0052, 0x0020_000e]).unwrap();
        let series = Key { tag: 0x0020_000e, vr: *b"UI", value: series.unwrap() };
        let mut answer = Vec::new();
        let mut pending = write_response(request, Status::of(0xFF00), "");
        // Command Data Set Type (0000,0800): there is one.
        let tag = [0, 0, 0, 8, 2, 0, 0, 0];
        let at = pending.windows(8).position(|it| it == tag).unwrap() + tag.len();
        pending[at] = 0;
        let mut put = |keys: &[Key<'_>]| {
            put_set(&mut answer, 1, Kind::Command, &pending, 16384);
            put_set(&mut answer, 1, Kind::DataSet, &write(keys, implicit), 16384);
        };
        if level == Some("IMAGE") {
            for image in 0..images {
                let uid = format!("2.25.{image}");
                put(&[Key { tag: 0x0008_0018, vr: *b"UI", value: &uid }, series]);
            }
        } else {
            put(&[series, Key { tag: 0x0020_1209, vr: *b"IS", value: number }]);
        }
        let last = write_response(request, Status::of(status), "");
        put_set(&mut answer, 1, Kind::Command, &last, 16384);
        answer
    }
}

#[tokio::test]
async fn numbers_and_names_of_any_size_are_an_answer_or_none() {
    for (pacs, count, named, why) in [
        (Pacs("0", 0, 0), Some(0), 0, None),
        (Pacs("2147483648", 0, 0), None, 0, Some("unreadable")),
        (Pacs("2", 0, 0xA700), None, 0, Some("refused")),
        (Pacs("", 2, 0), Some(2), 2, None),
        (Pacs("", 10_000, 0), Some(10_000), 0, None),
        (Pacs("", 0, 0), Some(0), 0, None),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = settings(sources(&folder, "TEST_SCU", pacs.start().await));
        settings[1].1 = "3s";
        let collimator = Collimator::start_with(&settings).await;
        let (uid, images) = series(2);
        sends(collimator.dicom, &images).await;
        collimator.lists(&uid, 2).await;
        let more = count.filter(|count| *count > 2);
        let completion = completed(&collimator).await;
        assert_eq!(said(&completion), (1, 2, Reason::Released, more), "{pacs:?}");
        let answers = answered(&collimator, 1).await;
        let answer = (answers[0].count, answers[0].instances.len());
        assert_eq!((answer, answers[0].no_answer.as_deref()), ((count, named), why), "{pacs:?}");
    }
}

/// Accepts an association for queries, and answers the first with bytes that are no P-DATA.
async fn accept_and_babble(mut socket: TcpStream) -> Option<()> {
    accept(&mut socket).await?;
    pdu(&mut socket).await?;
    socket.write_all(&[4, 0, 0, 0, 0, 8, 0, 0, 0, 4, 1, 3, 0xde, 0xad]).await.ok()?;
    tokio::time::sleep(Duration::from_secs(60)).await;
    Some(())
}

#[tokio::test]
async fn whatever_a_source_does_that_is_no_answer_the_old_rule_decides() {
    for (how, why) in [
        (Peer::Closed, "unreachable"),
        (Peer::Silent, "silent"),
        (Peer::Resets, "connection_lost"),
        (Peer::Garbage, "unreadable"),
        (Peer::HalfPacs, "unreadable"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let file = sources(&folder, "TEST_SCU", peer(how).await);
        let collimator = Collimator::start_with(&settings(file)).await;
        let (uid, images) = series(2);
        sends(collimator.dicom, &images).await;
        collimator.lists(&uid, 2).await;
        let completions: Vec<_> = collimator.completions().await.iter().map(said).collect();
        assert_eq!(completions, [(1, 2, Reason::Released, None)], "{how:?}");
        let answers = answered(&collimator, 1).await;
        assert_eq!(answers[0].no_answer.as_deref(), Some(why), "{how:?}");
    }
}

/// Waits until a source is asked.
async fn asked(services: &Services, count: usize) {
    eventually("a question", async || {
        let events = services.events("INSTANCES").await;
        let is_it = |subject: &str| subject.starts_with("dicom.evidence.asked.");
        let asked = events.iter().filter(|event| is_it(&event.subject)).count();
        (asked >= count).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_question_outlives_the_deaths_of_the_indexer_and_of_the_receiver() {
    let folder = tempfile::tempdir().unwrap();
    let file = sources(&folder, "TEST_SCU", peer(Peer::Silent).await);
    let mut services = Services::start_with(&settings(file)).await;
    let (uid, images) = series(2);
    sends(services.dicom, &images).await;
    asked(&services, 1).await;
    services.indexer.kill();
    services.start_indexer().await;
    services.lists(&uid, 2).await;
    let (uid, images) = series(3);
    sends(services.dicom, &images).await;
    asked(&services, 2).await;
    services.ingest.kill();
    services.lists(&uid, 3).await;
    services.start_ingest().await;
    let mut completions: Vec<_> = services.completions().await.iter().map(said).collect();
    completions.sort_unstable_by_key(|it| it.1);
    let expected = [(1, 2, Reason::Released, None), (1, 3, Reason::Released, None)];
    assert_eq!(completions, expected);
}

#[tokio::test]
async fn a_source_is_asked_by_a_receiver_that_is_a_user_of_its_own() {
    let broker = RestrictedBroker::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = sources(&folder, "TEST_SCU", Pacs("5", 0, 0).start().await);
    let services = broker.services(broker.admin().await, &settings(file)).await;
    let (_, images) = series(2);
    sends(services.ends.dicom, &images).await;
    // The second is taken only if the first was acknowledged, and both were published.
    let answers = answered(&services.ends, 2).await;
    assert!(answers.iter().all(|it| it.count == Some(5)), "{answers:?}");
    assert_ne!(answers[0].question_id, answers[1].question_id);
    let jetstream = async_nats::jetstream::new(services.ends.nats.clone());
    eventually("the questions to be acknowledged", async || {
        let stream = jetstream.get_stream("INSTANCES").await.ok()?;
        let asker = stream.consumer_info("asker").await.ok()?;
        (asker.num_ack_pending == 0 && asker.delivered.consumer_sequence >= 2).then_some(())
    })
    .await;
    assert_eq!(refusals(&services.indexer), [""; 0]);
    assert_eq!(refusals(&services.ingest), [""; 0]);
}

#[tokio::test]
async fn nobody_is_asked_and_nothing_is_made_for_it_where_no_source_can_be() {
    let collimator = Collimator::start().await;
    let (uid, images) = series(2);
    sends(collimator.dicom, &images).await;
    collimator.lists(&uid, 2).await;
    let events = collimator.events("INSTANCES").await;
    assert!(events.iter().all(|event| !event.subject.starts_with("dicom.evidence.")));
    let jetstream = async_nats::jetstream::new(collimator.nats.clone());
    let stream = jetstream.get_stream("INSTANCES").await.unwrap();
    assert!(stream.consumer_info("asker").await.is_err());
    assert!(!collimator.metrics().await.contains("collimator_questions"));
}
