//! Where the instance store is, and what it leaves free.

use crate::s3::{BucketPlace, S3Settings};
use bytesize::ByteSize;
use clap::Args;
use shared::settings::size;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use url::Url;

/// Settings of the instance store.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Instance store")]
pub struct StoreSettings {
    /// Instance store, which keeps instances as received: `none`, `file://` and the path of a folder, or `s3://`, a
    /// bucket and a prefix
    #[arg(long, env = "STORE_URL", default_value = "none")]
    pub store_url: StoreUrl,

    /// Free space to leave on the file system of STORE_URL=file://...; senders are refused below it
    #[arg(long, env = "STORE_RESERVE", default_value = "4GiB", value_parser = size)]
    pub store_reserve: ByteSize,

    /// Settings of S3.
    #[command(flatten)]
    pub s3: S3Settings,
}

/// Where the instance store is, if there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// Nowhere: instances are not kept.
    None,
    /// In this folder.
    Folder(PathBuf),
    /// In this bucket.
    Bucket(BucketPlace),
}

impl StoreUrl {
    /// The folder, if the store is one.
    #[must_use]
    pub fn folder(&self) -> Option<&PathBuf> {
        match self {
            Self::None | Self::Bucket(_) => None,
            Self::Folder(folder) => Some(folder),
        }
    }

    /// Whether there is a store.
    #[must_use]
    pub fn is_some(&self) -> bool {
        *self != Self::None
    }
}

impl FromStr for StoreUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "write it like `file:///srv/dicom`, `s3://bucket/prefix` or `none`";
        if text == "none" {
            return Ok(Self::None);
        }
        if text.starts_with("s3:") {
            return text.parse().map(Self::Bucket);
        }
        let url = Url::parse(text).map_err(|error| format!("{error}; {FORM}"))?;
        if url.scheme() != "file" {
            return Err(format!("is of the scheme {}; {FORM}", url.scheme()));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(format!("has a `?` or `#`: in a path they are `%3F` and `%23`; {FORM}"));
        }
        let folder =
            url.to_file_path().map_err(|()| format!("is no path of this machine; {FORM}"))?;
        match folder.parent() {
            Some(_) => Ok(Self::Folder(folder)),
            None => Err(format!("is the root of the file system; {FORM}")),
        }
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => to.write_str("none"),
            Self::Bucket(place) => place.fmt(to),
            Self::Folder(folder) => match Url::from_file_path(folder) {
                Ok(url) => url.fmt(to),
                Err(()) => folder.display().fmt(to),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_none_a_folder_or_a_bucket() {
        assert_eq!("none".parse(), Ok(StoreUrl::None));
        let folder = StoreUrl::Folder("/srv/dicom files".into());
        assert_eq!("file:///srv/dicom%20files".parse(), Ok(folder.clone()));
        assert_eq!("file://localhost/srv/dicom files".parse(), Ok(folder.clone()));
        assert_eq!(folder.to_string(), "file:///srv/dicom%20files");
        let bucket: StoreUrl = "s3://bucket/prefix".parse().unwrap();
        assert_eq!((bucket.to_string(), bucket.folder()), ("s3://bucket/prefix".to_owned(), None));
        assert_eq!(StoreUrl::None.to_string(), "none");
        for bad in [
            "",
            "/srv/dicom",
            "srv",
            "file:///",
            "file://host/srv",
            "file:///srv?x",
            "file:///srv#x",
            "http://host/srv",
        ] {
            let error = bad.parse::<StoreUrl>().unwrap_err();
            assert!(error.contains("file:///srv/dicom"), "{bad}: {error}");
        }
    }
}
