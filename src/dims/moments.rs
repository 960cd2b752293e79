//! Streaming mean and covariance of token vectors, in one pass and in `f64`.
//!
//! Blocks are accumulated on their own and merged in order (Chan, Golub and LeVeque 1979), so the result depends on the
//! order of the vectors only, never on the number of threads.

use ndarray::Array2;
use rayon::prelude::*;

/// Count, mean and scatter matrix of vectors of one length.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    /// Vectors seen.
    pub count: u64,
    /// Their mean.
    pub mean: Vec<f64>,
    /// Sum of the outer products of the centred vectors, `dim`×`dim`, row-major.
    scatter: Vec<f64>,
}

impl Moments {
    /// Nothing seen yet.
    pub fn empty(dim: usize) -> Self {
        Self { count: 0, mean: vec![0.0; dim], scatter: vec![0.0; dim * dim] }
    }

    /// The moments of one block of rows of `dim` numbers.
    pub fn of_rows(rows: &[f32], dim: usize) -> Self {
        let count = rows.len() / dim;
        let mut moments = Self::empty(dim);
        if count == 0 {
            return moments;
        }
        for row in rows.chunks_exact(dim) {
            moments.mean.iter_mut().zip(row).for_each(|(sum, &v)| *sum += f64::from(v));
        }
        moments.mean.iter_mut().for_each(|sum| *sum /= count as f64);
        let centred = Array2::from_shape_fn((count, dim), |(row, col)| {
            f64::from(rows[row * dim + col]) - moments.mean[col]
        });
        moments.scatter = centred.t().dot(&centred).into_iter().collect();
        moments.count = count as u64;
        moments
    }

    /// The moments of blocks of rows of `dim` numbers: computed in parallel, merged in order.
    pub fn of_blocks(blocks: &[&[f32]], dim: usize) -> Self {
        let mut moments = Self::empty(dim);
        for blocks in blocks.chunks(rayon::current_num_threads().max(1) * 2) {
            let parts: Vec<Moments> = blocks.par_iter().map(|block| Self::of_rows(block, dim)).collect();
            parts.iter().for_each(|part| moments.merge(part));
        }
        moments
    }

    /// Numbers in a vector.
    pub fn dim(&self) -> usize {
        self.mean.len()
    }

    /// Adds what `other` has seen, after what `self` has.
    pub fn merge(&mut self, other: &Moments) {
        if other.count == 0 {
            return;
        }
        let dim = self.dim();
        let (a, b) = (self.count as f64, other.count as f64);
        let shift: Vec<f64> = self.mean.iter().zip(&other.mean).map(|(mine, theirs)| theirs - mine).collect();
        let weight = a * b / (a + b);
        for row in 0..dim {
            for col in 0..dim {
                let at = row * dim + col;
                self.scatter[at] += other.scatter[at] + weight * shift[row] * shift[col];
            }
        }
        self.mean.iter_mut().zip(&shift).for_each(|(mean, step)| *mean += step * b / (a + b));
        self.count += other.count;
    }

    /// Covariance, `dim`×`dim`, row-major; zeros while nothing was seen.
    pub fn covariance(&self) -> Vec<f64> {
        let count = self.count.max(1) as f64;
        self.scatter.iter().map(|sum| sum / count).collect()
    }

    /// Variance of each dimension.
    pub fn variance(&self) -> Vec<f64> {
        let dim = self.dim();
        (0..dim).map(|at| self.scatter[at * dim + at] / self.count.max(1) as f64).collect()
    }

    /// The moments that `count` vectors of this mean and covariance would have.
    pub fn synthetic(count: u64, mean: Vec<f64>, covariance: &[f64]) -> Self {
        let scatter = covariance.iter().map(|value| value * count as f64).collect();
        Self { count, mean, scatter }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn merging_blocks_equals_one_pass(
            values in proptest::collection::vec(-50f32..50.0, 3..90), cut in 0usize..30,
        ) {
            let rows = &values[..values.len() / 3 * 3];
            let cut = (cut * 3).min(rows.len());
            let whole = Moments::of_rows(rows, 3);
            let mut merged = Moments::of_rows(&rows[..cut], 3);
            merged.merge(&Moments::of_rows(&rows[cut..], 3));
            prop_assert_eq!(whole.count, merged.count);
            for (a, b) in whole.covariance().iter().zip(merged.covariance()) {
                prop_assert!((a - b).abs() < 1e-6);
            }
            for (a, b) in whole.mean.iter().zip(&merged.mean) {
                prop_assert!((a - b).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn variance_of_a_known_column() {
        let moments = Moments::of_rows(&[1.0, 5.0, 3.0, 5.0], 2);
        assert_eq!(moments.variance(), vec![1.0, 0.0]);
        assert_eq!(moments.mean, vec![2.0, 5.0]);
    }
}
