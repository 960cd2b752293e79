//! Which places the matches of an image agree on: every match says, for a scale and a turn, where the object would be.

use std::collections::HashMap;

use super::candidates::{FoundPatch, Look};
use crate::core::Grid;

/// Matches of one token that vote, best first.
const VOTES_PER_TOKEN: usize = 4;
/// Matches of an image that vote, strongest first.
const MOST_VOTES: usize = 96;
/// Votes at which places are looked for, the strongest: of those that agree on a place, one is nearly always among them.
const ANCHORS: usize = 32;
/// What a match counts more whose patch finds nothing better among the tokens either.
const MUTUAL: f32 = 2.0;
/// What a match counts that is no more than background.
const LEAST_STRENGTH: f32 = 0.02;
/// Votes this far apart, in patches, do not support each other.
const SUPPORT: f32 = 2.0;
/// Places for each scale and turn.
const PEAKS: usize = 2;

/// Votes that are looked at side by side.
const LANES: usize = 8;

/// The matches of a view that vote: columns of equal length, a multiple of [`LANES`]; those that fill up weigh nothing.
pub(super) struct Votes {
    /// Centres of tokens.
    from: [Vec<f32>; 2],
    /// Centres of patches, in patches.
    to: [Vec<f32>; 2],
    weights: Vec<f32>,
    /// Votes that weigh something.
    count: usize,
    patch_px: (f32, f32),
}

/// A place that votes agree on.
#[derive(Clone, Copy)]
pub(super) struct Peak {
    /// Where the query's origin would be, in pixels of the image.
    pub at: (f32, f32),
    /// Weight of the votes that support it, by how near they are.
    pub support: f32,
}

impl Votes {
    /// Those of `found`, which are in one view.
    pub fn of(found: &[FoundPatch], look: &Look, grid: &Grid) -> Self {
        let above = |found: &FoundPatch| found.similarity - look.background[found.token];
        // What each patch is most like, above its background.
        let mut owners = HashMap::new();
        for found in found {
            let owner = owners.entry(found.patch).or_insert((f32::NEG_INFINITY, 0));
            if above(found) > owner.0 {
                *owner = (above(found), found.token);
            }
        }
        let firsts = found.chunk_by(|a, b| a.token == b.token).flat_map(|of| of.iter().take(VOTES_PER_TOKEN));
        let weighed = firsts.map(|found| {
            let mutual = if owners[&found.patch].1 == found.token { MUTUAL } else { 1.0 };
            (look.weights[found.token] * (above(found).max(0.0) + LEAST_STRENGTH) * mutual, found)
        });
        let mut weighed: Vec<(f32, &FoundPatch)> = weighed.collect();
        weighed.sort_by(|a, b| b.0.total_cmp(&a.0));
        weighed.truncate(MOST_VOTES);
        let patch_px = grid.patch_size();
        let count = weighed.len();
        let column = |of: &dyn Fn(&(f32, &FoundPatch)) -> f32| {
            let mut column: Vec<f32> = weighed.iter().map(of).collect();
            column.resize(count.next_multiple_of(LANES), 0.0);
            column
        };
        let token = |found: &FoundPatch| look.tokens.boxes[found.token].center();
        let patch = |found: &FoundPatch| grid.patch_box(found.patch).center();
        Self {
            from: [column(&|(_, found)| token(found).0), column(&|(_, found)| token(found).1)],
            to: [
                column(&|(_, found)| patch(found).0 / patch_px.0),
                column(&|(_, found)| patch(found).1 / patch_px.1),
            ],
            weights: column(&|(weight, _)| *weight),
            count,
            patch_px,
        }
    }

