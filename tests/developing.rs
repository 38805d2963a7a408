//! What developers get beside the service: the AsyncAPI document and the clients.

use crate::harness::node::node;
use crate::harness::pipeline::free_addr;
use crate::harness::{Collimator, python};
use crate::keeping::Store;
use crate::tokens::create;
use collimator::synthetic::SyntheticStudy;
use std::ffi::OsString;
use std::path::Path;
use tempfile::TempDir;
use tokio::process::Command;

/// Parses the document by the official parser and prints its errors and warnings.
const PARSE: &str = r#"
const { Parser } = require("@asyncapi/parser");
const text = require("fs").readFileSync(process.argv[1], "utf8");
new Parser().parse(text).then(({ document, diagnostics }) => {
  const serious = diagnostics.filter((it) => it.severity <= 1);
  serious.forEach((it) => console.log(it.message, it.path.join("/")));
  if (document) console.log("channels", document.allChannels().length);
});
"#;

#[tokio::test]
async fn the_asyncapi_document_passes_the_official_parser() {
    let Some(node) = node().await else { return };
    let collimator = Collimator::start().await;
    let document = reqwest::get(format!("{}/asyncapi.json", collimator.api)).await.unwrap();
    let document = document.text().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("asyncapi.json");
    let parse = async |text: &str| {
        std::fs::write(&path, text).unwrap();
        let output = node.run(folder.path(), &["-e", PARSE, path.to_str().unwrap()]).await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let channels = document.matches("\"address\":").count();
    assert_eq!(parse(&document).await.trim(), format!("channels {channels}"));
    let broken = document.replacen("\"action\": \"send\"", "\"action\": \"shout\"", 1);
    assert_ne!(parse(&broken).await.trim(), format!("channels {channels}"));
}

const CLIENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/python");

/// What the client and its test need.
const PACKAGES: [&str; 4] = ["httpx==0.28.1", "mypy==2.4.1", "numpy==2.2.6", "pydicom==3.0.1"];

/// A Python that has the client and what it needs.
struct Client {
    path: OsString,
    _installed: Option<TempDir>,
}

impl Client {
    /// The client in its folder.
    async fn in_place() -> Option<Self> {
        let packages = python::packages("client", &PACKAGES).await?;
        let path = std::env::join_paths([Path::new(CLIENT), packages.as_path()]).unwrap();
        Some(Self { path, _installed: None })
    }

    /// The client as pip installs it from its folder.
    async fn installed() -> Option<Self> {
        let packages = python::packages("client", &PACKAGES).await?;
        let folder = tempfile::tempdir().unwrap();
        let (source, target) = (folder.path().join("source"), folder.path().join("installed"));
        // pip would leave what it builds in the folder.
        let copied = Command::new("cp").arg("-r").args([Path::new(CLIENT), &source]).output().await;
        assert!(copied.unwrap().status.success());
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--target"]);
        let output = pip.arg(&target).arg(&source).output().await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let path = std::env::join_paths([target, packages]).unwrap();
        Some(Self { path, _installed: Some(folder) })
    }

    /// Runs Python with it, and gives what was printed.
    async fn runs(&self, arguments: &[&str], folder: &Path) -> String {
        let mut python = Command::new("python3");
        python.args(arguments).current_dir(folder);
        python.env("PYTHONPATH", &self.path).env("PYTHONDONTWRITEBYTECODE", "1");
        let output = python.output().await.unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        let failed = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{printed}{failed}");
        printed
    }
}

#[tokio::test]
async fn the_python_client_is_typed_and_follows_from_the_specification() {
    let Some(client) = Client::in_place().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let generator = format!("{CLIENT}/generate.py");
    if std::env::var_os("UPDATE_CLIENTS").is_some() {
        client.runs(&[&generator, &format!("{CLIENT}/collimator_client")], folder.path()).await;
    }
    client.runs(&[&generator, folder.path().to_str().unwrap()], folder.path()).await;
    for name in ["models.py", "sync_client.py"] {
        let committed = std::fs::read_to_string(format!("{CLIENT}/collimator_client/{name}"));
        let made = std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert!(
            made == committed.unwrap(),
            "look at what `UPDATE_CLIENTS=1 cargo test -p collimator --test pipeline developing` makes of {name}"
        );
    }
    let script = format!("{CLIENT}/tests/end_to_end.py");
    let mypy = ["-m", "mypy", "--strict", "-p", "collimator_client"];
    client.runs(&mypy, folder.path()).await;
    client.runs(&["-m", "mypy", "--strict", &generator, &script], folder.path()).await;
}

#[tokio::test]
async fn the_python_client_does_what_it_says() {
    const SECRET: &str = "correct horse battery";
    let Some(client) = Client::installed().await else { return };
    let (store, folder) = (Store::new(), tempfile::tempdir().unwrap());
    let tokens = folder.path().join("tokens.toml");
    let (reader, admin) =
        (create(&tokens, "viewer", "read"), create(&tokens, "operator", "read,write,admin"));
    let port = free_addr().port().to_string();
    let webhooks = folder.path().join("webhooks.toml");
    let webhook = format!(
        "[[webhook]]\nname = 'ai'\nurl = 'http://127.0.0.1:{port}/'\nsecret = '{SECRET}'\n"
    );
    std::fs::write(&webhooks, webhook).unwrap();
    let settings =
        [("TOKENS_FILE", tokens.to_str().unwrap()), ("WEBHOOKS_FILE", webhooks.to_str().unwrap())];
    let collimator = Collimator::start_with(&[&store.settings()[..], &settings].concat()).await;
    let study = SyntheticStudy::new().series("CT", 2).series("MR", 3).size(16, 16);
    collimator.receives(study.write_to(&folder.path().join("study")).unwrap()).await;
    let script = format!("{CLIENT}/tests/end_to_end.py");
    let work = folder.path().to_str().unwrap();
    let uids = study.series_instance_uids();
    let arguments = [&script, &collimator.api, &reader, &admin, &port, SECRET, work];
    let arguments: Vec<_> = arguments.into_iter().chain(uids.iter().map(String::as_str)).collect();
    assert_eq!(client.runs(&arguments, folder.path()).await, "all is well\n");
}
