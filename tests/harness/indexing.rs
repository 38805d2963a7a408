//! An indexer alone, and events that are published to it without a sender: a broker may then do what no
//! receiver would wait for.

use super::database::Database;
use super::eventually;
use super::pipeline::{Process, events, free_addr, service, test_settings};
use async_nats::jetstream;
use catalog::{CatalogReader, CatalogSettings, Inspected, Loss};
use contract::event::{
    AssociationClosed, AssociationIdentity, Ending, Event, InstanceStored, RegistrationRequested,
    SeriesShare,
};
use contract::uid::{SeriesInstanceUid, SopInstanceUid, StudyInstanceUid};
use futures_util::future::try_join_all;
use jiff::Timestamp;
use serde_json::Value;
use shared::message::Message;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;

/// Events whose acknowledgements are awaited together.
const TOGETHER: usize = 200;

/// An indexer with a catalogue of its own.
pub struct Indexing {
    /// Where its broker is.
    pub url: String,
    admin: String,
    process: Option<Process>,
    settings: Vec<(&'static str, String)>,
    database: Database,
    folder: TempDir,
}

impl Indexing {
    /// On a broker that is there.
    pub async fn start(url: &str) -> Self {
        Self::start_with(url, &[]).await
    }

    /// The same with these settings too.
    pub async fn start_with(url: &str, more: &[(&'static str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::beside(folder.path());
        Self::start_in(folder, database, url, more).await
    }

    /// The same with its catalogue in this database.
    pub async fn start_on(database: Database, url: &str, more: &[(&'static str, &str)]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), database, url, more).await
    }

    async fn start_in(
        folder: TempDir,
        database: Database,
        url: &str,
        more: &[(&'static str, &str)],
    ) -> Self {
        let mut settings = test_settings(folder.path());
        let admin = free_addr().to_string();
        settings.extend([
            ("NATS_URL", url.to_owned()),
            ("ADMIN_ADDR", admin.clone()),
            ("DATABASE_URL", database.url.clone()),
        ]);
        settings.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let url = url.to_owned();
        let mut indexing = Self { url, admin, process: None, settings, database, folder };
        indexing.start_again().await;
        indexing
    }

    /// Starts it after it was killed.
    pub async fn start_again(&mut self) {
        let program = service("indexer").await;
        let mut process = Process::start(&program, self.folder.path(), &self.settings);
        process.indexes().await;
        self.process = Some(process);
    }

    /// Has this setting from its next start.
    pub fn set(&mut self, name: &'static str, value: Option<&str>) {
        self.settings.retain(|(kept, _)| *kept != name);
        self.settings.extend(value.map(|value| (name, value.to_owned())));
    }

    /// Goes on with this broker from its next start.
    pub fn moves_to(&mut self, url: &str) {
        url.clone_into(&mut self.url);
        self.set("NATS_URL", Some(url));
    }

    /// Kills it.
    pub fn kill(&mut self) {
        if let Some(process) = &mut self.process {
            process.kill();
        }
    }

    /// What it has logged since it started.
    pub fn printed(&self) -> String {
        self.process.as_ref().map(Process::printed).unwrap_or_default()
    }

    /// Its catalogue's file.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("catalog.db")
    }

    /// Its catalogue.
    pub fn catalog(&self) -> CatalogReader {
        self.database.reader()
    }

    /// What INSTANCES has lost, as its catalogue has it.
    pub async fn losses(&self) -> Vec<Loss> {
        let settings = CatalogSettings { database_url: self.database.url.clone() };
        match catalog::inspect(&settings).await.unwrap() {
            Inspected::Seen(inspection) => inspection.losses,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until its catalogue has so many instances.
    pub async fn has(&self, instances: u64) {
        let catalog = self.catalog();
        let mut found = 0;
        let what = format!("{instances} instances in the catalogue");
        eventually(&what, async || {
            found = catalog.statistics().await.ok()?.instances;
            (found == instances).then_some(())
        })
        .await;
    }

    /// Waits until its catalogue has more instances than these; gives how many.
    pub async fn has_more_than(&self, instances: u64) -> u64 {
        let catalog = self.catalog();
        eventually(&format!("more than {instances} instances in the catalogue"), async || {
            let found = catalog.statistics().await.ok()?.instances;
            (found > instances).then_some(found)
        })
        .await
    }

    /// Waits for an answer about its readiness that has this in it.
    pub async fn is(&self, status: u16, why: &str) {
        let ready = format!("http://{}/health/ready", self.admin);
        eventually(&format!("{status} {why:?}"), async || {
            let answer = reqwest::get(&ready).await.ok()?;
            let found = answer.status().as_u16();
            (found == status && answer.text().await.ok()?.contains(why)).then_some(())
        })
        .await;
    }

    /// The completions in its catalogue, by series and revision.
    pub async fn revisions(&self) -> Vec<Value> {
        let rows = self.catalog().rows().await.unwrap_or_default();
        let revisions = rows.iter().filter_map(|row| row.strip_prefix("revisions "));
        revisions.map(|revision| serde_json::from_str(revision).unwrap()).collect()
    }

    /// Waits until so many series are complete, each once with so many instances, and announced once.
    pub async fn completes_each_once(&self, series: usize, instances: u64) {
        let revisions = eventually("each series to be complete", async || {
            let revisions = self.revisions().await;
            (revisions.len() >= series).then_some(revisions)
        })
        .await;
        assert_eq!(revisions.len(), series, "each is complete once: {revisions:?}");
        for revision in &revisions {
            assert_eq!(revision["instances_count"], instances, "{revision}");
        }
        let ids = self.announces(series).await;
        assert!(ids.iter().all(|id| id.ends_with(":1")), "{ids:?}");
    }

    /// Waits until so many completions are announced, each once; gives their ids.
    pub async fn announces(&self, completions: usize) -> BTreeSet<String> {
        let nats = async_nats::connect(&self.url).await.unwrap();
        let announced = eventually(&format!("{completions} announcements"), async || {
            let mut announced = events(&nats, "SERIES").await;
            announced.retain(|event| event.subject.starts_with("dicom.series.completed."));
            (announced.len() >= completions).then_some(announced)
        })
        .await;
        let ids: BTreeSet<_> = announced
            .iter()
            .map(|event| event.headers.get("Nats-Msg-Id").unwrap().to_string())
            .collect();
        let counts = (announced.len(), ids.len());
        assert_eq!(counts, (completions, completions), "each is announced once: {ids:?}");
        ids
    }

    /// What it counts.
    pub async fn metrics(&self) -> String {
        let answer = reqwest::get(format!("http://{}/metrics", self.admin)).await.unwrap();
        answer.text().await.unwrap()
    }
}

/// An association of a sender, as its receiver publishes it.
pub struct Published {
    id: String,
    series: SeriesInstanceUid,
    sent: u64,
    /// Makes its events longer, so that few fill a block of the stream.
    padding: String,
}

impl Published {
    /// With one series.
    pub fn new(id: &str, series: &str) -> Self {
        let series = SeriesInstanceUid::parse(series).unwrap();
        Self { id: id.to_owned(), series, sent: 0, padding: String::new() }
    }

    /// With so many bytes more in each of its events.
    pub fn padded(mut self, bytes: usize) -> Self {
        self.padding = "x".repeat(bytes);
        self
    }

    /// Publishes so many more instances, and waits until all are acknowledged.
    pub async fn sends(&mut self, url: &str, count: u64) {
        let jetstream = jetstream::new(async_nats::connect(url).await.unwrap());
        let mut left = count;
        while left > 0 {
            let together = left.min(TOGETHER as u64);
            let mut acknowledgements = Vec::new();
            for _ in 0..together {
                self.sent += 1;
                acknowledgements.push(publish(&jetstream, &self.instance()).await);
            }
            try_join_all(acknowledgements.into_iter().map(IntoFuture::into_future)).await.unwrap();
            left -= together;
        }
    }

    /// Publishes one more instance, however long it takes until somebody stores it.
    pub async fn sends_eventually(&mut self, url: &str) {
        let mut jetstream = jetstream::new(async_nats::connect(url).await.unwrap());
        // So that it is stored soon after an election.
        jetstream.set_timeout(Duration::from_millis(500));
        self.sent += 1;
        let event = self.instance();
        eventually("an event to be stored", async || publish(&jetstream, &event).await.await.ok())
            .await;
    }

    /// Publishes so many of its instances a second time, from the first on.
    pub async fn sends_again(&mut self, url: &str, count: u64) {
        let jetstream = jetstream::new(async_nats::connect(url).await.unwrap());
        for number in 1..=count {
            self.sent += 1;
            let event = InstanceStored {
                sop_instance_uid: SopInstanceUid::parse(&self.sop(number)).unwrap(),
                digest: self.sop(number),
                ..self.instance()
            };
            publish(&jetstream, &event).await.await.unwrap();
        }
    }

    /// Publishes an instance each of so many series, and waits until all are acknowledged.
    pub async fn scatters(&mut self, url: &str, series: u64) {
        let jetstream = jetstream::new(async_nats::connect(url).await.unwrap());
        let mut acknowledgements = Vec::new();
        for _ in 0..series {
            self.sent += 1;
            let uid = format!("2.25.9{:05}", self.sent);
            self.series = SeriesInstanceUid::parse(&uid).unwrap();
            acknowledgements.push(publish(&jetstream, &self.instance()).await);
        }
        try_join_all(acknowledgements.into_iter().map(IntoFuture::into_future)).await.unwrap();
    }

    /// Ends, with an account of all that was acknowledged.
    pub async fn releases(&self, url: &str) {
        let jetstream = jetstream::new(async_nats::connect(url).await.unwrap());
        let share = SeriesShare {
            series_instance_uid: self.series.clone(),
            acknowledged: self.sent,
            failed: 0,
        };
        let closed = AssociationClosed {
            association: AssociationIdentity {
                association_id: self.id.clone(),
                calling_ae_title: "MR1".to_owned(),
                called_ae_title: "COLLIMATOR".to_owned(),
                peer_address: "192.0.2.7".to_owned(),
                node_name: "node".to_owned(),
                tls: None,
            },
            ending: Ending::Released,
            cause: None,
            stores: self.sent,
            acknowledged: self.sent,
            failed: 0,
            refusals: Vec::new(),
            series: vec![share],
            series_left_out: 0,
            closed_at: Timestamp::UNIX_EPOCH,
        };
        publish(&jetstream, &closed).await.await.unwrap();
    }

    fn sop(&self, number: u64) -> String {
        format!("{}.{number}", self.series)
    }

    fn instance(&self) -> InstanceStored {
        let sop = self.sop(self.sent);
        InstanceStored {
            sop_instance_uid: SopInstanceUid::parse(&sop).unwrap(),
            sop_class_uid: "1.2.840.10008.5.1.4.1.1.4".to_owned(),
            series_instance_uid: self.series.clone(),
            study_instance_uid: None,
            attributes: Default::default(),
            remarks: Default::default(),
            transfer_syntax_uid: "1.2.840.10008.1.2.1".to_owned(),
            bytes: 1024,
            digest: sop,
            object: None,
            calling_ae_title: "MR1".to_owned(),
            called_ae_title: format!("COLLIMATOR{}", self.padding),
            peer_address: "192.0.2.7".to_owned(),
            association_id: self.id.clone(),
            node_name: "node".to_owned(),
            ordinal: self.sent,
            series_ordinal: self.sent,
            received_at: Timestamp::from_second(self.sent as i64).unwrap(),
        }
    }
}

/// Asks for a series to be registered, as `POST /store` does; gives when the broker has the request.
pub async fn registers(url: &str, series: &str, patient_name: &str) {
    let jetstream = jetstream::new(async_nats::connect(url).await.unwrap());
    let request = RegistrationRequested {
        series_instance_uid: SeriesInstanceUid::parse(series).unwrap(),
        study_instance_uid: StudyInstanceUid::parse("2.25.1").unwrap(),
        patient_id: "7".to_owned(),
        patient_name: patient_name.to_owned(),
        instances_count: 12,
        request_id: format!("registers {series}"),
        requested_at: Timestamp::UNIX_EPOCH,
    };
    publish(&jetstream, &request).await.await.unwrap();
}

async fn publish<E: Event>(
    jetstream: &jetstream::Context,
    event: &E,
) -> jetstream::context::PublishAckFuture {
    Message::of(event).unwrap().publish(jetstream).await.unwrap()
}
