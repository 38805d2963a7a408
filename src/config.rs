//! `collimator config`: writes a settings file, and prints what the settings are.

use crate::output;
use crate::pipeline::PipelineSettings;
use anyhow::Context as _;
use clap::{Args, Command, Subcommand};
use shared::config::{self, Setting};
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// What is done about the settings.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Write a settings file in which every setting stands as a comment, with its default
    Init(InitSettings),
    /// Print the value of each setting as TOML, and where it is from; values that may hold secrets are left out
    Show(Box<PipelineSettings>),
}

/// Where the file goes.
#[derive(Debug, Args)]
pub struct InitSettings {
    /// The file to write; it must not exist
    #[arg(default_value = "collimator.toml")]
    file: PathBuf,
}

/// Carries out a command of the program with this command line.
///
/// # Errors
/// When the file exists or can't be written, or nothing can be printed.
pub fn run(command: &ConfigCommand, program: Command) -> anyhow::Result<ExitCode> {
    match command {
        ConfigCommand::Init(InitSettings { file }) => {
            let what = || format!("cannot write {}", file.display());
            let mut new = File::create_new(file).with_context(what)?;
            new.write_all(config::TEMPLATE.as_bytes()).with_context(what)?;
            let file = file.display();
            let text = format!("{file} is written. To use it: collimator --config {file}\n");
            output::answer(text, ExitCode::SUCCESS)
        }
        ConfigCommand::Show(_) => {
            output::answer(describe(&config::effective(program)?), ExitCode::SUCCESS)
        }
    }
}

/// The name of the table for a heading of `--help`.
fn table(heading: &str) -> String {
    let words = heading.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("_")
}

/// The settings of each table, in the order in which the tables are first met.
fn by_table<T>(settings: impl IntoIterator<Item = (String, T)>) -> Vec<(String, Vec<T>)> {
    let mut tables: Vec<(String, Vec<T>)> = Vec::new();
    for (name, setting) in settings {
        match tables.iter_mut().find(|(other, _)| *other == name) {
            Some((_, settings)) => settings.push(setting),
            None => tables.push((name, vec![setting])),
        }
    }
    tables
}

/// The settings as a settings file, with the origin of each. What has no value, or one that may hold a secret, is a
/// comment.
fn describe(settings: &[Setting]) -> String {
    let with_heading = settings.iter().filter_map(|it| Some((table(it.heading.as_ref()?), it)));
    let mut text = String::new();
    for (name, settings) in by_table(with_heading) {
        let gap = if text.is_empty() { "" } else { "\n" };
        let _ = writeln!(text, "{gap}[{name}]");
        for Setting { key, value, is_secret, origin, .. } in settings {
            let _ = match value {
                Some(_) if *is_secret => writeln!(text, "#{key} = (hidden) # {origin}"),
                Some(value) => writeln!(text, "{key} = {value} # {origin}"),
                None => writeln!(text, "#{key} = \"\" # {origin}"),
            };
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use catalog::CatalogSettings;
    use clap::{Arg, CommandFactory, Parser};
    use shared::admin::AdminSettings;
    use shared::config::Origin;
    use shared::settings::{CommonSettings, NatsSettings};

    /// How the file begins.
    const INTRODUCTION: &str = "\
# Settings of Collimator. To use this file: --config FILE, or COLLIMATOR_CONFIG=FILE in the environment, for
# `collimator` and for each of `ingest`, `indexer` and `api`, which take the settings that they have.
# Flags override environment variables, and these override this file.
#
# `#name = value` is a setting with its default (\"\" or []: no default). Remove the `#` to change it.
# Secrets are not written here, but to files of their own that settings name.
";

    /// The settings of all programs. Where several have one, the first describes it.
    fn arguments() -> Vec<Arg> {
        #[derive(Debug, Parser)]
        struct Pipeline {
            #[command(flatten)]
            _pipeline: PipelineSettings,
        }
        #[derive(Debug, Parser)]
        struct Ingest {
            #[command(flatten)]
            _stow: ingest::StowSettings,
        }
        #[derive(Debug, Parser)]
        struct Services {
            #[command(flatten)]
            _stow: api::stow::settings::StowSettings,
            #[command(flatten)]
            _nats: NatsSettings,
            #[command(flatten)]
            _catalog: CatalogSettings,
            #[command(flatten)]
            _admin: AdminSettings,
            #[command(flatten)]
            _common: CommonSettings,
        }
        let mut commands = [Pipeline::command(), Ingest::command(), Services::command()];
        let built = commands.iter_mut().flat_map(|command| {
            command.build();
            command.get_arguments().cloned()
        });
        built.filter(|argument| argument.get_help_heading().is_some()).collect()
    }

    /// The settings file of all programs.
    fn template(arguments: &[Arg]) -> String {
        let default = |argument: &Arg| {
            let values: Vec<_> =
                argument.get_default_values().iter().filter_map(|value| value.to_str()).collect();
            (!values.is_empty()).then(|| config::in_toml(argument, &values))
        };
        let keys: Vec<String> = arguments.iter().filter_map(config::key).collect();
        let is_secret = |argument: &Arg| {
            let key = config::key(argument).unwrap();
            argument.is_hide_env_values_set() && keys.contains(&format!("{key}_file"))
        };
        let heading = |argument: &Arg| table(argument.get_help_heading().unwrap());
        let settings = arguments.iter().filter(|argument| !is_secret(argument));
        let mut text = INTRODUCTION.to_owned();
        for (name, arguments) in by_table(settings.map(|it| (heading(it), it))) {
            let _ = writeln!(text, "\n[{name}]");
            let same = arguments.iter().map(|it| (config::key(it).unwrap(), it));
            for (key, arguments) in by_table(same) {
                let _ = writeln!(text, "\n# {}", arguments[0].get_help().unwrap());
                let first = default(arguments[0]);
                for other in &arguments[1..] {
                    if let Some(value) =
                        default(other).filter(|value| Some(value) != first.as_ref())
                    {
                        let _ = writeln!(text, "# Default of the services alone: {value}");
                    }
                }
                let none = if arguments[0].get_value_delimiter().is_some() { "[]" } else { "\"\"" };
                let _ = writeln!(text, "#{key} = {}", first.as_deref().unwrap_or(none));
            }
        }
        text
    }

    #[test]
    fn the_settings_file_has_every_setting_with_its_default() {
        let template = template(&arguments());
        if std::env::var_os("UPDATE_CONFIG").is_some() {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/shared/src/config/collimator.toml");
            return std::fs::write(path, template).unwrap();
        }
        assert_eq!(config::TEMPLATE, template, "UPDATE_CONFIG=1 cargo test -p collimator --lib");
    }

    #[test]
    fn a_value_that_may_hold_a_secret_is_not_shown() {
        let setting = |key: &str, value: Option<&str>, is_secret| Setting {
            heading: Some("Health, logging and shutdown".to_owned()),
            key: key.to_owned(),
            value: value.map(|value| format!("{value:?}")),
            is_secret,
            origin: Origin::File { line: 3 },
        };
        let settings = [
            setting("a", Some("b"), false),
            setting("c", Some("sesame"), true),
            setting("d", None, true),
        ];
        assert_eq!(
            describe(&settings),
            "[health_logging_and_shutdown]\na = \"b\" # file, line 3\n\
             #c = (hidden) # file, line 3\n#d = \"\" # file, line 3\n"
        );
    }
}
