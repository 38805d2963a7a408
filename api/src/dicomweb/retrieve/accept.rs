//! What a client accepts of what can be retrieved (PS3.18 section 8.7): media types and transfer syntaxes.

use poem::Request;
use poem::http::header;
use shared::media_type::{MediaType, split};

/// Explicit VR little endian: what native pixel data is served as, whatever VRs its file has written.
pub(crate) const EXPLICIT_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2.1";

/// Bytes without a name.
pub(crate) const OCTET_STREAM: &str = "application/octet-stream";

/// DICOM files.
pub(crate) const DICOM: &str = "application/dicom";

/// One that the client would take, the most wanted first.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct MediaRange {
    /// `type/subtype` in small letters.
    pub(crate) essence: String,
    /// Of `multipart/related` the media type of its parts.
    parts: Option<String>,
    /// The transfer syntax that it has to be in; nothing where any will do.
    pub(crate) transfer_syntax: Option<String>,
    weight: f32,
}

impl MediaRange {
    fn any() -> Self {
        Self { essence: "*/*".to_owned(), parts: None, transfer_syntax: None, weight: 1.0 }
    }

    fn parse(text: &str) -> Self {
        let media_type = MediaType::parse(text);
        let transfer_syntax = media_type.parameter("transfer-syntax").filter(|it| *it != "*");
        Self {
            parts: media_type.parameter("type").map(str::to_ascii_lowercase),
            transfer_syntax: transfer_syntax.map(str::to_owned),
            weight: media_type.weight(),
            essence: media_type.name,
        }
    }

    /// Whether it is several parts of `media_type`.
    pub(crate) fn is_multipart_of(&self, media_type: &str) -> bool {
        match (self.essence.as_str(), &self.parts) {
            ("multipart/related" | "multipart/*", Some(parts)) => covers(parts, media_type),
            ("multipart/related" | "multipart/*" | "*/*", None) => true,
            _ => false,
        }
    }

    /// Whether it names `media_type` by itself, and not only by `*/*`.
    pub(crate) fn is_single(&self, media_type: &str) -> bool {
        self.essence != "*/*" && covers(&self.essence, media_type)
    }

    /// Whether it names its parts.
    pub(crate) fn names_parts(&self) -> bool {
        self.parts.as_ref().is_some_and(|parts| parts != "*/*")
    }

    /// Whether a transfer syntax will do.
    pub(crate) fn takes(&self, transfer_syntax: &str) -> bool {
        self.transfer_syntax.as_ref().is_none_or(|wanted| wanted == transfer_syntax)
    }
}

/// What a request accepts, the most wanted first.
pub(crate) fn accepted(request: &Request) -> Vec<MediaRange> {
    let parameters = request.params::<Vec<(String, String)>>().unwrap_or_default();
    of_list(&list(request, &parameters))
}

/// The list of what a request with these parameters accepts. The parameter `accept` comes before the header (section
/// 8.3.3.1); several headers are one list.
pub(crate) fn list(request: &Request, parameters: &[(String, String)]) -> String {
    match parameters.iter().find(|(name, _)| name == "accept") {
        Some((_, list)) => list.clone(),
        None => {
            let headers = request.headers().get_all(header::ACCEPT).iter();
            headers.filter_map(|it| it.to_str().ok()).collect::<Vec<_>>().join(",")
        }
    }
}

fn of_list(list: &str) -> Vec<MediaRange> {
    let ranges = split(list, ',').into_iter().filter(|range| !range.trim().is_empty());
    let mut ranges: Vec<_> = ranges.map(|range| MediaRange::parse(&range)).collect();
    if ranges.is_empty() {
        return vec![MediaRange::any()];
    }
    ranges.retain(|range| range.weight > 0.0);
    ranges.sort_by(|one, other| other.weight.total_cmp(&one.weight));
    ranges
}

/// Whether a range such as `image/*` has a media type in it.
fn covers(range: &str, media_type: &str) -> bool {
    let kind = media_type.split('/').next().unwrap_or_default();
    range == "*/*" || range == media_type || range.strip_suffix("/*") == Some(kind)
}

/// The media type of a frame that is encapsulated in a transfer syntax (section 8.7.3.3.2), if that is known.
pub(crate) fn frame_media_type(transfer_syntax_uid: &str) -> &'static str {
    match transfer_syntax_uid.strip_prefix("1.2.840.10008.1.2.") {
        Some("4.50" | "4.51" | "4.57" | "4.70") => "image/jpeg",
        Some("5") => "image/dicom-rle",
        Some("4.80" | "4.81") => "image/jls",
        Some("4.90" | "4.91") => "image/jp2",
        Some("4.92" | "4.93") => "image/jpx",
        Some("4.201" | "4.202" | "4.203") => "image/jphc",
        Some("4.110" | "4.111" | "4.112") => "image/jxl",
        Some("4.100" | "4.100.1" | "4.101" | "4.101.1") => "video/mpeg2",
        Some(
            "4.102" | "4.102.1" | "4.103" | "4.103.1" | "4.104" | "4.104.1" | "4.105" | "4.105.1"
            | "4.106" | "4.106.1",
        ) => "video/mp4",
        Some("4.107" | "4.108") => "video/H265",
        _ => OCTET_STREAM,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_with_their_parameters_the_most_wanted_first() {
        let list = r#"application/zip;q=0.5, multipart/related; type="application/dicom"; transfer-syntax=*, image/jpeg;q=0"#;
        let ranges = of_list(list);
        assert_eq!(ranges.len(), 2);
        assert!(ranges[0].is_multipart_of(DICOM) && !ranges[0].is_multipart_of(OCTET_STREAM));
        assert!(ranges[0].takes("1.2") && ranges[1].is_single("application/zip"));
        let named =
            &of_list("multipart/related; type=image/jls;transfer-syntax=1.2.840.10008.1.2.4.80")[0];
        assert!(named.is_multipart_of("image/jls") && named.takes("1.2.840.10008.1.2.4.80"));
        assert!(!named.takes("1.2.840.10008.1.2.4.81"));
        let quoted = &of_list(r#"multipart/related; type="a,b;c""#)[..];
        assert_eq!(quoted.len(), 1);
        for any in
            ["", "*/*", "multipart/related", "multipart/*", r#"multipart/related;type="*/*""#]
        {
            assert!(of_list(any)[0].is_multipart_of(DICOM), "{any}");
        }
        assert!(
            !of_list("*/*")[0].is_single(DICOM) && of_list("application/*")[0].is_single(DICOM)
        );
        assert!(of_list("multipart/related; type=\"image/*\"")[0].is_multipart_of("image/jpeg"));
    }
}
