//! Drawing without repetition.

use std::collections::HashSet;

use super::SplitMix64;

/// `count` different numbers below `rows`, in an order that `seed` chooses too. Where nearly all are drawn, it takes some ten
/// attempts a number.
pub fn drawn(rows: usize, count: usize, seed: u64) -> Vec<usize> {
    assert!(count <= rows, "no more than there are can be drawn");
    let mut seen = HashSet::with_capacity(count);
    let mut random = SplitMix64(seed);
    let numbers = std::iter::repeat_with(|| random.below(rows));
    numbers.filter(|&row| seen.insert(row)).take(count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_drawn_row_is_there_and_drawn_once(rows in 0usize..200, share in 0usize..=100, seed in any::<u64>()) {
            let count = rows * share / 100;
            let chosen = drawn(rows, count, seed);
            prop_assert_eq!(chosen.len(), count);
            prop_assert!(chosen.iter().all(|&row| row < rows));
            prop_assert_eq!(chosen.iter().collect::<HashSet<_>>().len(), count);
            prop_assert_eq!(drawn(rows, count, seed), chosen);
        }
    }

    #[test]
    fn seeds_draw_differently_and_from_everywhere() {
        let (a, b) = (drawn(10_000, 1000, 0), drawn(10_000, 1000, 1));
        assert_ne!(a, b);
        for tenth in 0..10 {
            let inside = a.iter().filter(|&&row| row / 1000 == tenth).count();
            assert!((60..140).contains(&inside), "{tenth}: {inside}");
        }
    }
}
