//! AVX2 + FMA + F16C and AVX-512F kernels: four accumulators a row, so that the fused multiply-adds overlap, and the
//! rows to come asked for ahead. A scan is then bound by memory; AVX2 needs whole-number products for that with `i8`. Of
//! products of many rows with many, as many are summed at a time as there are registers for.

use std::arch::x86_64::*;

use half::f16;

use super::rounded::{LANES, LENGTH, LENGTHS, RoundedRows, Rounding};
use super::{Kernels, check_codes, check_products, check_rows, check_scales, prefetch_bytes};

/// The kernels that this CPU can run, best last.
pub(super) fn available() -> impl Iterator<Item = &'static Kernels> {
    let avx2 = is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c");
    let avx512 = avx2 && is_x86_feature_detected!("avx512f");
    let vnni = avx512 && is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vnni");
    let found = [(avx2, &AVX2), (avx512, &AVX512), (vnni, &VNNI)];
    found.into_iter().filter_map(|(has, kernels)| has.then_some(kernels))
}

/// Asks for the rows to come, as far as `end`: the CPU's own prefetching stops at every page.
#[inline]
fn prefetch_behind<T: Widen>(row: &[T], end: *const T) {
    let ahead = row.as_ptr().cast::<i8>().wrapping_add(T::AHEAD_BYTES);
    if ahead < end.cast() {
        prefetch_bytes(ahead, size_of_val(row));
    }
}

/// Asks for the cache line at `at`.
#[inline]
pub(super) fn prefetch(at: *const i8) {
    // SAFETY: a prefetch gives no access; it may be of any address whatever.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(at) };
}

/// Wraps a `target_feature` function of one row into a kernel of many.
macro_rules! kernel {
    ($features:literal, $row:path, $element:ty) => {{
        #[target_feature(enable = $features)]
        fn rows(query: &[f32], rows: &[$element], scores: &mut [f32]) {
            let end = rows.as_ptr_range().end;
            for (row, score) in rows.chunks_exact(query.len()).zip(scores) {
                prefetch_behind(row, end);
                *score = $row(query, row);
            }
        }
        kernel!(rows)
    }};
    ($rows:path) => {
        |query, rows, scores| {
            assert_eq!(rows.len(), query.len() * scores.len(), "one score per row");
            // SAFETY: `available` hands these kernels out only after the CPU was found to have the features.
            unsafe { $rows(query, rows, scores) }
        }
    };
}

static AVX2: Kernels = Kernels {
    name: "avx2",
    dot_f32: kernel!("avx2,fma,f16c", avx2::dot::<f32>, f32),
    dot_f16: kernel!("avx2,fma,f16c", avx2::dot::<f16>, f16),
    dot_i8: kernel!(avx2::dot_whole),
    l2_f32: kernel!("avx2,fma,f16c", avx2::l2::<f32>, f32),
    l2_f16: kernel!("avx2,fma,f16c", avx2::l2::<f16>, f16),
    l2_i8: |query, rows, scales, scores| {
        check_scales(scales, scores);
        assert_eq!(rows.len(), query.len() * scores.len(), "one score per row");
        // SAFETY: `available` hands these kernels out only after the CPU was found to have the features.
        unsafe { avx2::l2_scaled(query, rows, scales, scores) }
    },
    widen_f16: |from, to| {
        assert_eq!(from.len(), to.len(), "one number for each");
        // SAFETY: `available` hands these kernels out only after the CPU was found to have the features.
        unsafe { avx2::widen(from, to) }
    },
    dot_codes: |query, codes, ids, scores| {
        check_codes(query, codes, ids, scores);
        // SAFETY: `available` hands these kernels out only after the CPU was found to have the features; the rows were
        // found to be in the matrix.
        unsafe { avx2::dot_codes(query, codes, ids, scores) }
    },
    products: |a, b, dim, out| {
        check_products(a, b, dim, out);
        // SAFETY: `available` hands these kernels out only after the CPU was found to have the features; there is a
        // number for each pair.
        unsafe { avx2::products(a, b, dim, out) }
    },
    rounding: Some(Rounding {
        // SAFETY: `available` hands these kernels out only after the CPU was found to have the features.
        round: |rows, dim, rounded| unsafe { avx2::round(rows, dim, rounded) },
        // SAFETY: as above.
        bounds: |a, b, slack, out| unsafe { avx2::bounds(a, b, slack, out) },
    }),
};

