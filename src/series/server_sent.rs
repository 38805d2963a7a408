//! Server-sent events as they come off the wire (HTML standard, section 9.2.6). The crates that read
//! them hold whatever a server sends; this holds no more than an event of the pipeline can have.

/// The longest event, in bytes: several times what NATS lets a message have.
const LONGEST: usize = 4 * 1024 * 1024;

/// The answer has an event that is longer than any of ours.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

/// One event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ServerSent {
    /// Where to go on after it; not every event says.
    pub(super) id: Option<String>,
    /// What kind of event it is.
    pub(super) name: String,
    /// What it says.
    pub(super) data: String,
}

/// Puts events together out of the pieces in which they come.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// Bytes that are no whole line yet.
    line: Vec<u8>,
    /// The event whose lines are coming.
    event: ServerSent,
}

impl Reader {
    /// Takes the next piece; gives the events that are whole by it.
    pub(super) fn read(&mut self, piece: &[u8]) -> Result<Vec<ServerSent>, TooLong> {
        let mut whole = Vec::new();
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            if self.line.len() + self.event.data.len() + part.len() > LONGEST {
                return Err(TooLong);
            }
            self.line.extend_from_slice(part);
            if self.line.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                whole.extend(
                    self.take(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n'])),
                );
            }
        }
        Ok(whole)
    }

    /// Takes a line; gives the event that it ends.
    fn take(&mut self, line: &str) -> Option<ServerSent> {
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            return (!event.data.is_empty()).then_some(event);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => self.event.id = Some(value.to_owned()),
            "event" => value.clone_into(&mut self.event.name),
            "data" => {
                if !self.event.data.is_empty() {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            // A comment, which begins with the colon, or a field of other readers.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"retry: 2000\n\n: still here\n\nid: SERIES:7\nevent: series.completed\n\
                          data: {\r\ndata: \"A\": \"\xc3\xa4\"}\n\nevent: gap\ndata:1\n\n";

    fn events() -> [ServerSent; 2] {
        let name = "series.completed".to_owned();
        let data = "{\n\"A\": \"\u{e4}\"}".to_owned();
        [
            ServerSent { id: Some("SERIES:7".to_owned()), name, data },
            ServerSent { id: None, name: "gap".to_owned(), data: "1".to_owned() },
        ]
    }

    #[test]
    fn events_are_the_same_in_whatever_pieces_they_come() {
        assert_eq!(Reader::default().read(TEXT).unwrap(), events());
        for at in 0..TEXT.len() {
            let mut reader = Reader::default();
            let mut read = reader.read(&TEXT[..at]).unwrap();
            read.extend(reader.read(&TEXT[at..]).unwrap());
            assert_eq!(read, events(), "cut at {at}");
        }
    }

    #[test]
    fn an_event_without_an_end_is_not_held_for_ever() {
        let mut reader = Reader::default();
        let piece = [b'x'; 64 * 1024];
        let read = (0..100).try_for_each(|_| reader.read(&piece).map(drop));
        assert_eq!(read, Err(TooLong));
        let mut reader = Reader::default();
        let read = (0..LONGEST).try_for_each(|_| reader.read(b"data: more\n").map(drop));
        assert_eq!(read, Err(TooLong));
    }
}
