//! Bytes that were well-formed once.

use fastrand::Rng;

/// Changes a few bytes: flips, cuts, doubles, inserts, and writes lengths that lie.
pub fn mutate(bytes: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..rng.u32(1..6) {
        if bytes.is_empty() {
            return bytes;
        }
        let at = rng.usize(0..bytes.len());
        let to = rng.usize(at..=bytes.len().min(at + 40));
        match rng.u32(0..6) {
            0 => bytes[at] ^= 1 << rng.u32(0..8),
            1 => bytes[at] = *rng.choice(&[0, 1, 0x7f, 0x80, 0xfe, 0xff, b'\\', 0x1b]).unwrap(),
            2 => drop(bytes.drain(at..to)),
            3 => {
                let again = bytes[at..to].to_vec();
                bytes.splice(at..at, again);
            }
            4 => bytes.truncate(at),
            _ => {
                let length = *rng.choice(&[0, 1, 7, 0xffff, 0x7fff_ffff, u32::MAX]).unwrap();
                let length = if rng.bool() { length.to_be_bytes() } else { length.to_le_bytes() };
                bytes.splice(at..(at + 4).min(bytes.len()), length);
            }
        }
    }
    bytes
}
