//! What is sent: synthetic instances of the sizes that are asked for, as files for the senders of
//! others and in memory for our own.

use anyhow::Context as _;
use collimator::synthetic::SyntheticStudy;
use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use dicom_transfer_syntax_registry::entries::EXPLICIT_VR_LITTLE_ENDIAN;
use std::path::{Path, PathBuf};

/// What real MR instances have before the pixel data: a private element of this many bytes.
const PRIVATE_ELEMENT: usize = 64 * 1024;

/// Serial numbers of the instances of one association begin with it: all have as many digits.
const FIRST_SERIAL: u64 = 100_000_000_000;

/// A kind of instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Input {
    /// MR of 0.5 MB, with a private element of 64 KiB.
    Mr,
    /// MR of 32 KB.
    Tiny,
    /// 64 frames in one instance, 16 MB.
    MultiFrame,
}

impl Input {
    /// What it is called in a table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Mr => "0.5 MB",
            Self::Tiny => "32 KB",
            Self::MultiFrame => "16 MB (64 frames)",
        }
    }

    fn study(self, instances: u32) -> SyntheticStudy {
        let (rows, columns) = match self {
            Self::Mr => (480, 480),
            Self::Tiny => (124, 124),
            Self::MultiFrame => (352, 352),
        };
        SyntheticStudy::new().series("MR", instances).size(rows, columns)
    }

    /// A folder for each association with `instances` files, below `folder`; what is there already is
    /// not made again.
    pub(crate) fn files(
        self,
        folder: &Path,
        associations: usize,
        instances: u32,
    ) -> anyhow::Result<Vec<PathBuf>> {
        (0..associations)
            .map(|number| {
                let files = folder.join(format!("{self:?}-{instances}-{number}"));
                if !files.exists() {
                    let part = files.with_extension("part");
                    let study = self.study(instances).extra(move |data_set| self.extra(data_set));
                    study.write_to(&part)?;
                    std::fs::rename(part.join("1"), &files)?;
                }
                Ok(files)
            })
            .collect()
    }

    /// One instance in memory, from which any number can be made.
    pub(crate) fn template(self) -> anyhow::Result<Template> {
        let study = self.study(1);
        let uid = format!("{}.{FIRST_SERIAL}", study.study_instance_uid());
        let study = study.extra({
            let uid = uid.clone();
            move |data_set| {
                self.extra(data_set);
                put(data_set, tags::SOP_INSTANCE_UID, VR::UI, PrimitiveValue::from(uid.as_str()));
            }
        });
        let instance = study.instances()?.into_iter().next().context("no instance")?;
        let mut data_set = Vec::new();
        instance.write_dataset_with_ts(&mut data_set, &EXPLICIT_VR_LITTLE_ENDIAN.erased())?;
        Ok(Template { uid, data_set })
    }

    fn extra(self, data_set: &mut InMemDicomObject) {
        match self {
            Self::Mr => put_private_element(data_set),
            Self::Tiny => {}
            Self::MultiFrame => {
                put_private_element(data_set);
                put_frames(data_set, 64);
            }
        }
    }
}

/// An instance in explicit VR little endian, whose SOP Instance UID ends in a serial number.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    /// Its SOP Instance UID.
    pub(crate) uid: String,
    /// Its data set.
    pub(crate) data_set: Vec<u8>,
}

impl Template {
    /// Up to the value of the pixel data, which is said to have `length` bytes and follows.
    pub(crate) fn up_to_pixel_data(mut self, length: u32) -> anyhow::Result<Self> {
        // Tag and VR, two reserved bytes, and the length of the value in four (PS3.5 7.1.2).
        const PIXEL_DATA: &[u8] = b"\xe0\x7f\x10\x00OW\0\0";
        let windows = self.data_set.windows(PIXEL_DATA.len());
        let at = windows.into_iter().position(|bytes| bytes == PIXEL_DATA);
        self.data_set.truncate(at.context("no pixel data")? + PIXEL_DATA.len());
        self.data_set.extend_from_slice(&length.to_le_bytes());
        Ok(self)
    }

    /// The digits that `serial` has in place of those of the template.
    pub(crate) fn serial(serial: u64) -> String {
        (FIRST_SERIAL + serial).to_string()
    }
}

fn put_private_element(data_set: &mut InMemDicomObject) {
    put(data_set, Tag(0x0029, 0x0010), VR::LO, PrimitiveValue::from("COLLIMATOR BENCH"));
    let bytes = (0..PRIVATE_ELEMENT).map(|index| index as u8).collect();
    put(data_set, Tag(0x0029, 0x1010), VR::OB, PrimitiveValue::U8(bytes));
}

fn put_frames(data_set: &mut InMemDicomObject, frames: usize) {
    put(data_set, tags::NUMBER_OF_FRAMES, VR::IS, PrimitiveValue::from(frames.to_string()));
    let Ok(pixels) =
        data_set.element(tags::PIXEL_DATA).map(|element| element.to_multi_int::<u16>())
    else {
        return;
    };
    let all = pixels.unwrap_or_default().repeat(frames);
    put(data_set, tags::PIXEL_DATA, VR::OW, PrimitiveValue::U16(all.into()));
}

fn put(data_set: &mut InMemDicomObject, tag: Tag, vr: VR, value: PrimitiveValue) {
    data_set.put(DataElement::new(tag, vr, value));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_have_the_sizes_that_they_are_called_by() {
        for (input, size) in
            [(Input::Mr, 526_000), (Input::Tiny, 32_000), (Input::MultiFrame, 15_930_000)]
        {
            let length = input.template().unwrap().data_set.len();
            assert!(length.abs_diff(size) < size / 50, "{}: {length}", input.name());
        }
    }

    #[test]
    fn a_data_set_ends_where_its_pixel_data_begins() {
        let template = Input::Tiny.template().unwrap().up_to_pixel_data(1 << 31).unwrap();
        assert_eq!(template.data_set[template.data_set.len() - 4..], [0, 0, 0, 0x80]);
        assert!(template.data_set.len() < 2000);
    }
}
