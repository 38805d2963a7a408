//! Everything that receives, under one name each: started afresh for each measurement, with its data in
//! a folder of its own.

use crate::broker::{Broker, REPLICAS, Sync};
use crate::lab::{Lab, free_port};
use crate::peers::storescp::Storing;
use crate::peers::{debian, dicom_rs, listening, orthanc, python, storescp};
use crate::pipeline::Pipeline;
use crate::postgres::{self, Postgres};
use crate::process::{Program, Usage};
use crate::programs::build;
use anyhow::anyhow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tokio::process::Command;
use url::Url;

/// A receiver as it is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Receiver {
    /// All in one process, with its own nats-server, as `cargo run --release` starts it.
    Collimator,
    /// The same with an instance store: each instance is a file, synced before it is answered.
    CollimatorKeeping,
    /// The first on a nats-server that does not sync: what the promise costs.
    CollimatorUnsynced,
    /// The same on three nats-servers that replicate their streams and do not sync.
    CollimatorReplicated,
    /// On a nats-server that syncs, with the catalogue in PostgreSQL.
    CollimatorPostgres,
    /// `ingest` by itself on a nats-server that syncs: nobody indexes.
    Ingest,
    /// dcmtk's, which throws away what it receives.
    StorescpIgnore,
    /// The same, taking PDUs as long as ours.
    StorescpIgnoreLongPdus,
    /// dcmtk's, which writes files.
    StorescpFiles,
    /// Debian's.
    Orthanc,
    /// dicom-rs's, which writes files.
    DicomStorescp,
    /// A script on pynetdicom.
    Pynetdicom,
}

impl Receiver {
    /// All of them.
    pub(crate) const ALL: [Self; 12] = [
        Self::Collimator,
        Self::CollimatorKeeping,
        Self::CollimatorUnsynced,
        Self::CollimatorReplicated,
        Self::CollimatorPostgres,
        Self::Ingest,
        Self::StorescpIgnore,
        Self::StorescpIgnoreLongPdus,
        Self::StorescpFiles,
        Self::Orthanc,
        Self::DicomStorescp,
        Self::Pynetdicom,
    ];

    /// What it is called in a table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Collimator => "Collimator",
            Self::CollimatorKeeping => "Collimator, instance store",
            Self::CollimatorUnsynced => "Collimator, broker not syncing",
            Self::CollimatorReplicated => "Collimator, three brokers not syncing",
            Self::CollimatorPostgres => "Collimator, PostgreSQL",
            Self::Ingest => "ingest alone",
            Self::StorescpIgnore => "storescp --ignore",
            Self::StorescpIgnoreLongPdus => "storescp --ignore, 128 KiB PDUs",
            Self::StorescpFiles => "storescp, files",
            Self::Orthanc => "Orthanc",
            Self::DicomStorescp => "dicom-storescp, files",
            Self::Pynetdicom => "pynetdicom",
        }
    }

    /// Whether it is Collimator, which has the kernel acknowledge at once.
    pub(crate) fn is_ours(self) -> bool {
        matches!(
            self,
            Self::Collimator
                | Self::CollimatorKeeping
                | Self::CollimatorUnsynced
                | Self::CollimatorReplicated
                | Self::CollimatorPostgres
                | Self::Ingest
        )
    }

    /// Whether what it received is on disk when it says Success.
    pub(crate) fn syncs(self) -> bool {
        matches!(
            self,
            Self::Collimator | Self::CollimatorKeeping | Self::CollimatorPostgres | Self::Ingest
        )
    }
}

/// The programs of the receivers that can be had here.
#[derive(Debug)]
pub(crate) struct Receivers(BTreeMap<Receiver, PathBuf>);

impl Receivers {
    /// Installs and builds what is needed for the receivers that are asked for, and says which are
    /// left out and why, and the versions of the others.
    pub(crate) async fn prepare(lab: &Lab, wanted: &[Receiver]) -> Self {
        let mut found = BTreeMap::new();
        for receiver in wanted {
            let program = match receiver {
                Receiver::Collimator
                | Receiver::CollimatorKeeping
                | Receiver::CollimatorUnsynced
                | Receiver::CollimatorReplicated => build("collimator").await,
                Receiver::CollimatorPostgres => match postgres::install().await {
                    Ok(()) => build("collimator").await,
                    Err(error) => Err(error),
                },
                Receiver::Ingest => build("ingest").await,
                Receiver::StorescpIgnore
                | Receiver::StorescpIgnoreLongPdus
                | Receiver::StorescpFiles => debian::program("storescp", "dcmtk").await,
                Receiver::Orthanc => debian::program("Orthanc", "orthanc").await,
                Receiver::DicomStorescp => dicom_rs::install(&lab.target).await,
                Receiver::Pynetdicom => python::install(&lab.target).await,
            };
            match program {
                Ok(program) => _ = found.insert(*receiver, program),
                Err(error) => println!("left out: {}: {error:#}", receiver.name()),
            }
        }
        let mut programs: Vec<_> = found.values().chain([&lab.nats_server]).collect();
        programs.sort();
        programs.dedup();
        let mut versions = Vec::new();
        for program in programs {
            versions.push(debian::version(program).await);
        }
        println!("{}\n", versions.join(", "));
        Self(found)
    }

