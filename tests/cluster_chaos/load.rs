//! Four senders at work, each of which tries at the other receiver what one has not taken.

use crate::harness::scu::written;
use crate::harness::{DEADLINE, eventually};
use collimator::synthetic::SyntheticStudy;
use dicom_dictionary_std::uids;
use dimse::net::Scu;
use dimse::proposal::Proposal;
use jiff::{SignedDuration, Timestamp};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

const SENDERS: usize = 4;
/// Instances in a series, and in one association: a series goes to both receivers.
const INSTANCES: u32 = 12;
const ASSOCIATION: usize = 6;
/// Pause of a sender between two associations.
const PAUSE: Duration = Duration::from_millis(250);
/// How long a sender waits for an answer: longer than a receiver takes to refuse.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(25);

/// A series, all instances of which were answered with Success.
pub struct Sent {
    pub series: String,
    pub instances: Vec<String>,
}

/// The answer to a C-STORE.
#[derive(Debug, Clone, Copy)]
pub struct Answer {
    pub at: Timestamp,
    pub took: SignedDuration,
    pub is_success: bool,
}

/// The senders.
pub struct Load {
    answers: Arc<Mutex<Vec<Answer>>>,
    stop: CancellationToken,
    senders: Vec<JoinHandle<Vec<Sent>>>,
}

impl Load {
    /// Begins to send to these receivers.
    pub fn on(receivers: Vec<SocketAddr>) -> Self {
        let (answers, stop) = (Arc::<Mutex<Vec<Answer>>>::default(), CancellationToken::new());
        let send = |number: usize| {
            let (answers, stop) = (answers.clone(), stop.clone());
            let sender =
                Sender { name: format!("SENDER{number}"), receivers: receivers.clone(), answers };
            tokio::spawn(sender.send_until(stop, number))
        };
        let senders = (0..SENDERS).map(send).collect();
        Self { answers, stop, senders }
    }

    /// Waits for a Success that is later.
    pub async fn goes_on_since(&self, moment: Timestamp) {
        eventually("a Success", async || {
            let answers = self.answers.lock().unwrap();
            let is_it = |answer: &&Answer| answer.is_success && answer.at > moment;
            answers.iter().rev().find(is_it).map(|_| ())
        })
        .await;
    }

    /// Has the senders send the rest of their series; gives all that was sent, and how it was answered.
    pub async fn ends(self) -> (Vec<Sent>, Vec<Answer>) {
        self.stop.cancel();
        let mut sent = Vec::new();
        for sender in self.senders {
            sent.extend(sender.await.unwrap());
        }
        let mut answers = self.answers.lock().unwrap().clone();
        answers.sort_by_key(|answer| answer.at);
        (sent, answers)
    }
}

/// Data set and SOP Instance UID.
type Instance = (String, Vec<u8>);

struct Sender {
    name: String,
    receivers: Vec<SocketAddr>,
    answers: Arc<Mutex<Vec<Answer>>>,
}

impl Sender {
    async fn send_until(self, stop: CancellationToken, mut receiver: usize) -> Vec<Sent> {
        let mut sent = Vec::new();
        while !stop.is_cancelled() {
            let study = SyntheticStudy::new().series("MR", INSTANCES).size(8, 8);
            let instances: Vec<_> = study.instances().unwrap().iter().map(written).collect();
            for association in instances.chunks(ASSOCIATION) {
                receiver = self.send_all(association, receiver + 1).await;
                sleep(PAUSE).await;
            }
            let series = study.series_instance_uids().remove(0);
            sent.push(Sent { series, instances: instances.into_iter().map(|it| it.0).collect() });
        }
        sent
    }

    /// Sends until each instance was answered with Success; gives the number of the receiver that answered the last.
    async fn send_all(&self, mut left: &[Instance], mut receiver: usize) -> usize {
        let began = Instant::now();
        loop {
            let stored = self.send(left, self.receivers[receiver % self.receivers.len()]).await;
            left = &left[stored..];
            if left.is_empty() {
                return receiver;
            }
            assert!(began.elapsed() < 2 * DEADLINE, "{} gets nothing through", self.name);
            receiver += 1;
            sleep(PAUSE).await;
        }
    }

    /// Sends over one association until something is not answered with Success; gives how many were.
    async fn send(&self, instances: &[Instance], to: SocketAddr) -> usize {
        let proposal = Proposal {
            calling_ae_title: self.name.clone(),
            called_ae_title: "COLLIMATOR".to_owned(),
            contexts: vec![(
                uids::MR_IMAGE_STORAGE.to_owned(),
                vec![uids::EXPLICIT_VR_LITTLE_ENDIAN.to_owned()],
            )],
            max_pdu_length: 16384,
        };
        let Ok(mut scu) = Scu::open(to, &proposal, ANSWER_TIMEOUT).await else { return 0 };
        for (stored, (sop, data_set)) in instances.iter().enumerate() {
            let (mut bytes, length, began) =
                (&data_set[..], data_set.len() as u64, Timestamp::now());
            let answer =
                scu.store(1, uids::MR_IMAGE_STORAGE, sop, &mut bytes, length, |_| ()).await;
            let Ok(response) = answer else { return stored };
            let (at, is_success) = (Timestamp::now(), response.status.code() == 0);
            let answer = Answer { at, took: at.duration_since(began), is_success };
            self.answers.lock().unwrap().push(answer);
            if !is_success {
                // Not an abort: what was stored is known.
                let _ = scu.release().await;
                return stored;
            }
        }
        let _ = scu.release().await;
        instances.len()
    }
}
