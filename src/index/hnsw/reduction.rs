//! Vectors as a graph sees them: such that the nearest to a query are the most similar to it. Where products of vectors of
//! any length count, each gets one number more, by which all become equally long; a query's is zero (Bachrach et al.,
//! Speeding up the Xbox recommender system, RecSys 2014). All others are as they are.

use rayon::prelude::*;

use crate::index::Vectors;
use crate::metric::{Comparison, Metric};

/// Vectors, completed where lengths count.
#[derive(Clone, Copy)]
pub(super) struct Reduced<'a> {
    vectors: Vectors<'a>,
    /// The greatest squared length, where vectors are completed to it.
    greatest: Option<f64>,
}

/// Numbers that a graph sees of a vector of `dim`.
pub(super) fn reduced_dim(metric: Metric, dim: usize) -> usize {
    dim + usize::from(is_completed(metric))
}

fn is_completed(metric: Metric) -> bool {
    metric.comparison == Comparison::Product && !metric.normalise
}

fn squared_length(row: &[f32]) -> f64 {
    row.iter().map(|&v| f64::from(v) * f64::from(v)).sum()
}

impl<'a> Reduced<'a> {
    pub fn of(vectors: Vectors<'a>) -> Self {
        let length = |wide: &mut Vec<f32>, row: usize| {
            wide.resize(vectors.dim, 0.0);
            vectors.widen(row, wide);
            Some(squared_length(wide)).filter(|length| length.is_finite()).unwrap_or(0.0)
        };
        let greatest = || {
            let lengths = (0..vectors.len()).into_par_iter().map_init(Vec::new, length);
            lengths.reduce(|| 0.0, f64::max)
        };
        Self { vectors, greatest: is_completed(vectors.metric).then(greatest) }
    }

    pub fn metric(&self) -> Metric {
        self.vectors.metric
    }

    pub fn len(&self) -> usize {
        self.vectors.len()
    }

    /// Numbers in a row.
    pub fn dim(&self) -> usize {
        reduced_dim(self.vectors.metric, self.vectors.dim)
    }

    /// Rows from `first` on, as many as `out` has room for.
    pub fn widen(&self, first: usize, out: &mut [f32]) {
        let Some(greatest) = self.greatest else { return self.vectors.widen(first, out) };
        let dim = self.vectors.dim;
        for (at, row) in out.chunks_exact_mut(dim + 1).enumerate() {
            let (numbers, rest) = row.split_at_mut(dim);
            self.vectors.widen(first + at, numbers);
            rest[0] = (greatest - squared_length(numbers)).max(0.0).sqrt() as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::Rows;

    #[test]
    fn completed_vectors_are_equally_long() {
        let rows = [3.0f32, 4.0, 0.0, 1.0, 0.0, 0.0, -2.0, 0.5];
        let reduced = Reduced::of(Vectors { rows: Rows::F32(&rows), dim: 2, metric: Metric::DOT });
        let mut wide = vec![0.0; reduced.len() * reduced.dim()];
        reduced.widen(0, &mut wide);
        for (row, own) in wide.chunks_exact(3).zip(rows.chunks_exact(2)) {
            assert_eq!(row[..2], *own);
            assert!((squared_length(row) - 25.0).abs() < 1e-5, "{row:?}");
        }
    }
}
