//! A set of rows, one bit each.

use std::ops::Range;

/// Which rows of some vectors may be found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowSet {
    words: Vec<u64>,
    len: usize,
}

impl RowSet {
    /// The rows in `runs`.
    pub fn of(runs: &[Range<usize>]) -> Self {
        let mut set = Self::default();
        set.words.resize(runs.iter().map(|run| run.end.div_ceil(64)).max().unwrap_or(0), 0);
        for row in runs.iter().cloned().flatten() {
            let (word, bit) = (&mut set.words[row / 64], 1 << (row % 64));
            set.len += usize::from(*word & bit == 0);
            *word |= bit;
        }
        set
    }

    /// Whether `row` is in it.
    #[inline]
    pub fn contains(&self, row: usize) -> bool {
        self.words.get(row / 64).is_some_and(|word| word >> (row % 64) & 1 == 1)
    }

    /// Number of rows in it.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no row is in it.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}
