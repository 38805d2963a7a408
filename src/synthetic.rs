//! A small made-up study of valid instances with something to see in them, for `collimator demo`
//! and for tests.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use dicom_core::{DataElement, PrimitiveValue, Tag, VR, value::C};
use dicom_dictionary_std::{tags, uids};
use dicom_object::{FileDicomObject, FileMetaTableBuilder, InMemDicomObject};
use uuid::Uuid;

/// Pixel values take 12 of their 16 bits, as scanners have them.
const BITS_STORED: u16 = 12;
const PIXEL_MAX: u32 = (1 << BITS_STORED) - 1;

const DATE: &str = "20260102";
const TIME: &str = "101500";

/// Adds to a data set, or changes it, before it is written.
type Extra = Arc<dyn Fn(&mut InMemDicomObject) + Send + Sync>;

/// A study of a patient who never lived. Its UIDs are new for each [`SyntheticStudy::new`] and
/// stay the same after that, so its instances can be sent again.
#[derive(Clone)]
pub struct SyntheticStudy {
    patient_name: String,
    patient_id: String,
    rows: u16,
    columns: u16,
    transfer_syntax: String,
    study: Uuid,
    series: Vec<SyntheticSeries>,
    extra: Option<Extra>,
}

#[derive(Clone)]
struct SyntheticSeries {
    modality: String,
    instances: u32,
    uid: Uuid,
}

impl Default for SyntheticStudy {
    fn default() -> Self {
        Self::new()
    }
}

impl SyntheticStudy {
    /// A study without any series yet, of 128 x 128 pixels in explicit VR little endian.
    pub fn new() -> Self {
        Self {
            patient_name: "Collimator^Demo".to_owned(),
            patient_id: "DEMO-1".to_owned(),
            rows: 128,
            columns: 128,
            transfer_syntax: uids::EXPLICIT_VR_LITTLE_ENDIAN.to_owned(),
            study: Uuid::new_v4(),
            series: Vec::new(),
            extra: None,
        }
    }

    /// Adds a series. `CT` makes CT Image Storage, `MR` MR Image Storage, and any other modality
    /// Secondary Capture Image Storage.
    #[must_use]
    pub fn series(mut self, modality: &str, instances: u32) -> Self {
        self.series.push(SyntheticSeries {
            modality: modality.to_owned(),
            instances,
            uid: Uuid::new_v4(),
        });
        self
    }

    /// The patient, with the name as in `Family^Given`; any language, for it is written as UTF-8.
    #[must_use]
    pub fn patient(mut self, name: &str, id: &str) -> Self {
        self.patient_name = name.to_owned();
        self.patient_id = id.to_owned();
        self
    }

    /// The size of every instance in pixels, of two bytes each.
    #[must_use]
    pub fn size(mut self, rows: u16, columns: u16) -> Self {
        (self.rows, self.columns) = (rows, columns);
        self
    }

    /// The UID of an uncompressed transfer syntax; deflated needs the feature `deflate` of
    /// dicom-object.
    #[must_use]
    pub fn transfer_syntax(mut self, uid: &str) -> Self {
        self.transfer_syntax = uid.to_owned();
        self
    }

    /// Runs on every data set last, to add elements or to spoil some.
    #[must_use]
    pub fn extra(mut self, extra: impl Fn(&mut InMemDicomObject) + Send + Sync + 'static) -> Self {
        self.extra = Some(Arc::new(extra));
        self
    }

    /// StudyInstanceUID of all instances.
    pub fn study_instance_uid(&self) -> String {
        uid(self.study, 0)
    }

    /// SeriesInstanceUIDs in the order in which the series were added.
    pub fn series_instance_uids(&self) -> Vec<String> {
        self.series.iter().map(|s| uid(s.uid, 0)).collect()
    }

