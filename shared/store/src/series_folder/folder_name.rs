//! Names of folders and files, made of UIDs that a sender chose.

use crate::files::RESERVED;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What is written as `%` and two digits. A UID has nothing of it.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'_').remove(b'-');

/// The name where there is no UID. No text is written like this.
const NONE: &str = "%none";

/// Characters of a name at most. File systems take 255, and a file name has more behind it. UIDs of 64 characters are
/// 192 at most.
const MOST: usize = 200;

/// Characters that are left of a longer one, before its hash.
const BEGINNING: usize = 120;

/// The name for a text: the text itself if it is a UID, and never the name of anything else.
pub(crate) fn folder_name(text: &str) -> String {
    let name = utf8_percent_encode(text, ESCAPED).to_string();
    let is_reserved = RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(&name));
    match name.as_bytes().first() {
        None => NONE.to_owned(),
        Some(_) if name.len() > MOST => {
            let hash = blake3::hash(text.as_bytes()).to_hex();
            format!("{}%-{}", &name[..BEGINNING], &hash[..32])
        }
        // `.` and `..` among them.
        Some(first) if *first == b'.' || is_reserved => format!("%{first:02X}{}", &name[1..]),
        Some(_) => name,
    }
}