    /// Whether it can be had here.
    pub(crate) fn have(&self, receiver: Receiver) -> bool {
        self.0.contains_key(&receiver)
    }

    /// Starts one of those that are there. `no_delay` is for what is built on dcmtk; the others do
    /// what they do.
    pub(crate) async fn start(
        &self,
        lab: &Lab,
        receiver: Receiver,
        no_delay: bool,
    ) -> anyhow::Result<Running> {
        let mut folders = vec![lab.folder()?];
        let (at, binary) = (folders[0].path(), self.0[&receiver].as_path());
        let port = free_port()?;
        let (port, programs, pipeline) = match receiver {
            Receiver::Collimator => {
                let server = lab.nats_server.display().to_string();
                let pipeline = Pipeline::start(binary, at, &[("NATS_SERVER", server)]).await?;
                (pipeline.dicom, Vec::new(), Some(pipeline))
            }
            Receiver::CollimatorKeeping => {
                let store = Url::from_file_path(at.join("store"))
                    .map_err(|()| anyhow!("{}: no path for a URL", at.display()))?;
                let settings = [
                    ("NATS_SERVER", lab.nats_server.display().to_string()),
                    ("STORE_URL", store.to_string()),
                    ("STORE_RESERVE", "1MiB".to_owned()),
                ];
                let pipeline = Pipeline::start(binary, at, &settings).await?;
                (pipeline.dicom, Vec::new(), Some(pipeline))
            }
            Receiver::CollimatorUnsynced => {
                let broker = Broker::start(&lab.nats_server, at, Sync::Sometimes).await?;
                let url = ("NATS_URL", broker.url.clone());
                let pipeline = Pipeline::start(binary, at, &[url]).await?;
                (pipeline.dicom, broker.programs, Some(pipeline))
            }
            Receiver::CollimatorReplicated => {
                let broker = Broker::start_cluster(&lab.nats_server, at, Sync::Sometimes).await?;
                let replicas = ("STREAM_REPLICAS", REPLICAS.to_string());
                let settings = [("NATS_URL", broker.url.clone()), replicas];
                let pipeline = Pipeline::start(binary, at, &settings).await?;
                (pipeline.dicom, broker.programs, Some(pipeline))
            }
            Receiver::CollimatorPostgres => {
                let Postgres { program, url, folder } = Postgres::start(lab).await?;
                let server = lab.nats_server.display().to_string();
                let settings = [("NATS_SERVER", server), ("DATABASE_URL", url)];
                let pipeline = Pipeline::start(binary, at, &settings).await?;
                folders.push(folder);
                (pipeline.dicom, vec![program], Some(pipeline))
            }
            Receiver::Ingest => {
                let broker = Broker::start(&lab.nats_server, at, Sync::Always).await?;
                let ingest = ingest(binary, at, &broker.url, port).await?;
                (port, broker.programs.into_iter().chain([ingest]).collect(), None)
            }
            Receiver::StorescpIgnore => {
                let storing = Storing::Ignore;
                (port, vec![storescp::start(binary, at, port, no_delay, storing).await?], None)
            }
            Receiver::StorescpIgnoreLongPdus => {
                let storing = Storing::IgnoreLongPdus;
                (port, vec![storescp::start(binary, at, port, no_delay, storing).await?], None)
            }
            Receiver::StorescpFiles => {
                let storing = Storing::Files;
                (port, vec![storescp::start(binary, at, port, no_delay, storing).await?], None)
            }
            Receiver::Orthanc => {
                let ports = (port, free_port()?);
                (port, vec![orthanc::start(binary, at, ports, no_delay).await?], None)
            }
            Receiver::DicomStorescp => (port, vec![dicom_rs::start(binary, at, port).await?], None),
            Receiver::Pynetdicom => (port, vec![python::receiver(binary, at, port).await?], None),
        };
        Ok(Running { port, programs, pipeline, _folders: folders })
    }
}

/// Starts `ingest` on a broker.
pub(crate) async fn ingest(
    binary: &Path,
    folder: &Path,
    nats_url: &str,
    port: u16,
) -> anyhow::Result<Program> {
    let mut command = Command::new(binary);
    command
        .env("NATS_URL", nats_url)
        .env("DICOM_ADDR", format!("127.0.0.1:{port}"))
        .env("ADMIN_ADDR", "127.0.0.1:0")
        .env("MAX_ASSOCIATIONS_PER_PEER", "100")
        .env("RUST_LOG", "warn");
    let mut program = Program::start(&mut command, &folder.join("ingest.log"))?;
    listening(&mut program, port).await?;
    Ok(program)
}

/// A receiver that runs until this is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    /// Where it listens.
    pub(crate) port: u16,
    programs: Vec<Program>,
    pipeline: Option<Pipeline>,
    // Last, so that they go when nobody writes to them any more.
    _folders: Vec<TempDir>,
}

impl Running {
    fn programs(&self) -> impl Iterator<Item = &Program> {
        self.programs.iter().chain(self.pipeline.iter().map(|pipeline| &pipeline.program))
    }

    /// Its processes, without what they have started.
    pub(crate) fn ids(&self) -> Vec<u32> {
        self.programs().map(Program::id).collect()
    }

    /// What all of its processes have used so far.
    pub(crate) fn usage(&self) -> Usage {
        self.programs().map(Program::usage).fold(Usage::default(), Usage::and)
    }
}
