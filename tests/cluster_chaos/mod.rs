//! A cluster in which everything dies, hangs and is cut off while senders send, one after the other and two brokers at
//! once, and PostgreSQL fails over. Nothing is lost.
//!
//! ```sh
//! bench/chaos --cluster 100     # rounds
//! bench/chaos --cluster 1 17    # that round again
//! bench/chaos --cluster --only 'an indexer' 1   # only faults with that in their name
//! ```

mod deployment;
mod fault;
mod load;
mod outcome;
mod pauses;

use crate::chaos::number;
use crate::harness::tools::skip;
use deployment::Deployment;
use fault::Plan;
use jiff::Timestamp;
use load::Load;
use outcome::Outcome;
use pauses::{Pauses, Window};
use std::time::Instant;

/// What all senders and all listeners of a round have seen.
struct Round {
    outcome: Outcome,
    windows: Vec<Window>,
}

async fn round(seed: u64, mut deployment: Deployment, pauses: &mut Pauses) -> Round {
    let load = Load::on(deployment.dicom());
    let mut windows = Vec::new();
    let plan = match std::env::var("COLLIMATOR_CHAOS_ONLY") {
        Ok(name) => Plan::only(&name),
        Err(_) => Plan::of(seed),
    };
    for planned in plan.faults {
        let began = Timestamp::now();
        deployment.suffers(planned).await;
        let over = Timestamp::now();
        load.goes_on_since(over).await;
        deployment.announces_since(over).await;
        deployment.is_whole().await;
        windows.push(Window { fault: planned.fault, began, ended: Timestamp::now() });
    }
    let (sent, answers) = load.ends().await;
    let outcome = Outcome::of(&deployment, &sent).await;
    for window in &windows {
        println!("{}", pauses.count(window, &answers, &outcome.announced_at));
    }
    Round { outcome, windows }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_dies_in_a_cluster_nothing_is_lost_and_nothing_is_doubled() {
    let first = number("COLLIMATOR_CHAOS_SEED", 0);
    let rounds = number("COLLIMATOR_CHAOS_ROUNDS", 1);
    let mut pauses = Pauses::default();
    let (mut instances, mut announcements, mut faults) = (0, 0, 0);
    for seed in first..first + rounds {
        let Some(deployment) = Deployment::start().await else {
            skip("PostgreSQL is not installed");
            return;
        };
        println!("round of seed {seed}");
        let began = Instant::now();
        let Round { outcome, windows } = round(seed, deployment, &mut pauses).await;
        let (of_round, announced) = (outcome.instances, outcome.announced_at.len());
        println!("{of_round} instances, {announced} announcements in {:.0?}", began.elapsed());
        assert_eq!(outcome.faults, Vec::<String>::new(), "of seed {seed}");
        instances += of_round;
        announcements += announced;
        faults += windows.len() - 1;
    }
    println!(
        "{rounds} rounds, {faults} faults, {instances} instances, {announcements} announcements: lost 0, doubled 0, \
         unannounced 0, wrong counts 0, announced too early 0, unreadable 0\n\n{}",
        pauses.table()
    );
}
