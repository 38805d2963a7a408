//! Many measurements of one thing: their percentiles, and a histogram to look at.

use std::fmt::Write as _;

/// Longest bar of a histogram, in characters.
const BAR: usize = 50;

/// Measurements in milliseconds.
#[derive(Debug)]
pub(crate) struct Distribution(Vec<f64>);

impl Distribution {
    /// Of at least one measurement.
    pub(crate) fn new(mut milliseconds: Vec<f64>) -> Option<Self> {
        milliseconds.sort_by(f64::total_cmp);
        (!milliseconds.is_empty()).then_some(Self(milliseconds))
    }

    /// The measurement that `percent` of them do not exceed (nearest rank).
    pub(crate) fn percentile(&self, percent: f64) -> f64 {
        let rank = (percent / 100.0 * self.0.len() as f64).ceil() as usize;
        self.0[rank.clamp(1, self.0.len()) - 1]
    }

    /// The line of percentiles.
    pub(crate) fn summary(&self) -> String {
        let named = [("min", 0.0), ("50 %", 50.0), ("90 %", 90.0), ("95 %", 95.0), ("99 %", 99.0)];
        let mut line = String::new();
        for (name, percent) in named.into_iter().chain([("max", 100.0)]) {
            let _ = write!(line, "{name} {:.1}   ", self.percentile(percent));
        }
        line.trim_end().to_owned()
    }

    /// A bar for each `width` milliseconds.
    pub(crate) fn histogram(&self, width: f64) -> String {
        let bucket = |milliseconds: &f64| (milliseconds / width).floor() as i64;
        let (first, last) = (bucket(&self.0[0]), bucket(&self.0[self.0.len() - 1]));
        let counts: Vec<_> = (first..=last)
            .map(|index| self.0.iter().filter(|value| bucket(value) == index).count())
            .collect();
        let longest = counts.iter().copied().max().unwrap_or(1).max(1);
        let mut lines = String::new();
        for (index, count) in (first..).zip(&counts) {
            let from = index as f64 * width;
            let bar = "#".repeat((count * BAR).div_ceil(longest));
            let _ = writeln!(lines, "{from:>8.0} to {:>4.0} ms {count:>5} {bar}", from + width);
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_measurements() {
        let all = Distribution::new((1..=200).rev().map(f64::from).collect()).unwrap();
        let at = |percent| all.percentile(percent);
        assert_eq!([at(0.0), at(50.0), at(99.0), at(100.0)], [1.0, 100.0, 198.0, 200.0]);
        assert_eq!(Distribution::new(vec![7.0]).unwrap().percentile(99.0), 7.0);
        assert!(Distribution::new(Vec::new()).is_none());
    }

    #[test]
    fn a_histogram_counts_every_measurement_once() {
        let all = Distribution::new(vec![-1.0, 0.0, 4.9, 5.0, 21.0]).unwrap();
        let counts: Vec<usize> = all
            .histogram(5.0)
            .lines()
            .map(|line| line.split_whitespace().nth(4).unwrap().parse().unwrap())
            .collect();
        assert_eq!(counts, [1, 2, 1, 0, 0, 1]);
    }
}
