//! Senders that send anything: the receiver stays up and stays as large as it is, and a sender that is
//! well-formed notices nothing.
//!
//! ```sh
//! COLLIMATOR_MUTATIONS=10000 cargo test --release --test pipeline hostile -- --nocapture
//! ```

use crate::harness::scu::{Scu, conversation};
use crate::harness::{Collimator, eventually};
use collimator::synthetic::SyntheticStudy;
use fastrand::Rng;
use fuzz::mutate;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long one of them waits for an answer; what it has sent may not be worth one.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(200);
/// How many there are at one time.
const LANES: u64 = 8;
/// By how much memory may have grown afterwards: what an allocator keeps.
const GROWTH: u64 = 5 * 1024 * 1024;

/// Says what a sender would say, but for some of its bytes.
async fn say(to: SocketAddr, conversation: &[Vec<u8>], seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let mut pdus = conversation.to_vec();
    match rng.u32(0..10) {
        // A PDU out of its order, twice, or not at all.
        0 => pdus.swap(rng.usize(0..5), rng.usize(0..5)),
        1 => pdus.insert(rng.usize(0..5), pdus[rng.usize(0..5)].clone()),
        2 => drop(pdus.remove(rng.usize(0..5))),
        _ => {
            let pdu = rng.usize(0..5);
            pdus[pdu] = mutate(&pdus[pdu], &mut rng);
        }
    }
    let Ok(mut socket) = TcpStream::connect(to).await else { return };
    let mut answer = [0; 4096];
    for pdu in pdus {
        if socket.write_all(&pdu).await.is_err() {
            return;
        }
        if rng.bool() {
            let _ = timeout(ANSWER_TIMEOUT, socket.read(&mut answer)).await;
        }
    }
}

struct Size {
    descriptors: usize,
    resident: u64,
}

/// What a process has open, and how much memory it takes.
fn size(process: u32) -> Size {
    let descriptors = std::fs::read_dir(format!("/proc/{process}/fd")).unwrap().count();
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kibibytes: u64 = resident.trim().trim_end_matches(" kB").parse().unwrap();
    Size { descriptors, resident: kibibytes * 1024 }
}

async fn say_all(to: SocketAddr, conversation: &[Vec<u8>], seeds: std::ops::Range<u64>) {
    let lane = async |lane: u64| {
        for seed in seeds.clone().filter(|seed| seed % LANES == lane) {
            say(to, conversation, seed).await;
        }
    };
    let lanes = (0..LANES).map(lane);
    futures_util::future::join_all(lanes).await;
}

#[tokio::test]
async fn whatever_is_sent_the_receiver_stays_up_and_as_large_as_it_is() {
    let associations =
        std::env::var("COLLIMATOR_MUTATIONS").map_or(2000, |text| text.parse().unwrap());
    let settings = [("PDU_TIMEOUT", "1s"), ("RECEIVE_TIMEOUT", "1s"), ("IDLE_TIMEOUT", "2s")];
    let collimator = Collimator::start_with(&settings).await;
    let image = &SyntheticStudy::new().series("MR", 1).size(16, 16).instances().unwrap()[0];
    let conversation = conversation(image);
    let process = collimator.process.id();
    // All that is made once is made: buffers, threads, pages of the catalogue.
    say_all(collimator.dicom, &conversation, 1_000_000..1_000_400).await;
    collimator.series().await;
    let quiet = async || {
        let all_closed = async || {
            let size = size(process);
            tokio::time::sleep(Duration::from_millis(500)).await;
            (size.descriptors == self::size(process).descriptors).then_some(size)
        };
        eventually("all associations to be closed", all_closed).await
    };
    tokio::time::sleep(Duration::from_secs(3)).await;
    let before = quiet().await;

    let study = SyntheticStudy::new().series("MR", 20).size(16, 16);
    let images = study.instances().unwrap();
    let well_formed = async {
        for image in &images {
            let mut scu = Scu::for_mr(collimator.dicom).await;
            scu.stores(image).await;
            scu.release().await;
        }
    };
    tokio::join!(say_all(collimator.dicom, &conversation, 0..associations), well_formed);
    collimator.lists(&study.series_instance_uids()[0], 20).await;

    let after = eventually("descriptors to be closed", async || {
        let after = size(process);
        (after.descriptors <= before.descriptors).then_some(after)
    })
    .await;
    let grown = after.resident.saturating_sub(before.resident);
    println!(
        "{associations} mutated associations: descriptors {} then {}, resident memory {} then {} bytes",
        before.descriptors, after.descriptors, before.resident, after.resident
    );
    assert!(grown <= GROWTH, "grown by {grown} bytes");
    let log = collimator.process.printed();
    assert!(!log.contains("panicked"), "{log}");
}