static AVX512: Kernels = Kernels {
    name: "avx512",
    dot_f32: kernel!("avx512f,avx2,fma,f16c", avx512::dot::<f32>, f32),
    dot_f16: kernel!("avx512f,avx2,fma,f16c", avx512::dot::<f16>, f16),
    dot_i8: kernel!("avx512f,avx2,fma,f16c", avx512::dot::<i8>, i8),
    l2_f32: kernel!("avx512f,avx2,fma,f16c", avx512::l2::<f32>, f32),
    l2_f16: kernel!("avx512f,avx2,fma,f16c", avx512::l2::<f16>, f16),
    l2_i8: AVX2.l2_i8,
    widen_f16: AVX2.widen_f16,
    dot_codes: AVX2.dot_codes,
    products: AVX2.products,
    rounding: AVX2.rounding,
};

static VNNI: Kernels = Kernels {
    name: "avx512-vnni",
    dot_codes: |query, codes, ids, scores| {
        check_codes(query, codes, ids, scores);
        // SAFETY: `available` hands these kernels out only after the CPU was found to have the features; the rows were
        // found to be in the matrix.
        unsafe { avx512::dot_codes(query, codes, ids, scores) }
    },
    ..AVX512
};

/// What can be loaded and widened to `f32`. The pointers must be readable for 8 or 16 elements.
trait Widen: Copy {
    /// How far before their use rows are asked for; found by measuring (`benches/exact.rs`).
    const AHEAD_BYTES: usize;
    unsafe fn load8(at: *const Self) -> __m256;
    unsafe fn load16(at: *const Self) -> __m512;
    fn wide(self) -> f32;
}

impl Widen for f32 {
    const AHEAD_BYTES: usize = 512;
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn load8(at: *const Self) -> __m256 {
        // SAFETY: the caller vouches for 8 readable elements.
        unsafe { _mm256_loadu_ps(at) }
    }
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn load16(at: *const Self) -> __m512 {
        // SAFETY: the caller vouches for 16 readable elements.
        unsafe { _mm512_loadu_ps(at) }
    }
    fn wide(self) -> f32 {
        self
    }
}

impl Widen for f16 {
    const AHEAD_BYTES: usize = 1024;
    #[inline]
    #[target_feature(enable = "avx2,f16c")]
    unsafe fn load8(at: *const Self) -> __m256 {
        // SAFETY: the caller vouches for 8 readable elements.
        _mm256_cvtph_ps(unsafe { _mm_loadu_si128(at.cast()) })
    }
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn load16(at: *const Self) -> __m512 {
        // SAFETY: the caller vouches for 16 readable elements.
        _mm512_cvtph_ps(unsafe { _mm256_loadu_si256(at.cast()) })
    }
    fn wide(self) -> f32 {
        self.to_f32()
    }
}

impl Widen for i8 {
    const AHEAD_BYTES: usize = 2048;
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn load8(at: *const Self) -> __m256 {
        // SAFETY: the caller vouches for 8 readable elements.
        _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(unsafe { _mm_loadl_epi64(at.cast()) }))
    }
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn load16(at: *const Self) -> __m512 {
        // SAFETY: the caller vouches for 16 readable elements.
        _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(unsafe { _mm_loadu_si128(at.cast()) }))
    }
    fn wide(self) -> f32 {
        f32::from(self)
    }
}

/// The squared differences that no full lane holds.
fn l2_tail<T: Widen>(query: &[f32], row: &[T], scale: f32, from: usize) -> f32 {
    query[from..].iter().zip(&row[from..]).map(|(&q, &r)| (q - scale * r.wide()).powi(2)).sum()
}

/// The products that no full lane holds.
fn tail<T: Widen>(query: &[f32], row: &[T], from: usize) -> f32 {
    query[from..].iter().zip(&row[from..]).map(|(&q, &r)| q * r.wide()).sum()
}

