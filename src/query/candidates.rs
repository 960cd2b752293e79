//! Which images come into question: how far above its background every token finds something alike in every image, in each
//! size that the box is seen in. What a token finds everywhere says nothing.

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
    /// For each look, the best similarity of each of its tokens anywhere in the image.
    pub best: Vec<Vec<f32>>,
    /// For each look, the weighted mean of what `best` is worth.
    pub maxsim: Vec<f32>,
}

impl Candidate<'_> {
    /// Looks, the one that finds most first.
    pub fn looks(&self) -> Vec<usize> {
        let mut looks: Vec<usize> = (0..self.maxsim.len()).collect();
        looks.sort_by(|&a, &b| self.maxsim[b].total_cmp(&self.maxsim[a]));
        looks
    }

    fn strength(&self) -> f32 {
        self.maxsim.iter().copied().fold(0.0, f32::max)
    }
}

/// The tokens of one size of a box, and what the collection says about them.
pub(super) struct Look<'q> {
    pub tokens: &'q QueryTokens,
    /// Weight of each token; they add up to 1.
    pub weights: Vec<f32>,
    /// The similarity that each token has with an image that has nothing to do with it.
    pub background: Vec<f32>,
}

impl Look<'_> {
    /// What a similarity of a token is worth: 0 for what it finds everywhere, 1 for the same vector. Squared, for one thing
    /// that is just like it says more than two that are half so.
    pub fn worth(&self, token: usize, similarity: f32) -> f32 {
        let background = self.background[token];
        ((similarity - background).max(0.0) / (1.0 - background).max(LEAST_WEIGHT)).powi(2)
    }
}

/// Which images come into question, and by what.
pub(super) struct Ranking<'a, 'q> {
    /// Best first; of equal ones, in order of segments and images.
    pub candidates: Vec<Candidate<'a>>,
    /// What was looked for.
    pub looks: Vec<Look<'q>>,
}

/// Compares every token with every patch of every image in scope.
pub(super) fn rank<'a, 'q>(
    collection: &'a Collection,
    scope: &Scope,
    looks: &'q [QueryTokens],
) -> Result<Ranking<'a, 'q>, OpenSegmentError> {
    let (mut images, others): (Vec<Stored<'a>>, _) =
        stored(collection, scope)?.into_iter().partition(|image| !image.shown.is_empty());
    let asked = images.len();
    images.extend(lent(asked, others));
    let every: Vec<f32> = looks.iter().flat_map(|tokens| &tokens.vectors).copied().collect();
    let count = looks.iter().map(QueryTokens::len).sum();
    let best: Vec<Vec<f32>> = images.par_iter().map(|stored| best_in_image(stored, &every, count)).collect();
    let background = background(&best, count);
    let looks: Vec<Look<'_>> = looks
        .iter()
        .zip(of_each(looks, &background))
        .map(|(tokens, background)| Look { tokens, weights: weights(&background), background })
        .collect();
    let mut candidates: Vec<Candidate<'_>> = images
        .into_iter()
        .zip(best)
        .take(asked)
        .map(|(Stored { segment, image, shown }, best)| {
            let best = of_each(looks.iter().map(|look| look.tokens), &best);
            let maxsim = looks.iter().zip(&best).map(|(look, best)| maxsim(look, best)).collect();
            Candidate { segment, image, shown, best, maxsim }
        })
        .collect();
    // A stable sort: equal scores stay in order of segments and images.
    candidates.sort_by(|a, b| b.strength().total_cmp(&a.strength()));
    Ok(Ranking { candidates, looks })
}

/// The part of `values`, one for each token of all looks, that belongs to each look.
fn of_each<'q>(looks: impl IntoIterator<Item = &'q QueryTokens>, values: &[f32]) -> Vec<Vec<f32>> {
    let mut rest = values;
    let part = |tokens: &QueryTokens| {
        let (part, later) = rest.split_at(tokens.len());
        rest = later;
        part.to_vec()
    };
    looks.into_iter().map(part).collect()
}

fn maxsim(look: &Look<'_>, best: &[f32]) -> f32 {
    let worth = |(token, (&best, weight)): (usize, (&f32, &f32))| weight * look.worth(token, best);
    best.iter().zip(&look.weights).enumerate().map(worth).sum()
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

fn best_in_image(stored: &Stored<'_>, tokens: &[f32], count: usize) -> Vec<f32> {
    let mut best = vec![f32::NEG_INFINITY; count];
    for view in stored.image.views() {
        let vectors = stored.segment.vectors();
        let scores = similarities(tokens, vectors, view.first_patch, view.grid.len());
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
