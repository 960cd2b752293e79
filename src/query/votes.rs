//! Which places the matches of an image agree on: every match says, for a scale and a turn, where the object would be.

use std::collections::HashMap;

use super::candidates::{FoundPatch, Look};
use crate::core::Grid;

/// Matches of one token that vote, best first.
const VOTES_PER_TOKEN: usize = 4;
/// Matches of an image that vote, strongest first.
const MOST_VOTES: usize = 96;
/// What a match counts more whose patch finds nothing better among the tokens either.
const MUTUAL: f32 = 2.0;
/// What a match counts that is no more than background.
const LEAST_STRENGTH: f32 = 0.02;
/// Votes this far apart, in patches, do not support each other.
const SUPPORT: f32 = 2.0;
/// Places for each scale and turn.
const PEAKS: usize = 2;

/// The matches of a view that vote, side by side.
pub(super) struct Votes {
    /// Centres of tokens.
    from: Vec<(f32, f32)>,
    /// Centres of patches, in patches.
    to: Vec<(f32, f32)>,
    weights: Vec<f32>,
    patch_px: (f32, f32),
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
        let to = |found: &FoundPatch| {
            let (x, y) = grid.patch_box(found.patch).center();
            (x / patch_px.0, y / patch_px.1)
        };
        Self {
            from: weighed.iter().map(|(_, found)| look.tokens.boxes[found.token].center()).collect(),
            to: weighed.iter().map(|(_, found)| to(found)).collect(),
            weights: weighed.iter().map(|(weight, _)| *weight).collect(),
            patch_px,
        }
    }

    /// Where the query's origin would be so that most votes agree, for the scaled turn that takes (x, y) to
    /// (`a`·x − `b`·y, `b`·x + `a`·y): the densest places among the votes, each the mean of those that support it.
    pub fn peaks(&self, (a, b): (f32, f32)) -> Vec<(f32, f32)> {
        let (w, h) = self.patch_px;
        let at =
            |((x, y), (u, v)): (&(f32, f32), &(f32, f32))| (u - (a * x - b * y) / w, v - (b * x + a * y) / h);
        let places: Vec<(f32, f32)> = self.from.iter().zip(&self.to).map(at).collect();
        let share = |(x, y): (f32, f32), (u, v): (f32, f32)| {
            (1.0 - ((x - u).powi(2) + (y - v).powi(2)) / (SUPPORT * SUPPORT)).max(0.0)
        };
        let support = |place: &(f32, f32)| {
            places
                .iter()
                .zip(&self.weights)
                .map(|(other, weight)| weight * share(*place, *other))
                .sum::<f32>()
        };
        let mut support: Vec<f32> = places.iter().map(support).collect();
        let mut peaks = Vec::with_capacity(PEAKS);
        for _ in 0..PEAKS {
            let best = (0..support.len()).max_by(|&a, &b| support[a].total_cmp(&support[b]).then(b.cmp(&a)));
            let Some(best) = best.filter(|&best| support[best] > 0.0) else { break };
            let (mut x, mut y, mut sum) = (0.0, 0.0, 0.0);
            for ((place, weight), support) in places.iter().zip(&self.weights).zip(&mut support) {
                let weight = weight * share(places[best], *place);
                if weight > 0.0 {
                    (x, y, sum) = (x + weight * place.0, y + weight * place.1, sum + weight);
                    *support = 0.0;
                }
            }
            peaks.push((x / sum * w, y / sum * h));
        }
        peaks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{Bbox, Pose};
    use crate::query::{Marked, QueryTokens, QueryView};

    #[test]
    fn matches_that_agree_outvote_as_many_that_do_not() {
        let grid = Grid { area: Bbox::of_image(200, 200), rows: 20, cols: 20 };
        let own = Grid { area: Bbox::of_image(50, 50), rows: 5, cols: 5 };
        let view = QueryView { area: own.area, zoom: 1.0 };
        let marked = Marked::new(&own.area, None, (50, 50), Pose::default());
        let tokens = QueryTokens::select(marked, view, &own, &[0.0; 25], 1, 25);
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
        let (x, y) = votes.peaks((2.0, 0.0))[0];
        assert!((x - 55.0).abs() < 10.0 && (y - 35.0).abs() < 10.0, "{x} {y}");
        assert!(Votes::of(&[], &look, &grid).peaks((2.0, 0.0)).is_empty());
    }
}