mod avx2 {
    use super::*;

    /// Elements whose whole-number products fit the lanes of one sum: 4096 / 16 pairs of ±32767 × ±128 a lane.
    const WHOLE_ELEMENTS: usize = 4096;

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn dot<T: Widen>(query: &[f32], row: &[T]) -> f32 {
        let lanes = query.len().min(row.len()) / 8;
        let product = |lane: usize, sum: __m256| {
            // SAFETY: lane * 8 + 8 <= the length of both.
            let (q, r) = unsafe {
                (_mm256_loadu_ps(query.as_ptr().add(lane * 8)), T::load8(row.as_ptr().add(lane * 8)))
            };
            _mm256_fmadd_ps(q, r, sum)
        };
        let mut sums = [_mm256_setzero_ps(); 4];
        for four in 0..lanes / 4 {
            sums[0] = product(four * 4, sums[0]);
            sums[1] = product(four * 4 + 1, sums[1]);
            sums[2] = product(four * 4 + 2, sums[2]);
            sums[3] = product(four * 4 + 3, sums[3]);
        }
        for lane in lanes / 4 * 4..lanes {
            sums[0] = product(lane, sums[0]);
        }
        let sum = _mm256_add_ps(_mm256_add_ps(sums[0], sums[1]), _mm256_add_ps(sums[2], sums[3]));
        total(sum) + tail(query, row, lanes * 8)
    }

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn l2<T: Widen>(query: &[f32], row: &[T]) -> f32 {
        l2_of(query, row, 1.0)
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn l2_scaled(query: &[f32], rows: &[i8], scales: &[f32], scores: &mut [f32]) {
        let end = rows.as_ptr_range().end;
        for ((row, scale), score) in rows.chunks_exact(query.len()).zip(scales).zip(scores) {
            prefetch_behind(row, end);
            *score = l2_of(query, row, *scale);
        }
    }

    /// The squared distance from a row whose numbers count `scale` each.
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    fn l2_of<T: Widen>(query: &[f32], row: &[T], scale: f32) -> f32 {
        let lanes = query.len().min(row.len()) / 8;
        let wide_scale = _mm256_set1_ps(scale);
        let square = |lane: usize, sum: __m256| {
            // SAFETY: lane * 8 + 8 <= the length of both.
            let (q, r) = unsafe {
                (_mm256_loadu_ps(query.as_ptr().add(lane * 8)), T::load8(row.as_ptr().add(lane * 8)))
            };
            let difference = _mm256_fnmadd_ps(wide_scale, r, q);
            _mm256_fmadd_ps(difference, difference, sum)
        };
        let mut sums = [_mm256_setzero_ps(); 4];
        for four in 0..lanes / 4 {
            sums[0] = square(four * 4, sums[0]);
            sums[1] = square(four * 4 + 1, sums[1]);
            sums[2] = square(four * 4 + 2, sums[2]);
            sums[3] = square(four * 4 + 3, sums[3]);
        }
        for lane in lanes / 4 * 4..lanes {
            sums[0] = square(lane, sums[0]);
        }
        let sum = _mm256_add_ps(_mm256_add_ps(sums[0], sums[1]), _mm256_add_ps(sums[2], sums[3]));
        total(sum) + l2_tail(query, row, scale, lanes * 8)
    }

    /// Bytes against a query of 16-bit whole numbers: half the instructions of widening the bytes to `f32`. A number
    /// of the query is off by 2⁻¹⁶ of its largest one at most, far less than bytes lose.
    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn dot_whole(query: &[f32], rows: &[i8], scores: &mut [f32]) {
        let largest = query.iter().fold(0.0f32, |most, v| most.max(v.abs()));
        let scale = if largest > 0.0 { largest / f32::from(i16::MAX) } else { 1.0 };
        let whole: Vec<i16> = query.iter().map(|v| (v / scale).round_ties_even() as i16).collect();
        let end = rows.as_ptr_range().end;
        for (row, score) in rows.chunks_exact(query.len()).zip(scores) {
            prefetch_behind(row, end);
            let parts = whole.chunks(WHOLE_ELEMENTS).zip(row.chunks(WHOLE_ELEMENTS));
            *score = scale * parts.map(|(query, row)| dot_part(query, row)).sum::<f32>();
        }
    }

    /// At most [`WHOLE_ELEMENTS`] of them.
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    fn dot_part(query: &[i16], row: &[i8]) -> f32 {
        let lanes = query.len().min(row.len()) / 16;
        let product = |lane: usize, sum: __m256i| {
            // SAFETY: lane * 16 + 16 <= the length of both.
            let (q, r) = unsafe {
                (
                    _mm256_loadu_si256(query.as_ptr().add(lane * 16).cast()),
                    _mm_loadu_si128(row.as_ptr().add(lane * 16).cast()),
                )
            };
            _mm256_add_epi32(sum, _mm256_madd_epi16(q, _mm256_cvtepi8_epi16(r)))
        };
        let mut sums = [_mm256_setzero_si256(); 2];
        for two in 0..lanes / 2 {
            sums[0] = product(two * 2, sums[0]);
            sums[1] = product(two * 2 + 1, sums[1]);
        }
        if lanes % 2 == 1 {
            sums[0] = product(lanes - 1, sums[0]);
        }
        let rest = query[lanes * 16..].iter().zip(&row[lanes * 16..]);
        let rest: i32 = rest.map(|(&q, &r)| i32::from(q) * i32::from(r)).sum();
        total(_mm256_cvtepi32_ps(_mm256_add_epi32(sums[0], sums[1]))) + rest as f32
    }

    /// Rows of the first-level cache's share of `a`, with which all rows of `b` are multiplied before the next.
    const HELD_ROWS: usize = 12;
    /// Rows of `a` and of `b` whose products are summed at a time: as many as there are registers for.
    const TILE: [usize; 2] = [3, 4];

    /// A tile at a time, so that every number loaded is used several times.
    ///
    /// # Safety
    /// `out` has a number for each pair of rows of `dim` numbers.
    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) unsafe fn products(a: &[f32], b: &[f32], dim: usize, out: &mut [f32]) {
        let (a_rows, b_rows) = (a.len() / dim, b.len() / dim);
        let lanes = dim / 8;
        for held in (0..a_rows).step_by(HELD_ROWS) {
            let held_end = (held + HELD_ROWS).min(a_rows);
            for first_b in (0..b_rows).step_by(TILE[1]) {
                for first_a in (held..held_end).step_by(TILE[0]) {
                    // At the end rows are multiplied again instead of some that are not there.
                    let at_a =
                        std::array::from_fn::<_, { TILE[0] }, _>(|at| (first_a + at).min(held_end - 1));
                    let at_b = std::array::from_fn::<_, { TILE[1] }, _>(|at| (first_b + at).min(b_rows - 1));
                    let [a, b] = [a.as_ptr(), b.as_ptr()];
                    let from_a = at_a.map(|row| a.wrapping_add(row * dim));
                    let from_b = at_b.map(|row| b.wrapping_add(row * dim));
                    let mut sums = [[_mm256_setzero_ps(); TILE[1]]; TILE[0]];
                    for lane in 0..lanes {
                        // SAFETY: lane * 8 + 8 <= dim.
                        let load = |row: *const f32| unsafe { _mm256_loadu_ps(row.wrapping_add(lane * 8)) };
                        let wide = from_a.map(load);
                        for at in 0..TILE[1] {
                            let other = load(from_b[at]);
                            for (sums, wide) in sums.iter_mut().zip(wide) {
                                sums[at] = _mm256_fmadd_ps(wide, other, sums[at]);
                            }
                        }
                    }
                    for (sums, (row_a, from_a)) in sums.iter().zip(at_a.into_iter().zip(from_a)) {
                        let out = &mut out[row_a * b_rows..][..b_rows];
                        for (&total, (row_b, from_b)) in
                            totals(*sums).iter().zip(at_b.into_iter().zip(from_b))
                        {
                            out[row_b] = total;
                            if lanes * 8 < dim {
                                // SAFETY: both rows have `dim` numbers.
                                let [a, b] = [from_a, from_b]
                                    .map(|row| unsafe { std::slice::from_raw_parts(row, dim) });
                                out[row_b] += tail(a, b, lanes * 8);
                            }
                        }
                    }
                }
            }
        }
    }

