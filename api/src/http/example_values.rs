//! Values that several examples in the documentation share: all are of one series.

/// Series Instance UID (0020,000E).
pub(crate) const SERIES_UID: &str = "2.25.265891057852514317505363974980016867097";

/// Study Instance UID (0020,000D).
pub(crate) const STUDY_UID: &str = "2.25.195279363403791191586079347607892107643";

/// Patient ID (0010,0020).
pub(crate) const PATIENT_ID: &str = "1";

/// Patient's Name (0010,0010).
pub(crate) const PATIENT_NAME: &str = "Roe^Jane";
