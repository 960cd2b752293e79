//! The exact index: every vector is looked at. One query streams the rows at memory bandwidth; many tokens against a
//! block of rows are a matrix product. Blocks are fixed and the order of neighbours is total, so results do not depend on
//! the number of threads.

use std::io::{self, Write};
use std::ops::Range;

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2};
use patchdex_format::ContainerWriter;
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
    fn search(&self, query: &[f32], k: usize, _: usize) -> Vec<Neighbour> {
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

    fn search_many(&self, queries: &[f32], k: usize, _: usize) -> Vec<Vec<Neighbour>> {
        let all = 0..self.vectors.len(self.dim);
        self.search_rows(queries, std::slice::from_ref(&all), k)
    }

    fn size_bytes(&self) -> usize {
        0
    }

    fn write(&self, _: &mut ContainerWriter<&mut dyn Write>) -> io::Result<()> {
        Ok(())
    }
}

impl ExactIndex<'_> {
    /// For each of `queries` (rows of `dim` numbers) its `k` best of `rows`, as a search gives them. A block of rows is
    /// read once for all queries.
    pub fn search_rows(&self, queries: &[f32], rows: &[Range<usize>], k: usize) -> Vec<Vec<Neighbour>> {
        let count = queries.len() / self.dim;
        let none = || vec![TopK::new(k); count];
        let tasks: Vec<Range<usize>> = rows
            .iter()
            .flat_map(|rows| {
                let starts = rows.clone().step_by(TASK_ROWS);
                starts.map(|start| start..(start + TASK_ROWS).min(rows.end))
            })
            .collect();
        let scanned = |best: Vec<TopK>, task: &Range<usize>| {
            let mut best = best;
            for start in task.clone().step_by(BLOCK_ROWS) {
                let block = start..(start + BLOCK_ROWS).min(task.end);
                for (best, query) in best.iter_mut().zip(queries.chunks_exact(self.dim)) {
                    *best = self.scan(query, block.clone(), std::mem::replace(best, TopK::new(0)));
                }
            }
            best
        };
        let merged = |a: Vec<TopK>, b: Vec<TopK>| a.into_iter().zip(b).map(|(a, b)| a.merge(b)).collect();
        let best = tasks.par_iter().fold(none, scanned).reduce(none, merged);
        best.into_iter().map(TopK::into_vec).collect()
    }

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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn many_queries_find_in_some_rows_what_each_finds_among_them(
            values in proptest::collection::vec(-4i8..4, 4..400), cut in 0usize..50, gap in 0usize..50, k in 0usize..12,
        ) {
            let rows: Vec<f32> = values[..values.len() / 4 * 4].iter().map(|&v| f32::from(v)).collect();
            let index = ExactIndex { vectors: Vectors::F32(&rows), dim: 4 };
            let count = rows.len() / 4;
            let (cut, after) = (cut.min(count), (cut + gap).min(count));
            let queries = [1.0, -0.5, 0.25, 2.0, -1.0, 0.0, 3.0, 0.5];
            let found = index.search_rows(&queries, &[0..cut, after..count], k);
            for (query, found) in queries.chunks_exact(4).zip(found) {
                let inside = |found: &Neighbour| !(cut..after).contains(&(found.row as usize));
                let mut expected = index.search(query, count, 0);
                expected.retain(inside);
                expected.truncate(k);
                prop_assert_eq!(found, expected);
            }
        }
    }
}
