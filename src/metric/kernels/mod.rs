//! Comparisons of `f32` queries with stored rows, per instruction set. `scalar` is the reference.
//!
//! A function of one query takes `rows` of exactly `query.len()` elements each and writes one score per row.

#[cfg(target_arch = "aarch64")]
mod neon;
mod rounded;
mod scalar;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::sync::OnceLock;

use half::f16;

pub use rounded::{RoundedRows, Rounding, dot_i8_slack};

/// One instruction set's kernels.
pub struct Kernels {
    /// `scalar`, `avx2`, `avx512`, `avx512-vnni`, `neon`.
    pub name: &'static str,
    /// Scores over `f32` rows.
    pub dot_f32: fn(query: &[f32], rows: &[f32], scores: &mut [f32]),
    /// Scores over half-precision rows.
    pub dot_f16: fn(query: &[f32], rows: &[f16], scores: &mut [f32]),
    /// Scores over signed bytes; the caller multiplies with the rows' scales. The query may be rounded ([`dot_i8_slack`]).
    pub dot_i8: fn(query: &[f32], rows: &[i8], scores: &mut [f32]),
    /// Squared distances of `f32` rows.
    pub l2_f32: fn(query: &[f32], rows: &[f32], scores: &mut [f32]),
    /// Squared distances of half-precision rows.
    pub l2_f16: fn(query: &[f32], rows: &[f16], scores: &mut [f32]),
    /// Squared distances of rows of signed bytes, each times its scale.
    pub l2_i8: ScaledDistances,
    /// Widens half precision to single.
    pub widen_f16: fn(from: &[f16], to: &mut [f32]),
    /// Dot products of a query of whole numbers with the rows `ids` of a matrix of codes, whose rows have
    /// `query.len()` numbers, a multiple of [`CODE_LANES`]. Exact, hence the same on every CPU, while Σ|query| · 128
    /// stays below 2³¹. A row outside the matrix panics.
    pub dot_codes: DotCodes,
    /// Dot products of every row of `a` with every row of `b`, of `dim` numbers each: rows of `a` × rows of `b`, row-major.
    pub products: fn(a: &[f32], b: &[f32], dim: usize, out: &mut [f32]),
    /// Bounds of dot products, where they are to be had in less time.
    pub rounding: Option<Rounding>,
}

/// The type of [`Kernels::l2_i8`].
pub type ScaledDistances = fn(query: &[f32], rows: &[i8], scales: &[f32], scores: &mut [f32]);

/// The type of [`Kernels::dot_codes`].
pub type DotCodes = fn(query: &[i16], codes: &[i8], ids: &[u32], scores: &mut [i32]);

/// Codes have a multiple of this many numbers, so that no kernel has a tail and rows start on cache lines.
pub const CODE_LANES: usize = 64;

const CACHE_LINE_BYTES: usize = 64;

/// Asks for the cache lines of `row`, to be read soon.
#[inline]
pub fn prefetch<T>(row: &[T]) {
    prefetch_bytes(row.as_ptr().cast(), size_of_val(row));
}

/// Asks for the cache lines of `bytes` bytes from `at`, which may be any address whatever.
#[inline]
fn prefetch_bytes(at: *const i8, bytes: usize) {
    for line in (0..bytes).step_by(CACHE_LINE_BYTES) {
        let line = at.wrapping_add(line);
        #[cfg(target_arch = "x86_64")]
        x86::prefetch(line);
        #[cfg(target_arch = "aarch64")]
        neon::prefetch(line);
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        let _ = line;
    }
}

/// That every one of `ids` is a row of `codes`, and has its score.
fn check_codes(query: &[i16], codes: &[i8], ids: &[u32], scores: &[i32]) {
    assert!(query.len().is_multiple_of(CODE_LANES) && ids.len() == scores.len(), "one score per row");
    let rows = codes.len() / query.len().max(1);
    assert!(ids.iter().all(|&id| (id as usize) < rows), "rows of the matrix");
}

