//! Receivers that do not answer any more. After `RECEIVER_GONE_AFTER` the API declares them gone, as an operator may at
//! any time.

use crate::broker::{BrokerHandle, request_id};
use contract::event::GoneRequested;
use contract::subject::Service;
use jiff::Timestamp;
use shared::nodes::{self, Answer, MAX_NODES, NODE_NAME};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// How often the receivers are asked within the limit: some answers may be lost.
const QUESTIONS: u32 = 4;

/// Asks all receivers now and then who they are, and declares gone who has answered before and not since `limit`. Until
/// told to stop. Several APIs may declare the same: the second time nothing is open there any more.
pub(crate) async fn watch(limit: Duration, broker: &BrokerHandle, stop: &CancellationToken) {
    let watching = async {
        let nats = broker.connected().await.client();
        let mut silence = Silence::of(limit);
        loop {
            match nodes::all(&nats).await {
                Ok(answers) => silence.ends(&answers, Instant::now()),
                Err(error) => tracing::debug!("the receivers can't be asked: {error:#}"),
            }
            for node_name in silence.gone(Instant::now()) {
                declare_gone(broker, &mut silence, node_name).await;
            }
            sleep(limit / QUESTIONS).await;
        }
    };
    stop.run_until_cancelled(watching).await;
}

async fn declare_gone(broker: &BrokerHandle, silence: &mut Silence, node_name: String) {
    let (request_id, requested_at) = (request_id(), Timestamp::now());
    let request = GoneRequested { node_name: node_name.clone(), request_id, requested_at };
    // Trouble is logged there, and it is tried again with the next question.
    if broker.publish(&request).await.is_ok() {
        let limit = silence.limit;
        tracing::warn!(node_name, "receiver declared gone: it has not answered for {limit:?}");
        silence.last_answers.remove(&node_name);
    }
}

/// When each receiver answered last.
#[derive(Debug)]
struct Silence {
    limit: Duration,
    /// By `NODE_NAME`.
    last_answers: BTreeMap<String, Instant>,
}

impl Silence {
    fn of(limit: Duration) -> Self {
        Self { limit, last_answers: BTreeMap::new() }
    }

    /// These nodes have answered. Where that proves nothing of the others, nobody is silent: no answer at all, not even
    /// this process's own, is a broken connection; more answers than are listed may have been left out; and
    /// a receiver of an earlier version does not say its name.
    fn ends(&mut self, answers: &[Answer], now: Instant) {
        let receivers = answers.iter().filter(|it| it.service() == Some(Service::Ingest.as_str()));
        let names: Option<Vec<_>> = receivers.map(|it| it.said(NODE_NAME)).collect();
        match names {
            Some(names) if !answers.is_empty() && answers.len() < MAX_NODES => {
                self.last_answers.extend(names.into_iter().map(|name| (name.to_owned(), now)));
            }
            _ => self.last_answers.values_mut().for_each(|last| *last = now),
        }
    }

    /// The receivers that have been silent for too long.
    fn gone(&self, now: Instant) -> Vec<String> {
        let is_gone = |last: Instant| now.duration_since(last) >= self.limit;
        let gone = self.last_answers.iter().filter(|(_, last)| is_gone(**last));
        gone.map(|(name, _)| name.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(service: &str, node_name: Option<&str>) -> Answer {
        let metadata = node_name.map(|name| (NODE_NAME.to_owned(), name.to_owned()));
        let text = String::new;
        let name = format!("collimator-{service}");
        Answer { name, id: text(), version: text(), metadata: metadata.into_iter().collect() }
    }

    #[test]
    fn only_a_receiver_that_others_outlast_in_answering_is_gone() {
        let (began, limit) = (Instant::now(), Duration::from_secs(4));
        let after = |seconds| began + Duration::from_secs(seconds);
        let api = answer("api", None);
        let [one, two] = ["one", "two"].map(|name| answer("ingest", Some(name)));
        let mut silence = Silence::of(limit);
        silence.ends(&[api.clone(), one.clone(), two.clone()], after(0));
        silence.ends(&[api.clone(), one.clone()], after(3));
        assert_eq!(silence.gone(after(3)), [""; 0]);
        assert_eq!(silence.gone(after(4)), ["two"]);
        assert_eq!(silence.gone(after(7)), ["one", "two"]);
        // What proves nothing ends the silence of all.
        for nothing in [vec![], vec![api.clone(), one.clone(), answer("ingest", None)]] {
            silence.ends(&nothing, after(8));
            assert_eq!(silence.gone(after(11)), [""; 0]);
        }
        silence.ends(&[api], after(11));
        assert_eq!(silence.gone(after(12)), ["one", "two"]);
    }
}
