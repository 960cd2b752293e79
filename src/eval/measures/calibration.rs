//! Whether probabilities are what they say: among hits that are said to be right with .8, eight of ten are.

use serde::Serialize;

/// Bins of equal width.
const BINS: usize = 10;

/// What was said of hits beside what they are.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Calibration {
    /// Hits that were judged.
    pub hits: usize,
    /// Expected calibration error: how far in each bin the mean probability is from the share that is right, weighted by hits (Guo
    /// et al., ICML 2017).
    pub ece: f64,
    /// Mean squared distance of the probability from what is so.
    pub brier: f64,
    /// Bins of probability that hold a hit.
    pub bins: Vec<CalibrationBin>,
}

/// The hits of one bin.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CalibrationBin {
    /// Where it begins.
    pub from: f64,
    /// Where it ends.
    pub to: f64,
    /// Hits in it.
    pub hits: usize,
    /// Mean probability of them.
    pub probability: f64,
    /// Share of them that is right.
    pub right: f64,
}

impl Calibration {
    /// Of hits, each with its probability and whether it is right; none of none.
    pub fn of(hits: &[(f64, bool)]) -> Option<Self> {
        let count = hits.len() as f64;
        let right = |hits: &[(f64, bool)]| hits.iter().filter(|hit| hit.1).count() as f64;
        let bin = |at: usize| {
            let (from, to) = (at as f64 / BINS as f64, (at + 1) as f64 / BINS as f64);
            let holds = |hit: &&(f64, bool)| ((hit.0 * BINS as f64) as usize).min(BINS - 1) == at;
            let inside: Vec<(f64, bool)> = hits.iter().filter(holds).copied().collect();
            let held = inside.len() as f64;
            let probability = inside.iter().map(|hit| hit.0).sum::<f64>() / held;
            let hits = inside.len();
            (hits > 0).then(|| CalibrationBin { from, to, hits, probability, right: right(&inside) / held })
        };
        let bins: Vec<CalibrationBin> = (0..BINS).filter_map(bin).collect();
        let off = |bin: &CalibrationBin| bin.hits as f64 * (bin.probability - bin.right).abs();
        let squared = |hit: &(f64, bool)| (hit.0 - f64::from(hit.1)).powi(2);
        (!hits.is_empty()).then(|| Self {
            hits: hits.len(),
            ece: bins.iter().map(off).sum::<f64>() / count,
            brier: hits.iter().map(squared).sum::<f64>() / count,
            bins,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_beside_what_is_so() {
        let hits = [(0.95, true), (0.93, true), (1.0, false), (0.05, false), (0.15, true)];
        let calibration = Calibration::of(&hits).unwrap();
        assert_eq!(calibration.bins.iter().map(|bin| bin.hits).collect::<Vec<_>>(), [1, 1, 3]);
        let ece = (0.05 + 0.85 + 3.0 * (2.88 / 3.0 - 2.0 / 3.0)) / 5.0;
        assert!((calibration.ece - ece).abs() < 1e-12, "{}", calibration.ece);
        let brier = (0.0025 + 0.0049 + 1.0 + 0.0025 + 0.7225) / 5.0;
        assert!((calibration.brier - brier).abs() < 1e-12, "{}", calibration.brier);
        assert_eq!(Calibration::of(&[]), None);
    }
}
