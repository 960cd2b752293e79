//! Which images come into question: the best similarity of every token in every image, weighted by how distinctive the
//! token is. A token that finds something alike everywhere counts little.

use rayon::prelude::*;

use super::QueryTokens;
use crate::index::similarities;
use crate::segment::{ImageView, OpenSegmentError, Segment};

/// Weight of a token that matches everywhere, beside 1 for one that matches nowhere.
const LEAST_WEIGHT: f32 = 0.05;

/// An image with the best similarity of each token in it.
pub(super) struct Candidate<'a> {
    pub segment: &'a Segment,
    pub image: ImageView<'a>,
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

/// Compares every token with every patch of every image.
pub(super) fn rank<'a>(
    segments: &'a [Segment],
    tokens: &QueryTokens,
) -> Result<Ranking<'a>, OpenSegmentError> {
    let mut images = Vec::new();
    for segment in segments {
        for image in segment.images() {
            let image = image?;
            // A copy of an image shares its patches; it joins the answer at the end.
            if image.row.same_as as usize == image.index && image.views().next().is_some() {
                images.push((segment, image));
            }
        }
    }
    let best: Vec<Vec<f32>> =
        images.par_iter().map(|(segment, image)| best_in_image(segment, image, tokens)).collect();
    let background = background(&best, tokens.len());
    let weights = weights(&background);
    let mut candidates: Vec<Candidate<'_>> = images
        .into_iter()
        .zip(best)
        .map(|((segment, image), best)| {
            let maxsim = best.iter().zip(&weights).map(|(s, w)| s * w).sum();
            Candidate { segment, image, best, maxsim }
        })
        .collect();
    // A stable sort: equal scores stay in order of segments and images.
    candidates.sort_by(|a, b| b.maxsim.total_cmp(&a.maxsim));
    Ok(Ranking { candidates, weights, background })
}

fn best_in_image(segment: &Segment, image: &ImageView<'_>, tokens: &QueryTokens) -> Vec<f32> {
    let mut best = vec![f32::NEG_INFINITY; tokens.len()];
    for view in image.views() {
        let scores =
            similarities(&tokens.vectors, segment.vectors(), tokens.dim, view.first_patch, view.grid.len());
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
    use super::*;

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
