//! DICOMweb under `/dicom-web`: QIDO-RS, and the JSON that it returns.

pub mod dicom_json;
pub mod qido;
pub mod query;
