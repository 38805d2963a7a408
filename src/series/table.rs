//! A table that fits a terminal: columns give way, the less they matter the sooner, and then are left
//! out; what has to be copied is never cut.

use super::record::Record;
use console::{Alignment, measure_text_width, pad_str};
use std::fmt::Write as _;

/// Between two columns.
const GAP: usize = 2;

/// What stands for the rest of a text that is cut.
const CUT: &str = "\u{2026}";

/// One column.
#[derive(Debug)]
pub(super) struct Column {
    /// What stands above it.
    pub(super) title: &'static str,
    /// What it says of a record.
    pub(super) cell: fn(&Record) -> String,
    /// What it may be cut to; `None` is for what is not cut.
    pub(super) least: Option<usize>,
    /// What it takes at least, where there is room.
    pub(super) usual: usize,
    /// How much it matters: 0 matters most.
    pub(super) rank: usize,
    /// Where its cells stand.
    pub(super) alignment: Alignment,
}

impl Column {
    /// A column of one key that is not cut.
    pub(super) const fn new(title: &'static str, rank: usize, cell: fn(&Record) -> String) -> Self {
        Self { title, cell, least: None, usual: 0, rank, alignment: Alignment::Left }
    }

    /// The same, that may be cut.
    pub(super) const fn cut_to(self, least: usize) -> Self {
        Self { least: Some(least), ..self }
    }

    /// The same, that is as wide where there is room, so that later cells find theirs.
    pub(super) const fn usually(self, usual: usize) -> Self {
        Self { usual, ..self }
    }

    /// The same, with cells at its right edge.
    pub(super) const fn right(self) -> Self {
        Self { alignment: Alignment::Right, ..self }
    }
}

/// A table, printed in parts as they come.
#[derive(Debug)]
pub(super) struct Table {
    columns: &'static [Column],
    /// Of the terminal; `None` is without end.
    width: Option<usize>,
    /// What each column needs for all that was printed so far.
    natural: Vec<usize>,
    /// What each column has; `None` for one that is left out.
    widths: Vec<Option<usize>>,
}

impl Table {
    /// A table with nothing in it.
    pub(super) fn new(columns: &'static [Column], width: Option<usize>) -> Self {
        let natural = columns.iter().map(|it| it.usual.max(measure_text_width(it.title))).collect();
        Self { columns, width, natural, widths: Vec::new() }
    }

    /// The lines of more records. What stands above the columns comes first, and again when they have
    /// to change for a cell that is not cut.
    pub(super) fn lines(&mut self, records: &[Record]) -> String {
        let rows: Vec<Vec<String>> = records
            .iter()
            .map(|record| self.columns.iter().map(|it| printable(&(it.cell)(record))).collect())
            .collect();
        let mut text = String::new();
        let begins = self.widths.is_empty();
        if self.grow(&rows) || begins {
            self.widths = fit(self.columns, &self.natural, self.width);
            let titles: Vec<_> = self.columns.iter().map(|it| it.title.to_owned()).collect();
            self.line(&titles, &mut text);
        }
        for row in &rows {
            self.line(row, &mut text);
        }
        text
    }

    /// Takes note of what the rows need; gives whether a column that is not cut needs more.
    fn grow(&mut self, rows: &[Vec<String>]) -> bool {
        let begins = self.widths.is_empty();
        let mut more = false;
        for row in rows {
            for ((column, natural), cell) in self.columns.iter().zip(&mut self.natural).zip(row) {
                let needed = measure_text_width(cell);
                if needed > *natural && (begins || column.least.is_none()) {
                    *natural = needed;
                    more = true;
                }
            }
        }
        more
    }

