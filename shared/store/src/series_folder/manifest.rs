//! What is in a series folder, as it says itself.

use super::folder_name::folder_name;
use super::{MANIFEST, RevisionToKeep, SeriesFolder};
use contract::event::{Reason, StoredObject};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::HashSet;
use std::fs;
use std::path::Path;

/// The manifest of a series folder: a function of the revision that it has, so that two that are made of one are the
/// same. It names no patient.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Manifest<'a> {
    #[serde(rename = "StudyInstanceUID")]
    study_instance_uid: &'a str,
    #[serde(rename = "SeriesInstanceUID")]
    series_instance_uid: &'a str,
    revision: u32,
    reason: Reason,
    completed_at: Timestamp,
    instances_kept: u64,
    instances_without_file: u64,
    pub(crate) bytes: u64,
    /// By their SOP Instance UIDs.
    pub(crate) instances: Vec<Instance<'a>>,
    /// Where the file of each is.
    #[serde(skip)]
    pub(crate) objects: Vec<&'a (String, StoredObject)>,
}

/// An instance in a series folder.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Instance<'a> {
    #[serde(rename = "SOPInstanceUID")]
    sop_instance_uid: &'a str,
    /// Its name in the folder, where there is one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) file: String,
    /// Its key in the store, where it is not beside the manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    bytes: u64,
    #[serde(rename = "BLAKE3")]
    blake3: &'a str,
}

impl<'a> Manifest<'a> {
    /// That of a folder that has the files.
    pub(super) fn of(revision: &'a RevisionToKeep) -> Self {
        let mut objects: Vec<_> = revision.objects.iter().collect();
        objects.sort_by(|(one, _), (other, _)| one.cmp(other));
        let mut taken = HashSet::new();
        let instance = |(uid, object): &&'a (String, StoredObject)| Instance {
            sop_instance_uid: uid,
            file: file_name(uid, &mut taken),
            key: None,
            bytes: object.bytes,
            blake3: &object.blake3,
        };
        Self {
            study_instance_uid: &revision.study_instance_uid,
            series_instance_uid: &revision.series_instance_uid,
            revision: revision.revision,
            reason: revision.reason,
            completed_at: revision.completed_at,
            instances_kept: objects.len() as u64,
            instances_without_file: revision.instances_without_file,
            bytes: objects.iter().map(|(_, object)| object.bytes).sum(),
            instances: objects.iter().map(instance).collect(),
            objects,
        }
    }

    /// That of a bucket, where the objects stay where they are.
    pub(crate) fn in_bucket(revision: &'a RevisionToKeep) -> Self {
        let mut manifest = Self::of(revision);
        for (instance, (_, object)) in manifest.instances.iter_mut().zip(&manifest.objects) {
            (instance.file, instance.key) = (String::new(), Some(object.key.as_str()));
        }
        manifest
    }

    /// The folder that has this manifest, as it is `written`.
    pub(crate) fn folder(&self, written: &[u8]) -> SeriesFolder {
        let names = [self.study_instance_uid, self.series_instance_uid];
        let [study, series] = names.map(folder_name);
        SeriesFolder {
            place: format!("{study}/{series}/{}", self.revision),
            instances: self.instances.len() as u64,
            bytes: self.bytes,
            manifest_blake3: blake3::hash(written).to_hex().to_string(),
        }
    }

    /// The text of the file.
    pub(crate) fn json(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec_pretty(self).unwrap_or_default();
        json.push(b'\n');
        json
    }

    /// Whether a folder has this manifest, as it is `written`, and its files.
    pub(super) fn is_of(&self, folder: &Path, written: &[u8]) -> bool {
        let is_there = |instance: &Instance<'_>| {
            fs::metadata(folder.join(&instance.file)).is_ok_and(|it| it.len() == instance.bytes)
        };
        fs::read(folder.join(MANIFEST)).is_ok_and(|found| found == written)
            && self.instances.iter().all(is_there)
    }
}

/// The name of the file of an instance that none in the folder has, whether or not capitals differ there.
fn file_name(sop_instance_uid: &str, taken: &mut HashSet<String>) -> String {
    let name = folder_name(sop_instance_uid);
    let mut file = format!("{name}.dcm");
    let mut number = 1;
    while !taken.insert(file.to_ascii_lowercase()) {
        number += 1;
        file = format!("{name}%-{number}.dcm");
    }
    file
}
