//! The exact index: every vector is looked at. One query streams the rows at memory bandwidth; many at once are a matrix
//! product with blocks of rows, of which only what may be among the best is kept. Where the CPU has products of whole numbers,
//! these bound the inner products, and a query for which the bounds do not decide is multiplied again. What is found is scored as one
//! query alone would score it. Blocks are fixed and the order of neighbours is total, so results do not depend on the number of
//! threads.

use std::borrow::Cow;
use std::io::{self, Write};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use ndarray::Array2;
use patchdex_format::ContainerWriter;
use rayon::prelude::*;

use super::{Neighbour, PatchIndex, Rows, TopK, Vectors};
use crate::metric::kernels::{RoundedRows, Rounding, dot_i8_slack};
use crate::metric::{Comparison, Kernels};

/// Rows of a part of the work at most: their scores stay in the first-level cache.
const TASK_ROWS: usize = 1024;
/// Numbers in a block of rows that several queries are compared with: it stays in the second-level cache.
const BLOCK_NUMBERS: usize = 64 * 1024;
/// Queries that are multiplied at a time.
const PRODUCT_QUERIES: usize = 256;
/// From so many queries on a product is faster than scans (`benches/exact.rs`).
const LEAST_PRODUCT_QUERIES: usize = 6;
/// From so many on it is faster to round the rows (`benches/exact.rs`).
const LEAST_BOUNDED_QUERIES: usize = 32;
/// Neighbours that a product finds beyond `k`: it adds in another order than a scan, and may see near ties the other way
/// round.
const SPARE_NEIGHBOURS: usize = 8;
/// Neighbours that bounds find beyond `k`: what has the least bound must not reach the `k`th.
const SPARE_BOUNDED: usize = 32;
/// They find one more for so many of `k`.
const BOUNDED_SHARE: usize = 4;

/// Stored vectors, scanned.
#[derive(Clone, Copy)]
pub struct ExactIndex<'a> {
    /// The vectors.
    pub vectors: Vectors<'a>,
}

