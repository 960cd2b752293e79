//! Plain Rust: the reference that the other kernels are tested against, and the fall-back of every CPU.

use half::f16;
use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2};

use super::{CODE_LANES, Kernels, check_codes, check_products, check_scales};

pub(super) static KERNELS: Kernels = Kernels {
    name: "scalar",
    dot_f32: |query, rows, scores| dot(query, rows, scores, |value| value),
    dot_f16: |query, rows, scores| dot(query, rows, scores, f16::to_f32),
    dot_i8: |query, rows, scores| dot(query, rows, scores, f32::from),
    l2_f32: |query, rows, scores| l2(query, rows, scores, |_, value| value),
    l2_f16: |query, rows, scores| l2(query, rows, scores, |_, value| f16::to_f32(value)),
    l2_i8: |query, rows, scales, scores| {
        check_scales(scales, scores);
        l2(query, rows, scores, |row, value| f32::from(value) * scales[row]);
    },
    widen_f16: |from, to| {
        assert_eq!(from.len(), to.len(), "one number for each");
        from.iter().zip(to).for_each(|(half, wide)| *wide = half.to_f32());
    },
    dot_codes: |query, codes, ids, scores| {
        check_codes(query, codes, ids, scores);
        for (&id, score) in ids.iter().zip(scores) {
            *score = dot_code(query, &codes[id as usize * query.len()..][..query.len()]);
        }
    },
    products: |a, b, dim, out| {
        check_products(a, b, dim, out);
        let view = |rows| ArrayView2::from_shape((<[f32]>::len(rows) / dim, dim), rows);
        let [a, b] = [a, b].map(|rows| view(rows).expect("invariant: whole rows"));
        let out = ArrayViewMut2::from_shape((a.nrows(), b.nrows()), out);
        general_mat_mul(1.0, &a, &b.t(), 0.0, &mut out.expect("invariant: one product each"));
    },
    rounding: None,
};

/// In lanes, so that the compiler finds the vector instructions of targets that have no kernels here.
fn dot_code(query: &[i16], code: &[i8]) -> i32 {
    let mut lanes = [0i32; 16];
    for (query, code) in query.chunks_exact(CODE_LANES).zip(code.chunks_exact(CODE_LANES)) {
        for at in 0..CODE_LANES {
            lanes[at % 16] += i32::from(query[at]) * i32::from(code[at]);
        }
    }
    lanes.iter().sum()
}

fn dot<T: Copy>(query: &[f32], rows: &[T], scores: &mut [f32], widen: impl Fn(T) -> f32) {
    assert_eq!(rows.len(), query.len() * scores.len(), "one score per row");
    for (row, score) in rows.chunks_exact(query.len()).zip(scores) {
        *score = query.iter().zip(row).map(|(&q, &r)| q * widen(r)).sum();
    }
}

/// Squared distances; `widen` is told the row.
fn l2<T: Copy>(query: &[f32], rows: &[T], scores: &mut [f32], widen: impl Fn(usize, T) -> f32) {
    assert_eq!(rows.len(), query.len() * scores.len(), "one score per row");
    for (at, (row, score)) in rows.chunks_exact(query.len()).zip(scores).enumerate() {
        *score = query.iter().zip(row).map(|(&q, &r)| (q - widen(at, r)).powi(2)).sum();
    }
}
