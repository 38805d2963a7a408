//! Files as they are served one behind the other: as parts of a multipart message, or in a ZIP archive. A chunk is read when
//! the client has taken the one before.

use super::accept::DICOM;
use super::chunks::Chunks;
use super::failure::Failure;
use super::instances::Instances;
use super::open;
use super::urls::url_of;
use super::zip::Zip;
use bytes::Bytes;
use catalog::StoredInstance;
use contract::dicomweb::DicomwebUrls;
use store::{Object, Objects};

/// How files are put together.
pub(crate) enum Envelope {
    /// Each after a head with its media type and place (PS3.18 section 8.6.1.2), below the URL of DICOMweb.
    Multipart { boundary: Boundary, urls: DicomwebUrls, study: String },
    /// In an archive.
    Zip(Zip),
}

/// What parts a multipart message into its parts.
#[derive(Debug, Clone)]
pub(crate) struct Boundary(String);

impl Boundary {
    pub(crate) fn new() -> Self {
        Self(uuid::Uuid::new_v4().simple().to_string())
    }

    /// The media type of the message, whose parts have this one.
    pub(crate) fn content_type(&self, parts: &str) -> String {
        format!("multipart/related; type=\"{parts}\"; boundary={}", self.0)
    }

    /// What comes before a part.
    pub(crate) fn head(&self, content_type: &str, location: &str) -> Bytes {
        let boundary = &self.0;
        format!(
            "\r\n--{boundary}\r\nContent-Type: {content_type}\r\nContent-Location: {location}\r\n\r\n"
        )
        .into()
    }

    /// What comes after the last part.
    pub(crate) fn end(&self) -> Bytes {
        format!("\r\n--{}--\r\n", self.0).into()
    }
}

/// Files that are being served.
pub(crate) struct Parts {
    instances: Instances,
    objects: Objects,
    envelope: Envelope,
    state: State,
}

enum State {
    /// The next file is to be opened.
    Between,
    /// A file, and how much of it is read.
    Within(Object, u64),
    /// All files are read.
    End,
}

impl Chunks for Parts {
    async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            match &mut self.state {
                State::Between => match self.next_kept().await? {
                    Some(instance) => {
                        let object = open(&self.objects, &instance).await?;
                        let head = self.envelope.begin(&instance, object.len());
                        self.state = State::Within(object, 0);
                        return Ok(Some(head));
                    }
                    None => {
                        self.state = State::End;
                        if let Envelope::Multipart { boundary, .. } = &self.envelope {
                            return Ok(Some(boundary.end()));
                        }
                    }
                },
                State::Within(object, read) => {
                    let bytes = object.read(*read..object.len()).await?;
                    if !bytes.is_empty() {
                        *read += bytes.len() as u64;
                        if let Envelope::Zip(zip) = &mut self.envelope {
                            zip.data(&bytes);
                        }
                        return Ok(Some(bytes));
                    }
                    self.state = State::Between;
                    if let Envelope::Zip(zip) = &mut self.envelope {
                        return Ok(Some(zip.end_of_file()));
                    }
                }
                State::End => {
                    return Ok(match &mut self.envelope {
                        Envelope::Zip(zip) => zip.directory(),
                        Envelope::Multipart { .. } => None,
                    });
                }
            }
        }
    }
}

impl Parts {
    pub(crate) fn new(instances: Instances, objects: Objects, envelope: Envelope) -> Self {
        Self { instances, objects, envelope, state: State::Between }
    }

    /// The next instance that has a file.
    async fn next_kept(&mut self) -> Result<Option<StoredInstance>, Failure> {
        while let Some(instance) = self.instances.next().await? {
            if instance.object().is_some() {
                return Ok(Some(instance));
            }
        }
        Ok(None)
    }
}

impl Envelope {
    fn begin(&mut self, instance: &StoredInstance, length: u64) -> Bytes {
        match self {
            Self::Multipart { boundary, urls, study } => {
                let syntax = &instance.transfer_syntax_uid;
                let content_type = format!("{DICOM}; transfer-syntax={syntax}");
                boundary.head(&content_type, &url_of(urls, study, instance))
            }
            Self::Zip(zip) => zip.begin(instance, length),
        }
    }
}
