//! Dates and times as ACR-NEMA wrote them, `1993.12.31` and `12:34:56`, in DICOM's form (PS3.5 section 6.2,
//! notes on DA and TM).

/// A date as a DA; `None` if it is none of ACR-NEMA's.
#[must_use]
pub(crate) fn date(text: &str) -> Option<String> {
    let [year, month, day] = parts(text, '.')?;
    let is_date = year.len() == 4
        && is_number(year, 0, 9999)
        && month.len() == 2
        && is_number(month, 1, 12)
        && day.len() == 2
        && is_number(day, 1, 31);
    is_date.then(|| format!("{year}{month}{day}"))
}

/// A time as a TM; `None` if it is none of ACR-NEMA's.
#[must_use]
pub(crate) fn time(text: &str) -> Option<String> {
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (text, None),
    };
    let in_range = |part: &str, most| part.len() == 2 && is_number(part, 0, most);
    let is_fraction =
        |it: &str| (1..=6).contains(&it.len()) && it.bytes().all(|b| b.is_ascii_digit());
    let digits = match (parts::<3>(whole, ':'), parts::<2>(whole, ':'), fraction) {
        (Some([h, m, s]), ..) if in_range(h, 23) && in_range(m, 59) && in_range(s, 60) => {
            format!("{h}{m}{s}")
        }
        (_, Some([h, m]), None) if in_range(h, 23) && in_range(m, 59) => format!("{h}{m}"),
        _ => return None,
    };
    match fraction {
        None => Some(digits),
        Some(fraction) => is_fraction(fraction).then(|| format!("{digits}.{fraction}")),
    }
}

fn parts<const N: usize>(text: &str, delimiter: char) -> Option<[&str; N]> {
    // Ordinary values have none, and cost no more than this.
    if !text.contains(delimiter) {
        return None;
    }
    text.split(delimiter).collect::<Vec<_>>().try_into().ok()
}

fn is_number(text: &str, least: u16, most: u16) -> bool {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits && text.parse().is_ok_and(|number| (least..=most).contains(&number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_acr_nema_wrote_is_changed() {
        assert_eq!(date("1993.12.31").as_deref(), Some("19931231"));
        assert_eq!(time("12:34:56").as_deref(), Some("123456"));
        assert_eq!(time("12:34").as_deref(), Some("1234"));
        assert_eq!(time("12:34:56.123456").as_deref(), Some("123456.123456"));
        for none in ["", "19931231", "1993.13.01", "31.12.1993", "1993.1.1", "+993.12.31", "1.2.3"]
        {
            assert_eq!(date(none), None, "{none}");
        }
        for none in ["", "123456", "123456.5", "25:00:00", "12:34.5", "12:34:56.", "1:2:3", "::"] {
            assert_eq!(time(none), None, "{none}");
        }
    }
}
