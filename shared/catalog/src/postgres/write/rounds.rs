//! Rows of one key, one after the other. PostgreSQL refuses a statement that writes a row twice, and what a batch has
//! several times has to be written in order.

use std::collections::HashMap;
use std::hash::Hash;

/// Parts rows so that no part has a key twice: the first of each key, then the second of each, and so on. Nearly always
/// there is one part.
pub(in crate::postgres) fn rounds<T: Copy, K: Hash + Eq>(
    rows: impl IntoIterator<Item = T>,
    key: impl Fn(T) -> K,
) -> Vec<Vec<T>> {
    let mut seen: HashMap<K, usize> = HashMap::new();
    let mut rounds: Vec<Vec<T>> = Vec::new();
    for row in rows {
        let round = seen.entry(key(row)).and_modify(|round| *round += 1).or_default();
        match rounds.get_mut(*round) {
            Some(round) => round.push(row),
            None => rounds.push(vec![row]),
        }
    }
    rounds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_round_has_a_key_twice_and_each_keys_rows_stay_in_order() {
        let rows = [(1, 'a'), (2, 'b'), (1, 'c'), (1, 'd'), (2, 'e')];
        let rounds = rounds(rows, |(key, _)| key);
        assert_eq!(rounds, [vec![(1, 'a'), (2, 'b')], vec![(1, 'c'), (2, 'e')], vec![(1, 'd')]]);
    }
}
