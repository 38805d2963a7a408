//! Settings by file: what is written is read, and each value says where it is from.

use crate::harness::pipeline::{COLLIMATOR, Ends, Process, service};
use collimator::send::{SendSettings, send};
use collimator::synthetic::SyntheticStudy;
use shared::config::TEMPLATE;
use std::path::Path;
use std::process::{Command, Output};

fn run(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(COLLIMATOR).args(arguments).current_dir(folder).output().unwrap()
}

fn printed(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[tokio::test]
async fn the_pipeline_runs_as_its_file_says() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let text = format!(
        "[catalogue]\ndata_dir = '{}'\n\
         [nats]\nnats_addr = '127.0.0.1:0'\ninstances_max_bytes = '64MiB'\n\
         [dicom_receiver]\ndicom_addr = '127.0.0.1:0'\nae_title = 'FROM_FILE'\ncheck_called_ae = true\n\
         [completeness]\nquiet_period = '1s'\n\
         [http_api]\napi_addr = '127.0.0.1:0'\n",
        data.display()
    );
    let path = folder.path().join("collimator.toml");
    std::fs::write(&path, text).unwrap();
    let file = [("COLLIMATOR_CONFIG", path.display().to_string())];
    let mut process = Process::start(Path::new(COLLIMATOR), folder.path(), &file);
    let word_after = |start: &'static str| {
        move |line: &str| {
            let rest = line.trim_start().strip_prefix(start)?;
            Some(rest.split_whitespace().next()?.to_owned())
        }
    };
    let dicom =
        process.says("its AE title and where it receives", word_after("DICOM  FROM_FILE on "));
    let dicom = dicom.await.parse().unwrap();
    let api = process.says("where its API is", word_after("API    ")).await;
    let nats = process.says("where its broker is", word_after("NATS   ")).await;
    let ends = Ends::new(dicom, api, nats).await;
    assert!(data.join("catalog.db").exists());

    let study = SyntheticStudy::new().series("MR", 2);
    let paths = study.write_to(&folder.path().join("study")).unwrap();
    let mut settings = SendSettings::new(dicom.to_string(), paths);
    assert!(send(&settings).await.is_err(), "its AE title is another");
    settings.called_ae = "FROM_FILE".to_owned();
    assert!(send(&settings).await.unwrap().is_complete());
    ends.lists(&study.series_instance_uids()[0], 2).await;
}

#[test]
fn the_file_that_is_written_has_the_defaults_and_shows_what_overrides_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("collimator.toml");
    assert!(run(folder.path(), &["config", "init"]).status.success());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), TEMPLATE);
    let again = run(folder.path(), &["config", "init"]);
    assert_eq!(again.status.code(), Some(1), "{}", printed(&again));

    let unset = printed(&run(folder.path(), &["config", "show"]));
    let commented = printed(&run(folder.path(), &["config", "show", "--config=collimator.toml"]));
    assert_eq!(commented, unset, "it has comments only");

    // Each default, as it would stand there without its `#`.
    let is_default = |line: &&str| {
        let is_setting = line.starts_with('#') && !line.starts_with("# ") && line.contains(" = ");
        is_setting && !line.ends_with("\"\"") && !line.ends_with("[]")
    };
    let uncommented = |line: &str| match Some(line).filter(is_default) {
        Some(line) => format!("{}\n", &line[1..]),
        None => format!("{line}\n"),
    };
    std::fs::write(&path, TEMPLATE.lines().map(uncommented).collect::<String>()).unwrap();
    let arguments = ["config", "show", "--config=collimator.toml", "--quiet-period=3s"];
    let shown = printed(&run(folder.path(), &arguments));
    assert!(shown.lines().any(|line| line == "quiet_period = \"3s\" # flag"), "{shown}");
    assert!(shown.lines().count() > 80, "{shown}");
    let without_origin = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| !line.starts_with("quiet_period"));
        lines.map(|line| line.split(" # ").next().unwrap().to_owned()).collect()
    };
    assert_eq!(without_origin(&shown), without_origin(&unset), "the same values");
    let from_file = shown.lines().filter(|line| line.contains(" # file, line ")).count();
    assert_eq!(from_file, TEMPLATE.lines().filter(is_default).count() - 1, "{shown}");
    // What is shown is a settings file itself.
    std::fs::write(&path, &shown).unwrap();
    let checked = run(folder.path(), &["check-config", "--config=collimator.toml"]);
    let said = printed(&checked);
    assert!(
        checked.status.success() && said.starts_with("Settings are read from collimator.toml."),
        "{said}"
    );
}

#[tokio::test]
async fn a_setting_that_is_none_stops_each_program_with_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("collimator.toml");
    std::fs::write(&file, "[completeness]\nquiet_perod = '1s'\n").unwrap();
    let mut programs = vec![Path::new(COLLIMATOR).to_owned()];
    for name in ["ingest", "indexer", "api"] {
        programs.push(service(name).await);
    }
    for program in programs {
        let output = Command::new(&program).arg("--config").arg(&file).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let file = file.display();
        assert_eq!(
            said,
            format!(
                "error: COLLIMATOR_CONFIG {file}: line 2: unknown setting quiet_perod; did you mean quiet_period?\n"
            )
        );
        assert_eq!(output.status.code(), Some(2), "{}", program.display());
    }
}
