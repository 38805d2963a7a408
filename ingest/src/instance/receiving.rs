//! An instance that is being received: its bytes go to the header reader as they arrive, and which of them may be
//! skipped is decided here. Bytes in, values out: no association, no socket, no clock; a sink, where there is one.

use super::refusal::Refusal;
use crate::data_set::attributes;
use crate::data_set::header::{Encoding, Header, HeaderReader, Limits};
use crate::sink::Object;
use contract::uid::SeriesInstanceUid;

/// An instance whose data set has begun and has not ended.
pub(crate) struct Receiving {
    reader: HeaderReader,
    /// Where its bytes go beside its event, if anywhere.
    object: Option<Box<Object>>,
    /// Why the instance is refused. What comes after it is counted and dropped.
    fault: Option<Refusal>,
    bytes: u64,
}

/// An instance that was received to its end, whatever is wrong with it.
#[derive(Debug)]
pub(crate) struct Received {
    /// The header of its data set, or why the instance is refused.
    pub header: Result<Header, Refusal>,
    /// Series Instance UID (0020,000E), also where the rest of the header was no good.
    pub series: Option<SeriesInstanceUid>,
    /// Length of the data set in bytes.
    pub bytes: u64,
    /// All of its bytes, where they are kept and the instance is not refused.
    pub object: Option<Box<Object>>,
}

impl Receiving {
    /// An instance whose data set comes in `encoding` and is refused beyond the limits.
    #[must_use]
    pub(crate) fn new(encoding: Encoding, limits: Limits) -> Self {
        let reader = HeaderReader::new(encoding, attributes::WANTED, limits);
        Self { reader, object: None, fault: None, bytes: 0 }
    }

    /// The same, whose bytes go there as well: every one of them, and to its end.
    #[must_use]
    pub(crate) fn kept_in(self, object: Box<Object>) -> Self {
        Self { reader: self.reader.to_the_end(), object: Some(object), ..self }
    }

    /// The same, which is refused whatever comes.
    #[must_use]
    pub(crate) fn refused(self, refusal: Refusal) -> Self {
        Self { fault: Some(refusal), ..self }
    }

    /// How many of the next bytes may be skipped; any number once nothing that comes makes a difference.
    #[must_use]
    pub(crate) fn skippable(&self) -> u64 {
        match (&self.fault, &self.object) {
            (Some(_), _) => u64::MAX,
            (None, Some(_)) => 0,
            (None, None) => self.reader.skippable(),
        }
    }

    /// Takes the next bytes of the data set. It waits only where they are kept and the disk is behind.
    pub(crate) async fn push(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        if self.fault.is_none()
            && let Err(fault) = self.take(bytes).await
        {
            // Nothing of it is kept.
            self.object = None;
            self.fault = Some(fault);
        }
    }

    async fn take(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        self.reader.push(bytes)?;
        if let Some(object) = &mut self.object {
            object.write(bytes).await?;
        }
        Ok(())
    }

    /// Counts bytes that were skipped, no more than are [`skippable`](Self::skippable).
    pub(crate) fn skip(&mut self, length: u64) {
        self.bytes += length;
        if self.fault.is_none() {
            self.fault = self.reader.skip(length).err().map(Refusal::from);
        }
    }

    /// Bytes of the data set so far.
    #[must_use]
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The series, once it has been read.
    #[must_use]
    pub(crate) fn series(&self) -> Option<SeriesInstanceUid> {
        attributes::series_so_far(&self.reader)
    }

    /// The modality, once it has been read; empty until then.
    #[must_use]
    pub(crate) fn modality(&self) -> String {
        attributes::modality_so_far(&self.reader)
    }

    /// The instance, once its last bytes are here.
    #[must_use]
    pub(crate) fn finish(self) -> Received {
        let (series, bytes) = (self.series(), self.bytes);
        let header = match self.fault {
            Some(fault) => Err(fault),
            None => self.reader.finish().map_err(Refusal::from),
        };
        let object = self.object.filter(|_| header.is_ok());
        Received { header, series, bytes, object }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { header: 1024, inflated: 1024 };

    /// An element in explicit VR little endian, of a VR whose length has two bytes.
    fn element(group: u16, element: u16, vr: &[u8; 2], value: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(group.to_le_bytes());
        bytes.extend(element.to_le_bytes());
        bytes.extend(vr);
        bytes.extend((value.len() as u16).to_le_bytes());
        bytes.extend(value);
        bytes
    }

    /// Modality, Series Instance UID, and the start of pixel data of 4,000 bytes.
    fn before_pixels() -> Vec<u8> {
        let pixel_data: &[u8] = &[0xe0, 0x7f, 0x10, 0, b'O', b'W', 0, 0, 0xa0, 0x0f, 0, 0];
        let (modality, series) =
            (element(0x0008, 0x0060, b"CS", b"MR"), element(0x0020, 0x000e, b"UI", b"2.25.7"));
        [&modality, &series, pixel_data].concat()
    }

    fn receiving() -> Receiving {
        Receiving::new(Encoding::Explicit, LIMITS)
    }

    #[tokio::test]
    async fn pixel_data_is_skipped_where_no_sink_wants_it() {
        let mut receiving = receiving();
        assert_eq!(receiving.skippable(), 0);
        let before = before_pixels();
        receiving.push(&before).await;
        assert_eq!(receiving.skippable(), u64::MAX);
        assert_eq!(receiving.modality(), "MR");
        receiving.skip(4000);
        let received = receiving.finish();
        assert_eq!(received.bytes, before.len() as u64 + 4000);
        assert_eq!(received.series, SeriesInstanceUid::parse("2.25.7").ok());
        assert_eq!(received.header.unwrap().values[&attributes::SERIES_INSTANCE_UID], b"2.25.7");
    }

    #[tokio::test]
    async fn a_refused_instance_is_counted_to_its_end_and_its_series_is_known() {
        let mut receiving = receiving();
        receiving.push(&element(0x0020, 0x000e, b"UI", b"2.25.7")).await;
        let too_long = element(0x0028, 0x0010, b"US", &[0; 2]).repeat(200);
        receiving.push(&too_long).await;
        assert_eq!(receiving.skippable(), u64::MAX);
        receiving.skip(10);
        receiving.push(b"of no element").await;
        let received = receiving.finish();
        assert_eq!(received.bytes, 14 + too_long.len() as u64 + 10 + 13);
        assert_eq!(received.series, SeriesInstanceUid::parse("2.25.7").ok());
        assert_eq!(received.header.unwrap_err().cause, "header_too_long");
    }

    #[tokio::test]
    async fn an_instance_that_ends_in_its_pixel_data_is_refused() {
        let mut receiving = receiving();
        receiving.push(&before_pixels()).await;
        receiving.skip(3999);
        assert_eq!(receiving.finish().header.unwrap_err().cause, "truncated");
    }
}
