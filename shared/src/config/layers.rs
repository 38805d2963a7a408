//! The settings of one invocation, and where each is from.

use super::TEMPLATE;
use super::file::{Known, SettingsFile, Value};
use anyhow::{bail, ensure};
use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

/// Where the value of a setting is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The command line.
    Flag,
    /// An environment variable.
    Environment,
    /// A line of the settings file.
    File {
        /// Its number, from 1.
        line: usize,
    },
    /// Nothing sets it.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("flag"),
            Self::Environment => f.write_str("environment"),
            Self::File { line } => write!(f, "file, line {line}"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// The value that a setting has.
#[derive(Debug)]
pub struct Setting {
    /// The heading that `--help` has it under.
    pub heading: Option<String>,
    /// Its name in a settings file.
    pub key: String,
    /// Its value in TOML, if it has one.
    pub value: Option<String>,
    /// Whether its value may hold a password.
    pub is_secret: bool,
    /// Where the value is from.
    pub origin: Origin,
}

/// The name of a setting in a settings file: that of its environment variable in small letters.
#[must_use]
pub fn key(argument: &Arg) -> Option<String> {
    argument.get_env()?.to_str().map(str::to_ascii_lowercase)
}

/// The values of a setting as a settings file has them.
#[must_use]
pub fn in_toml(argument: &Arg, values: &[&str]) -> String {
    // A string of JSON is one of TOML.
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    match values {
        [text] if argument.get_value_delimiter().is_none() => {
            let is_bare = text.parse::<i64>().is_ok() || text.parse::<bool>().is_ok();
            if is_bare { (*text).to_owned() } else { quoted(text) }
        }
        texts => {
            format!("[{}]", texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", "))
        }
    }
}

/// The settings of the command that this process was started with, in the order of `--help`.
///
/// # Errors
/// When the settings file can't be read.
pub fn effective(program: Command) -> anyhow::Result<Vec<Setting>> {
    let argv: Vec<_> = std::env::args_os().collect();
    let layers = Layers::of(program, &argv, &Known::of(TEMPLATE))?;
    Ok(layers.map(|layers| layers.settings()).unwrap_or_default())
}

/// A command that is run, and what it was given.
pub(super) struct Layers {
    command: Command,
    /// Its flags and its environment.
    given: ArgMatches,
    file: Option<SettingsFile>,
}

impl Layers {
    /// Of a command line, as far as it can be understood without the file; none if it asks for help.
    ///
    /// # Errors
    /// When the file can't be read.
    pub(super) fn of(
        mut program: Command,
        argv: &[OsString],
        known: &Known,
    ) -> anyhow::Result<Option<Self>> {
        // An error may be one only without the file.
        let parsed = program.clone().ignore_errors(true).try_get_matches_from(argv);
        let Ok(mut given) = parsed else { return Ok(None) };
        program.build();
        let mut command = &program;
        while let Some((name, of_subcommand)) = given.remove_subcommand() {
            let Some(subcommand) = command.find_subcommand(name) else { return Ok(None) };
            (command, given) = (subcommand, of_subcommand);
        }
        let path = given.try_get_one::<PathBuf>("config").ok().flatten();
        let file = path.map(|path| SettingsFile::read(path, known)).transpose()?;
        Ok(Some(Self { command: command.clone(), given, file }))
    }

    /// The settings with their values.
    pub(super) fn settings(&self) -> Vec<Setting> {
        let setting = |argument: &Arg| {
            let in_file = self.in_file(argument);
            let origin = match (self.given.value_source(argument.get_id().as_str()), in_file) {
                (Some(ValueSource::CommandLine), _) => Origin::Flag,
                (Some(ValueSource::EnvVariable), _) => Origin::Environment,
                (_, Some((_, value))) => Origin::File { line: value.line },
                _ => Origin::Default,
            };
            let texts: Vec<String> = match in_file {
                Some((_, value)) => match argument.get_value_delimiter() {
                    Some(delimiter) => value.text.split(delimiter).map(str::to_owned).collect(),
                    None => vec![value.text.clone()],
                },
                None => {
                    let raw = self.given.get_raw(argument.get_id().as_str());
                    raw.into_iter().flatten().map(|it| it.to_string_lossy().into_owned()).collect()
                }
            };
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            Some(Setting {
                heading: argument.get_help_heading().map(str::to_owned),
                key: key(argument)?,
                value: (!texts.is_empty()).then(|| in_toml(argument, &texts)),
                is_secret: argument.is_hide_env_values_set(),
                origin,
            })
        };
        self.command.get_arguments().filter_map(setting).collect()
    }

    /// What the file has for a setting that is set by neither flag nor environment.
    fn in_file(&self, argument: &Arg) -> Option<(&SettingsFile, &Value)> {
        let file = self.file.as_ref()?;
        let value = file.get(&key(argument)?)?;
        let source = self.given.value_source(argument.get_id().as_str());
        let is_given = matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable));
        (!is_given).then_some((file, value))
    }

    /// What the file sets and nothing else does, as flags.
    ///
    /// # Errors
    /// When the value of one is of a type that it can't have.
    pub(super) fn flags(&self) -> anyhow::Result<Vec<OsString>> {
        let mut flags = Vec::new();
        for argument in self.command.get_arguments() {
            let Some(flag) = argument.get_long() else { continue };
            let Some((file, value)) = self.in_file(argument) else { continue };
            let what = || format!("{}: --{flag}", file.place(value));
            let takes_list = argument.get_value_delimiter().is_some();
            ensure!(takes_list || !value.is_list, "{} takes one value, not a list", what());
            match (argument.get_action(), value.text.as_str()) {
                (ArgAction::SetTrue, "true") => flags.push(format!("--{flag}").into()),
                (ArgAction::SetTrue, "false") => {}
                (ArgAction::SetTrue, _) => bail!("{} must be true or false", what()),
                (_, text) => flags.push(format!("--{flag}={text}").into()),
            }
        }
        Ok(flags)
    }

    /// Where the file has the setting that clap complains about.
    pub(super) fn place_of(&self, error: &clap::Error) -> Option<String> {
        let kinds = [ContextKind::InvalidArg, ContextKind::PriorArg];
        let named: Vec<_> = kinds.iter().filter_map(|kind| error.get(*kind)).collect();
        let is_named = |argument: &&Arg| {
            let flag = argument.to_string();
            named.iter().any(|value| match value {
                ContextValue::String(name) => *name == flag,
                ContextValue::Strings(names) => names.contains(&flag),
                _ => false,
            })
        };
        let arguments = self.command.get_arguments();
        let (file, value) =
            arguments.filter(is_named).find_map(|argument| self.in_file(argument))?;
        Some(file.place(value))
    }
}
