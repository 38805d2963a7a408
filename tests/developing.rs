//! What developers get beside the service: the AsyncAPI document.

use crate::harness::Collimator;
use crate::harness::node::node;

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
