//! A file of the settings that can be reloaded: a bad one leaves what was read before.

use anyhow::Context as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// A file, and what it said when it was last read and good.
#[derive(Debug)]
pub(crate) struct ReloadableFile<T> {
    /// The name of its setting.
    setting: &'static str,
    path: PathBuf,
    read: fn(&Path) -> anyhow::Result<T>,
    last: Mutex<T>,
}

impl<T: Clone> ReloadableFile<T> {
    /// Reads it for the first time.
    ///
    /// # Errors
    /// When it can't be read or understood, with the name of its setting.
    pub(crate) fn new(
        setting: &'static str,
        path: &Path,
        read: fn(&Path) -> anyhow::Result<T>,
    ) -> anyhow::Result<Self> {
        let last = Mutex::new(read(path).context(setting)?);
        Ok(Self { setting, path: path.to_owned(), read, last })
    }

    /// What it says.
    pub(crate) fn current(&self) -> T {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads it again, and says what came of it.
    pub(crate) fn reload(&self) {
        match (self.read)(&self.path) {
            Ok(read) => {
                *self.last.lock().unwrap_or_else(PoisonError::into_inner) = read;
                tracing::info!("{} was read again", self.setting);
            }
            Err(error) => tracing::error!("{} stays as it was: {error:#}", self.setting),
        }
    }
}
