//! A ZIP archive of files as they are, written as they are read (PKWARE's APPNOTE 6.3, sections 4.3 and 4.5.3).
//!
//! A file's checksum is known behind it, so it comes there. Nothing is compressed: pixels hardly become shorter. What is kept
//! in memory is the directory, some 150 bytes for each file.

use bytes::Bytes;
use catalog::StoredInstance;
use crc32fast::Hasher;
use std::collections::VecDeque;

/// The version of ZIP that knows archives and files over 4 GiB.
const VERSION: u16 = 45;

/// The checksum follows the file (bit 3), and names are UTF-8 (bit 11).
const FLAGS: u16 = 1 << 3 | 1 << 11;

/// The first day that ZIP knows: the same files are the same archive.
const DATE: u16 = 1 << 5 | 1;

/// The value of a field that is in the extra field of ZIP64 instead.
const ELSEWHERE: u32 = u32::MAX;

/// Bytes of the directory that are written at a time.
const CHUNK: usize = 64 * 1024;

/// An archive that is being written.
#[derive(Default)]
pub(crate) struct Zip {
    offset: u64,
    entries: VecDeque<Entry>,
    count: u64,
    checksum: Hasher,
    /// Where the directory begins, once that is being written.
    directory: Option<u64>,
    is_whole: bool,
}

/// A file, for the directory.
struct Entry {
    name: Box<str>,
    offset: u64,
    length: u64,
    checksum: u32,
}

impl Entry {
    /// Whether the lengths of its data descriptor have 8 bytes.
    fn is_long(&self) -> bool {
        self.length >= u64::from(ELSEWHERE)
    }
}

impl Zip {
    /// Begins the file of an instance, in the folder of its series.
    pub(crate) fn begin(&mut self, instance: &StoredInstance, length: u64) -> Bytes {
        let (series, sop) = (&instance.series_instance_uid, &instance.sop_instance_uid);
        let name = format!("{}/{}.dcm", plain(series), plain(sop)).into_boxed_str();
        let entry = Entry { name, offset: self.offset, length, checksum: 0 };
        let mut head = Vec::with_capacity(128);
        u32s(&mut head, &[0x0403_4b50]);
        u16s(&mut head, &[VERSION, FLAGS, 0, 0, DATE]);
        let unknown = if entry.is_long() { ELSEWHERE } else { 0 };
        u32s(&mut head, &[0, unknown, unknown]);
        let extra: u16 = if entry.is_long() { 20 } else { 0 };
        u16s(&mut head, &[u16::try_from(entry.name.len()).unwrap_or_default(), extra]);
        head.extend_from_slice(entry.name.as_bytes());
        if entry.is_long() {
            u16s(&mut head, &[1, 16]);
            u64s(&mut head, &[0, 0]);
        }
        self.checksum.reset();
        self.entries.push_back(entry);
        self.count += 1;
        self.written(head)
    }

    /// Notes the next bytes of the file, which follow as they are.
    pub(crate) fn data(&mut self, bytes: &[u8]) {
        self.checksum.update(bytes);
        self.offset += bytes.len() as u64;
    }

    /// Ends the file.
    pub(crate) fn end_of_file(&mut self) -> Bytes {
        let mut descriptor = Vec::with_capacity(24);
        if let Some(entry) = self.entries.back_mut() {
            entry.checksum = self.checksum.clone().finalize();
            u32s(&mut descriptor, &[0x0807_4b50, entry.checksum]);
            match entry.is_long() {
                true => u64s(&mut descriptor, &[entry.length, entry.length]),
                // It fits: that is what makes it no long one.
                false => u32s(&mut descriptor, &[low(entry.length), low(entry.length)]),
            }
        }
        self.written(descriptor)
    }

