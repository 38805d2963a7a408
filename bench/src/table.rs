//! Tables for people: columns as wide as what is in them, numbers to the right.

/// A table of text.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// With the names of its columns.
    pub(crate) fn new<const N: usize>(columns: [&str; N]) -> Self {
        Self { rows: vec![columns.map(str::to_owned).to_vec()] }
    }

    /// Adds a row.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.to_vec());
    }

    /// As Markdown, which reads well as plain text too.
    pub(crate) fn text(&self) -> String {
        let columns = self.rows[0].len();
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..columns).map(width).collect();
        let mut lines = Vec::new();
        for (number, row) in self.rows.iter().enumerate() {
            let cells = row.iter().zip(&widths).map(|(cell, width)| match is_number(cell) {
                true => format!("{cell:>width$}"),
                false => format!("{cell:<width$}"),
            });
            lines.push(format!("| {} |", cells.collect::<Vec<_>>().join(" | ")));
            if number == 0 {
                let rules = widths.iter().map(|width| "-".repeat(*width));
                lines.push(format!("| {} |", rules.collect::<Vec<_>>().join(" | ")));
            }
        }
        lines.join("\n") + "\n"
    }
}

fn is_number(cell: &str) -> bool {
    cell.starts_with(|c: char| c.is_ascii_digit())
}

/// The median; the mean of the two in the middle, if there are two.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    match (values.len(), values.len() / 2) {
        (0, _) => f64::NAN,
        (length, middle) if length % 2 == 0 => f64::midpoint(values[middle - 1], values[middle]),
        (_, middle) => values[middle],
    }
}

/// A number with as many digits as mean something.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        _ if value.is_nan() => "-".to_owned(),
        size if size >= 100.0 => {
            let digits = format!("{value:.0}");
            let mut parts: Vec<_> = digits.as_bytes().rchunks(3).collect();
            parts.reverse();
            let parts = parts.into_iter().map(String::from_utf8_lossy);
            parts.collect::<Vec<_>>().join(",")
        }
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Bytes as megabytes.
pub(crate) fn megabytes(bytes: u64) -> String {
    number(bytes as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median([]).is_nan());
    }

    #[test]
    fn numbers_have_the_digits_that_mean_something() {
        let numbers = [0.123, 12.34, 1234567.0, 123.4].map(number);
        assert_eq!(numbers, ["0.12", "12.3", "1,234,567", "123"]);
    }

    #[test]
    fn columns_are_as_wide_as_their_cells() {
        let mut table = Table::new(["what", "n"]);
        table.row(["a longer one".to_owned(), "12".to_owned()]);
        let lines = ["| what         | n  |", "| ------------ | -- |", "| a longer one | 12 |", ""];
        assert_eq!(table.text(), lines.join("\n"));
    }
}
