//! How the settings of a program are read: a flag, else the environment variable of the same name, else the settings
//! file, else the default. A bad value stops the start.

mod file;
mod layers;
#[cfg(test)]
mod tests;

pub use layers::{Origin, Setting, effective, in_toml, key};

use clap::{Arg, Command, Parser};
use file::Known;
use layers::Layers;
use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::process::ExitCode;

/// A settings file with every setting that it may have and the default of each, as comments. A test of `collimator`
/// compares it with the command lines of all programs.
pub const TEMPLATE: &str = include_str!("collimator.toml");

/// Reads the program's settings from its flags, its environment and the settings file.
///
/// # Errors
/// The exit code to end with: the error is printed in one line by then, or the help or
/// version that was asked for.
pub fn read<A: Parser>() -> Result<A, ExitCode> {
    if let Some(name) = empty_variable(&A::command()) {
        eprintln!("{name} is empty: give it a value, or do not set it");
        return Err(ExitCode::from(2));
    }
    parse(std::env::args_os().collect(), &Known::of(TEMPLATE)).map_err(|refusal| match refusal {
        Refusal::Help(text) => {
            // Who reads it may have seen enough of it.
            let _ = write!(std::io::stdout(), "{text}");
            ExitCode::SUCCESS
        }
        Refusal::Error(line) => {
            eprintln!("error: {line}");
            ExitCode::from(2)
        }
    })
}

/// Why there are no settings.
#[derive(Debug)]
enum Refusal {
    /// The help or the version was asked for.
    Help(clap::Error),
    /// One line that says what is wrong.
    Error(String),
}

/// Reads the settings of a command line, the environment, and the file that they name. What the file sets and nothing
/// else does is given to clap as flags, so that each value is read, refused, and excludes or requires others as if it
/// came from anywhere else.
fn parse<A: Parser>(mut argv: Vec<OsString>, known: &Known) -> Result<A, Refusal> {
    let layers = Layers::of(A::command(), &argv, known);
    let layers = layers.map_err(|error| Refusal::Error(format!("{error:#}")))?;
    if let Some(layers) = &layers {
        let flags = layers.flags().map_err(|error| Refusal::Error(format!("{error:#}")))?;
        // Behind `--` they would be no flags.
        let end = argv.iter().position(|argument| argument == "--").unwrap_or(argv.len());
        argv.splice(end..end, flags);
    }
    A::try_parse_from(argv).map_err(|error| {
        if !error.use_stderr() {
            return Refusal::Help(error);
        }
        let line = one_line(&error.to_string());
        let line = line.strip_prefix("error: ").unwrap_or(&line);
        let place = layers.and_then(|layers| layers.place_of(&error));
        Refusal::Error(place.map_or(line.to_owned(), |place| format!("{place}: {line}")))
    })
}

/// Variables whose value may be empty: what stands before a scope may be nothing, and the other one is not
/// ours alone.
const MAY_BE_EMPTY: [&str; 2] = ["OIDC_SCOPE_PREFIX", "RUST_LOG"];

/// A variable of the program that is set to nothing. It may have been meant to keep somebody out, so it is
/// neither taken for a value nor for one that is not set.
fn empty_variable(command: &Command) -> Option<String> {
    let mut names = command.get_arguments().filter_map(Arg::get_env);
    let is_empty = |name: &&OsStr| {
        MAY_BE_EMPTY.iter().all(|other| other != name)
            && std::env::var_os(name).is_some_and(|value| value.is_empty())
    };
    let name = names.find(is_empty).map(|name| name.display().to_string());
    name.or_else(|| command.get_subcommands().find_map(empty_variable))
}

/// Clap's message without its hints: all of the first paragraph, in one line. It repeats the value, so what
/// stands before an `@` there, which may be a password, is left out.
fn one_line(message: &str) -> String {
    let paragraph = message.split("\n\n").next().unwrap_or(message);
    let words = paragraph.split_whitespace().map(|word| {
        let servers = word.split(',').map(|server| {
            let (scheme, rest) = server.split_once("://").unwrap_or(("", server));
            match rest.rsplit_once('@') {
                Some((_, host)) if scheme.is_empty() => format!("...@{host}"),
                Some((_, host)) => format!("{scheme}://...@{host}"),
                None => server.to_owned(),
            }
        });
        servers.collect::<Vec<_>>().join(",")
    });
    words.collect::<Vec<_>>().join(" ")
}
