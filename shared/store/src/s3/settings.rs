//! Where the bucket is, and who we are there: by the variables that other programs for S3 read, or by files.

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use http::Uri;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use url::Url;

/// How the URL of a bucket is written.
const FORM: &str = "write it like `s3://bucket/prefix`";

/// Settings of S3, which mean nothing where `STORE_URL` is none of `s3://`.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Instance store")]
pub struct S3Settings {
    /// The endpoint of the object storage of STORE_URL=s3://..., as `https://s3.example.org` [default: that of AWS]
    #[arg(long, env = "AWS_ENDPOINT_URL")]
    pub aws_endpoint_url: Option<String>,

    /// Region of the bucket, which is part of each signature [default: us-east-1]
    #[arg(long, env = "AWS_REGION")]
    pub aws_region: Option<String>,

    /// Access key ID for the bucket
    #[arg(long, env = "AWS_ACCESS_KEY_ID", hide_env_values = true)]
    pub aws_access_key_id: Option<Secret>,

    /// File whose first line is the access key ID, instead of AWS_ACCESS_KEY_ID
    #[arg(long, env = "AWS_ACCESS_KEY_ID_FILE", conflicts_with = "aws_access_key_id")]
    pub aws_access_key_id_file: Option<PathBuf>,

    /// Secret access key for the bucket
    #[arg(long, env = "AWS_SECRET_ACCESS_KEY", hide_env_values = true)]
    pub aws_secret_access_key: Option<Secret>,

    /// File whose first line is the secret access key, instead of AWS_SECRET_ACCESS_KEY
    #[arg(long, env = "AWS_SECRET_ACCESS_KEY_FILE", conflicts_with = "aws_secret_access_key")]
    pub aws_secret_access_key_file: Option<PathBuf>,

    /// Session token of temporary credentials [default: none]
    #[arg(long, env = "AWS_SESSION_TOKEN", hide_env_values = true)]
    pub aws_session_token: Option<Secret>,

    /// File whose first line is the session token, instead of AWS_SESSION_TOKEN
    #[arg(long, env = "AWS_SESSION_TOKEN_FILE", conflicts_with = "aws_session_token")]
    pub aws_session_token_file: Option<PathBuf>,
}

/// A value of a setting that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("Secret")
    }
}

/// What requests are made with.
pub(super) struct Access {
    /// Without a path. `None`: that of AWS for the region.
    pub(super) endpoint: Option<String>,
    pub(super) region: String,
    pub(super) access_key_id: String,
    pub(super) secret_access_key: String,
    pub(super) session_token: Option<String>,
}

impl S3Settings {
    /// Reads the files, and checks that all is there.
    ///
    /// # Errors
    /// When a setting is missing, or is none.
    pub(super) fn read(&self) -> anyhow::Result<Access> {
        let endpoint = self.aws_endpoint_url.as_deref().map(endpoint).transpose()?;
        let region = self.aws_region.clone().unwrap_or_else(|| "us-east-1".to_owned());
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let is_region = !region.is_empty() && region.bytes().all(is_name);
        ensure!(is_region, "AWS_REGION is no region; write it like `eu-central-1`");
        let [key, secret, token] = [
            ("AWS_ACCESS_KEY_ID", &self.aws_access_key_id, &self.aws_access_key_id_file),
            (
                "AWS_SECRET_ACCESS_KEY",
                &self.aws_secret_access_key,
                &self.aws_secret_access_key_file,
            ),
            ("AWS_SESSION_TOKEN", &self.aws_session_token, &self.aws_session_token_file),
        ]
        .map(|(name, text, file)| secret(name, text.as_ref(), file.as_deref()));
        let missing = |name| format!("STORE_URL=s3://... needs {name}, or {name}_FILE");
        Ok(Access {
            endpoint,
            region,
            access_key_id: key?.with_context(|| missing("AWS_ACCESS_KEY_ID"))?,
            secret_access_key: secret?.with_context(|| missing("AWS_SECRET_ACCESS_KEY"))?,
            session_token: token?,
        })
    }
}

/// A secret from its variable or its file, if there is one: text that a header can have.
fn secret(
    name: &str,
    text: Option<&Secret>,
    file: Option<&Path>,
) -> anyhow::Result<Option<String>> {
    let (what, text) = match (text, file) {
        (Some(Secret(text)), _) => (name.to_owned(), text.clone()),
        (None, Some(file)) => {
            let what = format!("{name}_FILE {}", file.display());
            let text = std::fs::read_to_string(file).with_context(|| what.clone())?;
            (what, text.lines().next().unwrap_or_default().to_owned())
        }
        (None, None) => return Ok(None),
    };
    let text = text.trim();
    let is_good = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    ensure!(is_good, "{what} is empty, or has spaces or control characters in it");
    Ok(Some(text.to_owned()))
}

/// An endpoint: scheme, host and port.
fn endpoint(text: &str) -> anyhow::Result<String> {
    const FORM: &str = "write it like `https://s3.example.org` or `http://127.0.0.1:9000`";
    // It is not shown: somebody may have written a password into it.
    let Ok(url) = text.parse::<Uri>() else { bail!("AWS_ENDPOINT_URL is no URL; {FORM}") };
    let (Some(scheme @ ("http" | "https")), Some(authority)) = (url.scheme_str(), url.authority())
    else {
        bail!("AWS_ENDPOINT_URL is of neither http nor https; {FORM}")
    };
    let is_bare = matches!(url.path(), "" | "/") && url.query().is_none();
    ensure!(
        is_bare && !authority.as_str().contains('@'),
        "AWS_ENDPOINT_URL has more than a host and a port; {FORM}"
    );
    Ok(format!("{scheme}://{authority}"))
}

