//! What developers get beside the service: the AsyncAPI document and the clients.

use crate::harness::browser::Browser;
use crate::harness::node::node;
use crate::harness::pipeline::{Process, free_addr};
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

#[tokio::test]
async fn the_page_of_events_shows_each_with_its_keys_and_an_example() {
    let Some(browser) = Browser::start().await else { return };
    let collimator = Collimator::start().await;
    browser.open(&format!("{}/asyncapi", collimator.api)).await;
    let channels = include_str!("../api/asyncapi.json").matches("\"address\":").count();
    let shown = format!("document.querySelectorAll('section').length === {channels}");
    browser.waits_for(&shown).await;
    let of = "document.getElementById('dicom.series.completed').textContent";
    for text in ["dicom.series.completed.{Modality}", "InstancesCount", "ce-type: dicom.series"] {
        browser.waits_for(&format!("{of}.includes('{text}')")).await;
    }
    browser.keeps("asyncapi").await;
}

/// Whether a file that was made is the committed one.
fn is_committed(made: &Path, committed: &Path) {
    if std::env::var_os("UPDATE_CLIENTS").is_some() {
        std::fs::copy(made, committed).unwrap();
    }
    let [made, found] = [made, committed].map(|path| std::fs::read_to_string(path).unwrap());
    assert!(
        made == found,
        "the API changed; look at what `UPDATE_CLIENTS=1 cargo test -p collimator --test pipeline \
         developing` makes of {}",
        committed.display()
    );
}

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
    client.runs(&[&generator, folder.path().to_str().unwrap()], folder.path()).await;
    for name in ["models.py", "sync_client.py"] {
        let committed = format!("{CLIENT}/collimator_client/{name}");
        is_committed(&folder.path().join(name), Path::new(&committed));
    }
    let package = format!("{CLIENT}/collimator_client");
    client.runs(&["-m", "mypy", "--strict", &package, &generator], folder.path()).await;
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

#[tokio::test]
async fn the_types_of_typescript_follow_from_the_specification_and_are_strict() {
    let Some(node) = node().await else { return };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let runs = async |script: &str, arguments: &[&str]| {
        let script = node.script(script);
        let output = node.run(root, &[&[script.as_str()], arguments].concat()).await;
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
    };
    let folder = tempfile::tempdir().unwrap();
    let made = folder.path().join("openapi.d.ts");
    let arguments = ["--root-types", "--root-types-no-schema-prefix", "--output"];
    let arguments = [&["api/openapi.json"], &arguments[..], &[made.to_str().unwrap()]].concat();
    runs("openapi-typescript/bin/cli.js", &arguments).await;
    is_committed(&made, &root.join("clients/typescript/openapi.d.ts"));
    let options = ["--strict", "--noEmit", "--allowJs", "--checkJs", "--target", "es2022"];
    let modules = ["--module", "esnext", "--moduleResolution", "bundler"];
    let library = ["--lib", "es2022,dom,dom.asynciterable"];
    let files = ["clients/typescript/usage.ts", "examples/node/follow.mjs"];
    runs("typescript/bin/tsc", &[&options[..], &modules, &library, &files].concat()).await;
}

/// The program that docs/tutorial.md has its reader write, for the API at `api`.
fn program_of_the_tutorial(api: &str) -> String {
    let page = include_str!("../docs/tutorial.md");
    let (_, after) = page.split_once("```python\n").unwrap();
    after.split_once("```").unwrap().0.replace("http://127.0.0.1:8000", api)
}

#[tokio::test]
async fn the_examples_for_http_list_download_and_follow_and_make_volumes() {
    let (Some(client), Some(node)) = (Client::in_place().await, node().await) else { return };
    let (store, folder) = (Store::new(), tempfile::tempdir().unwrap());
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let path = |name: &str| examples.join(name).display().to_string();
    let collimator = Collimator::start_with(&store.settings()).await;
    let position = folder.path().join("position.txt");
    let at = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let environment = [
        at("API_URL", &collimator.api),
        at("LAST_EVENT_ID", "INSTANCES:1"),
        at("PYTHONPATH", client.path.to_str().unwrap()),
        at("POSITION_FILE", position.to_str().unwrap()),
        at("STORE", store.url().strip_prefix("file://").unwrap()),
    ];
    let environment: Vec<_> =
        environment.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    let starts = |program: &str, arguments: &[&str], environment: &[(&str, String)]| {
        Process::start_with(Path::new(program), arguments, folder.path(), environment)
    };
    let study = SyntheticStudy::new().series("CT", 3).size(16, 16);
    let [uid] = study.series_instance_uids().try_into().unwrap();
    let program = folder.path().join("first.py");
    std::fs::write(&program, program_of_the_tutorial(&collimator.api)).unwrap();
    let mut first = starts("python3", &[program.to_str().unwrap()], &environment);
    collimator.tells("event_listeners", 1).await;
    collimator.receives(study.write_to(&folder.path().join("study")).unwrap()).await;
    let last = "  3: (16, 16), values ";
    first.says("the last slice", |line| line.starts_with(last).then_some(())).await;
    assert!(first.printed().contains("CT series of 3 files:\n"), "{}", first.printed());

    let volumes = path("python/volumes.py");
    let shape = format!("volume: {uid} revision 1 shape (3, 16, 16) spacing (");
    for place in ["STORE", "none"] {
        std::fs::write(&position, "INSTANCES:1").unwrap();
        let kept = environment.iter().filter(|(name, _)| *name != "STORE" || place == "STORE");
        let environment: Vec<_> = kept.cloned().collect();
        let mut process = starts("python3", &[&volumes], &environment);
        process.says("the volume", |line| line.starts_with(&shape).then_some(())).await;
    }

    let mut follow =
        starts(node.program.to_str().unwrap(), &[&path("node/follow.mjs")], &environment);
    let complete = format!("complete: {uid} 3 released");
    follow.says("the completion", |line| (line == complete).then_some(())).await;

    let files = folder.path().join("files");
    let mut series = starts(
        "python3",
        &[&path("python/series.py"), "CT", files.to_str().unwrap()],
        &environment,
    );
    let listed = format!("{uid}: 3 files, complete since ");
    series.says("the series", |line| line.starts_with(&listed).then_some(())).await;
    let into = folder.path().to_str().unwrap();
    let mut latest = starts("bash", &[&path("curl/latest.sh"), into], &environment);
    let zip = format!("{into}/{uid}.zip");
    latest.says("the archive", |line| (line == zip).then_some(())).await;
    assert_eq!(std::fs::read(&zip).unwrap()[..2], *b"PK");
}