    /// The next bytes of the directory, and nothing behind its end.
    pub(crate) fn directory(&mut self) -> Option<Bytes> {
        if self.is_whole {
            return None;
        }
        let start = *self.directory.get_or_insert(self.offset);
        let mut bytes = Vec::with_capacity(CHUNK + 1024);
        while bytes.len() < CHUNK
            && let Some(entry) = self.entries.pop_front()
        {
            entry.write(&mut bytes);
        }
        if self.entries.is_empty() {
            let end = self.offset + bytes.len() as u64;
            self.end(start, end, &mut bytes);
            self.is_whole = true;
        }
        Some(self.written(bytes))
    }

    /// The end of the directory, which is from `start` to `end`.
    fn end(&self, start: u64, end: u64, into: &mut Vec<u8>) {
        u32s(into, &[0x0606_4b50]);
        u64s(into, &[44]);
        u16s(into, &[VERSION, VERSION]);
        u32s(into, &[0, 0]);
        u64s(into, &[self.count, self.count, end - start, start]);
        u32s(into, &[0x0706_4b50, 0]);
        u64s(into, &[end]);
        u32s(into, &[1, 0x0605_4b50]);
        let count = u16::try_from(self.count).unwrap_or(u16::MAX);
        u16s(into, &[0, 0, count, count]);
        u32s(into, &[low(end - start), low(start)]);
        u16s(into, &[0]);
    }

    fn written(&mut self, bytes: Vec<u8>) -> Bytes {
        self.offset += bytes.len() as u64;
        bytes.into()
    }
}

impl Entry {
    /// Its entry of the directory.
    fn write(&self, into: &mut Vec<u8>) {
        let mut long = Vec::new();
        if self.is_long() {
            u64s(&mut long, &[self.length, self.length]);
        }
        if self.offset >= u64::from(ELSEWHERE) {
            u64s(&mut long, &[self.offset]);
        }
        let extra = if long.is_empty() { 0 } else { long.len() + 4 };
        let short = |length: usize| u16::try_from(length).unwrap_or_default();
        u32s(into, &[0x0201_4b50]);
        u16s(into, &[VERSION, VERSION, FLAGS, 0, 0, DATE]);
        u32s(into, &[self.checksum, low(self.length), low(self.length)]);
        u16s(into, &[short(self.name.len()), short(extra), 0, 0, 0]);
        u32s(into, &[0, low(self.offset)]);
        into.extend_from_slice(self.name.as_bytes());
        if !long.is_empty() {
            u16s(into, &[1, short(long.len())]);
            into.extend_from_slice(&long);
        }
    }
}

/// The number, where it fits beside ZIP64.
fn low(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(ELSEWHERE)
}

fn u16s(into: &mut Vec<u8>, numbers: &[u16]) {
    numbers.iter().for_each(|it| into.extend_from_slice(&it.to_le_bytes()));
}

fn u32s(into: &mut Vec<u8>, numbers: &[u32]) {
    numbers.iter().for_each(|it| into.extend_from_slice(&it.to_le_bytes()));
}

fn u64s(into: &mut Vec<u8>, numbers: &[u64]) {
    numbers.iter().for_each(|it| into.extend_from_slice(&it.to_le_bytes()));
}

/// A UID as the name of a file: a sender may have written anything, and a name must lead nowhere else.
fn plain(uid: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    uid.chars()
        .enumerate()
        .map(|(place, c)| if is_plain(c) || c == '.' && place > 0 { c } else { '_' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_nowhere_else() {
        assert_eq!(plain("1.2.840"), "1.2.840");
        assert_eq!(plain("../etc/x\\"), "_._etc_x_");
    }

    #[test]
    fn what_is_beyond_4_gib_is_in_fields_of_eight_bytes() {
        let mut directory = Vec::new();
        let (length, offset) = (5 << 30, 6 << 30);
        Entry { name: "a".into(), offset, length, checksum: 7 }.write(&mut directory);
        let extra = &directory[47..];
        assert_eq!(extra[..4], [1, 0, 24, 0]);
        let numbers: Vec<_> =
            extra[4..].as_chunks::<8>().0.iter().map(|it| u64::from_le_bytes(*it)).collect();
        assert_eq!(numbers, [length, length, offset]);
        assert_eq!(directory[20..28], [0xff; 8]);
    }
}
