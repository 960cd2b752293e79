//! How likely a hit shows the very object: its score beside those of the images that were looked at and, most of them, do not.
//! What scores high for one query is common for another, so every query brings its own null distribution.

/// Images that make a null distribution at most, the first that are looked at: as many as are by default. With more, a longer answer
/// would have other probabilities.
const IMAGES: usize = 200;
/// The median of a null distribution where nothing was looked at, and for how many images that counts. It is a high one: a few images
/// say little about what else there is.
const PRIOR: (f32, f32) = (0.02, 16.0);
/// A median of less says that the collection is empty rather than that the object stands out; of more, that most of it shows the
/// object.
const MEDIANS: (f32, f32) = (0.004, 0.03);
/// Log odds of a hit that scores as the median does, and what they gain when it scores e times as much. Fitted by
/// `tools/fit_probability.py`, with the default model, on composed scenes, pairs of photographs and a video of people: (-7.42, 5.09) fits the
/// scenes better, the people worse (`benches/README.md`).
const ODDS: (f32, f32) = (-6.24, 4.05);

/// What images score that do not show the object.
pub(super) struct Null {
    /// Natural logarithm of their median score.
    median: f32,
}

impl Null {
    /// From the best score of every image that was looked at (or, for want of time, only proposed), in the order in which they were: most
    /// do not show the object.
    pub fn of(mut scores: Vec<f32>) -> Self {
        scores.truncate(IMAGES);
        scores.sort_by(f32::total_cmp);
        let images = scores.len() as f32;
        let median =
            scores.get(scores.len() / 2).map_or(PRIOR.0, |median| median.clamp(MEDIANS.0, MEDIANS.1));
        Self { median: (images * median.ln() + PRIOR.1 * PRIOR.0.ln()) / (images + PRIOR.1) }
    }

    /// The probability that a hit of such a score shows the object, 0 to 1.
    pub fn probability(&self, score: f32) -> f32 {
        let above = score.max(f32::MIN_POSITIVE).ln() - self.median;
        1.0 / (1.0 + (-(ODDS.0 + ODDS.1 * above)).exp())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_out_is_likely_and_what_is_common_is_not() {
        let common = |level: f32| Null::of((0..200).map(|at| level * (1.0 + at as f32 / 200.0)).collect());
        let (quiet, busy) = (common(0.005), common(0.02));
        for score in [0.01, 0.05, 0.2] {
            assert!(quiet.probability(score) > busy.probability(score));
            assert!(quiet.probability(score) < quiet.probability(2.0 * score));
        }
        assert!(quiet.probability(1.0) > 0.99 && quiet.probability(0.0) == 0.0);
        assert!(busy.probability(0.03) < 0.05);
        // A video in which every frame shows the object.
        assert!(common(0.3).probability(0.5) > 0.9);
    }

    #[test]
    fn looking_at_more_images_changes_no_probability() {
        let few: Vec<f32> = (0..200).map(|at| 0.02 - at as f32 / 20_000.0).collect();
        let more = [few.clone(), vec![0.001; 800]].concat();
        assert_eq!(Null::of(few).probability(0.1), Null::of(more).probability(0.1));
    }

    #[test]
    fn a_few_images_that_all_show_the_object_are_no_null_distribution() {
        let few = Null::of(vec![0.5, 0.6]);
        assert!(few.probability(0.6) > 0.9, "{}", few.probability(0.6));
        assert!(Null::of(Vec::new()).probability(0.3) > 0.9);
    }
}