impl PatchIndex for ExactIndex<'_> {
    fn search(&self, query: &[f32], k: usize, _: usize) -> Vec<Neighbour> {
        let all = 0..self.vectors.len();
        let best = self.search_rows(query, std::slice::from_ref(&all), k);
        best.into_iter().next().unwrap_or_default()
    }

    fn search_many(&self, queries: &[f32], k: usize, _: usize) -> Vec<Vec<Neighbour>> {
        let all = 0..self.vectors.len();
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
        let at_once = queries.chunks(PRODUCT_QUERIES * self.vectors.dim);
        at_once.flat_map(|queries| self.search_at_once(queries, rows, k)).collect()
    }

    /// For each of `queries` all of `rows` that are at least so similar, best first, of equal ones the lower row first: a radius
    /// search.
    pub fn search_within(&self, queries: &[f32], rows: &[Range<usize>], least: f32) -> Vec<Vec<Neighbour>> {
        let within = |task: Range<usize>| -> Vec<Vec<Neighbour>> {
            let mut found = vec![Vec::new(); queries.len() / self.vectors.dim];
            for block in blocks(task, self.block_rows()) {
                for (found, query) in found.iter_mut().zip(queries.chunks_exact(self.vectors.dim)) {
                    let mut scores = [0.0f32; TASK_ROWS];
                    let scores = &mut scores[..block.len()];
                    self.vectors.score(query, block.start, scores);
                    let scored = (block.start as u64..).zip(scores.iter());
                    let scored = scored.map(|(row, &similarity)| Neighbour { similarity, row });
                    found.extend(scored.filter(|neighbour| neighbour.similarity >= least));
                }
            }
            found
        };
        let joined = |mut a: Vec<Vec<Neighbour>>, b: Vec<Vec<Neighbour>>| {
            a.iter_mut().zip(b).for_each(|(a, b)| a.extend(b));
            a
        };
        let none = || vec![Vec::new(); queries.len() / self.vectors.dim];
        let mut found = self.tasks(rows).into_par_iter().map(within).reduce(none, joined);
        found.par_iter_mut().for_each(|found| found.sort_unstable_by(Neighbour::order));
        found
    }

    fn search_at_once(&self, queries: &[f32], rows: &[Range<usize>], k: usize) -> Vec<Vec<Neighbour>> {
        let is_bounded = self.vectors.metric.comparison == Comparison::Product
            && queries.len() >= LEAST_BOUNDED_QUERIES * self.vectors.dim;
        match Kernels::best().rounding {
            Some(rounding) if is_bounded => self.search_bounded(rounding, queries, rows, k),
            _ => self.search_scored(queries, rows, k),
        }
    }

    /// The neighbours by scans, or by products of single precision where these are faster.
    fn search_scored(&self, queries: &[f32], rows: &[Range<usize>], k: usize) -> Vec<Vec<Neighbour>> {
        if queries.len() < LEAST_PRODUCT_QUERIES * self.vectors.dim {
            return self.best(queries, rows, k, |_, rows, best| self.scan_each(queries, rows, best));
        }
        let wanted = k.saturating_add(SPARE_NEIGHBOURS);
        let factors = Factors::of(queries, self.vectors);
        let found = self.best(queries, rows, wanted, |block, rows, best| {
            self.see_blocks(block, rows, best, |Block { wide, scores, .. }, first| {
                factors.compare(self.vectors, first, wide, scores);
            });
        });
        let scored = |(query, found): (&[f32], Vec<Neighbour>)| self.scored(query, &found, k);
        queries.par_chunks_exact(self.vectors.dim).zip(found).map(scored).collect()
    }

    /// The neighbours by what inner products are at most. A query is open where its `k`th is not above what any other may be: near
    /// ties, or rows that cannot be rounded. Those are searched once more.
    fn search_bounded(
        &self,
        rounding: Rounding,
        queries: &[f32],
        rows: &[Range<usize>],
        k: usize,
    ) -> Vec<Vec<Neighbour>> {
        let dim = self.vectors.dim;
        let wanted = k.saturating_add(SPARE_BOUNDED).saturating_add(k / BOUNDED_SHARE);
        let slack = if matches!(self.vectors.rows, Rows::I8(..)) { dot_i8_slack(dim) } else { 0.0 };
        let mut rounded_queries = RoundedRows::default();
        (rounding.round)(queries, dim, &mut rounded_queries);
        let found = self.best(queries, rows, wanted, |block, rows, best| {
            self.see_blocks(block, rows, best, |Block { wide, rounded, scores }, first| {
                self.vectors.widen(first, wide);
                (rounding.round)(wide, dim, rounded);
                (rounding.bounds)(&rounded_queries, rounded, slack, scores);
            });
        });
        let answer = |(query, found): (&[f32], Vec<Neighbour>)| {
            let best = self.scored(query, &found, k);
            let is_kth_above = |least: &Neighbour| {
                k == 0 || best.get(k - 1).is_some_and(|kth| kth.similarity > least.similarity)
            };
            // With fewer than were wanted, no row was left out.
            found.get(wanted - 1).is_none_or(is_kth_above).then_some(best)
        };
        let answers: Vec<Option<Vec<Neighbour>>> =
            queries.par_chunks_exact(dim).zip(found).map(answer).collect();
        let open = queries.chunks_exact(dim).zip(&answers).filter(|(_, answer)| answer.is_none());
        let open: Vec<f32> = open.flat_map(|(query, _)| query).copied().collect();
        let mut searched = self.search_scored(&open, rows, k).into_iter();
        let answers = answers.into_iter().map(|answer| answer.or_else(|| searched.next()));
        answers.map(|answer| answer.expect("invariant: open queries were searched")).collect()
    }

    /// The best `k` of what was found, by the scores that one query alone gives.
    fn scored(&self, query: &[f32], found: &[Neighbour], k: usize) -> Vec<Neighbour> {
        let mut best = TopK::new(k);
        found.iter().for_each(|found| best.push(self.vectors.scored(query, found.row)));
        best.into_vec()
    }

    /// The best `k` of `rows` for each query, as `see` finds them task by task; each thread has a block for that.
    fn best(
        &self,
        queries: &[f32],
        rows: &[Range<usize>],
        k: usize,
        see: impl Fn(&mut Block, Range<usize>, &mut [TopK]) + Sync,
    ) -> Vec<Vec<Neighbour>> {
        let (tasks, next) = (self.tasks(rows), AtomicUsize::new(0));
        let none = || vec![TopK::new(k); queries.len() / self.vectors.dim];
        // Every part of the work finds its own best first, so that there are as many as threads. Each takes its next task when it
        // is done with one: none waits long for another.
        let of_thread = |_| {
            let (mut block, mut best) = (Block::default(), none());
            while let Some(task) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) {
                see(&mut block, task.clone(), &mut best);
            }
            best
        };
        let merged = |a: Vec<TopK>, b: Vec<TopK>| a.into_iter().zip(b).map(|(a, b)| a.merge(b)).collect();
        let threads = rayon::current_num_threads().min(tasks.len());
        let best = (0..threads).into_par_iter().with_max_len(1).map(of_thread).reduce(none, merged);
        best.into_iter().map(TopK::into_vec).collect()
    }

    /// Adds the best of `rows` to what each query has: of a block for all queries, or of all rows for one.
    fn scan_each(&self, queries: &[f32], rows: Range<usize>, best: &mut [TopK]) {
        let block_rows = if best.len() == 1 { TASK_ROWS } else { self.block_rows() };
        for block in blocks(rows, block_rows) {
            for (best, query) in best.iter_mut().zip(queries.chunks_exact(self.vectors.dim)) {
                self.scan(query, block.clone(), best);
            }
        }
    }

    /// Adds the best of `rows` to what each query has, block by block: `compare` fills the scores of as many rows as the block has
    /// room for, from the one that it is told on.
    fn see_blocks(
        &self,
        block: &mut Block,
        rows: Range<usize>,
        best: &mut [TopK],
        compare: impl Fn(&mut Block, usize),
    ) {
        for rows in blocks(rows, self.block_rows()) {
            block.wide.resize(rows.len() * self.vectors.dim, 0.0);
            block.scores.resize(rows.len() * best.len(), 0.0);
            compare(block, rows.start);
            for (best, scores) in best.iter_mut().zip(block.scores.chunks_exact(rows.len())) {
                best.push_all(rows.start as u64, scores);
            }
        }
    }

    /// Rows of a block that several queries are compared with.
    fn block_rows(&self) -> usize {
        (BLOCK_NUMBERS / self.vectors.dim).clamp(16, TASK_ROWS)
    }

    /// Rows in parts between which the work may be divided, of whole blocks but for the last.
    fn tasks(&self, rows: &[Range<usize>]) -> Vec<Range<usize>> {
        let task_rows = TASK_ROWS / self.block_rows() * self.block_rows();
        rows.iter().flat_map(|rows| blocks(rows.clone(), task_rows)).collect()
    }

    /// Adds the best of at most [`TASK_ROWS`] `rows` to `best`.
    fn scan(&self, query: &[f32], rows: Range<usize>, best: &mut TopK) {
        let mut scores = [0.0f32; TASK_ROWS];
        let scores = &mut scores[..rows.len()];
        self.vectors.score(query, rows.start, scores);
        best.push_all(rows.start as u64, scores);
    }
}

