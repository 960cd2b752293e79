//! NEON kernels of 64-bit ARM, which has them always: four accumulators a row, so that the fused multiply-adds overlap.

use std::arch::aarch64::*;
use std::arch::asm;

use half::f16;
use half::slice::HalfFloatSliceExt;

use super::{Kernels, check_codes, check_scales, scalar};

/// Asks for the cache line at `at`.
#[inline]
pub(super) fn prefetch(at: *const i8) {
    // SAFETY: a prefetch gives no access; it may be of any address whatever.
    unsafe { asm!("prfm pldl1keep, [{}]", in(reg) at, options(nostack, preserves_flags)) };
}

/// Wraps a `target_feature` function into a kernel.
macro_rules! kernel {
    ($rows:path) => {
        |query, rows, scores| {
            assert_eq!(rows.len(), query.len() * scores.len(), "one score per row");
            // SAFETY: 64-bit ARM has NEON.
            unsafe { $rows(query, rows, scores) }
        }
    };
}

pub(super) static KERNELS: Kernels = Kernels {
    name: "neon",
    dot_f32: kernel!(dots::<f32>),
    dot_f16: kernel!(dots::<f16>),
    dot_i8: kernel!(dots::<i8>),
    l2_f32: kernel!(distances::<f32>),
    l2_f16: kernel!(distances::<f16>),
    l2_i8: |query, rows, scales, scores| {
        check_scales(scales, scores);
        assert_eq!(rows.len(), query.len() * scores.len(), "one score per row");
        // SAFETY: 64-bit ARM has NEON.
        unsafe { scaled_distances(query, rows, scales, scores) }
    },
    widen_f16: |from, to| from.convert_to_f32_slice(to),
    dot_codes: |query, codes, ids, scores| {
        check_codes(query, codes, ids, scores);
        for (&id, score) in ids.iter().zip(scores) {
            // SAFETY: 64-bit ARM has NEON.
            *score = unsafe { dot_code(query, &codes[id as usize * query.len()..][..query.len()]) };
        }
    },
    // The matrix product of the reference has NEON kernels of its own.
    products: scalar::KERNELS.products,
    rounding: None,
};

#[target_feature(enable = "neon")]
fn dots<T: Widen>(query: &[f32], rows: &[T], scores: &mut [f32]) {
    for (row, score) in rows.chunks_exact(query.len()).zip(scores) {
        *score = sum(query, row, |sum, q, r| vfmaq_f32(sum, q, r), |q, r| q * r);
    }
}

#[target_feature(enable = "neon")]
fn distances<T: Widen>(query: &[f32], rows: &[T], scores: &mut [f32]) {
    for (row, score) in rows.chunks_exact(query.len()).zip(scores) {
        *score = l2(query, row, 1.0);
    }
}

#[target_feature(enable = "neon")]
fn scaled_distances(query: &[f32], rows: &[i8], scales: &[f32], scores: &mut [f32]) {
    for ((row, scale), score) in rows.chunks_exact(query.len()).zip(scales).zip(scores) {
        *score = l2(query, row, *scale);
    }
}

/// The squared distance from a row whose numbers count `scale` each.
#[inline]
#[target_feature(enable = "neon")]
fn l2<T: Widen>(query: &[f32], row: &[T], scale: f32) -> f32 {
    let square = |sum, q, r| {
        let difference = vfmsq_n_f32(q, r, scale);
        vfmaq_f32(sum, difference, difference)
    };
    sum(query, row, square, |q, r| (q - scale * r).powi(2))
}