    /// All instances, series by series, in memory.
    ///
    /// # Errors
    /// An `extra` made an instance that can't have file meta information, such as one without a
    /// SOP Instance UID.
    pub fn instances(&self) -> anyhow::Result<Vec<FileDicomObject<InMemDicomObject>>> {
        let mut instances = Vec::new();
        for (index, series) in (1..).zip(&self.series) {
            for number in 1..=series.instances {
                instances.push(self.instance(index, series, number)?);
            }
        }
        Ok(instances)
    }

    /// Writes all instances as Part 10 files `<SeriesNumber>/<InstanceNumber>.dcm` below `folder`,
    /// and returns their paths in order.
    ///
    /// # Errors
    /// As [`SyntheticStudy::instances`]; a file can't be written; or dicom-object was built
    /// without the transfer syntax.
    pub fn write_to(&self, folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        for (index, series) in (1..).zip(&self.series) {
            let folder = folder.join(index.to_string());
            fs::create_dir_all(&folder)
                .with_context(|| format!("cannot create {}", folder.display()))?;
            for number in 1..=series.instances {
                let path = folder.join(format!("{number:04}.dcm"));
                let instance = self.instance(index, series, number)?;
                let mut bytes = Vec::new();
                // Not straight into the file: what can't be encoded would leave half a file there.
                instance.write_all(&mut bytes)?;
                fs::write(&path, bytes)
                    .with_context(|| format!("cannot write {}", path.display()))?;
                paths.push(path);
            }
        }
        Ok(paths)
    }

    fn instance(
        &self,
        series_number: u32,
        series: &SyntheticSeries,
        number: u32,
    ) -> anyhow::Result<FileDicomObject<InMemDicomObject>> {
        let mut data_set = InMemDicomObject::new_empty();
        self.put_study(&mut data_set);
        put_series(&mut data_set, series_number, series);
        put_sop_class(&mut data_set, &series.modality);
        if matches!(series.modality.as_str(), "CT" | "MR") {
            put_plane(&mut data_set, &uid(self.study, 1), number);
        }
        put_text(&mut data_set, tags::SOP_INSTANCE_UID, VR::UI, &uid(series.uid, number));
        self.put_image(&mut data_set, number);
        if let Some(extra) = &self.extra {
            extra(&mut data_set);
        }
        let meta = FileMetaTableBuilder::new().transfer_syntax(&self.transfer_syntax);
        Ok(data_set.with_meta(meta)?)
    }

