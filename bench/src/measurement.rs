//! One measurement of one receiver: what was sent, what it cost whom, and what bounded it.

use crate::receivers::Receiver;
use crate::senders::Sent;
use crate::table::median;
use std::collections::BTreeMap;

/// CPU of a thread, or of both cores, from which on it is what bounds.
const BUSY: f64 = 0.85;

/// The broker, by its program's name.
const BROKER: &str = "nats-server";

/// What was measured in one round.
#[derive(Debug, Clone)]
pub(crate) struct Measurement {
    pub(crate) receiver: Receiver,
    pub(crate) associations: usize,
    pub(crate) sent: Sent,
    /// CPU seconds of the receiver's programs meanwhile.
    pub(crate) cpu: BTreeMap<String, f64>,
    /// The most that they had resident at one time, in bytes.
    pub(crate) peak: BTreeMap<String, u64>,
    /// Seconds in which the disk synced a message right after.
    pub(crate) sync: f64,
}

impl Measurement {
    /// Instances in a second.
    pub(crate) fn rate(&self) -> f64 {
        self.sent.instances as f64 / self.sent.wall.as_secs_f64()
    }

    /// Bytes in a second.
    pub(crate) fn throughput(&self) -> f64 {
        self.sent.bytes as f64 / self.sent.wall.as_secs_f64()
    }

    /// CPU seconds for one instance, of the receiver without its broker.
    pub(crate) fn cpu_per_instance(&self) -> f64 {
        self.cpu_where(|program| program != BROKER) / self.sent.instances as f64
    }

    /// The same, of its broker.
    pub(crate) fn broker_cpu_per_instance(&self) -> f64 {
        self.cpu_where(|program| program == BROKER) / self.sent.instances as f64
    }

    fn cpu_where(&self, counts: impl Fn(&str) -> bool) -> f64 {
        let counted = self.cpu.iter().filter(|(program, _)| counts(program));
        counted.fold(0.0, |sum, (_, cpu)| sum + cpu)
    }

    /// What was resident at the most, without and with the broker.
    pub(crate) fn peak(&self) -> (u64, u64) {
        let all = self.peak.values().sum();
        (all - self.peak.get(BROKER).unwrap_or(&0), all)
    }

    /// Shares of the time in which the sender, the receiver and the broker had a CPU, and in which the
    /// disk synced: the broker syncs one message after the other, whoever sent them.
    fn shares(&self) -> [(&'static str, f64); 4] {
        let wall = self.sent.wall.as_secs_f64();
        let disk = match self.receiver.syncs() {
            true => self.sent.instances as f64 * self.sync / wall,
            false => 0.0,
        };
        [
            ("sender", self.sent.cpu / wall),
            ("receiver", self.cpu_where(|program| program != BROKER) / wall),
            ("broker", self.cpu_where(|program| program == BROKER) / wall),
            ("disk", disk.min(1.0)),
        ]
    }
}

/// The same receiver and the same work, in several rounds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rounds(pub(crate) Vec<Measurement>);

impl Rounds {
    /// The median of a figure.
    pub(crate) fn median(&self, figure: impl Fn(&Measurement) -> f64) -> f64 {
        median(self.0.iter().map(figure))
    }

    /// What bounds it, from where the time went: percent of one core for the processes, and of the
    /// time for the disk.
    pub(crate) fn bound(&self, cores: f64) -> String {
        let Some(first) = self.0.first() else { return String::new() };
        let shares = first.shares().map(|(name, _)| {
            let of = |measurement: &Measurement| {
                let shares = measurement.shares().into_iter();
                shares.filter(|share| share.0 == name).map(|share| share.1).sum()
            };
            (name, self.median(of))
        });
        let [sender, receiver, broker, disk] = shares.map(|share| share.1);
        let cpu = sender + receiver + broker;
        let associations = first.associations as f64;
        let verdict = if cpu > BUSY * cores {
            let most = [("sender", sender), ("receiver", receiver), ("broker", broker)];
            let most = most.into_iter().max_by(|one, other| one.1.total_cmp(&other.1));
            format!("all cores, most of it {}", most.map_or("", |most| most.0))
        } else if sender > BUSY * associations {
            "sender".to_owned()
        } else if receiver > BUSY && receiver < 1.2 {
            "receiver, one core".to_owned()
        } else if disk > (1.0 - disk).min(cpu) {
            "disk".to_owned()
        } else if cpu < 0.3 && disk < 0.3 {
            "waiting: delayed ACK".to_owned()
        } else if associations == 1.0 {
            // One after the other: whoever takes the longest.
            let most = shares.into_iter().max_by(|one, other| one.1.total_cmp(&other.1));
            format!("one after the other, most of it {}", most.map_or("", |most| most.0))
        } else {
            "waiting for one another".to_owned()
        };
        let shares = shares.iter().filter(|share| share.1 >= 0.005);
        let shares = shares.map(|(name, share)| format!("{name} {:.0}", share * 100.0));
        format!("{verdict} ({})", shares.collect::<Vec<_>>().join(", "))
    }
}
