//! A bucket on a real S3 server, which keeps its objects as files and can be killed.

use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s_fs::FileSystem;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

/// Who may use it.
pub const KEY_ID: &str = "collimator-test-key";
/// With this.
pub const SECRET: &str = "a-secret-that-nobody-shows";

/// The server, with one bucket, `dicom`.
pub struct Bucket {
    root: TempDir,
    addr: SocketAddr,
    server: Option<Runtime>,
}

impl Bucket {
    /// On a free port.
    pub async fn start() -> Self {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("dicom")).unwrap();
        let mut bucket = Self { root, addr: ([127, 0, 0, 1], 0).into(), server: None };
        bucket.serve().await;
        bucket
    }

    /// Serves, again after it was killed, on the same port.
    pub async fn serve(&mut self) {
        let listener = TcpListener::bind(self.addr).await.unwrap();
        self.addr = listener.local_addr().unwrap();
        let listener = listener.into_std().unwrap();
        let service = {
            let mut builder = S3ServiceBuilder::new(FileSystem::new(self.root.path()).unwrap());
            builder.set_auth(SimpleAuth::from_single(KEY_ID, SECRET));
            builder.build()
        };
        let server = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        server.spawn(accept(listener, service));
        self.server = Some(server);
    }

    /// Breaks all connections at once, and takes none any more.
    pub fn kill(&mut self) {
        self.server.take().unwrap().shutdown_background();
    }

    /// The settings of who uses it, below the prefix `ward`.
    pub fn settings(&self) -> Vec<(&'static str, &'static str)> {
        vec![
            ("STORE_URL", "s3://dicom/ward"),
            ("AWS_ENDPOINT_URL", format!("http://{}", self.addr).leak()),
            ("AWS_ACCESS_KEY_ID", KEY_ID),
            ("AWS_SECRET_ACCESS_KEY", SECRET),
        ]
    }

    /// The file of an object.
    pub fn path(&self, key: &str) -> PathBuf {
        self.root.path().join("dicom/ward").join(key)
    }

    /// The files of all instances.
    pub fn instances(&self) -> Vec<PathBuf> {
        let objects = self.path("objects");
        let mut found = if objects.exists() { files(&objects) } else { Vec::new() };
        found.retain(|path| path.extension().is_some_and(|it| it == "dcm"));
        found
    }

    /// Whether parts are there of an upload that was neither completed nor given up.
    pub fn has_parts(&self) -> bool {
        let names = std::fs::read_dir(self.root.path()).unwrap();
        names.map(|it| it.unwrap().file_name()).any(|name| {
            let name = name.to_string_lossy();
            name.starts_with(".upload_id-")
        })
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.shutdown_background();
        }
    }
}

async fn accept(listener: std::net::TcpListener, service: S3Service) {
    let listener = TcpListener::from_std(listener).unwrap();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let service = service.clone();
        tokio::spawn(async move {
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found
}
