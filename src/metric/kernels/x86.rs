//! AVX2 + FMA + F16C and AVX-512F kernels: four accumulators a row, so that the fused multiply-adds overlap.

use std::arch::x86_64::*;

use half::f16;

use super::Kernels;

/// The kernels that this CPU can run, best last.
pub(super) fn available() -> impl Iterator<Item = &'static Kernels> {
    let avx2 = is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c");
    let avx512 = avx2 && is_x86_feature_detected!("avx512f");
    avx2.then_some(&AVX2).into_iter().chain(avx512.then_some(&AVX512))
}

/// Wraps a `target_feature` function of one row into a kernel of many.
macro_rules! kernel {
    ($features:literal, $row:path, $element:ty) => {{
        #[target_feature(enable = $features)]
        fn rows(query: &[f32], rows: &[$element], scores: &mut [f32]) {
            for (row, score) in rows.chunks_exact(query.len()).zip(scores) {
                *score = $row(query, row);
            }
        }
        |query, rows_of, scores| {
            assert_eq!(rows_of.len(), query.len() * scores.len(), "one score per row");
            // SAFETY: `available` hands these kernels out only after the CPU was found to have the features.
            unsafe { rows(query, rows_of, scores) }
        }
    }};
}

static AVX2: Kernels = Kernels {
    name: "avx2",
    dot_f32: kernel!("avx2,fma,f16c", avx2::dot::<f32>, f32),
    dot_f16: kernel!("avx2,fma,f16c", avx2::dot::<f16>, f16),
    dot_i8: kernel!("avx2,fma,f16c", avx2::dot::<i8>, i8),
    widen_f16: |from, to| {
        assert_eq!(from.len(), to.len(), "one number for each");
        // SAFETY: `available` hands these kernels out only after the CPU was found to have the features.
        unsafe { avx2::widen(from, to) }
    },
};

static AVX512: Kernels = Kernels {
    name: "avx512",
    dot_f32: kernel!("avx512f,avx2,fma,f16c", avx512::dot::<f32>, f32),
    dot_f16: kernel!("avx512f,avx2,fma,f16c", avx512::dot::<f16>, f16),
    dot_i8: kernel!("avx512f,avx2,fma,f16c", avx512::dot::<i8>, i8),
    widen_f16: AVX2.widen_f16,
};

/// What can be loaded and widened to `f32`. The pointers must be readable for 8 or 16 elements.
trait Widen: Copy {
    unsafe fn load8(at: *const Self) -> __m256;
    unsafe fn load16(at: *const Self) -> __m512;
    fn wide(self) -> f32;
}

impl Widen for f32 {
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

/// The products that no full lane holds.
fn tail<T: Widen>(query: &[f32], row: &[T], from: usize) -> f32 {
    query[from..].iter().zip(&row[from..]).map(|(&q, &r)| q * r.wide()).sum()
}

mod avx2 {
    use super::*;

    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn dot<T: Widen>(query: &[f32], row: &[T]) -> f32 {
        let lanes = query.len().min(row.len()) / 8;
        let mut sums = [_mm256_setzero_ps(); 4];
        for lane in 0..lanes {
            // SAFETY: lane * 8 + 8 <= the length of both.
            let (q, r) = unsafe {
                (_mm256_loadu_ps(query.as_ptr().add(lane * 8)), T::load8(row.as_ptr().add(lane * 8)))
            };
            sums[lane % 4] = _mm256_fmadd_ps(q, r, sums[lane % 4]);
        }
        let sum = _mm256_add_ps(_mm256_add_ps(sums[0], sums[1]), _mm256_add_ps(sums[2], sums[3]));
        let sum = _mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps::<1>(sum));
        let sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
        let sum = _mm_add_ss(sum, _mm_movehdup_ps(sum));
        _mm_cvtss_f32(sum) + tail(query, row, lanes * 8)
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

    #[target_feature(enable = "avx512f,avx2,fma,f16c")]
    pub(super) fn dot<T: Widen>(query: &[f32], row: &[T]) -> f32 {
        let lanes = query.len().min(row.len()) / 16;
        let mut sums = [_mm512_setzero_ps(); 4];
        for lane in 0..lanes {
            // SAFETY: lane * 16 + 16 <= the length of both.
            let (q, r) = unsafe {
                (_mm512_loadu_ps(query.as_ptr().add(lane * 16)), T::load16(row.as_ptr().add(lane * 16)))
            };
            sums[lane % 4] = _mm512_fmadd_ps(q, r, sums[lane % 4]);
        }
        let sum = _mm512_add_ps(_mm512_add_ps(sums[0], sums[1]), _mm512_add_ps(sums[2], sums[3]));
        _mm512_reduce_add_ps(sum) + tail(query, row, lanes * 16)
    }
}
