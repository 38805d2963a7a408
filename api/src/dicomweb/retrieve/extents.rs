//! Parts of files as they are served: frames and bulk data, a chunk when the client has taken the one before.

use super::chunks::Chunks;
use super::failure::Failure;
use super::parts::Boundary;
use crate::dicomweb::data_set::pixel_data::{Extent, PixelData};
use crate::dicomweb::data_set::values::turn_round;
use crate::dicomweb::data_set::{Encoding, Source, Unreadable};
use bytes::Bytes;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use store::{CHUNK, Object};

/// An open file and what is known of it.
#[derive(Debug, Clone)]
pub(crate) struct File {
    pub(crate) object: Object,
    pub(crate) transfer_syntax_uid: String,
    /// For the log.
    pub(crate) key: String,
}

impl File {
    /// Reads the data set with `work`, on a thread that may wait.
    pub(crate) async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(Source) -> Result<T, Unreadable> + Send + 'static,
    ) -> Result<T, Failure> {
        let (object, syntax) = (self.object.clone(), self.transfer_syntax_uid.clone());
        let done = self.object.with(move || work(Source::open(&object, &syntax)?)).await?;
        done.map_err(|error| self.unreadable(error))
    }

    fn unreadable(&self, error: Unreadable) -> Failure {
        Failure::Unreadable { error, key: self.key.clone() }
    }
}

/// What is served of a file.
pub(crate) enum Extents {
    /// The value of an element.
    One(Option<Extent>),
    /// Frames, each when its turn comes.
    Frames(Arc<PixelData>, VecDeque<u64>),
}

impl Extents {
    /// The next one, and what its place ends in.
    fn next(&mut self) -> Option<(Extent, String)> {
        match self {
            Self::One(extent) => Some((extent.take()?, String::new())),
            Self::Frames(pixels, numbers) => {
                let number = numbers.pop_front()?;
                Some((pixels.frame(number).ok()?, format!("/{number}")))
            }
        }
    }
}

/// The message: each extent as a part, or the only one by itself.
pub(crate) struct Message {
    file: File,
    extents: Extents,
    /// What is around each, if anything is: the boundary, the media type and the place.
    around: Option<(Boundary, String, String)>,
    ranges: VecDeque<Range<u64>>,
    turned: usize,
    /// What is left of the extent.
    left: u64,
    /// The inflated data set, where the one of the file is deflated.
    inflated: Option<Source>,
    is_whole: bool,
}

impl Chunks for Message {
    async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            if let Some(range) = self.ranges.front_mut() {
                if range.is_empty() {
                    self.ranges.pop_front();
                    continue;
                }
                let start = range.start;
                let end = range.end.min(start + CHUNK as u64);
                range.start = end;
                return self.read(start..end).await.map(Some);
            }
            if let Some((extent, number)) = self.extents.next() {
                self.left = extent.len();
                (self.ranges, self.turned) = (extent.ranges.into(), extent.turned);
                match &self.around {
                    Some((boundary, media_type, place)) => {
                        return Ok(Some(boundary.head(media_type, &format!("{place}{number}"))));
                    }
                    None => continue,
                }
            }
            if self.is_whole {
                return Ok(None);
            }
            self.is_whole = true;
            return Ok(self.around.as_ref().map(|(boundary, ..)| boundary.end()));
        }
    }
}

impl Message {
    pub(crate) fn new(
        file: File,
        extents: Extents,
        around: Option<(Boundary, String, String)>,
    ) -> Self {
        let ranges = VecDeque::new();
        Self { file, extents, around, ranges, turned: 1, left: 0, inflated: None, is_whole: false }
    }

    /// Reads a range of no more than [`CHUNK`].
    async fn read(&mut self, range: Range<u64>) -> Result<Bytes, Failure> {
        let bytes = match Encoding::of(&self.file.transfer_syntax_uid).deflated {
            false => self.file.object.read(range).await?,
            true => self.inflate(range).await?,
        };
        if self.turned == 1 {
            return Ok(bytes);
        }
        let mut bytes = Vec::from(bytes);
        turn_round(&mut bytes, self.turned);
        bytes.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.left -= bytes.len() as u64;
        Ok(bytes.into())
    }

    /// The same of the inflated data set, which is inflated from its beginning for what lies before where it is.
    async fn inflate(&mut self, range: Range<u64>) -> Result<Bytes, Failure> {
        let source = self.inflated.take().filter(|source| source.position() <= range.start);
        let (object, syntax) = (self.file.object.clone(), self.file.transfer_syntax_uid.clone());
        let inflate = move || -> Result<_, Unreadable> {
            let mut source = match source {
                Some(source) => source,
                None => Source::open(&object, &syntax)?,
            };
            source.skip(range.start - source.position())?;
            let length = usize::try_from(range.end - range.start).unwrap_or_default();
            let mut bytes = vec![0; length];
            source.read_exact(&mut bytes)?;
            Ok((source, Bytes::from(bytes)))
        };
        let inflated = self.file.object.with(inflate).await?;
        let (source, bytes) = inflated.map_err(|error| self.file.unreadable(error))?;
        self.inflated = Some(source);
        Ok(bytes)
    }
}