/// `rows` in blocks of `len`, the last may be shorter.
fn blocks(rows: Range<usize>, len: usize) -> impl Iterator<Item = Range<usize>> {
    let end = rows.end;
    rows.step_by(len).map(move |start| start..(start + len).min(end))
}

/// Rows that several queries are compared with.
#[derive(Default)]
struct Block {
    /// The rows, rows of `dim` numbers.
    wide: Vec<f32>,
    /// The same, where they are rounded.
    rounded: RoundedRows,
    /// Queries × rows, row-major.
    scores: Vec<f32>,
}

/// Similarities of `tokens` (rows of `dim` numbers) with stored rows `first..first + count`: `tokens`×`count`,
/// row-major.
pub fn similarities(tokens: &[f32], vectors: Vectors<'_>, first: usize, count: usize) -> Array2<f32> {
    let mut wide = vec![0.0f32; count * vectors.dim];
    let mut out = Array2::zeros((tokens.len() / vectors.dim, count));
    let scores = out.as_slice_mut().expect("invariant: new arrays are contiguous");
    Factors::of(tokens, vectors).compare(vectors, first, &mut wide, scores);
    out
}

/// Queries as a matrix product takes them. Squared distances are lengths less products: both are measured from a stored
/// vector, for far from the origin lengths are large beside the distances, and rounding would swallow those.
struct Factors<'a> {
    /// The queries, less `origin` where distances count.
    queries: Cow<'a, [f32]>,
    /// Squared length of each, where distances count.
    lengths: Vec<f32>,
    /// The first stored vector, where distances count.
    origin: Vec<f32>,
}

impl<'a> Factors<'a> {
    fn of(queries: &'a [f32], vectors: Vectors<'_>) -> Self {
        let counted = vectors.metric.comparison == Comparison::Distance && !vectors.is_empty();
        let mut origin = vec![0.0; if counted { vectors.dim } else { 0 }];
        vectors.widen(0, &mut origin);
        let mut queries = Cow::Borrowed(queries);
        if counted {
            subtract(queries.to_mut(), &origin);
        }
        let lengths = if counted { squared_lengths(&queries, vectors.dim) } else { Vec::new() };
        Self { queries, lengths, origin }
    }

    /// Similarities with as many rows from `first` on as `wide` has room for: queries × rows, row-major.
    fn compare(&self, vectors: Vectors<'_>, first: usize, wide: &mut [f32], scores: &mut [f32]) {
        vectors.widen(first, wide);
        if !self.origin.is_empty() {
            subtract(wide, &self.origin);
        }
        (Kernels::best().products)(&self.queries, wide, vectors.dim, scores);
        if !self.origin.is_empty() {
            let rows = squared_lengths(wide, vectors.dim);
            for (scores, query) in scores.chunks_exact_mut(rows.len().max(1)).zip(&self.lengths) {
                let distance = |product: f32, row: f32| (query + row - 2.0 * product).max(0.0);
                scores.iter_mut().zip(&rows).for_each(|(score, row)| *score = -distance(*score, *row));
            }
        }
    }
}

