//! The metadata of instances, as it is served: one JSON array, written as the client takes it.

use super::chunks::Chunks;
use super::extents::File;
use super::failure::Failure;
use super::instances::Instances;
use super::open;
use super::urls::url_of;
use crate::dicomweb::data_set::json::Metadata;
use bytes::Bytes;
use contract::dicomweb::DicomwebUrls;
use store::Objects;

/// Bytes that are written at a time.
const CHUNK: usize = 64 * 1024;

/// Metadata that is being served.
pub(crate) struct MetadataList {
    instances: Instances,
    objects: Objects,
    urls: DicomwebUrls,
    study: String,
    current: Option<(File, Metadata)>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Begin,
    Within,
    End,
}

impl Chunks for MetadataList {
    async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        let mut bytes = Vec::new();
        if self.current.is_none() {
            if self.state == State::End {
                return Ok(None);
            }
            let begin = if self.state == State::Begin { b'[' } else { b',' };
            self.state = State::Within;
            match self.next_file().await? {
                Some(next) => self.current = Some(next),
                None => {
                    // Something was kept when it was looked at; by now nothing may be.
                    self.state = State::End;
                    let end: &[u8] = if begin == b'[' { b"[]" } else { b"]" };
                    return Ok(Some(Bytes::from_static(end)));
                }
            }
            bytes.push(begin);
        }
        let Some((file, mut metadata)) = self.current.take() else { return Ok(None) };
        let (key, object) = (file.key.clone(), file.object.clone());
        let write = move || {
            let written = metadata.write(&mut bytes, CHUNK);
            written.map(|has_more| (has_more, metadata, bytes))
        };
        let written = object.with(write).await?;
        let (has_more, metadata, bytes) =
            written.map_err(|error| Failure::Unreadable { error, key })?;
        self.current = has_more.then_some((file, metadata));
        Ok(Some(bytes.into()))
    }
}

impl MetadataList {
    pub(crate) fn new(
        instances: Instances,
        objects: Objects,
        urls: DicomwebUrls,
        study: String,
    ) -> Self {
        Self { instances, objects, urls, study, current: None, state: State::Begin }
    }

    async fn next_file(&mut self) -> Result<Option<(File, Metadata)>, Failure> {
        while let Some(instance) = self.instances.next().await? {
            let Some(object) = instance.object() else { continue };
            let place = format!("{}/bulkdata", url_of(&self.urls, &self.study, &instance));
            let file = File {
                object: open(&self.objects, &instance).await?,
                transfer_syntax_uid: instance.transfer_syntax_uid,
                key: object.key,
            };
            let metadata = file.with(move |source| Ok(Metadata::new(source, place))).await?;
            return Ok(Some((file, metadata)));
        }
        Ok(None)
    }
}
