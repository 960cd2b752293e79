//! Codes: what a graph compares instead of vectors. One signed byte a number, centred on the vectors' mean, in one
//! scale for all: products of codes are whole numbers, the same on every CPU, and need nothing else of memory.

use rayon::prelude::*;

use super::reduction::Reduced;
use super::search::LENGTH_UNIT;
use crate::core::drawn;
use crate::metric::kernels::CODE_LANES;
use crate::metric::{Comparison, Metric};

/// Rows whose numbers the scale is taken from, at most.
const SAMPLE_ROWS: usize = 10_000;
/// Numbers that it is taken from, at most: 16 MiB of them.
const SAMPLE_NUMBERS: usize = 1 << 22;
/// Which rows. Drawn, for a stride could meet the same patch of every image.
const SAMPLE_SEED: u64 = 2;
/// Rows that one task sums up, at most. Fixed for a length of rows, so that sums do not depend on the threads.
const BLOCK_ROWS: usize = 4096;
/// Numbers of them, at most: 4 MiB.
const BLOCK_NUMBERS: usize = 1 << 20;
/// Blocks whose sums are held at once.
const HELD_BLOCKS: usize = 64;
/// Share of the numbers that are cut off at ±127: a few outliers would coarsen all others.
const CLIPPED_SHARE: f64 = 1e-4;

/// Added to a number of less than 2²², it leaves the nearest whole number (of two the even one) in the low bits, in one
/// instruction on every CPU.
const ROUNDING: f32 = 12_582_912.0;

/// What a number of a query is cut off at, in steps of codes: so far away all vectors are about as far.
const FARTHEST: f32 = 1e12;

/// How vectors become codes.
#[derive(Clone, Debug, PartialEq)]
pub struct Codebook {
    /// How vectors are compared.
    pub metric: Metric,
    /// The mean of the vectors: differences from it are coded.
    pub mean: Vec<f32>,
    /// What one step of a code stands for.
    pub scale: f32,
}

impl Codebook {
    /// A codebook for `vectors`.
    pub(super) fn fit(vectors: Reduced<'_>) -> Self {
        let mean = mean(vectors);
        let (rows, dim) = (vectors.len(), vectors.dim());
        let sampled = SAMPLE_ROWS.min(SAMPLE_NUMBERS / dim.max(1)).clamp(1, rows.max(1)).min(rows);
        let mut row = vec![0.0f32; dim];
        let mut spread = Vec::with_capacity(sampled * dim);
        for at in drawn(rows, sampled, SAMPLE_SEED) {
            vectors.widen(at, &mut row);
            spread.extend(row.iter().zip(&mean).map(|(v, mean)| (v - mean).abs()));
        }
        let largest = (spread.len() as f64 * (1.0 - CLIPPED_SHARE)) as usize;
        let largest = match spread.is_empty() {
            true => 0.0,
            false => *spread.select_nth_unstable_by(largest, f32::total_cmp).1,
        };
        let scale = if largest > 0.0 && largest.is_finite() { largest / 127.0 } else { 1.0 };
        Self { metric: vectors.metric(), mean, scale }
    }

    /// Numbers in a code: those of a vector, filled up with zeros.
    pub fn code_dim(&self) -> usize {
        self.mean.len().next_multiple_of(CODE_LANES)
    }

    /// Codes of the vectors `rows`, in that order: `rows.len()` × [`Codebook::code_dim`].
    pub(super) fn encode(&self, vectors: Reduced<'_>, rows: &[u32]) -> Vec<i8> {
        let dim = self.mean.len();
        let mut codes = vec![0i8; rows.len() * self.code_dim()];
        codes.par_chunks_exact_mut(self.code_dim()).zip(rows).for_each_init(
            || vec![0.0f32; dim],
            |wide, (code, &row)| {
                vectors.widen(row as usize, wide);
                for ((code, v), mean) in code.iter_mut().zip(wide.iter()).zip(&self.mean) {
                    *code = ((v - mean) / self.scale).round().clamp(-127.0, 127.0) as i8;
                }
            },
        );
        codes
    }