    fn put_study(&self, data_set: &mut InMemDicomObject) {
        for (tag, vr, value) in [
            (tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 192"),
            (tags::PATIENT_NAME, VR::PN, &self.patient_name),
            (tags::PATIENT_ID, VR::LO, &self.patient_id),
            (tags::PATIENT_BIRTH_DATE, VR::DA, "19000101"),
            (tags::PATIENT_SEX, VR::CS, "O"),
            (tags::STUDY_INSTANCE_UID, VR::UI, &uid(self.study, 0)),
            (tags::STUDY_DATE, VR::DA, DATE),
            (tags::STUDY_TIME, VR::TM, TIME),
            (tags::ACCESSION_NUMBER, VR::SH, "DEMO-0001"),
            (tags::REFERRING_PHYSICIAN_NAME, VR::PN, "Referrer^Demo"),
            (tags::STUDY_ID, VR::SH, "1"),
            (tags::STUDY_DESCRIPTION, VR::LO, "Synthetic study"),
        ] {
            put_text(data_set, tag, vr, value);
        }
    }

    fn put_image(&self, data_set: &mut InMemDicomObject, number: u32) {
        for (tag, vr, value) in [
            (tags::INSTANCE_NUMBER, VR::IS, number.to_string().as_str()),
            (tags::ACQUISITION_NUMBER, VR::IS, "1"),
            (tags::CONTENT_DATE, VR::DA, DATE),
            (tags::CONTENT_TIME, VR::TM, TIME),
            (tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2"),
            (tags::WINDOW_CENTER, VR::DS, "2048"),
            (tags::WINDOW_WIDTH, VR::DS, "4096"),
        ] {
            put_text(data_set, tag, vr, value);
        }
        for (tag, value) in [
            (tags::SAMPLES_PER_PIXEL, 1),
            (tags::ROWS, self.rows),
            (tags::COLUMNS, self.columns),
            (tags::BITS_ALLOCATED, 16),
            (tags::BITS_STORED, BITS_STORED),
            (tags::HIGH_BIT, BITS_STORED - 1),
            (tags::PIXEL_REPRESENTATION, 0),
        ] {
            data_set.put(DataElement::new(tag, VR::US, PrimitiveValue::from(value)));
        }
        let pixels = PrimitiveValue::U16(self.pixels(number));
        data_set.put(DataElement::new(tags::PIXEL_DATA, VR::OW, pixels));
    }

    /// A diagonal gradient that moves from one instance to the next, so that scrolling shows.
    fn pixels(&self, number: u32) -> C<u16> {
        let (rows, columns) = (u32::from(self.rows), u32::from(self.columns));
        let steps = rows + columns;
        let value = |row, column| (row + column + number * 4) % steps * PIXEL_MAX / steps;
        (0..rows)
            .flat_map(|row| (0..columns).map(move |column| value(row, column) as u16))
            .collect()
    }
}

fn put_series(data_set: &mut InMemDicomObject, number: u32, series: &SyntheticSeries) {
    let description = format!("{} series {number}", series.modality);
    for (tag, vr, value) in [
        (tags::SERIES_INSTANCE_UID, VR::UI, uid(series.uid, 0).as_str()),
        (tags::SERIES_NUMBER, VR::IS, &number.to_string()),
        (tags::SERIES_DESCRIPTION, VR::LO, &description),
        (tags::MODALITY, VR::CS, &series.modality),
        (tags::SERIES_DATE, VR::DA, DATE),
        (tags::SERIES_TIME, VR::TM, TIME),
        (tags::BODY_PART_EXAMINED, VR::CS, "HEAD"),
        (tags::MANUFACTURER, VR::LO, "Collimator"),
        (tags::MANUFACTURER_MODEL_NAME, VR::LO, "Synthetic"),
    ] {
        put_text(data_set, tag, vr, value);
    }
}

/// The SOP class, and what its IOD asks for beyond what all of them have (PS3.3 A.3, A.4, A.8).
fn put_sop_class(data_set: &mut InMemDicomObject, modality: &str) {
    let (class, elements): (_, &[_]) = match modality {
        "CT" => (
            uids::CT_IMAGE_STORAGE,
            &[
                (tags::RESCALE_INTERCEPT, VR::DS, "-1024"),
                (tags::RESCALE_SLOPE, VR::DS, "1"),
                (tags::RESCALE_TYPE, VR::LO, "HU"),
                (tags::KVP, VR::DS, "120"),
            ],
        ),
        "MR" => (
            uids::MR_IMAGE_STORAGE,
            &[
                (tags::SCANNING_SEQUENCE, VR::CS, "SE"),
                (tags::SEQUENCE_VARIANT, VR::CS, "NONE"),
                (tags::SCAN_OPTIONS, VR::CS, ""),
                (tags::MR_ACQUISITION_TYPE, VR::CS, "2D"),
                (tags::REPETITION_TIME, VR::DS, "500"),
                (tags::ECHO_TIME, VR::DS, "15"),
                (tags::ECHO_TRAIN_LENGTH, VR::IS, "1"),
            ],
        ),
        _ => (uids::SECONDARY_CAPTURE_IMAGE_STORAGE, &[(tags::CONVERSION_TYPE, VR::CS, "SYN")]),
    };
    put_text(data_set, tags::SOP_CLASS_UID, VR::UI, class);
    for (tag, vr, value) in elements {
        put_text(data_set, *tag, *vr, value);
    }
}

/// Where the instance lies in the patient: an axial stack, 5 mm apart.
fn put_plane(data_set: &mut InMemDicomObject, frame_of_reference: &str, number: u32) {
    let z = 5 * number;
    for (tag, vr, value) in [
        (tags::FRAME_OF_REFERENCE_UID, VR::UI, frame_of_reference),
        (tags::POSITION_REFERENCE_INDICATOR, VR::LO, ""),
        (tags::PATIENT_POSITION, VR::CS, "HFS"),
        (tags::IMAGE_TYPE, VR::CS, "ORIGINAL\\PRIMARY\\AXIAL"),
        (tags::PIXEL_SPACING, VR::DS, "2\\2"),
        (tags::SLICE_THICKNESS, VR::DS, "5"),
        (tags::IMAGE_ORIENTATION_PATIENT, VR::DS, "1\\0\\0\\0\\1\\0"),
        (tags::IMAGE_POSITION_PATIENT, VR::DS, &format!("-128\\-128\\{z}")),
    ] {
        put_text(data_set, tag, vr, value);
    }
}

/// Backslashes separate values (PS3.5 6.4).
fn put_text(data_set: &mut InMemDicomObject, tag: Tag, vr: VR, text: &str) {
    let value = match text {
        "" => PrimitiveValue::Empty,
        text => PrimitiveValue::Strs(text.split('\\').map(str::to_owned).collect()),
    };
    data_set.put(DataElement::new(tag, vr, value));
}

/// A UID without a registered root (PS3.5 B.2); `offset` makes a series of them from one UUID, so
/// that they need not be remembered.
fn uid(base: Uuid, offset: u32) -> String {
    format!("2.25.{}", base.as_u128().wrapping_add(offset.into()))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn text(instance: &InMemDicomObject, tag: Tag) -> String {
        let element = instance.element(tag).expect("the element");
        element.to_str().expect("text").into_owned()
    }

    #[test]
    fn every_instance_has_its_own_uid_each_time_the_same() {
        let study = SyntheticStudy::new().series("MR", 3).series("CT", 2);
        let uids = |study: &SyntheticStudy| -> Vec<_> {
            let instances = study.instances().expect("instances");
            let uid = |i: &FileDicomObject<InMemDicomObject>| {
                i.meta().media_storage_sop_instance_uid().to_owned()
            };
            instances.iter().map(uid).collect()
        };
        let first = uids(&study);
        assert_eq!(first.iter().collect::<HashSet<_>>().len(), 5);
        assert_eq!(first, uids(&study));
    }

    #[test]
    fn what_is_written_reads_back_the_same() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let study = SyntheticStudy::new()
            .patient("Königin^Zoë", "DEMO-2")
            .series("MR", 1)
            .extra(|data_set| put_text(data_set, tags::IMAGE_COMMENTS, VR::LT, "extra"));
        for transfer_syntax in [
            uids::EXPLICIT_VR_LITTLE_ENDIAN,
            uids::IMPLICIT_VR_LITTLE_ENDIAN,
            "1.2.840.10008.1.2.2", // explicit VR big endian, retired
        ] {
            let study = study.clone().transfer_syntax(transfer_syntax);
            let paths = study.write_to(folder.path()).expect("files");
            let read = dicom_object::open_file(&paths[0]).expect("an instance");
            assert_eq!(read.meta().transfer_syntax(), transfer_syntax);
            assert_eq!(text(&read, tags::PATIENT_NAME), "Königin^Zoë");
            assert_eq!(text(&read, tags::IMAGE_COMMENTS), "extra");
            let pixels = read.element(tags::PIXEL_DATA).expect("pixel data");
            let pixels = pixels.to_multi_int::<u16>().expect("16-bit pixels");
            assert_eq!(pixels, study.pixels(1).to_vec());
        }
    }
}
