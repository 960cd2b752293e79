//! A set of rows, one bit each.

use std::ops::Range;

/// Which rows of some vectors may be found.
pub struct RowSet {
    words: Vec<u64>,
}

impl RowSet {
    /// The rows in `runs`.
    pub fn of(runs: &[Range<usize>]) -> Self {
        let end = runs.iter().map(|run| run.end).max().unwrap_or(0);
        let mut words = vec![0; end.div_ceil(64)];
        for row in runs.iter().cloned().flatten() {
            words[row / 64] |= 1 << (row % 64);
        }
        Self { words }
    }

    /// Whether `row` is in it.
    #[inline]
    pub fn contains(&self, row: usize) -> bool {
        self.words.get(row / 64).is_some_and(|word| word >> (row % 64) & 1 == 1)
    }
}