/// A bucket, and what all keys in it begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketPlace {
    bucket: String,
    /// Names with `/` between them, or nothing.
    prefix: String,
}

impl BucketPlace {
    /// Its name.
    #[must_use]
    pub(super) fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The whole key of an object of the store, unless it is none.
    pub(super) fn key(&self, key: &str) -> Option<String> {
        let is_name = |name: &str| {
            !matches!(name, "" | "." | "..") && !name.bytes().any(|byte| byte.is_ascii_control())
        };
        key.split('/').all(is_name).then(|| match self.prefix.is_empty() {
            true => key.to_owned(),
            false => format!("{}/{key}", self.prefix),
        })
    }
}

impl FromStr for BucketPlace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = Url::parse(text).map_err(|error| format!("{error}; {FORM}"))?;
        let has_more = !url.username().is_empty()
            || url.password().is_some()
            || url.port().is_some()
            || url.query().is_some()
            || url.fragment().is_some();
        if has_more {
            return Err(format!("has more than a bucket and a prefix; {FORM}"));
        }
        let bucket = url.host_str().unwrap_or_default().to_owned();
        let is_of_bucket = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.'
        };
        // https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
        if !(3..=63).contains(&bucket.len()) || !bucket.bytes().all(is_of_bucket) {
            return Err(format!(
                "a bucket is called by 3 to 63 small letters, digits, dots and hyphens; {FORM}"
            ));
        }
        let prefix = url.path().trim_matches('/').to_owned();
        let is_of_prefix = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let is_name = |name: &str| !name.is_empty() && name.bytes().all(is_of_prefix);
        if !prefix.is_empty() && !prefix.split('/').all(is_name) {
            return Err(format!(
                "a prefix has letters, digits, `-`, `_`, `.`, and `/` between names; {FORM}"
            ));
        }
        Ok(Self { bucket, prefix })
    }
}

impl fmt::Display for BucketPlace {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.prefix.is_empty() {
            true => write!(to, "s3://{}", self.bucket),
            false => write!(to, "s3://{}/{}", self.bucket, self.prefix),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_may_have_a_prefix() {
        for (text, shown) in [
            ("s3://dicom", "s3://dicom"),
            ("s3://dicom/", "s3://dicom"),
            ("s3://dicom.example.org/a/b_2/", "s3://dicom.example.org/a/b_2"),
        ] {
            assert_eq!(text.parse::<BucketPlace>().unwrap().to_string(), shown);
        }
        for bad in [
            "s3://",
            "s3:///prefix",
            "s3://Bucket",
            "s3://ab",
            "s3://key:secret@bucket",
            "s3://bucket:9000/",
            "s3://bucket/a//b",
            "s3://bucket/a?b",
            "s3://bucket/a b",
        ] {
            let error = bad.parse::<BucketPlace>().unwrap_err();
            assert!(error.contains(FORM) && !error.contains("secret"), "{bad}: {error}");
        }
    }

    #[test]
    fn no_key_leads_out_of_the_prefix() {
        let place: BucketPlace = "s3://bucket/prefix".parse().unwrap();
        assert_eq!(place.key("a/b.dcm").unwrap(), "prefix/a/b.dcm");
        for bad in ["", "/", "..", "../a", "a/../b", "a//b", "a/", "a\0"] {
            assert_eq!(place.key(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn credentials_are_read_and_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        std::fs::write(&file, "s3cr3t\n").unwrap();
        let settings = S3Settings {
            aws_endpoint_url: Some("http://127.0.0.1:9000/".to_owned()),
            aws_access_key_id: Some("AKIA".to_owned().into()),
            aws_secret_access_key_file: Some(file.clone()),
            ..S3Settings::default()
        };
        let access = settings.read().unwrap();
        assert_eq!(access.endpoint.as_deref(), Some("http://127.0.0.1:9000"));
        assert_eq!((&*access.access_key_id, &*access.secret_access_key), ("AKIA", "s3cr3t"));
        assert!(!format!("{settings:?}").contains("AKIA"));
        let said = |settings: &S3Settings| format!("{:#}", settings.read().err().unwrap());
        std::fs::write(&file, "s3cr3t \x07x\n").unwrap();
        let error = said(&settings);
        assert!(
            error.contains("AWS_SECRET_ACCESS_KEY_FILE") && !error.contains("s3cr3t"),
            "{error}"
        );
        let missing = S3Settings { aws_secret_access_key_file: None, ..settings.clone() };
        assert!(said(&missing).contains("needs AWS_SECRET_ACCESS_KEY, or"), "{}", said(&missing));
        let endpoint = Some("http://user:pw@host".to_owned());
        let settings = S3Settings { aws_endpoint_url: endpoint, ..settings };
        let error = said(&settings);
        assert!(error.contains("AWS_ENDPOINT_URL") && !error.contains("pw"), "{error}");
    }
}
