//! Recall of approximate answers against exact ones, with the tie rules of two public benchmarks.

use rayon::prelude::*;

use crate::index::{DEFAULT_EF, ExactIndex, Neighbour, PatchIndex, Vectors};

/// Queries whose best are looked for together: a block of rows is read once for all of them.
const BATCH_QUERIES: usize = 256;

/// How far below the k-th true similarity a vector still counts as a true neighbour.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TieRule {
    /// Difference of similarities.
    pub tolerance: f64,
}

impl TieRule {
    /// The truth, extended by ties (big-ann-benchmarks).
    pub const BIG_ANN: TieRule = TieRule { tolerance: 1e-6 };
    /// Whatever is hardly farther than the k-th (ann-benchmarks).
    pub const ANN_BENCHMARKS: TieRule = TieRule { tolerance: 1e-3 };
}

/// The true neighbours of each query.
pub struct Truth<'a> {
    vectors: Vectors<'a>,
    queries: &'a [f32],
    /// Best first, as many for each query.
    neighbours: Vec<Vec<Neighbour>>,
}

impl<'a> Truth<'a> {
    /// The `k` best of `vectors` for each of `queries` by the exact index. `found` is told of
    /// queries as they are answered.
    pub fn of(vectors: Vectors<'a>, queries: &'a [f32], k: usize, found: &mut dyn FnMut(usize)) -> Self {
        let (exact, dim) = (ExactIndex { vectors }, vectors.dim);
        let mut neighbours = Vec::with_capacity(queries.len() / dim);
        for batch in queries.chunks(BATCH_QUERIES * dim) {
            neighbours.extend(exact.search_many(batch, k, DEFAULT_EF));
            found(neighbours.len());
        }
        Self { vectors, queries, neighbours }
    }

    /// Mean recall of `answers` to the first so many queries, by each of `rules`. Similarities are computed anew: what an
    /// index says about its own answers proves nothing.
    pub fn recall<const RULES: usize>(
        &self,
        answers: &[Vec<Neighbour>],
        rules: [TieRule; RULES],
    ) -> [f64; RULES] {
        let recalls: Vec<[f64; RULES]> = answers
            .par_iter()
            .zip(&self.neighbours)
            .zip(self.queries.par_chunks_exact(self.vectors.dim))
            .map(|((found, truth), query)| {
                let scored = |found: &Neighbour| self.vectors.scored(query, found.row);
                let found: Vec<Neighbour> = found.iter().map(scored).collect();
                rules.map(|rule| recall(&found, truth, rule))
            })
            .collect();
        let mean =
            |rule: usize| recalls.iter().map(|recalls| recalls[rule]).sum::<f64>() / recalls.len() as f64;
        std::array::from_fn(mean)
    }
}

/// Which part of `truth` was found: what is in it or ties with its last, each row once, no more than there are.
fn recall(found: &[Neighbour], truth: &[Neighbour], rule: TieRule) -> f64 {
    let Some(last) = truth.last() else { return 1.0 };
    let least = f64::from(last.similarity) - rule.tolerance;
    let counts = |found: &&Neighbour| {
        f64::from(found.similarity) >= least || truth.iter().any(|truth| truth.row == found.row)
    };
    let mut rows: Vec<u64> = found.iter().take(truth.len()).filter(counts).map(|found| found.row).collect();
    rows.sort_unstable();
    rows.dedup();
    rows.len() as f64 / truth.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::Rows;
    use crate::metric::Metric;

    fn neighbours(of: &[(f32, u64)]) -> Vec<Neighbour> {
        of.iter().map(|&(similarity, row)| Neighbour { similarity, row }).collect()
    }

    #[test]
    fn what_ties_with_the_last_counts_as_far_as_the_rule_says() {
        let truth = neighbours(&[(0.9, 4), (0.8, 2), (0.7, 9)]);
        let both = |found: &[(f32, u64)]| {
            [TieRule::BIG_ANN, TieRule::ANN_BENCHMARKS].map(|rule| recall(&neighbours(found), &truth, rule))
        };
        assert_eq!(both(&[(0.9, 4), (0.8, 2), (0.7, 9)]), [1.0, 1.0]);
        // Another row that is just as near, one within the looser rule only, one within neither.
        assert_eq!(both(&[(0.9, 4), (0.8, 2), (0.7, 1)]), [1.0, 1.0]);
        assert_eq!(both(&[(0.9, 4), (0.8, 2), (0.6995, 1)]), [2.0 / 3.0, 1.0]);
        assert_eq!(both(&[(0.9, 4), (0.8, 2), (0.698, 1)]), [2.0 / 3.0, 2.0 / 3.0]);
        assert_eq!(both(&[]), [0.0, 0.0]);
    }

    #[test]
    fn a_row_counts_once_and_no_more_rows_than_were_asked_for() {
        let truth = neighbours(&[(0.9, 4), (0.8, 2)]);
        assert_eq!(recall(&neighbours(&[(0.9, 4), (0.9, 4)]), &truth, TieRule::BIG_ANN), 0.5);
        let more = neighbours(&[(0.1, 7), (0.9, 4), (0.8, 2)]);
        assert_eq!(recall(&more, &truth, TieRule::BIG_ANN), 0.5);
        assert_eq!(recall(&[], &[], TieRule::BIG_ANN), 1.0);
    }

    #[test]
    fn an_answer_is_judged_by_the_vectors_and_not_by_what_it_says() {
        let rows = [1.0, 0.0, 0.0, 1.0, 0.6, 0.8, 0.8, 0.6f32];
        let queries = [1.0, 0.0, 0.0, 1.0f32];
        let truth = Truth::of(
            Vectors { rows: Rows::F32(&rows), dim: 2, metric: Metric::DOT },
            &queries,
            2,
            &mut |_| (),
        );
        let right = vec![neighbours(&[(0.0, 0), (0.0, 3)]), neighbours(&[(0.0, 1), (0.0, 2)])];
        assert_eq!(truth.recall(&right, [TieRule::BIG_ANN]), [1.0]);
        let boasting = vec![neighbours(&[(9.0, 0), (9.0, 1)]), neighbours(&[(9.0, 0), (9.0, 3)])];
        assert_eq!(truth.recall(&boasting, [TieRule::BIG_ANN]), [0.25]);
    }
}