/// That every row has its scale.
fn check_scales(scales: &[f32], scores: &[f32]) {
    assert_eq!(scales.len(), scores.len(), "one scale per row");
}

/// That `rows` have `dim` numbers each.
fn check_rows(rows: &[f32], dim: usize) {
    assert!(dim > 0 && rows.len().is_multiple_of(dim), "whole rows");
}

/// That there are whole rows, and a number in `out` for each pair of them.
fn check_products(a: &[f32], b: &[f32], dim: usize, out: &[f32]) {
    check_rows(a, dim);
    check_rows(b, dim);
    assert_eq!(out.len(), (a.len() / dim) * (b.len() / dim), "one product for each pair");
}

impl Kernels {
    /// Kernels that this CPU can run, best last.
    pub fn available() -> Vec<&'static Kernels> {
        let mut found = vec![&scalar::KERNELS];
        #[cfg(target_arch = "x86_64")]
        found.extend(x86::available());
        #[cfg(target_arch = "aarch64")]
        found.push(&neon::KERNELS);
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
                let squares = |row: &[f64]| -> f64 {
                    query.iter().zip(row).map(|(&q, r)| (f64::from(q) - r).powi(2)).sum()
                };
                let scales: Vec<f32> = (0..count).map(|row| 0.004 * (row as f32 + 1.0)).collect();
                let mut l2 = [vec![0.0; count], vec![0.0; count], vec![0.0; count]];
                (kernels.l2_f32)(&query, &wide, &mut l2[0]);
                (kernels.l2_f16)(&query, &halves, &mut l2[1]);
                (kernels.l2_i8)(&query, &bytes, &scales, &mut l2[2]);
                for (row, &scale) in scales.iter().enumerate() {
                    let at = row * dim..(row + 1) * dim;
                    let rows: [Vec<f64>; 3] = [
                        wide[at.clone()].iter().map(|&v| v.into()).collect(),
                        halves[at.clone()].iter().map(|v| v.to_f64()).collect(),
                        bytes[at].iter().map(|&v| f64::from(v) * f64::from(scale)).collect(),
                    ];
                    for (name, (found, values)) in ["f32", "f16", "i8"].iter().zip(l2.iter().zip(&rows)) {
                        let exact = squares(values);
                        let close = (f64::from(found[row]) - exact).abs() <= 4.0 * bound;
                        prop_assert!(close, "{} l2 {name}: {} {exact}", kernels.name, found[row]);
                    }
                }
                let mut widened = vec![0.0; halves.len()];
                (kernels.widen_f16)(&halves, &mut widened);
                prop_assert!(widened.iter().zip(&halves).all(|(w, h)| *w == h.to_f32()), "{} widen", kernels.name);
            }
        }
    }

    proptest! {
        #[test]
        fn every_kernel_agrees_on_codes(blocks in 1usize..13, rows in 1usize..9, seed in any::<u32>()) {
            let dim = blocks * CODE_LANES;
            let mut state = u64::from(seed) << 1 | 1;
            let mut next = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 40) as i32
            };
            let limit = i32::MAX / 128 / dim as i32;
            let query: Vec<i16> = (0..dim).map(|_| (next() % (2 * limit.min(32_767)) - limit.min(32_767)) as i16).collect();
            let codes: Vec<i8> = (0..rows * dim).map(|_| next() as i8).collect();
            let ids: Vec<u32> = (0..rows as u32).rev().chain([0, 0]).collect();
            let expected: Vec<i64> = ids
                .iter()
                .map(|&id| &codes[id as usize * dim..][..dim])
                .map(|row| row.iter().zip(&query).map(|(&c, &q)| i64::from(c) * i64::from(q)).sum())
                .collect();
            for kernels in Kernels::available() {
                let mut scores = vec![0; ids.len()];
                (kernels.dot_codes)(&query, &codes, &ids, &mut scores);
                let scores: Vec<i64> = scores.into_iter().map(i64::from).collect();
                prop_assert_eq!(&scores, &expected, "{}", kernels.name);
            }
        }
    }

    #[test]
    fn every_kernel_is_exact_on_the_largest_products() {
        let dim = 16_384;
        let finest = (i32::MAX / 128 / dim as i32) as i16;
        let signs = |step: usize| move |at: usize| if (at / step).is_multiple_of(2) { 1 } else { -1 };
        let queries = [1, 3, 64, dim].map(|step| (0..dim).map(signs(step)).collect::<Vec<i16>>());
        let rows = [1, 3, 64, dim].map(|step| (0..dim).map(signs(step)).collect::<Vec<i16>>());
        let codes: Vec<i8> =
            rows.iter().flatten().map(|&sign| sign as i8 * 127).chain(vec![-128; dim]).collect();
        for signs in &queries {
            let query: Vec<i16> = signs.iter().map(|sign| sign * finest).collect();
            let product =
                |row: &[i8]| row.iter().zip(&query).map(|(&c, &q)| i64::from(c) * i64::from(q)).sum();
            let expected: Vec<i64> = codes.chunks_exact(dim).map(product).collect();
            for kernels in Kernels::available() {
                let mut scores = [0; 5];
                (kernels.dot_codes)(&query, &codes, &[0, 1, 2, 3, 4], &mut scores);
                assert_eq!(scores.map(i64::from), *expected, "{}", kernels.name);
            }
        }
    }

    proptest! {
        #[test]
        fn every_kernel_multiplies_every_pair(
            dim in 1usize..70, [a, b] in [0usize..18, 0usize..11], seed in any::<u32>(),
        ) {
            let mut random = crate::core::SplitMix64(seed.into());
            let mut rows = |count: usize| -> Vec<f32> {
                (0..count * dim).map(|_| (random.next_u64() % 15) as f32 - 7.0).collect()
            };
            let (a, b) = (rows(a), rows(b));
            // Whole numbers: exact in whatever order they are summed.
            let expected: Vec<f32> = a
                .chunks_exact(dim)
                .flat_map(|a| b.chunks_exact(dim).map(move |b| a.iter().zip(b).map(|(a, b)| a * b).sum()))
                .collect();
            for kernels in Kernels::available() {
                let mut out = vec![f32::NAN; expected.len()];
                (kernels.products)(&a, &b, dim, &mut out);
                prop_assert_eq!(&out, &expected, "{}", kernels.name);
            }
        }
    }

    /// What inner products of rows of `a` and of `b` are at most: rows of `a` × rows of `b`.
    fn bounds(rounding: Rounding, a: &[f32], b: &[f32], dim: usize, slack: f32) -> Vec<f32> {
        let [a, b] = [a, b].map(|rows| {
            let mut rounded = RoundedRows::default();
            // What was held before is gone.
            (rounding.round)(&[1.0; 6], 3, &mut rounded);
            (rounding.round)(rows, dim, &mut rounded);
            rounded
        });
        let mut out = vec![f32::NAN; a.lengths.len() * b.lengths.len()];
        (rounding.bounds)(&a, &b, slack, &mut out);
        out
    }

    fn with_rounding() -> impl Iterator<Item = (&'static Kernels, Rounding)> {
        Kernels::available().into_iter().filter_map(|kernels| Some((kernels, kernels.rounding?)))
    }

    proptest! {
        #[test]
        fn bounds_are_close_and_never_below_a_score(
            dim in 1usize..900, [a, b] in [0usize..15, 0usize..40], sparse in any::<bool>(), seed in any::<u32>(),
        ) {
            let mut random = crate::core::SplitMix64(seed.into());
            let mut rows = |count: usize| -> Vec<f32> {
                let scales: Vec<f32> = (0..count).map(|_| 10f32.powi((random.next_u64() % 7) as i32 - 3)).collect();
                let mut number = |scale: f32| match sparse && !random.next_u64().is_multiple_of(50) {
                    true => 0.0,
                    false => ((random.next_u64() >> 40) as f32 / (1 << 24) as f32 - 0.5) * scale,
                };
                scales.into_iter().flat_map(|scale| (0..dim).map(|_| number(scale)).collect::<Vec<_>>()).collect()
            };
            let (a, b) = (rows(a), rows(b));
            let length = |row: &[f32]| row.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
            for (kernels, rounding) in with_rounding() {
                let mut bounds = bounds(rounding, &a, &b, dim, 0.0).into_iter();
                for a in a.chunks_exact(dim) {
                    let mut scores = vec![0.0; b.len() / dim];
                    (kernels.dot_f32)(a, &b, &mut scores);
                    for (b, score) in b.chunks_exact(dim).zip(scores) {
                        let bound = bounds.next().unwrap();
                        let exact = reference(a, b.iter().map(|&v| f64::from(v)));
                        let most = length(a) * length(b) * (dim as f64).sqrt() * 2.2 / f64::from(rounded::LENGTH);
                        let is_close = exact <= bound.into() && f64::from(bound) <= exact + most;
                        prop_assert!(is_close && score <= bound, "{}: {exact} {bound} {most}", kernels.name);
                    }
                }
            }
        }
    }

    #[test]
    fn bounds_hold_where_rounding_is_at_its_worst() {
        for (kernels, rounding) in with_rounding() {
            for dim in 2..=900 {
                // All numbers are rounded alike; of a query of bytes, all but one.
                let flat = vec![1.0f32; dim];
                let mut spiked = flat.clone();
                spiked[0] = 0.7485 * (dim as f32).sqrt();
                for query in [flat.as_slice(), &spiked] {
                    let mut score = [0.0];
                    (kernels.dot_f32)(query, &flat, &mut score);
                    assert!(
                        score[0] <= bounds(rounding, query, &flat, dim, 0.0)[0],
                        "{} {dim}",
                        kernels.name
                    );
                    (kernels.dot_i8)(query, &vec![1; dim], &mut score);
                    let bound = bounds(rounding, query, &flat, dim, dot_i8_slack(dim))[0];
                    assert!(score[0] <= bound, "{} i8 {dim}: {score:?} {bound}", kernels.name);
                }
            }
        }
    }

    #[test]
    fn nothing_is_bounded_that_cannot_be_rounded() {
        let rows = [
            [1.0, 1.0],
            [0.0, 0.0],
            [f32::NAN, 1.0],
            [f32::INFINITY, 1.0],
            [1e20, 1e20],
            [1e-20, 0.0],
            [1e-3, 0.0],
        ];
        for (kernels, rounding) in with_rounding() {
            let bounds = bounds(rounding, rows.as_flattened(), rows.as_flattened(), 2, 0.0);
            for (bounds, is_rounded) in
                bounds.chunks(rows.len()).zip([true, true, false, false, false, false, true])
            {
                let bounded = bounds.iter().map(|bound| *bound < f32::INFINITY);
                let expected =
                    [true, true, false, false, false, false, true].map(|other| other && is_rounded);
                assert!(bounded.eq(expected), "{}: {bounds:?}", kernels.name);
            }
        }
    }

    #[test]
    fn a_row_outside_the_matrix_is_not_read() {
        for kernels in Kernels::available() {
            let asked = std::panic::catch_unwind(|| {
                (kernels.dot_codes)(&[1; CODE_LANES], &[1; 2 * CODE_LANES], &[0, 2], &mut [0; 2]);
            });
            assert!(asked.is_err(), "{}", kernels.name);
        }
    }

    #[test]
    #[should_panic(expected = "one score per row")]
    fn rows_and_scores_must_agree() {
        (Kernels::best().dot_f32)(&[1.0, 2.0], &[1.0; 6], &mut [0.0; 2]);
    }
}