    /// Where the query's origin would be so that most votes agree, for the scaled turn that takes (x, y) to
    /// (`a`·x − `b`·y, `b`·x + `a`·y): the densest places around the strongest votes, each the mean of those that support it.
    pub fn peaks(&self, (a, b): (f32, f32)) -> Vec<Peak> {
        let (w, h) = self.patch_px;
        let ([from_x, from_y], [to_x, to_y]) = (&self.from, &self.to);
        let of = |to: &[f32], turned: &dyn Fn(f32, f32) -> f32| -> Vec<f32> {
            let from = from_x.iter().zip(from_y);
            to.iter().zip(from).map(|(to, (x, y))| to - turned(*x, *y)).collect()
        };
        let xs = of(to_x, &|x, y| (a * x - b * y) / w);
        let ys = of(to_y, &|x, y| (b * x + a * y) / h);
        let places = xs.iter().zip(&ys).take(self.count.min(ANCHORS));
        let mut support: Vec<f32> = places.map(|(x, y)| self.support(&xs, &ys, (*x, *y))).collect();
        let mut peaks = Vec::with_capacity(PEAKS);
        for _ in 0..PEAKS {
            let best = (0..support.len()).max_by(|&a, &b| support[a].total_cmp(&support[b]).then(b.cmp(&a)));
            let Some(best) = best.filter(|&best| support[best] > 0.0) else { break };
            let strongest = support[best];
            let (mut x, mut y, mut sum) = (0.0, 0.0, 0.0);
            for at in 0..self.count {
                let weight = self.weights[at] * share(xs[best] - xs[at], ys[best] - ys[at]);
                if weight > 0.0 {
                    (x, y, sum) = (x + weight * xs[at], y + weight * ys[at], sum + weight);
                    if let Some(support) = support.get_mut(at) {
                        *support = 0.0;
                    }
                }
            }
            peaks.push(Peak { at: (x / sum * w, y / sum * h), support: strongest });
        }
        peaks
    }

    /// The weight of all votes, by how near to a point they are.
    fn support(&self, xs: &[f32], ys: &[f32], (x, y): (f32, f32)) -> f32 {
        let mut sums = [0.0; LANES];
        let weights = lanes(&self.weights);
        for ((xs, ys), weights) in lanes(xs).iter().zip(lanes(ys)).zip(weights) {
            for lane in 0..LANES {
                sums[lane] += weights[lane] * share(x - xs[lane], y - ys[lane]);
            }
        }
        sums.iter().sum()
    }
}

fn lanes(column: &[f32]) -> &[[f32; LANES]] {
    column.as_chunks().0
}

/// How much a vote at this distance supports a place: 1 where it is, 0 far away.
fn share(dx: f32, dy: f32) -> f32 {
    (1.0 - (dx * dx + dy * dy) / (SUPPORT * SUPPORT)).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{Bbox, Pose};
    use crate::query::{Marked, QueryTokens, QueryView, SeenView};

    #[test]
    fn matches_that_agree_outvote_as_many_that_do_not() {
        let grid = Grid { area: Bbox::of_image(200, 200), rows: 20, cols: 20 };
        let own = Grid { area: Bbox::of_image(50, 50), rows: 5, cols: 5 };
        let view = QueryView { area: own.area, zoom: 1.0 };
        let marked = Marked::new(&own.area, None, (50, 50), Pose::default());
        let seen = SeenView { view, grid: own, vectors: vec![0.0; 25], dim: 1, artefacts: Vec::new() };
        let tokens = QueryTokens::select(marked, &seen, 25);
        let look = Look { tokens, seen_in: None, weights: vec![0.04; 25], background: vec![0.2; 25] };
        // Twice as large, moved by (60, 40); and one match of each token anywhere.
        let found: Vec<FoundPatch> = (0..25)
            .flat_map(|token| {
                let (row, col) = (token / 5, token % 5);
                let right = (4 + 2 * row) * 20 + 6 + 2 * col;
                let wrong = (token * 173 + 31) % 400;
                [right, wrong].map(|patch| FoundPatch { token, view: 0, patch, similarity: 0.5 })
            })
            .collect();
        let votes = Votes::of(&found, &look, &grid);
        let (x, y) = votes.peaks((2.0, 0.0))[0].at;
        assert!((x - 55.0).abs() < 10.0 && (y - 35.0).abs() < 10.0, "{x} {y}");
        assert!(Votes::of(&[], &look, &grid).peaks((2.0, 0.0)).is_empty());
    }
}