    /// The sum of the lanes of each.
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    fn totals([a, b, c, d]: [__m256; 4]) -> [f32; 4] {
        // [a a b b c c d d] of one half each, then [a b c d] of both halves.
        let sums = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));
        let sums = _mm_add_ps(_mm256_castps256_ps128(sums), _mm256_extractf128_ps::<1>(sums));
        let mut totals = [0.0; 4];
        // SAFETY: there is room for four numbers.
        unsafe { _mm_storeu_ps(totals.as_mut_ptr(), sums) };
        totals
    }

    /// As [`Rounding::round`].
    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn round(rows: &[f32], dim: usize, rounded: &mut RoundedRows) {
        check_rows(rows, dim);
        rounded.dim = dim;
        let row_pairs = rounded.row_pairs();
        let RoundedRows { pairs, lengths, errors, .. } = rounded;
        lengths.clear();
        errors.clear();
        pairs.resize(rows.len() / dim * row_pairs, 0);
        for (row, pairs) in rows.chunks_exact(dim).zip(pairs.chunks_exact_mut(row_pairs)) {
            let length = dot(row, row).sqrt();
            if !LENGTHS.contains(&length) {
                lengths.push(if row.iter().all(|&v| v == 0.0) { 0.0 } else { f32::NAN });
                errors.push(0.0);
                pairs.fill(0);
                continue;
            }
            let scale = _mm256_set1_ps(LENGTH / length);
            let mut squares = _mm256_setzero_ps();
            let ((whole, rest), pairs) = (row.as_chunks(), pairs.as_chunks_mut().0);
            for (numbers, pairs) in whole.iter().zip(&mut *pairs) {
                squares = round_lanes(numbers, scale, squares, pairs);
            }
            if let Some(pairs) = pairs.get_mut(whole.len()) {
                let mut last = [0.0; LANES];
                last[..rest.len()].copy_from_slice(rest);
                squares = round_lanes(&last, scale, squares, pairs);
            }
            lengths.push(length);
            errors.push(total(squares).sqrt() / LENGTH);
        }
    }

    /// Numbers times `scale`, rounded; gives `squares` and the squares of what that leaves. They are packed half by half, 0..4
    /// 8..12 4..8 12..16: products do not see their order.
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    fn round_lanes(
        numbers: &[f32; LANES],
        scale: __m256,
        squares: __m256,
        pairs: &mut [i32; LANES / 2],
    ) -> __m256 {
        // SAFETY: there are sixteen numbers.
        let numbers = [0, 8].map(|at| unsafe { _mm256_loadu_ps(numbers.as_ptr().add(at)) });
        let steps = numbers.map(|numbers| _mm256_cvtps_epi32(_mm256_mul_ps(numbers, scale)));
        // SAFETY: there is room for eight pairs.
        unsafe { _mm256_storeu_si256(pairs.as_mut_ptr().cast(), _mm256_packs_epi32(steps[0], steps[1])) };
        numbers.into_iter().zip(steps).fold(squares, |squares, (numbers, steps)| {
            let left = _mm256_fmsub_ps(numbers, scale, _mm256_cvtepi32_ps(steps));
            _mm256_fmadd_ps(left, left, squares)
        })
    }

    /// Rows of `b` that are laid out side by side, pair by pair: two registers.
    const PANEL_ROWS: usize = 16;
    /// Rows of `a` whose products with a panel are summed at a time: as many as there are registers for.
    const PANEL_TILE: usize = 6;

    /// The same pair of each row of a panel.
    #[derive(Clone, Copy)]
    #[repr(align(64))]
    struct Abreast([i32; PANEL_ROWS]);

    /// As [`Rounding::bounds`].
    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn bounds(a: &RoundedRows, b: &RoundedRows, slack: f32, out: &mut [f32]) {
        let (a_rows, b_rows, row_pairs) = (a.lengths.len(), b.lengths.len(), a.row_pairs());
        assert!(a.dim == b.dim && out.len() == a_rows * b_rows, "one bound for each pair");
        let step = _mm256_set1_ps(1.0 / (LENGTH * LENGTH));
        // What sums of single precision lose, here and in a score.
        let slack = slack + a.dim as f32 * f32::EPSILON;
        let mut panel = vec![Abreast([0; PANEL_ROWS]); row_pairs];
        for first_b in (0..b_rows).step_by(PANEL_ROWS) {
            let width = PANEL_ROWS.min(b_rows - first_b);
            // At the end rows are taken again instead of some that are not there.
            let of_b = |at: usize| &b.pairs[(first_b + at).min(b_rows - 1) * row_pairs..][..row_pairs];
            for half in [0, 8] {
                lay_abreast(std::array::from_fn(|at| of_b(half + at)), half, &mut panel);
            }
            let of_panel = |numbers: &[f32]| {
                let mut held = [0.0; PANEL_ROWS];
                held[..width].copy_from_slice(&numbers[first_b..first_b + width]);
                // SAFETY: there are two registers' numbers.
                [0, 8].map(|half| unsafe { _mm256_loadu_ps(held.as_ptr().add(half)) })
            };
            let (lengths, errors) = (of_panel(&b.lengths), of_panel(&b.errors));
            for first_a in (0..a_rows).step_by(PANEL_TILE) {
                let of_a = |at: usize| &a.pairs[(first_a + at).min(a_rows - 1) * row_pairs..][..row_pairs];
                let products = panel_products(std::array::from_fn(of_a), &panel);
                for (row, products) in (first_a..a_rows).zip(products) {
                    let (length, error) =
                        (_mm256_set1_ps(a.lengths[row]), _mm256_set1_ps(a.errors[row] + slack));
                    let mut bounds = [0.0; PANEL_ROWS];
                    for half in [0, 1] {
                        // Of unit rows that are off by e and f: (a + e)(b + f) - ab = af + eb + ef, at least -|f| - |e| - |e| |f|.
                        let off = _mm256_add_ps(error, errors[half]);
                        let off = _mm256_fmadd_ps(error, errors[half], off);
                        let bound = _mm256_fmadd_ps(_mm256_cvtepi32_ps(products[half]), step, off);
                        let bound = _mm256_mul_ps(_mm256_mul_ps(bound, lengths[half]), length);
                        // Where one is no number, the minimum is the other.
                        let bound = _mm256_min_ps(bound, _mm256_set1_ps(f32::INFINITY));
                        // SAFETY: there is room for eight bounds.
                        unsafe { _mm256_storeu_ps(bounds.as_mut_ptr().add(half * 8), bound) };
                    }
                    out[row * b_rows + first_b..][..width].copy_from_slice(&bounds[..width]);
                }
            }
        }
    }

    /// Eight rows of as many pairs as a panel has, a multiple of eight, into its columns from `first` on.
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    fn lay_abreast(rows: [&[i32]; 8], first: usize, panel: &mut [Abreast]) {
        for (start, eight) in (0..).step_by(8).zip(panel.as_chunks_mut::<8>().0) {
            let rows = rows.map(|row| {
                let pairs: &[i32; 8] =
                    row[start..].first_chunk().expect("invariant: rows are as long as a panel");
                // SAFETY: there are eight.
                unsafe { _mm256_loadu_ps(pairs.as_ptr().cast()) }
            });
            // Registers that hold numbers of two rows, of four, of eight.
            let twos = |a: usize| {
                [_mm256_unpacklo_ps(rows[a], rows[a + 1]), _mm256_unpackhi_ps(rows[a], rows[a + 1])]
            };
            let fours = |[a, b]: [__m256; 2], [c, d]: [__m256; 2]| {
                let (low, high) = (_mm256_shuffle_ps::<0b01_00_01_00>, _mm256_shuffle_ps::<0b11_10_11_10>);
                [low(a, c), high(a, c), low(b, d), high(b, d)]
            };
            let (one, other) = (fours(twos(0), twos(2)), fours(twos(4), twos(6)));
            for at in 0..4 {
                let eights = [
                    _mm256_permute2f128_ps::<0x20>(one[at], other[at]),
                    _mm256_permute2f128_ps::<0x31>(one[at], other[at]),
                ];
                for (half, numbers) in eights.into_iter().enumerate() {
                    let to = &mut eight[half * 4 + at].0[first..first + 8];
                    // SAFETY: there is room for eight pairs.
                    unsafe { _mm256_storeu_ps(to.as_mut_ptr().cast(), numbers) };
                }
            }
        }
    }

    /// Products of rows of as many pairs as a panel has with the rows of the panel.
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    fn panel_products(rows: [&[i32]; PANEL_TILE], panel: &[Abreast]) -> [[__m256i; 2]; PANEL_TILE] {
        assert!(rows.iter().all(|row| row.len() == panel.len()), "rows are as long as a panel");
        let mut sums = [[_mm256_setzero_si256(); 2]; PANEL_TILE];
        for (at, Abreast(abreast)) in panel.iter().enumerate() {
            // SAFETY: a panel has two registers' rows, aligned.
            let abreast = [0, 8].map(|half| unsafe { _mm256_load_si256(abreast.as_ptr().add(half).cast()) });
            for (sums, row) in sums.iter_mut().zip(rows) {
                // SAFETY: at < the length of every row.
                let pair = _mm256_set1_epi32(unsafe { *row.get_unchecked(at) });
                for (sum, abreast) in sums.iter_mut().zip(abreast) {
                    *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(pair, abreast));
                }
            }
        }
        sums
    }

    /// Two rows at a time share the loads of the query.
    ///
    /// # Safety
    /// Every one of `ids` is a row of `codes`; rows have `query.len()` numbers, a multiple of 64.
    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) unsafe fn dot_codes(query: &[i16], codes: &[i8], ids: &[u32], scores: &mut [i32]) {
        let row = |id: u32| codes.as_ptr().wrapping_add(id as usize * query.len());
        let product = |q: __m256i, row: *const i8, sum: __m256i| {
            // SAFETY: the row has 16 more numbers here.
            let code = _mm256_cvtepi8_epi16(unsafe { _mm_loadu_si128(row.cast()) });
            _mm256_add_epi32(sum, _mm256_madd_epi16(q, code))
        };
        for (ids, scores) in ids.chunks(2).zip(scores.chunks_mut(2)) {
            let (a, b) = (row(ids[0]), row(ids[ids.len() - 1]));
            let mut sums = [_mm256_setzero_si256(); 4];
            for at in (0..query.len()).step_by(32) {
                let q = query.as_ptr().wrapping_add(at);
                // SAFETY: at + 32 <= query.len().
                let (q0, q1) =
                    unsafe { (_mm256_loadu_si256(q.cast()), _mm256_loadu_si256(q.wrapping_add(16).cast())) };
                sums[0] = product(q0, a.wrapping_add(at), sums[0]);
                sums[1] = product(q0, b.wrapping_add(at), sums[1]);
                sums[2] = product(q1, a.wrapping_add(at + 16), sums[2]);
                sums[3] = product(q1, b.wrapping_add(at + 16), sums[3]);
            }
            // [a a b b] of one half, then of both halves, then [a b a b].
            let pairs =
                _mm256_hadd_epi32(_mm256_add_epi32(sums[0], sums[2]), _mm256_add_epi32(sums[1], sums[3]));
            let both = _mm_add_epi32(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256::<1>(pairs));
            let totals = _mm_hadd_epi32(both, both);
            scores[0] = _mm_cvtsi128_si32(totals);
            if let Some(second) = scores.get_mut(1) {
                *second = _mm_extract_epi32::<1>(totals);
            }
        }
    }

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    fn total(sum: __m256) -> f32 {
        let sum = _mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps::<1>(sum));
        let sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
        _mm_cvtss_f32(_mm_add_ss(sum, _mm_movehdup_ps(sum)))
    }

    #[target_feature(enable = "avx2,f16c")]
    pub(super) fn widen(from: &[f16], to: &mut [f32]) {
        let lanes = from.len() / 8;
        for lane in 0..lanes {
            // SAFETY: lane * 8 + 8 <= the length of both, which the caller found equal.
            unsafe {
                _mm256_storeu_ps(to.as_mut_ptr().add(lane * 8), f16::load8(from.as_ptr().add(lane * 8)))
            };
        }
        for (half, wide) in from[lanes * 8..].iter().zip(&mut to[lanes * 8..]) {
            *wide = half.to_f32();
        }
    }
}

