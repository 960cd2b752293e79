//! Measures of one ranked list of images. Junk is neither right nor wrong: it takes no place.

/// What an image at some place of the list is to the query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relevance {
    /// It shows the object.
    Positive,
    /// It does not.
    Negative,
    /// It does not count.
    Junk,
}

/// The answer to one query: where its positives stand among all that is not junk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ranking {
    /// Places of the positives that were found, from 0, ascending.
    places: Vec<usize>,
    /// Positives that there are, found or not.
    positives: usize,
}

impl Ranking {
    /// A list, best first, of a collection in which `positives` images are right; none where there is nothing to find, which
    /// no mean may count. What the list does not reach counts as not found.
    pub fn new(list: impl IntoIterator<Item = Relevance>, positives: usize) -> Option<Self> {
        let counted = list.into_iter().filter(|&relevance| relevance != Relevance::Junk);
        let is_right = |(place, relevance)| (relevance == Relevance::Positive).then_some(place);
        let places: Vec<usize> = counted.enumerate().filter_map(is_right).collect();
        (positives.max(places.len()) > 0).then(|| Self { positives: positives.max(places.len()), places })
    }

    /// Precision at each positive that was found.
    fn precisions(&self) -> impl Iterator<Item = f64> {
        self.places.iter().enumerate().map(|(before, &place)| (before + 1) as f64 / (place + 1) as f64)
    }

    /// Positives among the first `k`.
    fn found(&self, k: usize) -> usize {
        self.places.partition_point(|&place| place < k)
    }

    /// Area under the precision-recall curve by trapezoids, as Oxford5k, Paris6k and their revisions have it.
    pub fn ap_trapezoidal(&self) -> f64 {
        let precision_before = |(before, &place): (usize, &usize)| match place {
            0 => 1.0,
            place => before as f64 / place as f64,
        };
        let before = self.places.iter().enumerate().map(precision_before);
        before.zip(self.precisions()).map(|(before, at)| (before + at) / 2.0).sum::<f64>()
            / self.positives as f64
    }

    /// Mean of the precision at each positive: the curve by rectangles.
    pub fn ap_rectangular(&self) -> f64 {
        self.precisions().sum::<f64>() / self.positives as f64
    }

    /// ILIAS's AP@k: average precision of the first `k` by themselves, times the share of min(`k`, positives) that is among
    /// them. GLDv2's AP@k is the same number.
    pub fn ap_at(&self, k: usize) -> f64 {
        self.precisions().take(self.found(k)).sum::<f64>() / self.positives.min(k).max(1) as f64
    }

    /// Share of the positives among the first `k`.
    pub fn recall_at(&self, k: usize) -> f64 {
        self.found(k) as f64 / self.positives as f64
    }

    /// The revised Oxford's P@k: the share of positives among the first `k`, or up to the last positive where that comes
    /// before.
    pub fn precision_at(&self, k: usize) -> f64 {
        let last = match self.places.last() {
            Some(last) if self.places.len() == self.positives => last + 1,
            _ => k,
        };
        self.found(k) as f64 / last.min(k).max(1) as f64
    }

    /// Cumulative match characteristic, also rank-k: 1 where any of the first `k` is right. Metric learning calls it recall@k.
    pub fn cmc(&self, k: usize) -> f64 {
        f64::from(u8::from(self.found(k) > 0))
    }

