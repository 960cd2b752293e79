//! Which images come into question: the best similarity of every token in every image, weighted by how distinctive the
//! token is. A token that finds something alike everywhere counts little.

use std::collections::HashMap;

use rayon::prelude::*;

use super::{QueryTokens, Scope};
use crate::collection::Collection;
use crate::index::similarities;
use crate::segment::{ImageView, OpenSegmentError, Segment};

/// Weight of a token that matches everywhere, beside 1 for one that matches nowhere.
const LEAST_WEIGHT: f32 = 0.05;
/// The background of fewer images than this would be what they happen to show: others of the collection lend theirs.
const BACKGROUND_IMAGES: usize = 64;

/// An image with the best similarity of each token in it.
pub(super) struct Candidate<'a> {
    pub segment: &'a Segment,
    /// The image whose patches are stored.
    pub image: ImageView<'a>,
    /// Itself and its copies, as far as they are in scope.
    pub shown: Vec<ImageView<'a>>,
    /// Best similarity of each token anywhere in the image.
    pub best: Vec<f32>,
    /// Weighted mean of `best`.
    pub maxsim: f32,
}

/// What the collection says about the query's tokens.
pub(super) struct Ranking<'a> {
    /// Best first; of equal ones, in order of segments and images.
    pub candidates: Vec<Candidate<'a>>,
    /// Weight of each token; they add up to 1.
    pub weights: Vec<f32>,
    /// The similarity that each token has with an image that has nothing to do with it.
    pub background: Vec<f32>,
}

/// Compares every token with every patch of every image in scope.
pub(super) fn rank<'a>(
    collection: &'a Collection,
    scope: &Scope,
    tokens: &QueryTokens,
) -> Result<Ranking<'a>, OpenSegmentError> {
    let (mut images, others): (Vec<Stored<'a>>, _) =
        stored(collection, scope)?.into_iter().partition(|image| !image.shown.is_empty());
    let asked = images.len();
    images.extend(lent(asked, others));
    let best: Vec<Vec<f32>> =
        images.par_iter().map(|stored| best_in_image(stored.segment, &stored.image, tokens)).collect();
    let background = background(&best, tokens.len());
    let weights = weights(&background);
    let mut candidates: Vec<Candidate<'_>> = images
        .into_iter()
        .zip(best)
        .take(asked)
        .map(|(Stored { segment, image, shown }, best)| {
            let maxsim = best.iter().zip(&weights).map(|(s, w)| s * w).sum();
            Candidate { segment, image, shown, best, maxsim }
        })
        .collect();
    // A stable sort: equal scores stay in order of segments and images.
    candidates.sort_by(|a, b| b.maxsim.total_cmp(&a.maxsim));
    Ok(Ranking { candidates, weights, background })
}

/// An image with patches of its own, and under which names it may be found.
struct Stored<'a> {
    segment: &'a Segment,
    image: ImageView<'a>,
    shown: Vec<ImageView<'a>>,
}

/// Every image that has patches, in order of segments and images. A copy shares the patches of an earlier image, and is
/// found through them whether or not that one is in scope.
fn stored<'a>(collection: &'a Collection, scope: &Scope) -> Result<Vec<Stored<'a>>, OpenSegmentError> {
    let mut all: Vec<Stored<'a>> = Vec::new();
    for (at, segment) in collection.segments().iter().enumerate() {
        let mut places: HashMap<usize, usize> = HashMap::new();
        for image in segment.images() {
            let image = image?;
            let original = image.row.same_as as usize;
            if original == image.index && image.views().next().is_some() {
                places.insert(original, all.len());
                all.push(Stored { segment, image, shown: Vec::new() });
            }
            if let Some(&place) = places.get(&original).filter(|_| scope.contains(at, image.index)) {
                all[place].shown.push(image);
            }
        }
    }
    Ok(all)
}

/// As many of `others` as `asked` images lack to [`BACKGROUND_IMAGES`], spread evenly.
fn lent<T>(asked: usize, others: Vec<T>) -> impl Iterator<Item = T> {
    let (of, wanted) = (others.len(), BACKGROUND_IMAGES.saturating_sub(asked));
    let count = if asked == 0 { 0 } else { wanted.min(of) };
    let before = move |at: usize| at * count / of.max(1);
    // Of every run of neighbours that are worth one image together, the last is taken.
    let chosen = move |at: &usize| before(at + 1) > before(*at);
    others.into_iter().enumerate().filter(move |(at, _)| chosen(at)).map(|(_, other)| other)
}

fn best_in_image(segment: &Segment, image: &ImageView<'_>, tokens: &QueryTokens) -> Vec<f32> {
    let mut best = vec![f32::NEG_INFINITY; tokens.len()];
    for view in image.views() {
        let scores = similarities(&tokens.vectors, segment.vectors(), view.first_patch, view.grid.len());
        for (best, row) in best.iter_mut().zip(scores.rows()) {
            *best = row.iter().copied().fold(*best, f32::max);
        }
    }
    best
}

/// Median over the images of each token's best similarity. With one or two images there is no background to speak of.
fn background(best: &[Vec<f32>], tokens: usize) -> Vec<f32> {
    if best.len() < 3 {
        return vec![0.0; tokens];
    }
    let median = |token: usize| {
        let mut column: Vec<f32> = best.iter().map(|image| image[token]).collect();
        column.sort_by(f32::total_cmp);
        column[column.len() / 2]
    };
    (0..tokens).map(median).collect()
}

fn weights(background: &[f32]) -> Vec<f32> {
    let raw: Vec<f32> = background.iter().map(|level| (1.0 - level).clamp(LEAST_WEIGHT, 1.0)).collect();
    let sum: f32 = raw.iter().sum();
    raw.iter().map(|weight| weight / sum.max(f32::MIN_POSITIVE)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn others_lend_what_is_lacking_and_come_from_everywhere(asked in 1usize..80, of in 0usize..500) {
            let lent: Vec<usize> = lent(asked, (0..of).collect()).collect();
            prop_assert_eq!(lent.len(), BACKGROUND_IMAGES.saturating_sub(asked).min(of));
            prop_assert!(lent.is_sorted_by(|a, b| a < b));
            let step = of.div_ceil(lent.len().max(1));
            let ends = [0].into_iter().chain(lent.iter().map(|at| at + 1)).collect::<Vec<_>>();
            prop_assert!(lent.is_empty() || ends.windows(2).all(|pair| pair[1] - pair[0] <= step));
        }
    }

    #[test]
    fn a_token_that_matches_everywhere_counts_little() {
        let best = vec![vec![0.9, 0.2], vec![0.95, 0.1], vec![0.9, 0.8]];
        let background = background(&best, 2);
        assert_eq!(background, vec![0.9, 0.2]);
        let weights = weights(&background);
        assert!(weights[0] < weights[1] / 7.0);
        assert!((weights.iter().sum::<f32>() - 1.0).abs() < 1e-6);
    }
}
