//! Dot products of one `f32` query with stored rows, per instruction set. `scalar` is the reference.
//!
//! Every function takes `rows` of exactly `query.len()` elements each and writes one score per row.

mod scalar;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::sync::OnceLock;

use half::f16;

/// One instruction set's kernels.
pub struct Kernels {
    /// `scalar`, `avx2`, `avx512`.
    pub name: &'static str,
    /// Scores over `f32` rows.
    pub dot_f32: fn(query: &[f32], rows: &[f32], scores: &mut [f32]),
    /// Scores over half-precision rows.
    pub dot_f16: fn(query: &[f32], rows: &[f16], scores: &mut [f32]),
    /// Scores over signed bytes; the caller multiplies with the rows' scales.
    pub dot_i8: fn(query: &[f32], rows: &[i8], scores: &mut [f32]),
    /// Widens half precision to single.
    pub widen_f16: fn(from: &[f16], to: &mut [f32]),
}

impl Kernels {
    /// Kernels that this CPU can run, best last.
    pub fn available() -> Vec<&'static Kernels> {
        let mut found = vec![&scalar::KERNELS];
        #[cfg(target_arch = "x86_64")]
        found.extend(x86::available());
        found
    }

    /// The best kernels of this CPU.
    pub fn best() -> &'static Kernels {
        static BEST: OnceLock<&'static Kernels> = OnceLock::new();
        BEST.get_or_init(|| Kernels::available().last().copied().unwrap_or(&scalar::KERNELS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reference(query: &[f32], row: impl Iterator<Item = f64>) -> f64 {
        query.iter().zip(row).map(|(&q, r)| f64::from(q) * r).sum()
    }

    proptest! {
        #[test]
        fn every_kernel_agrees_with_the_f64_reference(
            dim in 1usize..130, count in 0usize..6, seed in any::<u64>(),
        ) {
            let mut state = seed | 1;
            let mut next = || {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 40) as f32 / (1 << 24) as f32 * 2.0 - 1.0
            };
            let query: Vec<f32> = (0..dim).map(|_| next()).collect();
            let wide: Vec<f32> = (0..dim * count).map(|_| next()).collect();
            let halves: Vec<f16> = wide.iter().map(|&v| f16::from_f32(v)).collect();
            let bytes: Vec<i8> = wide.iter().map(|&v| (v * 127.0) as i8).collect();
            let bound = 1e-5 * dim as f64;
            for kernels in Kernels::available() {
                let mut scores = vec![0.0; count];
                (kernels.dot_f32)(&query, &wide, &mut scores);
                for (score, row) in scores.iter().zip(wide.chunks_exact(dim)) {
                    let exact = reference(&query, row.iter().map(|&v| f64::from(v)));
                    prop_assert!((f64::from(*score) - exact).abs() <= bound, "{} f32", kernels.name);
                }
                (kernels.dot_f16)(&query, &halves, &mut scores);
                for (score, row) in scores.iter().zip(halves.chunks_exact(dim)) {
                    let exact = reference(&query, row.iter().map(|v| v.to_f64()));
                    prop_assert!((f64::from(*score) - exact).abs() <= bound, "{} f16", kernels.name);
                }
                (kernels.dot_i8)(&query, &bytes, &mut scores);
                for (score, row) in scores.iter().zip(bytes.chunks_exact(dim)) {
                    let exact = reference(&query, row.iter().map(|&v| f64::from(v)));
                    prop_assert!((f64::from(*score) - exact).abs() <= bound * 127.0, "{} i8", kernels.name);
                }
                let mut widened = vec![0.0; halves.len()];
                (kernels.widen_f16)(&halves, &mut widened);
                prop_assert!(widened.iter().zip(&halves).all(|(w, h)| *w == h.to_f32()), "{} widen", kernels.name);
            }
        }
    }

    #[test]
    #[should_panic(expected = "one score per row")]
    fn rows_and_scores_must_agree() {
        (Kernels::best().dot_f32)(&[1.0, 2.0], &[1.0; 6], &mut [0.0; 2]);
    }
}