/// The sum of what `add` adds for four numbers of each side at a time, and `rest` for each of the last few.
#[inline]
#[target_feature(enable = "neon")]
fn sum<T: Widen>(
    query: &[f32],
    row: &[T],
    add: impl Fn(float32x4_t, float32x4_t, float32x4_t) -> float32x4_t,
    rest: impl Fn(f32, f32) -> f32,
) -> f32 {
    let (sixteens, last) = query.as_chunks::<16>();
    let (row_sixteens, row_last) = row.as_chunks::<16>();
    let mut sums = [vdupq_n_f32(0.0); 4];
    for (query, row) in sixteens.iter().zip(row_sixteens) {
        // SAFETY: there is NEON here.
        let row = unsafe { T::widen(row) };
        for four in 0..4 {
            // SAFETY: four * 4 + 4 <= 16.
            let query = unsafe { vld1q_f32(query.as_ptr().add(four * 4)) };
            sums[four] = add(sums[four], query, row[four]);
        }
    }
    let sum = vaddq_f32(vaddq_f32(sums[0], sums[1]), vaddq_f32(sums[2], sums[3]));
    vaddvq_f32(sum) + last.iter().zip(row_last).map(|(&q, &r)| rest(q, r.wide())).sum::<f32>()
}

/// The product of a query and a code, of a multiple of 64 whole numbers.
#[inline]
#[target_feature(enable = "neon")]
fn dot_code(query: &[i16], code: &[i8]) -> i32 {
    let mut sums = [vdupq_n_s32(0); 4];
    for (query, code) in query.as_chunks::<16>().0.iter().zip(code.as_chunks::<16>().0) {
        // SAFETY: there are sixteen numbers of each.
        let (low, high, code) =
            unsafe { (vld1q_s16(query.as_ptr()), vld1q_s16(query.as_ptr().add(8)), vld1q_s8(code.as_ptr())) };
        let (code_low, code_high) = (vmovl_s8(vget_low_s8(code)), vmovl_high_s8(code));
        sums[0] = vmlal_s16(sums[0], vget_low_s16(low), vget_low_s16(code_low));
        sums[1] = vmlal_high_s16(sums[1], low, code_low);
        sums[2] = vmlal_s16(sums[2], vget_low_s16(high), vget_low_s16(code_high));
        sums[3] = vmlal_high_s16(sums[3], high, code_high);
    }
    vaddvq_s32(vaddq_s32(vaddq_s32(sums[0], sums[1]), vaddq_s32(sums[2], sums[3])))
}

/// What can be loaded and widened to `f32`, by NEON.
trait Widen: Copy {
    unsafe fn widen(numbers: &[Self; 16]) -> [float32x4_t; 4];
    fn wide(self) -> f32;
}

impl Widen for f32 {
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn widen(numbers: &[Self; 16]) -> [float32x4_t; 4] {
        // SAFETY: at * 4 + 4 <= 16.
        std::array::from_fn(|at| unsafe { vld1q_f32(numbers.as_ptr().add(at * 4)) })
    }
    fn wide(self) -> f32 {
        self
    }
}

impl Widen for f16 {
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn widen(numbers: &[Self; 16]) -> [float32x4_t; 4] {
        std::array::from_fn(|at| {
            let wide: float32x4_t;
            // SAFETY: at * 4 + 4 <= 16; the conversion reads a register and writes one.
            unsafe {
                let half = vld1_u16(numbers.as_ptr().add(at * 4).cast());
                asm!(
                    "fcvtl {wide:v}.4s, {half:v}.4h",
                    wide = lateout(vreg) wide, half = in(vreg) half,
                    options(pure, nomem, nostack, preserves_flags),
                );
            }
            wide
        })
    }
    fn wide(self) -> f32 {
        self.to_f32()
    }
}

impl Widen for i8 {
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn widen(numbers: &[Self; 16]) -> [float32x4_t; 4] {
        // SAFETY: there are sixteen.
        let bytes = unsafe { vld1q_s8(numbers.as_ptr()) };
        let (low, high) = (vmovl_s8(vget_low_s8(bytes)), vmovl_high_s8(bytes));
        let wide = [
            vmovl_s16(vget_low_s16(low)),
            vmovl_high_s16(low),
            vmovl_s16(vget_low_s16(high)),
            vmovl_high_s16(high),
        ];
        wide.map(|wide| vcvtq_f32_s32(wide))
    }
    fn wide(self) -> f32 {
        f32::from(self)
    }
}
