//! Cursors: where the next page begins, as a client carries it. One belongs to the list that it was
//! given for, and nothing else is taken for one.

use catalog::Position;

/// The position that a page begins after, with a seal over it and the list that it is in. It is
/// opaque to clients, and tells nothing of a patient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    position: Position,
    seal: [u8; Self::SEAL],
}

impl Cursor {
    const SEAL: usize = 8;
    /// Length of its text.
    pub const LENGTH: usize = 2 * (8 + 8 + Self::SEAL);
    /// What is wrong with one that does not belong here.
    pub const FOREIGN: &str = "is none of this list with these filters; begin without one";

    /// To go on after a position of a list.
    #[must_use]
    pub fn new(list: &ListName, position: Position) -> Self {
        Self { position, seal: list.seal(position) }
    }

    /// Reads a cursor.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != Self::LENGTH || !text.bytes().all(digits) {
            return None;
        }
        let (position, seal) = text.split_at(32);
        let (key, id) = position.split_at(16);
        let number = |text| u64::from_str_radix(text, 16).ok();
        let position = Position { key: number(key)? as i64, id: number(id)? as i64 };
        Some(Self { position, seal: number(seal)?.to_be_bytes() })
    }

    /// The position, if this cursor was given for this list.
    #[must_use]
    pub fn position(&self, list: &ListName) -> Option<Position> {
        (self.seal == list.seal(self.position)).then_some(self.position)
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seal = u64::from_be_bytes(self.seal);
        write!(f, "{:016x}{:016x}{seal:016x}", self.position.key, self.position.id)
    }
}

/// What tells one list from another: its path and everything that decides what is in it and in
/// which order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListName(blake3::Hash);

/// Parameters that choose from a list or present it, and do not make another one of it.
const PAGE_PARAMETERS: [&str; 4] = ["cursor", "limit", "fields", "count"];

impl ListName {
    /// Of a path and its query, decoded.
    #[must_use]
    pub fn new(path: &str, query: &[(String, String)]) -> Self {
        let mut deciding: Vec<_> =
            query.iter().filter(|(name, _)| !PAGE_PARAMETERS.contains(&name.as_str())).collect();
        deciding.sort();
        Self(blake3::hash(format!("{path:?} {deciding:?}").as_bytes()))
    }

    fn seal(&self, position: Position) -> [u8; Cursor::SEAL] {
        let mut hasher = blake3::Hasher::new_keyed(self.0.as_bytes());
        hasher.update(&position.key.to_be_bytes()).update(&position.id.to_be_bytes());
        let mut seal = [0; Cursor::SEAL];
        hasher.finalize_xof().fill(&mut seal);
        seal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(query: &[(&str, &str)]) -> ListName {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        ListName::new("/series", &query.iter().map(owned).collect::<Vec<_>>())
    }

    #[test]
    fn a_cursor_reads_back_in_its_own_list_and_in_no_other() {
        let position = Position { key: -7, id: i64::MAX };
        let here = list(&[("Modality", "MR"), ("limit", "10")]);
        let cursor = Cursor::parse(&Cursor::new(&here, position).to_string()).unwrap();
        assert_eq!(cursor.position(&here), Some(position));
        let again = list(&[("limit", "20"), ("cursor", "x"), ("Modality", "MR")]);
        assert_eq!(cursor.position(&again), Some(position));
        assert_eq!(cursor.position(&list(&[("Modality", "CT")])), None);
    }

    #[test]
    fn no_digit_of_a_cursor_can_be_changed() {
        let here = list(&[]);
        let text = Cursor::new(&here, Position { key: 1, id: 2 }).to_string();
        for place in 0..text.len() {
            let digit = if &text[place..=place] == "0" { "1" } else { "0" };
            let mut changed = text.clone();
            changed.replace_range(place..=place, digit);
            let position = Cursor::parse(&changed).and_then(|cursor| cursor.position(&here));
            assert_eq!(position, None, "{changed}");
        }
        for none in ["", "1", &text[1..], &text.to_uppercase().replace('0', "G")] {
            assert_eq!(Cursor::parse(none), None);
        }
    }
}
