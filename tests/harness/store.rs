//! A broker whose store can be looked into, and damaged.

use super::eventually;
use super::pipeline::{Process, free_addr, nats_conf, nats_server};
use async_nats::jetstream;
use shared::stream::position;
use std::fs;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A broker whose store is at hand.
pub struct Broker {
    process: Process,
    addr: SocketAddr,
    folder: TempDir,
}

impl Broker {
    /// With an empty store.
    pub async fn start() -> Self {
        let (folder, addr) = (tempfile::tempdir().unwrap(), free_addr());
        let process = nats_server(&nats_conf(), folder.path(), addr.port(), 0).await;
        let broker = Self { process, addr, folder };
        broker.answers().await;
        broker
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("nats://{}", self.addr)
    }

    async fn answers(&self) {
        eventually("the broker", async || async_nats::connect(self.url()).await.ok()).await;
    }

    /// Its store.
    pub fn store(&self) -> PathBuf {
        self.folder.path().join("nats")
    }

    /// Stops it, does something to its store, and starts it again.
    pub async fn while_stopped(&mut self, with: impl FnOnce(&Path)) {
        self.process.signal("TERM");
        self.process.ended().await;
        with(&self.store());
        let (folder, port) = (self.folder.path(), self.addr.port());
        self.process = nats_server(&nats_conf(), folder, port, 0).await;
        self.answers().await;
    }

    /// A copy of its store, as an administrator makes one.
    pub async fn copies(&mut self) -> TempDir {
        let copy = tempfile::tempdir().unwrap();
        self.while_stopped(|store| copy_all(store, copy.path())).await;
        copy
    }

    /// The store of before is there again.
    pub async fn has_again(&mut self, copy: &TempDir) {
        self.while_stopped(|store| {
            fs::remove_dir_all(store).unwrap();
            copy_all(copy.path(), store);
        })
        .await;
    }

    /// Some events of INSTANCES are gone, as somebody deletes them.
    pub async fn loses(&self, sequences: RangeInclusive<u64>) {
        let client = async_nats::connect(self.url()).await.unwrap();
        let stream = jetstream::new(client).get_stream("INSTANCES").await.unwrap();
        for sequence in sequences {
            stream.delete_message(sequence).await.unwrap();
        }
    }

    /// The last sequence of INSTANCES.
    pub async fn last(&self) -> u64 {
        let client = async_nats::connect(self.url()).await.unwrap();
        position(&client).await.unwrap().last
    }
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_all(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}
