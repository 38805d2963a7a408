//! Media types (RFC 9110 section 8.3.1), as header fields name them. Parameters that need quotes and have none are taken all
//! the same: some clients write their boundaries so.

/// A media type with its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaType {
    /// Type and subtype, in lower case.
    pub name: String,
    parameters: Vec<(String, String)>,
}

impl MediaType {
    /// Reads one.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut fields = split(text, ';').into_iter();
        let name = fields.next().unwrap_or_default().trim().to_ascii_lowercase();
        let parameter = |field: String| {
            let (name, value) = field.split_once('=')?;
            Some((name.trim().to_ascii_lowercase(), unquoted(value.trim())))
        };
        Self { name, parameters: fields.filter_map(parameter).collect() }
    }

    /// How much it is wanted in a list of what is accepted (RFC 9110 section 12.4.2): 1 unless it says so.
    #[must_use]
    pub fn weight(&self) -> f32 {
        self.parameter("q").and_then(|weight| weight.parse().ok()).unwrap_or(1.0)
    }

    /// The value of a parameter.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }
}

/// The fields of a list, without looking into what is quoted.
#[must_use]
pub fn split(text: &str, separator: char) -> Vec<String> {
    let (mut fields, mut is_quoted, mut is_escaped) = (vec![String::new()], false, false);
    for character in text.chars() {
        let is_separator = character == separator && !is_quoted;
        match fields.last_mut() {
            Some(field) if !is_separator => field.push(character),
            _ => fields.push(String::new()),
        }
        is_quoted ^= character == '"' && !is_escaped;
        is_escaped = is_quoted && character == '\\' && !is_escaped;
    }
    fields
}

/// What is between quotes, if it is quoted.
fn unquoted(value: &str) -> String {
    let Some(quoted) = value.strip_prefix('"') else { return value.to_owned() };
    let (mut text, mut is_escaped) = (String::new(), false);
    for character in quoted.chars() {
        match character {
            '"' if !is_escaped => break,
            '\\' if !is_escaped => is_escaped = true,
            _ => {
                text.push(character);
                is_escaped = false;
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_may_be_quoted_or_not() {
        for (text, boundary, kind) in [
            ("multipart/related; boundary=abc", Some("abc"), None),
            (
                "Multipart/Related;type=\"application/dicom\";Boundary=\"a;b, c\"",
                Some("a;b, c"),
                Some("application/dicom"),
            ),
            ("multipart/related; boundary = \"a\\\"\\\\b\" ; x", Some("a\"\\b"), None),
            ("multipart/related; boundary=a/b=c?;type=x", Some("a/b=c?"), Some("x")),
            ("multipart/related; boundary=\"abc", Some("abc"), None),
            ("multipart/related", None, None),
        ] {
            let read = MediaType::parse(text);
            assert_eq!(read.name, "multipart/related", "{text}");
            assert_eq!((read.parameter("boundary"), read.parameter("type")), (boundary, kind));
        }
        assert_eq!(MediaType::parse("").name, "");
    }

    #[test]
    fn a_separator_within_quotes_divides_nothing() {
        assert_eq!(split("a, \"b,\\\",c\",d", ','), ["a", " \"b,\\\",c\"", "d"]);
    }
}