    /// A query for products with codes, into `out`: its numbers as fine as [`Kernels::dot_codes`] allows. Of numbers that are
    /// infinite the sign counts, what is no number counts as zero.
    ///
    /// [`Kernels::dot_codes`]: crate::metric::Kernels
    pub(super) fn query(&self, query: &[f32], out: &mut CodeQuery) {
        match self.metric.comparison {
            Comparison::Product => self.query_by_product(query, out),
            Comparison::Distance => self.query_by_distance(query, out),
        }
    }

    fn query_by_product(&self, query: &[f32], out: &mut CodeQuery) {
        let finest = (i32::MAX / 128 / self.code_dim() as i32).min(i32::from(i16::MAX)) as f32;
        let finite = query.iter().map(|v| v.abs()).filter(|v| v.is_finite());
        let largest = finite.fold(0.0f32, f32::max);
        // Divided first: the inverse of a tiny number is infinite.
        let share = |v: f32| v / largest * finest;
        let within = |v: f32| if share(v).is_nan() { 0.0 } else { share(v).clamp(-finest, finest) };
        let whole = |v: &f32| (within(*v) + ROUNDING).to_bits().wrapping_sub(ROUNDING.to_bits()) as i16;
        out.numbers.clear();
        out.numbers.extend(query.iter().map(whole));
        out.numbers.resize(self.code_dim(), 0);
        out.length_share = 0;
        out.step = self.scale * (largest / finest);
        out.centre = query.iter().zip(&self.mean).map(|(v, mean)| v * mean).sum();
        let length = query.iter().map(|v| v * v).sum::<f32>().sqrt();
        out.rounding = Rounding::Fixed(length * self.deviation());
    }

    /// The distance between code and query is that of the code from the mean, and that of the query, less twice the product.
    fn query_by_distance(&self, query: &[f32], out: &mut CodeQuery) {
        let steps = |v: f32, mean: f32| match (v - mean) / self.scale {
            steps if steps.is_nan() => 0.0,
            steps => steps.clamp(-FARTHEST, FARTHEST),
        };
        let steps = || query.iter().zip(&self.mean).map(|(&v, &mean)| steps(v, mean));
        let (largest, sum) = steps().fold((0.0f32, 0.0f64), |(largest, sum), step| {
            (largest.max(step.abs()), sum + f64::from(step.abs()))
        });
        // Twice the product and the code's own length must fit into 32 bits together.
        let most = 256.0 * sum + (self.code_dim() * 128 * 128) as f64;
        let fineness =
            (f64::from(i32::MAX) * 0.98 / most).min(f64::from(i16::MAX) / f64::from(largest)) as f32;
        out.numbers.clear();
        out.numbers.extend(steps().map(|step| (step * fineness).round_ties_even() as i16));
        out.numbers.resize(self.code_dim(), 0);
        out.length_share = (fineness * LENGTH_UNIT as f32) as i64;
        out.step = self.scale * (self.scale / fineness);
        out.centre = -query.iter().zip(&self.mean).map(|(v, mean)| (v - mean).powi(2)).sum::<f32>();
        out.rounding = Rounding::GrowsWithDistance(2.0 * self.deviation());
    }

    /// Of a number that is rounded evenly within a step.
    fn deviation(&self) -> f32 {
        self.scale / 12.0f32.sqrt()
    }
}

/// A query in whole numbers.
#[derive(Default)]
pub(super) struct CodeQuery {
    /// As many as a code has.
    pub numbers: Vec<i16>,
    /// What the squared length of a code counts in a score, in units of [`LENGTH_UNIT`]; where distances are compared.
    pub length_share: i64,
    /// What a score counts in similarity.
    step: f32,
    /// The similarity with the mean, which codes are differences from.
    centre: f32,
    rounding: Rounding,
}

/// By how much codes are wrong about a similarity, as a standard deviation.
enum Rounding {
    /// About all alike.
    Fixed(f32),
    /// So much for a distance of 1.
    GrowsWithDistance(f32),
}

impl Default for Rounding {
    fn default() -> Self {
        Self::Fixed(0.0)
    }
}

impl CodeQuery {
    /// The similarity with a vector, as the score of its code tells.
    pub fn similarity(&self, score: i32) -> f32 {
        score as f32 * self.step + self.centre
    }

