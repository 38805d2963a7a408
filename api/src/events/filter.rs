//! Which events a listener wants.

use super::sse_frame::SseFrame;
use crate::http::problem::{FieldError, Problem};

/// The query parameters that there are.
pub(super) const MODALITY: &str = "Modality";
pub(super) const CALLING_AE_TITLE: &str = "CallingAETitle";

/// Longest value of VR CS and AE (PS3.5 section 6.2).
const LONGEST: usize = 16;

/// What a listener asked for; nothing is everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Filter {
    modality: Option<String>,
    calling_ae_title: Option<String>,
}

impl Filter {
    /// Reads the query of a request.
    ///
    /// # Errors
    /// 422 with each parameter that is unknown, there twice, or can't be what it is to be.
    pub(super) fn read(query: &[(String, String)]) -> Result<Self, Problem> {
        let (mut filter, mut errors) = (Self::default(), Vec::new());
        for (name, value) in query {
            let (into, check): (_, fn(&str) -> bool) = match name.as_str() {
                MODALITY => (&mut filter.modality, is_code_string),
                CALLING_AE_TITLE => (&mut filter.calling_ae_title, is_ae_title),
                _ => {
                    let known = format!("is unknown; there are {MODALITY} and {CALLING_AE_TITLE}");
                    errors.push(FieldError { field: name.clone(), detail: known });
                    continue;
                }
            };
            let value = value.trim_matches(' ');
            if !check(value) {
                let detail = "must be 1 to 16 characters of what the attribute can have".to_owned();
                errors.push(FieldError { field: name.clone(), detail });
            } else if into.replace(value.to_owned()).is_some() {
                errors
                    .push(FieldError { field: name.clone(), detail: "is there twice".to_owned() });
            }
        }
        match errors.is_empty() {
            true => Ok(filter),
            false => Err(Problem::fields(errors)),
        }
    }

    /// Whether the listener is told of it.
    pub(super) fn takes(&self, frame: &SseFrame) -> bool {
        let fits = |wanted: &Option<String>, is: &Option<String>| {
            wanted.as_deref().is_none_or(|wanted| is.as_deref() == Some(wanted))
        };
        fits(&self.modality, &frame.modality)
            && fits(&self.calling_ae_title, &frame.calling_ae_title)
    }
}

fn is_code_string(text: &str) -> bool {
    let legal = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b" _".contains(&b);
    (1..=LONGEST).contains(&text.len()) && text.bytes().all(legal)
}

fn is_ae_title(text: &str) -> bool {
    let legal = |b: u8| (b' '..=b'~').contains(&b) && b != b'\\';
    (1..=LONGEST).contains(&text.len()) && text.bytes().all(legal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &[(&str, &str)]) -> Result<Filter, Vec<String>> {
        let query: Vec<_> = query.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        Filter::read(&query).map_err(|problem| {
            assert_eq!(problem.status, 422);
            problem.errors.into_iter().map(|error| error.field).collect()
        })
    }

    fn frame(modality: Option<&str>, ae: &str) -> SseFrame {
        SseFrame {
            position: None,
            is_replayed: true,
            modality: modality.map(str::to_owned),
            calling_ae_title: Some(ae.to_owned()),
            text: "".into(),
        }
    }

    #[test]
    fn a_listener_is_told_what_it_asked_for() {
        let all = read(&[]).unwrap();
        let mr = read(&[("Modality", "MR")]).unwrap();
        let both = read(&[("Modality", "MR"), ("CallingAETitle", "MY PACS ")]).unwrap();
        for (event, wanted) in [
            (frame(Some("MR"), "MY PACS"), [true, true, true]),
            (frame(Some("MR"), "OTHER"), [true, true, false]),
            (frame(Some("CT"), "MY PACS"), [true, false, false]),
            (frame(None, "MY PACS"), [true, false, false]),
        ] {
            assert_eq!([&all, &mr, &both].map(|filter| filter.takes(&event)), wanted, "{event:?}");
        }
    }

    #[test]
    fn what_is_unknown_or_bad_is_named() {
        for (query, named) in [
            (&[("modality", "MR")][..], &["modality"][..]),
            (&[("Modality", "mr")], &["Modality"]),
            (&[("Modality", "")], &["Modality"]),
            (&[("CallingAETitle", "A\\B")], &["CallingAETitle"]),
            (&[("CallingAETitle", "12345678901234567")], &["CallingAETitle"]),
            (&[("Modality", "MR"), ("Modality", "CT")], &["Modality"]),
            (&[("Modality", "*"), ("x", "")], &["Modality", "x"]),
        ] {
            assert_eq!(read(query).unwrap_err(), named, "{query:?}");
        }
    }
}