mod avx512 {
    use super::*;

    #[inline]
    #[target_feature(enable = "avx512f,avx2,fma,f16c")]
    pub(super) fn dot<T: Widen>(query: &[f32], row: &[T]) -> f32 {
        let lanes = query.len().min(row.len()) / 16;
        let product = |lane: usize, sum: __m512| {
            // SAFETY: lane * 16 + 16 <= the length of both.
            let (q, r) = unsafe {
                (_mm512_loadu_ps(query.as_ptr().add(lane * 16)), T::load16(row.as_ptr().add(lane * 16)))
            };
            _mm512_fmadd_ps(q, r, sum)
        };
        let mut sums = [_mm512_setzero_ps(); 4];
        for four in 0..lanes / 4 {
            sums[0] = product(four * 4, sums[0]);
            sums[1] = product(four * 4 + 1, sums[1]);
            sums[2] = product(four * 4 + 2, sums[2]);
            sums[3] = product(four * 4 + 3, sums[3]);
        }
        for lane in lanes / 4 * 4..lanes {
            sums[0] = product(lane, sums[0]);
        }
        let sum = _mm512_add_ps(_mm512_add_ps(sums[0], sums[1]), _mm512_add_ps(sums[2], sums[3]));
        _mm512_reduce_add_ps(sum) + tail(query, row, lanes * 16)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx2,fma,f16c")]
    pub(super) fn l2<T: Widen>(query: &[f32], row: &[T]) -> f32 {
        let lanes = query.len().min(row.len()) / 16;
        let square = |lane: usize, sum: __m512| {
            // SAFETY: lane * 16 + 16 <= the length of both.
            let (q, r) = unsafe {
                (_mm512_loadu_ps(query.as_ptr().add(lane * 16)), T::load16(row.as_ptr().add(lane * 16)))
            };
            let difference = _mm512_sub_ps(q, r);
            _mm512_fmadd_ps(difference, difference, sum)
        };
        let mut sums = [_mm512_setzero_ps(); 4];
        for four in 0..lanes / 4 {
            sums[0] = square(four * 4, sums[0]);
            sums[1] = square(four * 4 + 1, sums[1]);
            sums[2] = square(four * 4 + 2, sums[2]);
            sums[3] = square(four * 4 + 3, sums[3]);
        }
        for lane in lanes / 4 * 4..lanes {
            sums[0] = square(lane, sums[0]);
        }
        let sum = _mm512_add_ps(_mm512_add_ps(sums[0], sums[1]), _mm512_add_ps(sums[2], sums[3]));
        _mm512_reduce_add_ps(sum) + l2_tail(query, row, 1.0, lanes * 16)
    }

    /// # Safety
    /// Every one of `ids` is a row of `codes`; rows have `query.len()` numbers, a multiple of 64.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2,fma,f16c")]
    pub(super) unsafe fn dot_codes(query: &[i16], codes: &[i8], ids: &[u32], scores: &mut [i32]) {
        let product = |q: *const i16, row: *const i8, sum: __m512i| {
            // SAFETY: query and row have 32 more numbers here.
            let (q, code) = unsafe { (_mm512_loadu_si512(q.cast()), _mm256_loadu_si256(row.cast())) };
            _mm512_dpwssd_epi32(sum, q, _mm512_cvtepi8_epi16(code))
        };
        for (&id, score) in ids.iter().zip(scores) {
            let row = codes.as_ptr().wrapping_add(id as usize * query.len());
            let mut sums = [_mm512_setzero_si512(); 2];
            for at in (0..query.len()).step_by(64) {
                let (q, row) = (query.as_ptr().wrapping_add(at), row.wrapping_add(at));
                sums[0] = product(q, row, sums[0]);
                sums[1] = product(q.wrapping_add(32), row.wrapping_add(32), sums[1]);
            }
            *score = _mm512_reduce_add_epi32(_mm512_add_epi32(sums[0], sums[1]));
        }
    }
}
