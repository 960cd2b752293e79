//! Plain Rust: the reference that the other kernels are tested against, and the fall-back of every CPU.

use half::f16;

use super::Kernels;

pub(super) static KERNELS: Kernels = Kernels {
    name: "scalar",
    dot_f32: |query, rows, scores| dot(query, rows, scores, |value| value),
    dot_f16: |query, rows, scores| dot(query, rows, scores, f16::to_f32),
    dot_i8: |query, rows, scores| dot(query, rows, scores, f32::from),
    widen_f16: |from, to| {
        assert_eq!(from.len(), to.len(), "one number for each");
        from.iter().zip(to).for_each(|(half, wide)| *wide = half.to_f32());
    },
};

fn dot<T: Copy>(query: &[f32], rows: &[T], scores: &mut [f32], widen: impl Fn(T) -> f32) {
    assert_eq!(rows.len(), query.len() * scores.len(), "one score per row");
    for (row, score) in rows.chunks_exact(query.len()).zip(scores) {
        *score = query.iter().zip(row).map(|(&q, &r)| q * widen(r)).sum();
    }
}
