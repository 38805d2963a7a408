//! Values in the DICOM JSON model (PS3.18 annex F), made of their bytes.

use crate::dicomweb::dicom_json::person_name;
use character_sets::{CharacterSets, TextKind};
use dicom_core::VR;
use serde_json::{Number, Value, json};

/// Bytes of a unit that is turned round where numbers begin with their most significant byte.
pub(crate) fn unit(vr: VR) -> usize {
    match vr {
        VR::AT | VR::OW | VR::SS | VR::US => 2,
        VR::FL | VR::OF | VR::OL | VR::SL | VR::UL => 4,
        VR::FD | VR::OD | VR::OV | VR::SV | VR::UV => 8,
        _ => 1,
    }
}

/// Turns the bytes of each unit round. What is left over at the end stays as it is.
pub(crate) fn turn_round(bytes: &mut [u8], unit: usize) {
    bytes.chunks_exact_mut(unit).for_each(<[u8]>::reverse);
}

/// Whether a value is bytes, and not text or numbers.
pub(crate) fn is_binary(vr: VR) -> bool {
    matches!(vr, VR::OB | VR::OD | VR::OF | VR::OL | VR::OV | VR::OW | VR::UN)
}

/// The values of an element that is not [binary](is_binary). Its bytes are little endian.
pub(crate) fn values(vr: VR, bytes: &[u8], sets: CharacterSets<'_>) -> Vec<Value> {
    match vr {
        VR::AT => numbers(bytes, |[a, b, c, d]| {
            json!(format!("{:04X}{:04X}", u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d])))
        }),
        VR::US => numbers(bytes, |it| json!(u16::from_le_bytes(it))),
        VR::SS => numbers(bytes, |it| json!(i16::from_le_bytes(it))),
        VR::UL => numbers(bytes, |it| json!(u32::from_le_bytes(it))),
        VR::SL => numbers(bytes, |it| json!(i32::from_le_bytes(it))),
        VR::UV => numbers(bytes, |it| json!(u64::from_le_bytes(it))),
        VR::SV => numbers(bytes, |it| json!(i64::from_le_bytes(it))),
        VR::FL => numbers(bytes, |it| float(f32::from_le_bytes(it).into())),
        VR::FD => numbers(bytes, |it| float(f64::from_le_bytes(it))),
        VR::LT | VR::ST | VR::UT | VR::UR => {
            let kind = TextKind::Long;
            vec![sets.decode(kind, bytes).text.into()]
        }
        VR::PN => {
            let text = sets.decode(TextKind::PersonName, bytes).text;
            text.split('\\').map(|name| person_name(name.trim_end_matches(' '))).collect()
        }
        _ => {
            let text = sets.decode(TextKind::Short, bytes).text;
            text.split('\\').map(|value| one(vr, value)).collect()
        }
    }
}

/// One of several values that are text.
fn one(vr: VR, text: &str) -> Value {
    let trimmed = text.trim_matches(' ');
    if trimmed.is_empty() {
        return Value::Null;
    }
    match vr {
        // Text that is no such number stays as it was sent.
        VR::IS => trimmed.parse::<i64>().map_or_else(|_| trimmed.into(), Into::into),
        VR::DS => number(trimmed),
        _ => text.trim_end_matches(' ').into(),
    }
}

/// A decimal string as a number.
fn number(text: &str) -> Value {
    match serde_json::from_str::<Number>(text) {
        Ok(number) => Value::Number(number),
        // JSON has no sign before what is positive, and no zero less.
        Err(_) => match text.parse::<f64>() {
            Ok(value) if value.is_finite() => json!(value),
            _ => text.into(),
        },
    }
}

/// JSON has no number for what is none (section F.2.3).
fn float(value: f64) -> Value {
    match value {
        _ if value.is_nan() => json!("NaN"),
        f64::INFINITY => json!("inf"),
        f64::NEG_INFINITY => json!("-inf"),
        _ => json!(value),
    }
}

fn numbers<const N: usize>(bytes: &[u8], of: impl Fn([u8; N]) -> Value) -> Vec<Value> {
    let (values, _) = bytes.as_chunks::<N>();
    values.iter().map(|value| of(*value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(vr: VR, bytes: &[u8]) -> Value {
        values(vr, bytes, CharacterSets::parse(b"ISO_IR 100")).into()
    }

    #[test]
    fn values_are_what_annex_f_makes_of_them() {
        assert_eq!(of(VR::DS, b"1.50\\ -2 \\\\+.5e1\\x "), json!([1.5, -2, null, 5.0, "x"]));
        assert_eq!(of(VR::IS, b"+3\\03 \\3.0"), json!([3, 3, "3.0"]));
        assert_eq!(of(VR::UI, b"1.2\0"), json!(["1.2"]));
        assert_eq!(of(VR::CS, b"A \\\\B"), json!(["A", null, "B"]));
        assert_eq!(of(VR::LT, b" a\\b "), json!([" a\\b"]));
        assert_eq!(of(VR::PN, b"M\xfcller^J"), json!([{"Alphabetic": "Müller^J"}]));
        assert_eq!(of(VR::AT, &[0x10, 0, 0x20, 0]), json!(["00100020"]));
        assert_eq!(of(VR::SS, &[0xff, 0xff, 1, 0, 9]), json!([-1, 1]));
        assert_eq!(of(VR::FL, &0.5f32.to_le_bytes()), json!([0.5]));
        assert_eq!(of(VR::FD, &f64::NAN.to_le_bytes()), json!(["NaN"]));
    }
}
