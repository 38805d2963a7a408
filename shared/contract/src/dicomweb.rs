//! Where DICOMweb has studies, series and instances (PS3.18 section 10.4.1): the API serves there, and events and answers
//! name it.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Where the API has DICOMweb.
pub const ROOT: &str = "/dicom-web";

/// What is written as it is in a segment of a path: UIDs are.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'-').remove(b'_').remove(b'~');

/// URLs of one DICOMweb service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DicomwebUrls {
    base: String,
}

impl DicomwebUrls {
    /// Below the URL of a service, such as `http://pacs/dicom-web`.
    #[must_use]
    pub fn of_service(base: &str) -> Self {
        Self { base: base.trim_end_matches('/').to_owned() }
    }

    /// Of the API that clients reach at `api`, a URL without [`ROOT`]; of any host where that is empty.
    #[must_use]
    pub fn of_api(api: &str) -> Self {
        Self { base: api.trim_end_matches('/').to_owned() + ROOT }
    }

    /// The URL of the service.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Where a study is.
    #[must_use]
    pub fn study(&self, study: &str) -> String {
        format!("{}/studies/{}", self.base, utf8_percent_encode(study, ESCAPED))
    }

    /// Where a series is.
    #[must_use]
    pub fn series(&self, study: &str, series: &str) -> String {
        format!("{}/series/{}", self.study(study), utf8_percent_encode(series, ESCAPED))
    }

    /// Where an instance is.
    #[must_use]
    pub fn instance(&self, study: &str, series: &str, instance: &str) -> String {
        let series = self.series(study, series);
        format!("{series}/instances/{}", utf8_percent_encode(instance, ESCAPED))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_below_the_service_and_what_is_no_uid_is_escaped() {
        let urls = DicomwebUrls::of_api("https://b.example/collimator/");
        let path = "/dicom-web/studies/1.2/series/3%2F4/instances/5%206";
        assert_eq!(
            urls.instance("1.2", "3/4", "5 6"),
            format!("https://b.example/collimator{path}")
        );
        assert_eq!(DicomwebUrls::of_service(urls.base()), urls);
        assert_eq!(DicomwebUrls::of_api("").instance("1.2", "3/4", "5 6"), path);
    }
}
