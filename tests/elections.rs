//! Elections of a NATS cluster, as those who use the API see them: some answers are slow, none is a refusal, and
//! nothing is lost or announced twice.

use crate::harness::cluster::Cluster;
use crate::harness::indexing::Published;
use crate::harness::listening::Listening;
use crate::harness::pipeline::{Process, address, service, test_settings};
use crate::harness::receiver::Receiver;
use crate::harness::{eventually, series_to_store};
use reqwest::{Client, Method, StatusCode};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// Series that are open before anything dies: more than are completed by then.
const OPEN: u64 = 1000;

/// How long the API waits for the end of an election before it answers 503, as `docs/limits.md` says. On a machine that is
/// busy with other tests two elections can take longer.
const DOCUMENTED: Duration = Duration::from_secs(20);

/// Pause between two requests of one kind, so that the machine does other things too.
const PAUSE: Duration = Duration::from_millis(150);

/// Whether an answer says that NATS is away, after all the time that the API waits for it.
fn is_late(status: StatusCode, began: Instant) -> bool {
    status == StatusCode::SERVICE_UNAVAILABLE && began.elapsed() >= DOCUMENTED
}

/// Those who use the API at the same time.
#[derive(Clone)]
struct Users {
    api: String,
    client: Client,
    /// What was not answered as it should be.
    refused: Arc<Mutex<Vec<String>>>,
    /// The series that were stored, or completed.
    complete: Arc<Mutex<BTreeSet<String>>>,
    stop: CancellationToken,
}

impl Users {
    async fn asks(
        &self,
        method: Method,
        path: &str,
        body: Option<serde_json::Value>,
        wanted: StatusCode,
    ) -> bool {
        loop {
            let request = self.client.request(method.clone(), format!("{}{path}", self.api));
            let request = match &body {
                Some(body) => request.json(body),
                None => request,
            };
            let began = Instant::now();
            let answer = request.send().await.unwrap();
            if answer.status() == wanted {
                return true;
            }
            // What became of it nobody knows: it is asked for again.
            if is_late(answer.status(), began) {
                continue;
            }
            let said = format!("{method} {path}: {} {:?}", answer.status(), answer.text().await);
            self.refused.lock().unwrap().push(said);
            return false;
        }
    }

    fn completes(&self, series: String) {
        self.complete.lock().unwrap().insert(series);
    }

    async fn stores_series(self, lane: u64) {
        for number in 1_u64.. {
            let series = format!("1.2.{lane}.{number}");
            let body = series_to_store(&series, "1.2.3", 1);
            if self.asks(Method::POST, "/store", Some(body), StatusCode::OK).await {
                self.completes(series);
            }
            if self.stop.run_until_cancelled(sleep(PAUSE)).await.is_none() {
                return;
            }
        }
    }

    async fn completes_series(self) {
        for number in 1..=OPEN {
            let series = format!("2.25.9{number:05}");
            let path = format!("/series/{series}/complete");
            if self.asks(Method::POST, &path, None, StatusCode::ACCEPTED).await {
                self.completes(series);
            }
            if self.stop.run_until_cancelled(sleep(PAUSE)).await.is_none() {
                return;
            }
        }
        panic!("there are not enough series");
    }

    async fn looks_at(self, path: &'static str) {
        while self.stop.run_until_cancelled(sleep(PAUSE)).await.is_some() {
            self.asks(Method::GET, path, None, StatusCode::OK).await;
        }
    }

    /// Begins to listen again and again. The place of one who is gone is free only some seconds later.
    async fn begins_to_listen(self) {
        while self.stop.run_until_cancelled(sleep(5 * PAUSE)).await.is_some() {
            let began = Instant::now();
            if let Err(answer) = Listening::to(&self.api, "", None).await
                && !is_late(answer.status(), began)
            {
                let said = format!("GET /events: {} {:?}", answer.status(), answer.text().await);
                self.refused.lock().unwrap().push(said);
            }
        }
    }

    /// Goes on listening, and resumes where an answer ends. Gives the completions that it was told of to `told`.
    async fn listens(self, mut listening: Listening, told: Arc<Mutex<Vec<String>>>) {
        let mut last = None;
        loop {
            while let Some(event) = listening.next().await {
                // One without an id was told before.
                if event.name == "series.completed" && !event.id.is_empty() {
                    let series = event.data["SeriesInstanceUID"].as_str().unwrap();
                    told.lock().unwrap().push(series.to_owned());
                }
                if !event.id.is_empty() {
                    last = Some(event.id);
                }
            }
            listening = self.resumes(last.as_deref()).await;
        }
    }

