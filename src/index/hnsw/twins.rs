//! Twins: rows of one image that are nearly the same, as sky and walls are, may share a node of a graph.

use rayon::prelude::*;

use super::codes::Codebook;
use super::points::{Candidate, Points, Ruler};

/// Rows that are compared with each other at most. More than the patches of a picture; imported rows may all be of one image.
const MOST_TOGETHER: usize = 8192;

/// Which rows may share a node.
#[derive(Clone, Copy, Debug)]
pub struct Twins<'a> {
    /// Cosine of two rows from which on one node is enough for both.
    pub least_cosine: f64,
    /// The rows of each image. Rows of none get no node.
    pub images: &'a [Vec<u32>],
}

impl Twins<'_> {
    /// The rows that get a node, in ascending order: each that is no twin of an earlier one of its image that does. `codes` are those
    /// of all rows. The comparison is of whole numbers, hence the same on every CPU.
    pub(super) fn representatives(&self, codes: &[i8], codebook: &Codebook) -> Vec<u32> {
        let points = Points::new(codes, codebook.code_dim());
        // Of vectors of length 1; the mean that codes are differences from cancels out.
        let squared_distance = 2.0 * (1.0 - self.least_cosine) / f64::from(codebook.scale).powi(2);
        let apart = |ruler: &mut Ruler, rows: &[u32]| {
            let mut kept = Vec::new();
            for &row in rows {
                let is_near = |kept: Candidate| f64::from(kept.distance) <= squared_distance;
                if !ruler.distances(&points, row, &kept).any(is_near) {
                    kept.push(row);
                }
            }
            kept
        };
        let together = self.images.par_iter().flat_map(|rows| rows.par_chunks(MOST_TOGETHER));
        let mut kept: Vec<u32> = together.map_init(Ruler::default, apart).flatten_iter().collect();
        kept.par_sort_unstable();
        kept.dedup();
        kept
    }
}
