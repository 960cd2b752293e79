//! Percentiles, medians and the Pareto front.

/// The value below which `percent` of 100 of `sorted` lie, interpolated linearly between the two there (NumPy's default).
/// Ascending values; NaN of none.
pub fn percentile(sorted: &[f64], percent: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let place = percent / 100.0 * last as f64;
    let below = (place.floor() as usize).min(last);
    let above = (below + 1).min(last);
    sorted[below] + (sorted[above] - sorted[below]) * (place - below as f64)
}

/// The median of some values, as [`percentile`] has it.
pub(in crate::eval) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    percentile(&values, 50.0)
}

/// For each of `(recall, qps)` whether no other is at least as good in both and better in one.
pub fn pareto(points: &[(f64, f64)]) -> Vec<bool> {
    let beats = |a: &(f64, f64), b: &(f64, f64)| a.0 >= b.0 && a.1 >= b.1 && (a.0 > b.0 || a.1 > b.1);
    points.iter().map(|point| !points.iter().any(|other| beats(other, point))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_lie_between_the_values_as_numpy_has_them() {
        let values = [1.0, 2.0, 4.0, 8.0];
        let asked = [0.0, 50.0, 95.0, 99.0, 100.0];
        // numpy.percentile([1, 2, 4, 8], [0, 50, 95, 99, 100])
        let expected = [1.0, 3.0, 7.4, 7.88, 8.0];
        for (percent, expected) in asked.into_iter().zip(expected) {
            assert!((percentile(&values, percent) - expected).abs() < 1e-12, "{percent}");
        }
        assert_eq!(percentile(&[5.0], 99.0), 5.0);
        assert!(percentile(&[], 50.0).is_nan());
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
    }

    #[test]
    fn the_front_is_what_nothing_beats() {
        let points = [(0.9, 100.0), (0.95, 80.0), (0.94, 80.0), (1.0, 1.0), (0.9, 90.0), (0.95, 80.0)];
        assert_eq!(pareto(&points), [true, true, false, true, false, true]);
        assert_eq!(pareto(&[]), Vec::<bool>::new());
    }
}