    fn line(&self, cells: &[String], text: &mut String) {
        let mut line = String::new();
        for ((column, width), cell) in self.columns.iter().zip(&self.widths).zip(cells) {
            let Some(width) = *width else { continue };
            if !line.is_empty() {
                let _ = write!(line, "{:GAP$}", "");
            }
            line.push_str(&pad_str(cell, width, column.alignment, Some(CUT)));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

/// How wide each column is, so that all fit; `None` for one that is left out.
fn fit(columns: &[Column], natural: &[usize], width: Option<usize>) -> Vec<Option<usize>> {
    let Some(width) = width else { return natural.iter().copied().map(Some).collect() };
    let mut by_rank: Vec<usize> = (0..columns.len()).collect();
    by_rank.sort_by_key(|index| columns[*index].rank);
    let least = |index: usize| columns[index].least.unwrap_or(usize::MAX).min(natural[index]);
    let needed = |kept: &[usize]| {
        kept.iter().map(|index| least(*index)).sum::<usize>() + GAP * kept.len().saturating_sub(1)
    };
    while by_rank.len() > 1 && needed(&by_rank) > width {
        by_rank.pop();
    }
    let mut spare = width.saturating_sub(needed(&by_rank));
    let mut widths = vec![None; columns.len()];
    for index in by_rank {
        let more = spare.min(natural[index] - least(index));
        spare -= more;
        widths[index] = Some((least(index) + more).min(width));
    }
    widths
}

/// A text that can't steer a terminal, nor turn the direction of what is beside it.
pub(super) fn printable(text: &str) -> String {
    let turns = |c| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.replace(|c: char| c.is_control() || turns(c), "?")
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column] = &[
        Column::new("WHEN", 2, |record| record.text("When")),
        Column::new("INST", 1, |record| record.text("Count")).right(),
        Column::new("NAME", 3, |record| record.text("Name")).cut_to(6),
        Column::new("UID", 0, |record| record.text("UID")),
    ];

    fn record(when: &str, count: u32, name: &str, uid: &str) -> Record {
        let json = serde_json::json!({ "When": when, "Count": count, "Name": name, "UID": uid });
        serde_json::from_value(json).unwrap()
    }

    fn lines(width: Option<usize>, records: &[Record]) -> Vec<String> {
        let text = Table::new(COLUMNS, width).lines(records);
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn columns_give_way_and_then_are_left_out_and_a_uid_is_whole() {
        let records = [record("12:00", 7, "Roe^Jane Mary", "1.2.840.1")];
        assert_eq!(
            lines(None, &records),
            ["WHEN   INST  NAME           UID", "12:00     7  Roe^Jane Mary  1.2.840.1"]
        );
        assert_eq!(lines(Some(33), &records)[1], "12:00     7  Roe^Jane\u{2026}  1.2.840.1");
        assert_eq!(lines(Some(29), &records)[1], "12:00     7  1.2.840.1");
        assert_eq!(lines(Some(20), &records)[1], "   7  1.2.840.1");
        assert_eq!(lines(Some(14), &records)[1], "1.2.840.1");
        for width in 9..60 {
            for line in lines(Some(width), &records) {
                assert!(measure_text_width(&line) <= width, "{width}: {line:?}");
            }
        }
    }

    #[test]
    fn a_wide_character_takes_two_places() {
        let wide = "\u{5c71}\u{7530}^\u{592a}\u{90ce}";
        let lines = lines(Some(31), &[record("1", 1, wide, "1.2"), record("1", 1, "Roe", "1.2")]);
        assert!(lines[1].contains(wide), "{lines:?}");
        assert_eq!(measure_text_width(&lines[1]), measure_text_width(&lines[2]));
    }

    #[test]
    fn columns_change_for_a_uid_that_is_longer_than_those_before_and_for_nothing_else() {
        let mut table = Table::new(COLUMNS, Some(40));
        assert_eq!(table.lines(&[record("1", 1, "A", "1.2")]).lines().count(), 2);
        assert_eq!(table.lines(&[record("1", 1, "Roe^Jane", "1.2")]).lines().count(), 1);
        let text = table.lines(&[record("1", 1, "A", "1.2.840.113619.2.1")]);
        assert!(text.starts_with("WHEN") && text.ends_with("1.2.840.113619.2.1\n"), "{text}");
    }

    #[test]
    fn no_text_steers_the_terminal() {
        assert_eq!(printable("a\u{1b}[2J\nb\u{202e}c\u{9b}d"), "a?[2J?b?c?d");
        assert_eq!(printable("K\u{f6}nigin^Zo\u{eb}"), "K\u{f6}nigin^Zo\u{eb}");
    }
}
