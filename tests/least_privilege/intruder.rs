//! Somebody who knows the password of a user, and tries things.

use super::connect;
use crate::harness::DEADLINE;
use crate::harness::restricted::RestrictedBroker;
use async_nats::{Client, ConnectOptions, Event, ServerError};
use std::collections::BTreeSet;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Somebody who knows the password of a user.
pub(super) struct Intruder {
    user: &'static str,
    pub(super) nats: Client,
    refusals: mpsc::UnboundedReceiver<String>,
}

impl Intruder {
    pub(super) async fn may_not_publish(&mut self, subject: &str) {
        self.nats.publish(subject.to_owned(), "{}".into()).await.unwrap();
        self.is_refused(&format!("Publish to \"{subject}\"")).await;
    }

    pub(super) async fn may_not_subscribe(&mut self, subject: &str) {
        let _subscription = self.nats.subscribe(subject.to_owned()).await.unwrap();
        self.is_refused(&format!("Subscription to \"{subject}\"")).await;
    }

    /// Waits until the broker has seen all that it was sent, and gives the subjects that it refused.
    pub(super) async fn reaches_the_broker(&mut self) -> BTreeSet<String> {
        const NOBODYS: &str = "nobodys.subject";
        self.nats.publish(NOBODYS, "".into()).await.unwrap();
        self.nats.flush().await.unwrap();
        let mut refused = BTreeSet::new();
        while !refused.contains(NOBODYS) {
            let said = timeout(DEADLINE, self.refusals.recv()).await.unwrap().unwrap();
            refused.extend(said.split('"').nth(1).map(str::to_owned));
        }
        refused
    }

    pub(super) async fn is_refused(&mut self, what: &str) {
        self.nats.flush().await.unwrap();
        let refused = timeout(DEADLINE, self.refusals.recv()).await;
        let refused = refused.unwrap_or_else(|_| panic!("{} may: {what}", self.user)).unwrap();
        let (refused, what) = (refused.to_lowercase(), what.to_lowercase());
        assert!(refused.contains("permissions violation"), "{}: {refused}", self.user);
        assert!(refused.contains(&what), "{}: {what}: {refused}", self.user);
    }
}

/// Connects as a user who tries things.
pub(super) async fn intruder(broker: &RestrictedBroker, user: &'static str) -> Intruder {
    let (said, refusals) = mpsc::unbounded_channel();
    let options = ConnectOptions::with_user_and_password(user.to_owned(), broker.password(user));
    let options = options.custom_inbox_prefix(format!("_INBOX_{user}"));
    let options = options.event_callback(move |event| {
        let said = said.clone();
        async move {
            if let Event::ServerError(ServerError::Other(error)) = event {
                let _ = said.send(error);
            }
        }
    });
    let nats = connect(broker, options).await.unwrap();
    Intruder { user, nats, refusals }
}
