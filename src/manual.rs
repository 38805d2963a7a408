//! What a shell and `man` know of the command line, made of the command line itself.

use crate::output;
use anyhow::Context as _;
use clap::{Args, Command};
use clap_complete::Shell;
use std::path::PathBuf;
use std::process::ExitCode;

/// Name of the program, also where its file is called otherwise.
const NAME: &str = "collimator";

/// Which completions.
#[derive(Debug, Clone, Copy, Args)]
pub struct CompletionsSettings {
    /// The shell that they are for
    shell: Shell,
}

/// Where the manual goes.
#[derive(Debug, Clone, Args)]
pub struct ManSettings {
    /// Write the pages of all commands into a folder, such as /usr/local/share/man/man1, instead of
    /// printing the first
    #[arg(long, value_name = "FOLDER")]
    into: Option<PathBuf>,
}

/// Prints the script that completes the commands and options of `command` in a shell.
///
/// # Errors
/// When it can't be printed.
pub fn completions(
    mut command: Command,
    settings: CompletionsSettings,
) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(settings.shell, &mut command, NAME, &mut script);
    output::answer(script, ExitCode::SUCCESS)
}

/// Prints the manual page of `command`, or writes that and those of its own commands.
///
/// # Errors
/// When it can't be printed or written.
pub fn man(command: Command, settings: &ManSettings) -> anyhow::Result<ExitCode> {
    let mut page = Vec::new();
    match &settings.into {
        Some(folder) => {
            let what = || format!("cannot write the manual into {}", folder.display());
            std::fs::create_dir_all(folder).with_context(what)?;
            clap_mangen::generate_to(command, folder).with_context(what)?;
        }
        None => clap_mangen::Man::new(command).render(&mut page)?,
    }
    output::answer(page, ExitCode::SUCCESS)
}
