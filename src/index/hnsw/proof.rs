//! What a finished graph is worth, measured: which nodes are reached, whether a vector finds itself, how many of the true
//! neighbours a search finds at each effort.

use super::connect::reach;
use super::index::HnswIndex;
use crate::index::{Effort, ExactIndex, Neighbour, PatchIndex};

/// Vectors that are asked for.
const SAMPLE_ROWS: usize = 200;
/// Neighbours that recall is counted among.
const NEIGHBOURS: usize = 10;
/// Efforts at which recall is measured.
const EFFORTS: [usize; 8] = [16, 32, 48, 64, 100, 200, 400, 700];
/// How many of the nodes found may have to be scored by their vectors.
const RESCORED: [usize; 6] = [16, 24, 32, 48, 64, 100];
/// Recall that codes may cost beside scoring every node found.
const CODE_LOSS: f64 = 0.002;
/// Similarities that differ by less are equal: whoever finds one of two such neighbours is right.
const TIE: f32 = 1e-6;
/// The same for the graph alone: what is as near as this, codes of few dimensions do not tell apart.
const CODE_TIE: f32 = 1e-3;

/// What was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Proof {
    /// Nodes that the bottom layer leads to from its entry.
    pub reached: usize,
    /// Share of sampled vectors that find a vector as similar to them as they are themselves.
    pub self_recall: f64,
    /// Share of true neighbours, or of others as near as codes tell, that are found with the greatest effort.
    pub ceiling: f64,
    /// How many of the nodes found must be scored by their vectors, so that codes cost next to no recall.
    pub rescored: usize,
    /// Effort, and the share of the ten nearest others that sampled vectors find with it.
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
        let most = EFFORTS[EFFORTS.len() - 1];
        let hardest = Effort { ef: most, rescored: most };
        let found = sample.found(self, hardest);
        let (self_recall, ceiling) = sample.shares(&found, CODE_TIE);
        let best = sample.shares(&found, TIE).1;
        let recall = |effort| sample.shares(&sample.found(self, effort), TIE).1;
        let enough = |rescored: &usize| recall(Effort { ef: most, rescored: *rescored }) >= best - CODE_LOSS;
        let rescored = RESCORED.into_iter().find(enough).unwrap_or(most);
        Proof {
            reached: reached.iter().filter(|&&reached| reached).count(),
            self_recall,
            ceiling,
            rescored,
            recall: EFFORTS.into_iter().map(|ef| (ef, recall(Effort { ef, rescored }))).collect(),
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
        let (vectors, dim, count) = (index.vectors, index.dim, index.graph.len());
        let rows: Vec<u64> =
            (0..count as u64).step_by(count.div_ceil(SAMPLE_ROWS).max(1)).take(SAMPLE_ROWS).collect();
        let mut queries = vec![0.0f32; rows.len() * dim];
        for (row, query) in rows.iter().zip(queries.chunks_exact_mut(dim)) {
            vectors.widen(dim, *row as usize, query);
        }
        let truth = ExactIndex { vectors, dim }.search_many(&queries, NEIGHBOURS + 1, Effort::default());
        Self { rows, queries, truth }
    }

    /// What the graph finds.
    fn found(&self, index: &HnswIndex<'_>, effort: Effort) -> Vec<Vec<Neighbour>> {
        index.search_many(&self.queries, NEIGHBOURS + 1, effort)
    }

    /// Shares of vectors that find themselves, and of true neighbours that are found; similarities that differ by less than
    /// `tie` are equal.
    fn shares(&self, found: &[Vec<Neighbour>], tie: f32) -> (f64, f64) {
        let (mut own, mut right, mut expected) = (0, 0, 0);
        for ((found, truth), &row) in found.iter().zip(&self.truth).zip(&self.rows) {
            let best = |found: &[Neighbour]| found.first().map_or(f32::NEG_INFINITY, |best| best.similarity);
            own += usize::from(best(found) >= best(truth) - tie);
            let others = |found: &[Neighbour]| -> Vec<f32> {
                let others = found.iter().filter(|found| found.row != row);
                others.map(|found| found.similarity).take(NEIGHBOURS).collect()
            };
            let truth = others(truth);
            let bar = truth.last().map_or(f32::INFINITY, |least| least - tie);
            right += others(found).iter().filter(|&&similarity| similarity >= bar).count();
            expected += truth.len();
        }
        let share = |right: usize, of: usize| if of == 0 { 1.0 } else { right as f64 / of as f64 };
        (share(own, self.rows.len()), share(right, expected))
    }
}
