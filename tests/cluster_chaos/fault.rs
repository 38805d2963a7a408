//! What happens to a cluster: which part, what is done to it, and for how long.

use crate::harness::cluster::SERVERS;
use fastrand::Rng;
use std::fmt;
use std::time::Duration;

/// How many of them there are.
pub const INGESTS: usize = 2;
/// How many of them there are.
pub const INDEXERS: usize = 3;
/// How many of them there are.
pub const APIS: usize = 2;

/// Faults in a round, without the fail-over of PostgreSQL.
const FAULTS: usize = 4;

/// How long a fault lasts, in milliseconds: longer than the lease of an indexer and than the pings of NATS take to
/// miss it, or shorter.
const LASTS: std::ops::Range<u64> = 200..6000;

/// How long each fault lasts where only some kinds are looked at: longer than a take-over and an election.
const LASTS_ALONE: Duration = Duration::from_secs(12);

/// How long is looked at what happens when nothing does.
const QUIET: Duration = Duration::from_secs(2);

/// What is done to a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Harm {
    /// SIGKILL, and later a new start.
    Killed,
    /// SIGSTOP, and later SIGCONT.
    Stopped,
    /// A broker from the other brokers, another service from all brokers, PostgreSQL from everybody: what is sent does
    /// not arrive, and nobody is told.
    CutOff,
    /// A broker from the services too, a service from PostgreSQL only.
    CutOffElsewhere,
}

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// For comparison.
    Nothing,
    Broker(Harm),
    TwoBrokers(Harm),
    Ingest(Harm),
    Indexer(Harm),
    Api(Harm),
    /// The PostgreSQL server that takes writes.
    Database(Harm),
    /// The one without which the other commits nothing.
    StandBy(Harm),
    /// The PostgreSQL server that takes writes is killed for good, and the other one takes its place.
    FailOver,
}

use Fault::{Api, Broker, Database, FailOver, Indexer, Ingest, Nothing, StandBy, TwoBrokers};
use Harm::{CutOff, CutOffElsewhere, Killed, Stopped};

/// What is chosen from.
const FAULTS_TO_CHOOSE: [Fault; 23] = [
    Broker(Killed),
    Broker(Stopped),
    Broker(CutOff),
    Broker(CutOffElsewhere),
    TwoBrokers(Killed),
    TwoBrokers(Stopped),
    TwoBrokers(CutOff),
    TwoBrokers(CutOffElsewhere),
    Ingest(Killed),
    Ingest(Stopped),
    Ingest(CutOff),
    Indexer(Killed),
    Indexer(Stopped),
    Indexer(CutOff),
    Indexer(CutOffElsewhere),
    Api(Killed),
    Api(Stopped),
    Api(CutOff),
    Database(Killed),
    Database(Stopped),
    Database(CutOff),
    StandBy(Killed),
    StandBy(Stopped),
];

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (part, harm) = match self {
            Nothing => return formatter.write_str("nothing"),
            FailOver => return formatter.write_str("PostgreSQL fails over to its stand-by"),
            Broker(harm) => ("a broker", harm),
            TwoBrokers(harm) => ("two brokers", harm),
            Ingest(harm) => ("an ingest", harm),
            Indexer(harm) => ("an indexer", harm),
            Api(harm) => ("an api", harm),
            Database(harm) => ("PostgreSQL", harm),
            StandBy(harm) => ("PostgreSQL's stand-by", harm),
        };
        let harm = match (self, harm) {
            (_, Killed) => "killed",
            (_, Stopped) => "stopped",
            (Broker(_) | TwoBrokers(_), CutOff) => "cut off from the others",
            (Broker(_) | TwoBrokers(_), CutOffElsewhere) => "cut off from everybody",
            (_, CutOffElsewhere) => "cut off from PostgreSQL",
            (Database(_), CutOff) => "cut off",
            (_, CutOff) => "cut off from NATS",
        };
        write!(formatter, "{part} {harm}")
    }
}

/// A fault, and whom it strikes.
#[derive(Debug, Clone, Copy)]
pub struct Planned {
    pub fault: Fault,
    /// Which one of them, from 0; of two brokers, the one that is spared.
    pub number: usize,
    pub lasts: Duration,
}

/// What happens in a round.
pub struct Plan {
    pub faults: Vec<Planned>,
}

impl Plan {
    /// The one of a seed: always the same.
    pub fn of(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let fail_over = rng.usize(0..=FAULTS);
        let mut faults = vec![Planned { fault: Nothing, number: 0, lasts: QUIET }];
        for place in 0..=FAULTS {
            let fault = match place == fail_over {
                true => FailOver,
                false => choose(&mut rng, place < fail_over),
            };
            let number = rng.usize(0..fault.victims());
            let lasts = Duration::from_millis(rng.u64(LASTS));
            faults.push(Planned { fault, number, lasts });
        }
        Self { faults }
    }

    /// Only the faults whose name has this in it, one after the other to each that they may strike.
    pub fn only(name: &str) -> Self {
        let mut faults = vec![Planned { fault: Nothing, number: 0, lasts: QUIET }];
        for fault in FAULTS_TO_CHOOSE.into_iter().filter(|fault| fault.to_string().contains(name)) {
            let strike = |number| Planned { fault, number, lasts: LASTS_ALONE };
            faults.extend((0..fault.victims()).map(strike));
        }
        assert!(faults.len() > 1, "no fault has {name:?} in its name");
        Self { faults }
    }
}

impl Fault {
    /// How many there are of what it may strike.
    fn victims(self) -> usize {
        match self {
            Broker(_) | TwoBrokers(_) => SERVERS,
            Ingest(_) => INGESTS,
            Indexer(_) => INDEXERS,
            Api(_) => APIS,
            Nothing | Database(_) | StandBy(_) | FailOver => 1,
        }
    }
}

fn choose(rng: &mut Rng, has_stand_by: bool) -> Fault {
    loop {
        let fault = FAULTS_TO_CHOOSE[rng.usize(0..FAULTS_TO_CHOOSE.len())];
        if has_stand_by || !matches!(fault, StandBy(_)) {
            return fault;
        }
    }
}
