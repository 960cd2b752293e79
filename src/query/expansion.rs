//! Query expansion: what was found with confidence is looked for as well (spatially verified, as of Chum et al., Total Recall,
//! ICCV 2007). The patches of a good place are one more look at the query's own box: seen as the collection shows the object.

use super::QueryTokens;
use super::candidates::Candidate;
use super::crop::thinned;
use super::placement::Placement;
use crate::core::Bbox;

/// What a place must score to be looked for. With the default model right first places score .08 and more on photographs, wrong
/// ones .07 and less.
pub(super) const LEAST_SCORE: f32 = 0.06;
/// What scores more is the same picture, and shows nothing new.
pub(super) const MOST_SCORE: f32 = 0.9;
/// What it must score beside the best place.
pub(super) const LEAST_SHARE: f32 = 0.6;
/// Fewer patches are no look.
const LEAST_TOKENS: usize = 4;

/// The patches of an image that lie in the box of `asked` where `placement` puts it, as tokens of that box.
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
    (chosen.len() >= LEAST_TOKENS).then_some(QueryTokens { vectors, boxes, ..asked.clone() })
}
