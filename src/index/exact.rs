//! The exact index: every vector is looked at. One query streams the rows at memory bandwidth; many tokens against a
//! block of rows are a matrix product. Blocks are fixed and the order of neighbours is total, so results do not depend on
//! the number of threads.

use std::ops::Range;

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

use super::{Neighbour, PatchIndex, TopK, Vectors};

/// Rows between which the work may be divided.
const TASK_ROWS: usize = 4096;
/// Rows scored at a time: their scores stay in the first-level cache.
const BLOCK_ROWS: usize = 1024;

/// Stored vectors, scanned.
#[derive(Clone, Copy)]
pub struct ExactIndex<'a> {
    /// The vectors.
    pub vectors: Vectors<'a>,
    /// Numbers in a vector.
    pub dim: usize,
}

impl PatchIndex for ExactIndex<'_> {
    fn search(&self, query: &[f32], k: usize) -> Vec<Neighbour> {
        assert_eq!(query.len(), self.dim, "a query has as many numbers as a stored vector");
        let rows = self.vectors.len(self.dim);
        (0..rows.div_ceil(TASK_ROWS))
            .into_par_iter()
            .fold(
                || TopK::new(k),
                |best, task| self.scan(query, task * TASK_ROWS..((task + 1) * TASK_ROWS).min(rows), best),
            )
            .reduce(|| TopK::new(k), TopK::merge)
            .into_vec()
    }
}

impl ExactIndex<'_> {
    /// `best` with the best of `rows`; its bar spares most of them a second look.
    fn scan(&self, query: &[f32], rows: Range<usize>, mut best: TopK) -> TopK {
        let mut scores = [0.0f32; BLOCK_ROWS];
        for first in rows.clone().step_by(BLOCK_ROWS) {
            let scores = &mut scores[..BLOCK_ROWS.min(rows.end - first)];
            self.vectors.score(query, first, scores);
            for (at, &similarity) in scores.iter().enumerate() {
                if similarity >= best.bar() {
                    best.push(Neighbour { similarity, row: (first + at) as u64 });
                }
            }
        }
        best
    }
}

/// Similarities of `tokens` (rows of `dim` numbers) with stored rows `first..first + count`: `tokens`×`count`,
/// row-major.
pub fn similarities(
    tokens: &[f32],
    vectors: Vectors<'_>,
    dim: usize,
    first: usize,
    count: usize,
) -> Array2<f32> {
    let mut rows = vec![0.0f32; count * dim];
    vectors.widen(dim, first, &mut rows);
    let tokens = ArrayView2::from_shape((tokens.len() / dim, dim), tokens).expect("invariant: whole tokens");
    let rows = ArrayView2::from_shape((count, dim), &rows).expect("invariant: count rows");
    let mut out = Array2::zeros((tokens.nrows(), count));
    general_mat_mul(1.0, &tokens, &rows.t(), 0.0, &mut out);
    out
}
