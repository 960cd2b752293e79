//! Query expansion: what was found with confidence is looked for as well (spatially verified, as of Chum et al., Total Recall,
//! ICCV 2007). The patches of a good place are one more look at the query's own box: seen as the collection shows the object.

use super::QueryTokens;
use super::candidates::Candidate;
use super::crop::thinned;
use super::placement::{LEAST_PAIRS, Placement};
use crate::core::Bbox;

/// What a place must score to be looked for. With the default model right first places score .08 and more on photographs, wrong
/// ones .07 and less.
pub(super) const LEAST_SCORE: f32 = 0.06;
/// What scores more is the same picture, and shows nothing new.
pub(super) const MOST_SCORE: f32 = 0.9;
/// What it must score beside the best place.
pub(super) const LEAST_SHARE: f32 = 0.6;
/// Share of the score of what the query itself found best from which scores of what only looks like it are drawn below that.
const NEARLY: f32 = 0.9;

/// The score of a place that was not looked for in turn, drawn below `most`, that of the best one that was: what looks like things
/// that were found does not come before them. Order is kept; what scores little, or is the same picture, is left as it is.
pub(super) fn drawn_below(most: f32, score: f32) -> f32 {
    let bend = NEARLY * most;
    if score <= bend || score > MOST_SCORE {
        return score;
    }
    // From the bend on, a hyperbola that leaves it at the same slope.
    let room = most - bend;
    most - room * room / (score - bend + room)
}

/// The patches of an image that lie in the box of `asked` where `placement` puts it, as tokens of that box. None where they
/// are too few to tell how large it is, unless those of `asked` are no more.
pub(super) fn seen_at(
    candidate: &Candidate<'_, '_>,
    asked: &QueryTokens,
    placement: &Placement,
    max_tokens: usize,
) -> Option<QueryTokens> {
    let view = candidate.stored.shown[0].image.views().next()?;
    let (w, h) = view.grid.patch_size();
    let (w, h) = (w / placement.scale(), h / placement.scale());
    let in_query = |patch: usize| {
        let (x, y) = placement.back(view.grid.patch_box(patch).center());
        asked.marked.contains(x, y).then(|| (patch, Bbox::new(x - w / 2.0, y - h / 2.0, w, h)))
    };
    let inside: Vec<(usize, Bbox)> = (0..view.grid.len()).filter_map(in_query).collect();
    let chosen = thinned(&inside, max_tokens);
    let mut vectors = vec![0.0; chosen.len() * asked.dim];
    for (vector, (patch, _)) in vectors.chunks_exact_mut(asked.dim).zip(&chosen) {
        candidate.stored.segment.vectors().widen(view.first_patch + patch, vector);
    }
    let boxes: Vec<Bbox> = chosen.iter().map(|(_, bbox)| *bbox).collect();
    (chosen.len() >= LEAST_PAIRS.min(asked.len())).then_some(QueryTokens { vectors, boxes, ..asked.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_looks_like_what_was_found_comes_after_it_in_its_own_order() {
        let drawn = [0.05, 0.17, 0.18, 0.19, 0.2, 0.4, 0.8].map(|score| drawn_below(0.2, score));
        assert_eq!(drawn[..3], [0.05, 0.17, 0.18]);
        assert!(drawn.is_sorted_by(|a, b| a < b) && drawn[6] < 0.2, "{drawn:?}");
        assert_eq!(drawn_below(0.2, 1.0), 1.0);
    }
}