    /// By how much codes are wrong about similarities of about `similarity`.
    pub fn deviation(&self, similarity: f32) -> f32 {
        match self.rounding {
            Rounding::Fixed(deviation) => deviation,
            Rounding::GrowsWithDistance(deviation) => deviation * (-similarity).max(0.0).sqrt(),
        }
    }
}

/// The mean of `vectors`, the same for any number of threads.
fn mean(vectors: Reduced<'_>) -> Vec<f32> {
    let (rows, dim) = (vectors.len(), vectors.dim());
    let block_rows = BLOCK_ROWS.min(BLOCK_NUMBERS / dim.max(1)).max(1);
    let block = |first: usize| {
        let mut wide = vec![0.0f32; block_rows.min(rows - first) * dim];
        vectors.widen(first, &mut wide);
        let mut sums = vec![0.0f64; dim];
        for row in wide.chunks_exact(dim) {
            sums.iter_mut().zip(row).for_each(|(sum, &v)| *sum += f64::from(v));
        }
        sums
    };
    let firsts: Vec<usize> = (0..rows).step_by(block_rows).collect();
    let mut sums = vec![0.0f64; dim];
    for firsts in firsts.chunks(HELD_BLOCKS) {
        let blocks: Vec<Vec<f64>> = firsts.par_iter().map(|&first| block(first)).collect();
        for block in blocks {
            sums.iter_mut().zip(block).for_each(|(sum, v)| *sum += v);
        }
    }
    sums.into_iter().map(|sum| (sum / rows.max(1) as f64) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::{Rows, Vectors};

    fn query(numbers: &[f32]) -> Vec<i16> {
        let codebook = Codebook { metric: Metric::COSINE, mean: vec![0.0; numbers.len()], scale: 1.0 };
        let mut whole = CodeQuery::default();
        codebook.query(numbers, &mut whole);
        let mut whole = whole.numbers;
        assert!(whole[numbers.len()..].iter().all(|&v| v == 0) && whole.len() == codebook.code_dim());
        whole.truncate(numbers.len());
        whole
    }

    #[test]
    fn long_rows_have_one_codebook_for_any_number_of_threads() {
        let dim = 16_000;
        let rows: Vec<f32> = (0..300 * dim as u32)
            .map(|at| (at.wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 24) as f32)
            .collect();
        let fit = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let vectors = Vectors { rows: Rows::F32(&rows), dim, metric: Metric::COSINE };
            pool.install(|| Codebook::fit(Reduced::of(vectors)))
        };
        let codebook = fit(1);
        assert_eq!(fit(3), codebook);
        for (at, &mean) in codebook.mean.iter().enumerate().step_by(997) {
            let exact = (0..300).map(|row| f64::from(rows[row * dim + at])).sum::<f64>() / 300.0;
            assert!((f64::from(mean) - exact).abs() < 1e-6, "{at}: {mean} {exact}");
        }
        assert!((codebook.scale * 127.0 - 0.6).abs() < 0.1, "{}", codebook.scale);
    }

    #[test]
    fn queries_of_any_size_are_as_fine_as_codes_allow() {
        let tiny = f32::from_bits(1);
        for largest in [1.0, tiny * 2.0, f32::MIN_POSITIVE, f32::MIN_POSITIVE / 4.0, f32::MAX, 3e38] {
            assert_eq!(
                query(&[largest, -largest / 2.0, 0.0, -largest]),
                [32_767, -16_384, 0, -32_767],
                "{largest:e}"
            );
        }
        let wide = query(&vec![-f32::MAX; 16_384]);
        assert!(wide.iter().all(|&v| i64::from(v) == -i64::from(i32::MAX / 128 / 16_384)));
    }

    #[test]
    fn queries_of_what_is_no_number_stay_within_bounds() {
        assert_eq!(query(&[0.0, -0.0]), [0, 0]);
        assert_eq!(query(&[f32::NAN, 1.0, -0.5]), [0, 32_767, -16_384]);
        assert_eq!(query(&[f32::INFINITY, 1.0, f32::NEG_INFINITY]), [32_767, 32_767, -32_767]);
        assert_eq!(query(&[f32::NAN, f32::INFINITY, 0.0, f32::NEG_INFINITY]), [0, 32_767, 0, -32_767]);
    }
}
