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

/// What was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Proof {
    /// Nodes that the bottom layer leads to from its entry.
    pub reached: usize,
    /// Share of sampled vectors that find a vector as similar to them as they are themselves.
    pub self_recall: f64,
    /// Effort, and the share of the ten nearest others that sampled vectors find with it.
    pub recall: Vec<(usize, f64)>,
}

impl HnswIndex<'_> {
    /// Measures the graph with a sample of its own vectors as queries; each one's own row does not count for recall.
    pub fn prove(&self) -> Proof {
        let (graph, dim) = (&self.graph, self.dim);
        let mut reached = vec![false; graph.len()];
        if let Some(&entry) = graph.entries.first() {
            reach(&graph.links, graph.degree, &mut reached, entry);
        }
        let rows: Vec<usize> = (0..graph.len()).step_by((graph.len() / SAMPLE_ROWS).max(1)).collect();
        let mut queries = vec![0.0f32; rows.len() * dim];
        for (row, query) in rows.iter().zip(queries.chunks_exact_mut(dim)) {
            self.vectors.widen(dim, *row, query);
        }
        let exact = ExactIndex { vectors: self.vectors, dim };
        let truth = exact.search_many(&queries, NEIGHBOURS + 1, Effort::default());
        let others = |found: &[Neighbour], own: usize| -> Vec<u64> {
            found.iter().map(|found| found.row).filter(|&row| row != own as u64).take(NEIGHBOURS).collect()
        };
        let shares = |ef: usize| -> (f64, f64) {
            let effort = Effort { ef, rescored: ef };
            let found = self.search_many(&queries, NEIGHBOURS + 1, effort);
            let best = |found: &[Neighbour]| found.first().map(|best| best.similarity);
            let (mut own, mut right, mut expected) = (0, 0, 0);
            for ((found, truth), &row) in found.iter().zip(&truth).zip(&rows) {
                own += usize::from(best(found) >= best(truth));
                let truth = others(truth, row);
                right += others(found, row).iter().filter(|row| truth.contains(row)).count();
                expected += truth.len();
            }
            let share = |right: usize, of: usize| if of == 0 { 1.0 } else { right as f64 / of as f64 };
            (share(own, rows.len()), share(right, expected))
        };
        let measured: Vec<(usize, (f64, f64))> = EFFORTS.iter().map(|&ef| (ef, shares(ef))).collect();
        Proof {
            reached: reached.iter().filter(|&&reached| reached).count(),
            self_recall: measured.last().map_or(1.0, |(_, (own, _))| *own),
            recall: measured.into_iter().map(|(ef, (_, recall))| (ef, recall)).collect(),
        }
    }
}
