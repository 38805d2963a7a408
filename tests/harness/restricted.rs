//! A broker that lets in whom it knows: the project's own configuration with passwords of its own, and services
//! that are its users.

use super::eventually;
use super::pipeline::{
    Ends, Process, address, free_addr, nats_server_with, service, test_settings, with,
};
use async_nats::{Client, ConnectOptions};
use shared::nats_user::NatsUser;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;
use tokio::net::TcpStream;

/// The broker, and what a service is told to be let in.
pub struct RestrictedBroker {
    /// Where it listens.
    pub addr: SocketAddr,
    /// Its process.
    pub process: Process,
    /// What lives as long as it.
    pub folder: TempDir,
    /// For each service, beside its name and password.
    pub settings: Vec<(&'static str, String)>,
}

/// The three services on such a broker.
pub struct RestrictedServices {
    /// The receiver.
    pub ingest: Process,
    /// The catalogue's writer.
    pub indexer: Process,
    /// The HTTP API.
    pub api: Process,
    /// Where they are reached, with all rights.
    pub ends: Ends,
}

/// A folder with the configuration files of the project and the passwords that they include.
pub fn project_files() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy_files(folder.path());
    folder
}

fn copy_files(folder: &Path) {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in ["nats.conf", "nats-users.conf", "nats-tls.conf"] {
        std::fs::copy(project.join(name), folder.join(name)).unwrap();
    }
    let mut made = Command::new(project.join("container/nats-passwords"));
    assert!(made.arg(folder.join("passwords")).status().unwrap().success());
}

impl RestrictedBroker {
    /// One with `nats-users.conf`.
    pub async fn start() -> Self {
        Self::start_with("nats-users.conf", &[], str::to_owned).await
    }

    /// One with this file of the project, edited, and what it takes from the environment.
    pub async fn start_with(
        configuration: &str,
        environment: &[(&'static str, &str)],
        edit: impl FnOnce(&str) -> String,
    ) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), configuration, environment, edit).await
    }

    /// The same in a folder that may have a store already.
    pub async fn start_in(
        folder: TempDir,
        configuration: &str,
        environment: &[(&'static str, &str)],
        edit: impl FnOnce(&str) -> String,
    ) -> Self {
        copy_files(folder.path());
        let configuration = folder.path().join(configuration);
        let edited = edit(&std::fs::read_to_string(&configuration).unwrap());
        std::fs::write(&configuration, edited).unwrap();
        let addr = free_addr();
        let process =
            nats_server_with(&configuration, folder.path(), addr.port(), 0, environment).await;
        eventually("the broker", async || TcpStream::connect(addr).await.ok()).await;
        let settings = vec![("NATS_URL", format!("nats://{addr}"))];
        Self { addr, process, folder, settings }
    }

    /// Where a user's password is.
    pub fn password_file(&self, user: &str) -> PathBuf {
        self.folder.path().join("passwords").join(user).join("password")
    }

    /// A user's password.
    pub fn password(&self, user: &str) -> String {
        std::fs::read_to_string(self.password_file(user)).unwrap().trim_end().to_owned()
    }

    /// A user, as a service is told who it is.
    pub fn user(&self, name: &str) -> NatsUser {
        NatsUser {
            nats_user: Some(name.to_owned()),
            nats_password_file: Some(self.password_file(name)),
            ..NatsUser::default()
        }
    }

    /// The settings of a program that is this user.
    pub fn settings(&self, user: &str) -> Vec<(&'static str, String)> {
        let mut settings = test_settings(self.folder.path());
        let catalog = self.folder.path().join("catalog.db");
        settings.extend([
            ("DATABASE_URL", format!("sqlite://{}", catalog.display())),
            ("NATS_USER", user.to_owned()),
            ("NATS_PASSWORD_FILE", self.password_file(user).display().to_string()),
        ]);
        settings.extend(self.settings.clone());
        settings
    }

    /// Starts a service as the user of its name.
    pub async fn service(&self, name: &str, more: &[(&'static str, &str)]) -> Process {
        let settings = with(self.settings(name), more);
        Process::start(&service(name).await, self.folder.path(), &settings)
    }

    /// Starts all three, each as the user of its name, with settings for all of them.
    pub async fn services(
        &self,
        admin: Client,
        more: &[(&'static str, &str)],
    ) -> RestrictedServices {
        let mut indexer = self.service("indexer", more).await;
        indexer.indexes().await;
        let mut ingest = self.service("ingest", more).await;
        let mut api = self.service("api", more).await;
        let dicom = ingest.says("where it receives", |line| address(line, "ingest listens")).await;
        let at = api.says("where it is", |line| address(line, "api listens")).await;
        let ends = Ends {
            dicom,
            api: format!("http://{at}"),
            nats: admin,
            nats_url: format!("nats://{}", self.addr),
        };
        eventually("the receiver to be ready", async || {
            ingest.printed().contains("ingest starting").then_some(())
        })
        .await;
        RestrictedServices { ingest, indexer, api, ends }
    }

    /// Somebody with all rights.
    pub async fn admin(&self) -> Client {
        let admin =
            ConnectOptions::with_user_and_password("admin".to_owned(), self.password("admin"));
        admin.connect(self.addr.to_string()).await.unwrap()
    }
}

/// What a service was refused, as it logs it.
pub fn refusals(service: &Process) -> Vec<String> {
    let printed = service.printed();
    let refused = printed.lines().filter(|line| line.to_lowercase().contains("permissions"));
    refused.map(str::to_owned).collect()
}