    async fn resumes(&self, last: Option<&str>) -> Listening {
        loop {
            let began = Instant::now();
            match Listening::to(&self.api, "", last).await {
                Ok(listening) => return listening,
                Err(answer) if is_late(answer.status(), began) => {}
                Err(_) => self.refused.lock().unwrap().push("GET /events to resume".to_owned()),
            }
            sleep(PAUSE).await;
        }
    }
}

/// Waits until all of these were told of.
async fn is_told_of(told: &Mutex<Vec<String>>, complete: &BTreeSet<String>, who: &str) {
    eventually(&format!("{who} to be told of all"), async || {
        let told: BTreeSet<_> = told.lock().unwrap().iter().cloned().collect();
        (told == *complete).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_refused_before_the_documented_time_and_nothing_is_lost_while_leaders_die() {
    let mut cluster = Cluster::start().await;
    let mut receiver = Receiver::start().await;
    let folder = tempfile::tempdir().unwrap();
    let webhooks = folder.path().join("webhooks.toml");
    let hook = format!(
        "[[webhook]]\nname = 'ai'\nurl = '{}'\nsecret = 'correct horse battery'\n",
        receiver.url
    );
    std::fs::write(&webhooks, hook).unwrap();
    let mut settings = test_settings(folder.path());
    settings.extend([
        ("NATS_URL", cluster.urls()),
        ("DATABASE_URL", format!("sqlite://{}", folder.path().join("catalog.db").display())),
        ("STREAM_REPLICAS", "3".to_owned()),
        ("QUIET_PERIOD", "1h".to_owned()),
        ("WEBHOOKS_FILE", webhooks.display().to_string()),
    ]);
    let start = async |name| Process::start(&service(name).await, folder.path(), &settings);
    let mut indexer = start("indexer").await;
    indexer.indexes().await;
    let mut api = start("api").await;
    let at = api.says("where it is", |line| address(line, "api listens")).await;
    api.says("that it serves", |line| line.contains("the webhook is served").then_some(())).await;
    for stream in ["INSTANCES", "SERIES", "DEAD"] {
        cluster.has(stream, 3).await;
    }
    Published::new("open", "2.25.9").scatters(&cluster.url(0), OPEN).await;

    let users = Users {
        api: format!("http://{at}"),
        client: Client::new(),
        refused: Arc::default(),
        complete: Arc::default(),
        stop: CancellationToken::new(),
    };
    eventually("the series to be open", async || {
        let stats: serde_json::Value =
            reqwest::get(format!("{}/stats", users.api)).await.ok()?.json().await.ok()?;
        (stats["SeriesReceiving"] == OPEN).then_some(())
    })
    .await;
    let (posted, told) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
    let receiving = tokio::spawn({
        let posted = posted.clone();
        async move {
            loop {
                let delivery = receiver.gets().await;
                let series = delivery.body["data"]["SeriesInstanceUID"].as_str().unwrap();
                posted.lock().unwrap().push(series.to_owned());
                delivery.gets_answer(204, "").await;
            }
        }
    });
    // Before anything is completed: nobody is told what was before.
    let first = Listening::to(&users.api, "", None).await.expect("a place among the listeners");
    let listening = tokio::spawn(users.clone().listens(first, told.clone()));
    let mut asking = JoinSet::new();
    asking.spawn(users.clone().stores_series(1));
    asking.spawn(users.clone().stores_series(2));
    asking.spawn(users.clone().completes_series());
    asking.spawn(users.clone().looks_at("/webhooks"));
    asking.spawn(users.clone().looks_at("/dead-letters"));
    asking.spawn(users.clone().begins_to_listen());

    for stream in ["INSTANCES", "SERIES", "DEAD"] {
        let victim = cluster.leader(stream).await;
        cluster.kill(victim);
        cluster.still_stores(victim).await;
        cluster.start_again(victim);
        for stream in ["INSTANCES", "SERIES", "DEAD"] {
            cluster.has(stream, 3).await;
        }
    }
    users.stop.cancel();
    while let Some(ended) = asking.join_next().await {
        ended.unwrap();
    }
    assert_eq!(*users.refused.lock().unwrap(), [""; 0]);
    let complete = users.complete.lock().unwrap().clone();
    is_told_of(&posted, &complete, "the webhook").await;
    is_told_of(&told, &complete, "the listener").await;
    receiving.abort();
    listening.abort();
    let completed = |subject: &str| subject.starts_with("dicom.series.completed.");
    let announced = cluster.stored_at("SERIES", completed).await;
    assert_eq!(announced.len(), complete.len(), "each is announced once");
    assert_eq!(told.lock().unwrap().len(), complete.len(), "and told once");
}
