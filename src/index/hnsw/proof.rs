//! What a finished graph is worth, measured: which nodes are reached, whether a vector finds itself, how many of the true
//! neighbours a search finds at each `ef`. The last digits may differ between CPUs: the vectors are scored in floating point.

use std::ops::Range;

use super::connect::reach;
use super::index::HnswIndex;
use crate::core::drawn;
use crate::index::{ExactIndex, Neighbour, PatchIndex};

/// Vectors that are asked for.
const SAMPLE_ROWS: usize = 200;
/// Which ones. Drawn, for a stride could meet the same patch of every image.
const SAMPLE_SEED: u64 = 1;
/// Neighbours that recall is counted among.
const NEIGHBOURS: usize = 10;
/// Values of `ef` at which recall is measured.
const EFS: [usize; 8] = [16, 32, 48, 64, 100, 200, 400, 700];
/// Similarities that differ by less, or by less than this share of them where they are greater than 1, are equal: whoever finds
/// one of two such neighbours is right.
const TIE: f32 = 1e-6;
/// The same for the graph alone: what is as near as this, codes of few dimensions do not tell apart.
const CODE_TIE: f32 = 1e-3;

/// What was measured. Shares may differ in their last digits between CPUs.
#[derive(Clone, Debug, PartialEq)]
pub struct Proof {
    /// Nodes that the bottom layer leads to from its entry.
    pub reached: usize,
    /// Share of sampled vectors that find a vector as similar to them as they are themselves.
    pub self_recall: f64,
    /// Share of true neighbours, or of others as near as codes tell, that are found with the greatest `ef`.
    pub ceiling: f64,
    /// `ef`, and the share of the ten nearest others that sampled vectors find with it.
    pub recall: Vec<(usize, f64)>,
}

impl HnswIndex<'_> {
    /// Measures the graph with a sample of its own vectors as queries; each one's own row does not count for recall.
    pub fn prove(&self) -> Proof {
        let mut reached = vec![false; self.graph.len()];
        if let Some(&entry) = self.graph.entries.first() {
            reach(&self.graph.links, self.graph.degree, &mut reached, entry);
        }
        let sample = Sample::of(self);
        let found = EFS.map(|ef| (ef, sample.found(self, ef)));
        let [.., (_, hardest)] = &found;
        let (self_recall, ceiling) = sample.shares(hardest, CODE_TIE);
        Proof {
            reached: reached.iter().filter(|&&reached| reached).count(),
            self_recall,
            ceiling,
            recall: found.iter().map(|(ef, found)| (*ef, sample.shares(found, TIE).1)).collect(),
        }
    }
}

/// Some of the vectors, and what is nearest to them.
struct Sample {
    rows: Vec<u64>,
    queries: Vec<f32>,
    truth: Vec<Vec<Neighbour>>,
}

impl Sample {
    fn of(index: &HnswIndex<'_>) -> Self {
        let vectors = index.vectors;
        // Of twins that share a node, one is asked for. A damaged graph may name rows that are not there, or one twice.
        let is_there = |&row: &u32| (row as usize) < vectors.len();
        let mut held: Vec<u32> = index.graph.rows.iter().copied().filter(is_there).collect();
        held.sort_unstable();
        held.dedup();
        let drawn = drawn(held.len(), SAMPLE_ROWS.min(held.len()), SAMPLE_SEED);
        let rows: Vec<u64> = drawn.into_iter().map(|at| held[at].into()).collect();
        let mut queries = vec![0.0f32; rows.len() * vectors.dim];
        for (row, query) in rows.iter().zip(queries.chunks_exact_mut(vectors.dim)) {
            vectors.widen(*row as usize, query);
        }
        let runs = held.chunk_by(|&row, &next| next == row + 1);
        let runs: Vec<Range<usize>> = runs.map(|run| run[0] as usize..run[0] as usize + run.len()).collect();
        let truth = ExactIndex { vectors }.search_rows(&queries, &runs, NEIGHBOURS + 1);
        Self { rows, queries, truth }
    }

    /// What the graph finds.
    fn found(&self, index: &HnswIndex<'_>, ef: usize) -> Vec<Vec<Neighbour>> {
        index.search_many(&self.queries, NEIGHBOURS + 1, ef)
    }

    /// Shares of vectors that find themselves, and of true neighbours that are found; similarities that differ by less than
    /// `tie` are equal.
    fn shares(&self, found: &[Vec<Neighbour>], tie: f32) -> (f64, f64) {
        let (mut own, mut right, mut expected) = (0, 0, 0);
        let least_equal = |similarity: f32| similarity - tie * similarity.abs().max(1.0);
        for ((found, truth), &row) in found.iter().zip(&self.truth).zip(&self.rows) {
            let best = |found: &[Neighbour]| found.first().map_or(f32::NEG_INFINITY, |best| best.similarity);
            own += usize::from(best(found) >= least_equal(best(truth)));
            let others = |found: &[Neighbour]| -> Vec<f32> {
                let others = found.iter().filter(|found| found.row != row);
                others.map(|found| found.similarity).take(NEIGHBOURS).collect()
            };
            let truth = others(truth);
            let bar = truth.last().map_or(f32::INFINITY, |&least| least_equal(least));
            right += others(found).iter().filter(|&&similarity| similarity >= bar).count();
            expected += truth.len();
        }
        let share = |right: usize, of: usize| if of == 0 { 1.0 } else { right as f64 / of as f64 };
        (share(own, self.rows.len()), share(right, expected))
    }
}
