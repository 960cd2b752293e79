//! What the tokens of a model look like: how much each dimension varies and how heavy its tails are, how the variance lies along
//! principal directions, and which tokens are longer than the others.

use rayon::prelude::*;
use serde::Serialize;

use super::Moments;
use super::eigen::principal;

/// A token this many times as long as the median one stands out (Darcet et al., Vision Transformers Need Registers, 2023, describe
/// such tokens).
pub const LONG: f64 = 2.0;

/// The tokens of some images.
#[derive(Clone, Debug, Serialize)]
pub struct Profile {
    /// Tokens.
    pub count: u64,
    /// Their dimensions, of highest variance first; of equal variances the lower dimension first.
    pub dims: Vec<DimProfile>,
    /// Variances along the principal directions, in descending order.
    pub spectrum: Vec<f64>,
    /// How long tokens are.
    pub norms: Norms,
}

/// One dimension.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct DimProfile {
    /// Its number, from 0.
    pub dim: usize,
    /// Its mean.
    pub mean: f64,
    /// Its variance.
    pub variance: f64,
    /// Its excess kurtosis: 0 for a normal distribution, more where few tokens lie far out.
    pub kurtosis: f64,
}

/// Euclidean lengths of tokens.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Norms {
    /// The median.
    pub median: f64,
    /// The largest.
    pub most: f64,
    /// Tokens of more than [`LONG`] times the median.
    pub long: usize,
}

impl Profile {
    /// Of blocks of rows of `dim` numbers, in two passes; the same for any number of threads. None of no rows.
    pub fn of(blocks: &[&[f32]], dim: usize) -> Option<Self> {
        let moments = Moments::of_blocks(blocks, dim);
        let count = moments.count;
        if count == 0 {
            return None;
        }
        let variance = moments.variance();
        let fourth = |block: &&[f32]| {
            let mut sums = vec![0.0f64; dim];
            for row in block.chunks_exact(dim) {
                let off = row.iter().zip(&moments.mean).map(|(&v, mean)| (f64::from(v) - mean).powi(2));
                sums.iter_mut().zip(off).for_each(|(sum, square)| *sum += square * square);
            }
            sums
        };
        // Blocks are added in their order, whoever computes them.
        let parts: Vec<Vec<f64>> = blocks.par_iter().map(fourth).collect();
        let mut fourths = vec![0.0f64; dim];
        for part in &parts {
            fourths.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
        }
        let kurtosis = |at: usize| match variance[at] > 0.0 {
            true => fourths[at] / count as f64 / variance[at].powi(2) - 3.0,
            false => 0.0,
        };
        let mut dims: Vec<DimProfile> = (0..dim)
            .map(|at| DimProfile {
                dim: at,
                mean: moments.mean[at],
                variance: variance[at],
                kurtosis: kurtosis(at),
            })
            .collect();
        dims.sort_by(|a, b| b.variance.total_cmp(&a.variance).then(a.dim.cmp(&b.dim)));
        let (spectrum, _) = principal(&moments.covariance(), dim);
        Some(Self { count, dims, spectrum, norms: norms(blocks, dim) })
    }

    /// The `n` dimensions of highest variance, as `drop:N` drops them.
    pub fn highest(&self, n: usize) -> impl Iterator<Item = usize> {
        self.dims.iter().take(n).map(|one| one.dim)
    }

    /// How many of the `n` dimensions of highest variance both have.
    pub fn shared(&self, other: &Self, n: usize) -> usize {
        let theirs: Vec<usize> = other.highest(n).collect();
        self.highest(n).filter(|dim| theirs.contains(dim)).count()
    }

    /// The share of all variance that the first `n` of `values` have; they are in descending order.
    pub fn share(values: impl Iterator<Item = f64> + Clone, n: usize) -> f64 {
        let all: f64 = values.clone().sum();
        if all > 0.0 { values.take(n).sum::<f64>() / all } else { 0.0 }
    }
}

fn norms(blocks: &[&[f32]], dim: usize) -> Norms {
    let parts: Vec<Vec<f64>> = blocks.par_iter().map(|block| lengths(block, dim)).collect();
    let mut all = parts.concat();
    all.sort_by(f64::total_cmp);
    let median = all[all.len() / 2];
    let long = all.iter().filter(|&&norm| norm > LONG * median).count();
    Norms { median, most: all[all.len() - 1], long }
}

/// Which of the tokens of one view (rows of `dim` numbers, before any preparation) are more than [`LONG`] times as long as the
/// median one.
pub fn long_rows(rows: &[f32], dim: usize) -> Vec<bool> {
    let lengths = lengths(rows, dim);
    let mut sorted = lengths.clone();
    sorted.sort_by(f64::total_cmp);
    let median = sorted.get(sorted.len() / 2).copied().unwrap_or(0.0);
    lengths.into_iter().map(|length| length > LONG * median).collect()
}

/// Euclidean lengths of rows of `dim` numbers.
fn lengths(rows: &[f32], dim: usize) -> Vec<f64> {
    let length = |row: &[f32]| row.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
    rows.chunks_exact(dim).map(length).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_says_what_is_in_the_rows() {
        // Dimension 0 is constant, 1 alternates (kurtosis -2), 2 is far out once.
        let rows: Vec<f32> = (0..100u16)
            .flat_map(|at| [3.0, if at % 2 == 0 { 1.0 } else { -1.0 }, if at == 50 { 30.0 } else { 0.0 }])
            .collect();
        let profile = Profile::of(&[&rows[..90], &rows[90..]], 3).unwrap();
        assert_eq!(profile.highest(3).collect::<Vec<_>>(), [2, 1, 0]);
        let [far, even, still] = [0, 1, 2].map(|at| profile.dims[at]);
        assert!((even.variance - 1.0).abs() < 1e-12 && (even.kurtosis + 2.0).abs() < 1e-9, "{even:?}");
        assert!((far.variance - 900.0 * 0.01 * 0.99).abs() < 1e-9 && far.kurtosis > 90.0, "{far:?}");
        assert_eq!((still.mean, still.variance, still.kurtosis), (3.0, 0.0, 0.0));
        assert_eq!((profile.count, profile.norms.long), (100, 1));
        assert!((profile.norms.median - 10f64.sqrt()).abs() < 1e-9);
        let all = profile.dims.iter().map(|one| one.variance);
        assert!((Profile::share(all, 1) - 8.91 / 9.91).abs() < 1e-9);
        assert!((profile.spectrum.iter().sum::<f64>() - 9.91).abs() < 1e-6);
        let swapped: Vec<f32> = rows.chunks_exact(3).flat_map(|row| [row[2], row[1], row[0]]).collect();
        let swapped = Profile::of(&[&swapped], 3).unwrap();
        assert_eq!([1, 2, 3].map(|n| profile.shared(&swapped, n)), [0, 1, 3]);
        assert!(Profile::of(&[&[]], 3).is_none());
        let long = long_rows(&rows, 3);
        assert!(long[50] && long.iter().filter(|&&is_long| is_long).count() == 1);
        assert!(long_rows(&[], 3).is_empty());
    }
}
