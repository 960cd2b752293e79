//! A mean over queries with the interval that chance leaves it: the percentile bootstrap (Efron and Tibshirani, An
//! Introduction to the Bootstrap, 1993, chapter 13), with a fixed seed.

use serde::Serialize;

use super::percentile;
use crate::core::SplitMix64;

/// How often the queries are drawn anew.
pub const CI95_RESAMPLES: usize = 1000;
const SEED: u64 = 0;

/// A mean over queries.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Mean {
    /// The mean.
    pub value: f64,
    /// Its 95 % interval; none for a single query, of which nothing can be drawn anew.
    pub ci95: Option<[f64; 2]>,
    /// Queries that have a value.
    pub queries: usize,
}

impl Mean {
    /// The mean of a figure, one value a query; none of none.
    pub fn of(values: &[f64]) -> Option<Self> {
        let count = values.len();
        let value = values.iter().sum::<f64>() / count as f64;
        (count > 0).then(|| Self { value, ci95: (count > 1).then(|| ci95(values)), queries: count })
    }

    /// A figure of `count` queries together that is no mean of theirs: `statistic` gives it for queries by their places, which may
    /// come several times, or none where it says nothing of them. None where it says nothing of all.
    pub fn of_statistic(count: usize, statistic: impl Fn(&[usize]) -> Option<f64>) -> Option<Self> {
        let all: Vec<usize> = (0..count).collect();
        let value = statistic(&all)?;
        Some(Self { value, ci95: (count > 1).then(|| interval(count, &statistic)), queries: count })
    }
}

fn ci95(values: &[f64]) -> [f64; 2] {
    let mean = |drawn: &[usize]| drawn.iter().map(|&at| values[at]).sum::<f64>() / drawn.len() as f64;
    interval(values.len(), |drawn| Some(mean(drawn)))
}

/// Of the draws that the statistic says something of.
fn interval(count: usize, statistic: impl Fn(&[usize]) -> Option<f64>) -> [f64; 2] {
    // The same seed draws the same queries for every figure: figures of one run can be compared.
    let mut random = SplitMix64(SEED);
    let mut drawn = vec![0; count];
    let mut resample = || {
        drawn.fill_with(|| random.below(count));
        statistic(&drawn)
    };
    let mut values: Vec<f64> = (0..CI95_RESAMPLES).filter_map(|_| resample()).collect();
    values.sort_by(f64::total_cmp);
    [2.5, 97.5].map(|percent| percentile(&values, percent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_query_has_no_interval_and_equal_ones_one_without_width() {
        assert_eq!(Mean::of(&[]), None);
        assert_eq!(Mean::of(&[0.25]), Some(Mean { value: 0.25, ci95: None, queries: 1 }));
        assert_eq!(Mean::of(&[0.5; 9]), Some(Mean { value: 0.5, ci95: Some([0.5, 0.5]), queries: 9 }));
    }

    #[test]
    fn the_interval_is_as_wide_as_the_spread_says_and_the_same_every_time() {
        let values: Vec<f64> = (0..400u32).map(|at| f64::from(at % 4 == 0)).collect();
        let Mean { value, ci95: Some([low, high]), queries } = Mean::of(&values).unwrap() else { panic!() };
        assert_eq!((value, queries), (0.25, 400));
        // 1.96 times sqrt(.25 × .75 / 400)
        let half = 1.96 * (0.25f64 * 0.75 / 400.0).sqrt();
        assert!(
            (low - (0.25 - half)).abs() < 0.2 * half && (high - (0.25 + half)).abs() < 0.2 * half,
            "{low} {high}"
        );
        assert_eq!(Mean::of(&values), Mean::of(&values));
    }

    #[test]
    fn nineteen_of_twenty_intervals_hold_the_true_mean() {
        let mut random = SplitMix64(7);
        let holds = |_: &u32| {
            let values: Vec<f64> = (0..80).map(|_| random.unit()).collect();
            let [low, high] = Mean::of(&values).unwrap().ci95.unwrap();
            (low..=high).contains(&0.5)
        };
        let held = (0..300u32).filter(holds).count();
        assert!((270..=297).contains(&held), "{held} of 300");
    }
}
