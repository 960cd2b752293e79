//! A mean over queries with the interval that chance leaves it: the percentile bootstrap (Efron and Tibshirani, An
//! Introduction to the Bootstrap, 1993, chapter 13), with a fixed seed.

use std::collections::HashMap;

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

    /// What is right of what is asked, both summed over the queries. Queries of a group are drawn together, for they are alike; of a
    /// single group each alone. None where nothing is asked.
    pub fn of_groups(parts: &[Part]) -> Option<Self> {
        let mut places: HashMap<usize, usize> = HashMap::new();
        let mut groups: Vec<Vec<Part>> = Vec::new();
        for part in parts.iter().filter(|part| part.asked > 0.0) {
            let place = *places.entry(part.group).or_insert(groups.len());
            groups.resize_with(groups.len().max(place + 1), Vec::new);
            groups[place].push(*part);
        }
        if groups.len() == 1 {
            groups = groups.concat().into_iter().map(|part| vec![part]).collect();
        }
        let share = |drawn: &[usize]| {
            let drawn = || drawn.iter().flat_map(|&group| &groups[group]);
            let asked: f64 = drawn().map(|part| part.asked).sum();
            (asked > 0.0).then(|| drawn().map(|part| part.right).sum::<f64>() / asked)
        };
        let mean = Self::of_statistic(groups.len(), share)?;
        Some(Self { queries: groups.iter().map(Vec::len).sum(), ..mean })
    }

    /// A figure of `count` queries together that is no mean of theirs: `statistic` gives it for queries by their places, which may
    /// come several times, or none where it says nothing of them. None where it says nothing of all.
    pub fn of_statistic(count: usize, statistic: impl Fn(&[usize]) -> Option<f64>) -> Option<Self> {
        let all: Vec<usize> = (0..count).collect();
        let value = statistic(&all)?;
        Some(Self { value, ci95: (count > 1).then(|| interval(count, &statistic)), queries: count })
    }
}

/// One query's part of a share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part {
    /// How much is right.
    pub right: f64,
    /// Of how much.
    pub asked: f64,
    /// The group that it is of.
    pub group: usize,
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
    fn groups_are_drawn_together() {
        let part = |right: f64, group: usize| Part { right, asked: 2.0, group };
        // Ten groups of twenty alike: as wide as ten queries would be, and not as two hundred.
        let parts: Vec<Part> =
            (0..200).map(|at| part(f64::from(u8::from(at % 10 < 5)) * 2.0, at % 10)).collect();
        let grouped = Mean::of_groups(&parts).unwrap();
        let ten: Vec<f64> = (0..10u8).map(|at| f64::from(u8::from(at < 5))).collect();
        assert_eq!((grouped.value, grouped.queries), (0.5, 200));
        assert_eq!(grouped.ci95, Mean::of(&ten).unwrap().ci95);
        let alone: Vec<Part> = parts.iter().map(|one| Part { group: 7, ..*one }).collect();
        let [low, high] = Mean::of_groups(&alone).unwrap().ci95.unwrap();
        assert!(high - low < 0.2, "{low} {high}");
        // Sums, not means of shares; what asks nothing counts for nothing.
        let uneven = [
            Part { right: 3.0, asked: 3.0, group: 0 },
            Part { right: 0.0, asked: 1.0, group: 1 },
            Part { right: 0.0, asked: 0.0, group: 2 },
        ];
        let mean = Mean::of_groups(&uneven).unwrap();
        assert_eq!((mean.value, mean.queries), (0.75, 2));
        assert_eq!(Mean::of_groups(&uneven[2..]), None);
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