fn subtract(rows: &mut [f32], origin: &[f32]) {
    for row in rows.chunks_exact_mut(origin.len()) {
        row.iter_mut().zip(origin).for_each(|(v, origin)| *v -= origin);
    }
}

fn squared_lengths(rows: &[f32], dim: usize) -> Vec<f32> {
    rows.chunks_exact(dim).map(|row| row.iter().map(|v| v * v).sum()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::{METRICS, Metric};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn many_queries_find_in_some_rows_what_each_finds_among_them(
            values in proptest::collection::vec(-4i8..4, 4..400), cut in 0usize..50, gap in 0usize..50, k in 0usize..12,
            metric in proptest::sample::select(&METRICS[..]),
        ) {
            let rows: Vec<f32> = values[..values.len() / 4 * 4].iter().map(|&v| f32::from(v)).collect();
            let index = ExactIndex { vectors: Vectors { rows: Rows::F32(&rows), dim: 4, metric } };
            let count = rows.len() / 4;
            let (cut, after) = (cut.min(count), (cut + gap).min(count));
            let queries = [1.0, -0.5, 0.25, 2.0, -1.0, 0.0, 3.0, 0.5];
            let ranges = [0..cut, after..count];
            let found = index.search_rows(&queries, &ranges, k);
            // Again with so many that they are multiplied, and so many that their products are bounded.
            for times in [4, 20] {
                let many = index.search_rows(&queries.repeat(times), &ranges, k);
                prop_assert_eq!(&many[2..4], &found[..]);
            }
            for (query, found) in queries.chunks_exact(4).zip(found) {
                let inside = |found: &Neighbour| !(cut..after).contains(&(found.row as usize));
                let mut expected = index.search(query, count, 0);
                expected.retain(inside);
                let least = expected.get(k).map_or(f32::MIN, |last| last.similarity);
                let within = index.search_within(query, &ranges, least).remove(0);
                prop_assert!(expected.starts_with(&within));
                prop_assert!(expected[within.len()..].iter().all(|missed| missed.similarity < least));
                expected.truncate(k);
                prop_assert_eq!(found, expected);
            }
        }
    }

    #[test]
    fn what_bounds_leave_open_is_found_as_well() {
        const DIM: usize = 48;
        let mut random = crate::core::SplitMix64(3);
        let mut number = || (random.next_u64() >> 40) as f32 / (1 << 24) as f32 - 0.5;
        let different: Vec<f32> = (0..300 * DIM).map(|_| number()).collect();
        // Nearer to each other than bounds tell.
        let alike: Vec<f32> =
            (0..300).flat_map(|_| different[..DIM].to_vec()).map(|v| v + 1e-4 * number()).collect();
        // Too long or too short to be rounded, or of no length at all, in front.
        let mut odd = different.clone();
        for (at, row) in odd.chunks_exact_mut(DIM).take(80).enumerate() {
            let scale = [1e20, 1e-22, f32::INFINITY, 0.0][at % 4];
            row.iter_mut().for_each(|v| *v *= scale);
        }
        let mut queries = different[..40 * DIM].to_vec();
        queries[..DIM].fill(0.0);
        for rows in [&different, &alike, &odd] {
            let halves: Vec<half::f16> = rows.iter().map(|&v| half::f16::from_f32(v)).collect();
            let bytes: Vec<i8> = rows.iter().map(|&v| (v * 250.0) as i8).collect();
            let scales = vec![0.004; 300];
            for rows in [Rows::F32(rows), Rows::F16(&halves), Rows::I8(&bytes, &scales)] {
                for metric in [Metric::DOT, Metric::COSINE] {
                    let index = ExactIndex { vectors: Vectors { rows, dim: DIM, metric } };
                    for k in [0, 1, 10, 200, 299, 300, 400] {
                        for (query, found) in queries.chunks_exact(DIM).zip(index.search_many(&queries, k, 0))
                        {
                            assert_eq!(found, index.search(query, k, 0));
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn distances_far_from_the_origin_are_told_apart() {
        let rows: Vec<f32> = (0..400u32).flat_map(|row| [4000.0 + row as f32 / 64.0, -9000.0]).collect();
        let index = ExactIndex { vectors: Vectors { rows: Rows::F32(&rows), dim: 2, metric: Metric::L2 } };
        let queries: Vec<f32> = (0..20).flat_map(|query| [4000.1 + query as f32 / 8.0, -9000.0]).collect();
        let found = index.search_many(&queries, 3, 0);
        for (query, found) in queries.chunks_exact(2).zip(found) {
            assert_eq!(found, index.search(query, 3, 0));
        }
    }
}