    /// One over the rank of the first positive, counted from 1; 0 where none was found.
    pub fn reciprocal_rank(&self) -> f64 {
        self.places.first().map_or(0.0, |&place| 1.0 / (place + 1) as f64)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Relevance::{Junk, Negative, Positive};
    use super::*;

    fn near(value: f64, expected: f64) {
        assert!((value - expected).abs() < 1e-12, "{value} instead of {expected}");
    }

    #[test]
    fn a_list_worked_by_hand_has_these_figures() {
        // Without junk: right, wrong, right, wrong, wrong, right; a fourth positive is never reached.
        let list = [Positive, Negative, Junk, Positive, Negative, Junk, Negative, Positive];
        let ranking = Ranking::new(list, 4).unwrap();
        near(ranking.ap_rectangular(), (1.0 + 2.0 / 3.0 + 3.0 / 6.0) / 4.0);
        near(
            ranking.ap_trapezoidal(),
            ((1.0 + 1.0) / 2.0 + (1.0 / 2.0 + 2.0 / 3.0) / 2.0 + (2.0 / 5.0 + 3.0 / 6.0) / 2.0) / 4.0,
        );
        near(ranking.ap_at(3), (1.0 + 2.0 / 3.0) / 3.0);
        near(ranking.ap_at(2), 1.0 / 2.0);
        near(ranking.ap_at(100), (1.0 + 2.0 / 3.0 + 3.0 / 6.0) / 4.0);
        assert_eq!([1, 3, 6, 50].map(|k| ranking.recall_at(k)), [0.25, 0.5, 0.75, 0.75]);
        // One is missing, so that there is no last one.
        assert_eq!([1, 2, 10].map(|k| ranking.precision_at(k)), [1.0, 0.5, 0.3]);
        assert_eq!((ranking.cmc(1), ranking.reciprocal_rank()), (1.0, 1.0));
    }

    #[test]
    fn precision_is_taken_up_to_the_last_positive_as_the_revised_oxford_does() {
        let ranking = Ranking::new([Negative, Positive, Positive, Negative, Negative], 2).unwrap();
        near(ranking.precision_at(10), 2.0 / 3.0);
        near(ranking.precision_at(1), 0.0);
        assert_eq!([1, 2].map(|k| ranking.cmc(k)), [0.0, 1.0]);
        assert_eq!(ranking.reciprocal_rank(), 0.5);
    }

    #[test]
    fn nothing_to_find_is_no_ranking_and_nothing_found_is_zero() {
        assert_eq!(Ranking::new([Negative, Junk], 0), None);
        let ranking = Ranking::new([Junk, Negative], 3).unwrap();
        let figures = [
            ranking.ap_trapezoidal(),
            ranking.ap_rectangular(),
            ranking.ap_at(10),
            ranking.recall_at(10),
            ranking.precision_at(10),
            ranking.cmc(10),
            ranking.reciprocal_rank(),
        ];
        assert_eq!(figures, [0.0; 7]);
    }

    fn lists() -> impl Strategy<Value = (Vec<Relevance>, usize)> {
        let one = prop_oneof![Just(Positive), Just(Negative), Just(Junk)];
        (prop::collection::vec(one, 0..60), 0usize..5).prop_map(|(list, more)| {
            let found = list.iter().filter(|&&one| one == Positive).count();
            (list, found + more)
        })
    }

    fn figures(ranking: &Ranking, k: usize) -> Vec<f64> {
        vec![
            ranking.ap_trapezoidal(),
            ranking.ap_rectangular(),
            ranking.ap_at(k),
            ranking.recall_at(k),
            ranking.precision_at(k),
            ranking.cmc(k),
            ranking.reciprocal_rank(),
        ]
    }

    proptest! {
        #[test]
        fn junk_changes_nothing((list, positives) in lists()) {
            let without: Vec<Relevance> = list.iter().copied().filter(|&one| one != Junk).collect();
            prop_assert_eq!(Ranking::new(list, positives), Ranking::new(without, positives));
        }

        #[test]
        fn figures_lie_between_0_and_1_and_no_swap_for_the_better_lowers_one((list, positives) in lists(), k in 1usize..70) {
            prop_assume!(positives > 0);
            let before = figures(&Ranking::new(list.clone(), positives).unwrap(), k);
            prop_assert!(before.iter().all(|figure| (0.0..=1.0).contains(figure)), "{:?}", before);
            for at in 1..list.len() {
                if (list[at - 1], list[at]) == (Negative, Positive) {
                    let mut better = list.clone();
                    better.swap(at - 1, at);
                    let after = figures(&Ranking::new(better, positives).unwrap(), k);
                    prop_assert!(before.iter().zip(&after).all(|(before, after)| after >= &(before - 1e-12)));
                }
            }
        }

        #[test]
        fn a_perfect_list_has_1_everywhere(positives in 1usize..30, wrong in 0usize..30) {
            let list = std::iter::repeat_n(Positive, positives).chain(std::iter::repeat_n(Negative, wrong));
            let ranking = Ranking::new(list, positives).unwrap();
            for figure in figures(&ranking, positives) {
                prop_assert!((figure - 1.0).abs() < 1e-12);
            }
        }

        #[test]
        fn ap_at_k_is_the_average_precision_of_the_first_k_times_their_share((list, positives) in lists(), k in 1usize..70) {
            prop_assume!(positives > 0);
            let counted: Vec<Relevance> = list.iter().copied().filter(|&one| one != Junk).take(k).collect();
            let hits = counted.iter().filter(|&&one| one == Positive).count();
            let alone = Ranking::new(counted, 0).map_or(0.0, |ranking| ranking.ap_rectangular());
            let expected = alone * hits as f64 / positives.min(k) as f64;
            let found = Ranking::new(list, positives).unwrap().ap_at(k);
            prop_assert!((found - expected).abs() < 1e-12, "{} instead of {}", found, expected);
        }
    }
}
