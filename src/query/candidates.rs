//! Which images come into question: those that hold nearest neighbours of the query's tokens, in each size that the box is seen in,
//! by how far these are above the background. What a token finds everywhere says nothing; an image that holds none of a token's
//! neighbours has nothing for it.

use super::search::{FoundRow, RowSearch, StoredImage};
use super::{Marked, Plan, QueryError, QueryTokens};
use crate::index::{Rows, Vectors, similarities};
use crate::metric::Metric;

/// Weight of a token that matches everywhere, beside 1 for one that matches nowhere.
const LEAST_WEIGHT: f32 = 0.05;

/// The tokens of one size of a box, and what the collection says about them.
pub(super) struct Look {
    pub tokens: QueryTokens,
    /// The searched image that the tokens come from, where it is not the query image: it says nothing about itself.
    pub seen_in: Option<usize>,
    /// Weight of each token; they add up to 1.
    pub weights: Vec<f32>,
    /// The similarity that each token has with an image that has nothing to do with it.
    pub background: Vec<f32>,
}

impl Look {
    /// What a similarity of a token is worth: 0 for what it finds everywhere, 1 for the same vector. Squared, for one thing
    /// that is just like it says more than two that are half so.
    pub fn worth(&self, token: usize, similarity: f32) -> f32 {
        let background = self.background[token];
        ((similarity - background).max(0.0) / (1.0 - background).max(LEAST_WEIGHT)).powi(2)
    }
}

/// A patch of an image that is among the nearest neighbours of a token.
#[derive(Clone, Copy)]
pub(super) struct FoundPatch {
    pub token: usize,
    /// Its place among the image's views.
    pub view: usize,
    /// Its place in the view.
    pub patch: usize,
    pub similarity: f32,
}

/// An image, and what the tokens found in it.
pub(super) struct Candidate<'s, 'a> {
    pub stored: &'s StoredImage<'a>,
    /// Its place among the images that were searched.
    pub place: usize,
    /// For each look, in order of tokens, the most similar first.
    pub found: Vec<Vec<FoundPatch>>,
    /// For each look, the weighted mean of what the best similarity of each token in the image is worth.
    pub maxsim: Vec<f32>,
}

impl Candidate<'_, '_> {
    /// Whether a look says something about this image. All do, unless the image is looked for in turn: the query alone found it
    /// with confidence, and what was seen in other images knows less exactly where the thing lies.
    pub fn is_judged_by(&self, look: &Look, looks: &[Look]) -> bool {
        let is_seen_here =
            |other: &Look| other.seen_in == Some(self.place) && other.tokens.marked == look.tokens.marked;
        look.seen_in.is_none() || !looks.iter().any(is_seen_here)
    }

    /// So many of the looks at each marked thing, those that find most, the best first.
    pub fn looks(&self, looks: &[Look], each: usize) -> Vec<usize> {
        let mut best: Vec<usize> =
            (0..looks.len()).filter(|&look| self.is_judged_by(&looks[look], looks)).collect();
        best.sort_by(|&a, &b| self.maxsim[b].total_cmp(&self.maxsim[a]));
        let marked = |look: usize| &looks[look].tokens.marked;
        let before =
            |at: usize| best[..at].iter().filter(|&&other| marked(other) == marked(best[at])).count();
        (0..best.len()).filter(|&at| before(at) < each).map(|at| best[at]).collect()
    }

    /// Of the looks of the query itself at what is `marked`, the one that finds most: what is shown of a place is of the query, not of
    /// what was found for it.
    pub fn own_look(&self, looks: &[Look], marked: &Marked) -> usize {
        let is_own = |&at: &usize| looks[at].seen_in.is_none() && looks[at].tokens.marked == *marked;
        let by_maxsim = |a: &usize, b: &usize| self.maxsim[*a].total_cmp(&self.maxsim[*b]);
        (0..looks.len()).filter(is_own).max_by(by_maxsim).unwrap_or(0)
    }

    /// What the look that finds most finds.
    pub fn strength(&self) -> f32 {
        self.maxsim.iter().copied().fold(0.0, f32::max)
    }
}

/// What is looked for, and the images that it found something in.
pub(super) struct Candidates<'s, 'a> {
    scope: &'s RowSearch<'a>,
    pub looks: Vec<Look>,
    /// Vectors of what is not meant.
    unlike: &'s [f32],
    /// In no order.
    found: Vec<Candidate<'s, 'a>>,
    /// For each image of the scope its place in `found`.
    places: Vec<Option<usize>>,
}

impl<'s, 'a> Candidates<'s, 'a> {
    /// Nothing looked for yet. What a token has in common with the vectors of `unlike` will be its background.
    pub fn among(scope: &'s RowSearch<'a>, unlike: &'s [f32]) -> Self {
        Self { scope, looks: Vec::new(), unlike, found: Vec::new(), places: vec![None; scope.images.len()] }
    }

    /// Asks for the neighbours of the tokens of further looks, which may be seen in an image of the scope. The background is that
    /// of `all` images.
    ///
    /// # Errors
    /// That nobody waits any more.
    pub fn look_for(
        &mut self,
        looks: Vec<(QueryTokens, Option<usize>)>,
        all: &RowSearch<'_>,
        plan: &Plan,
    ) -> Result<(), QueryError> {
        let every: Vec<f32> = looks.iter().flat_map(|(tokens, _)| &tokens.vectors).copied().collect();
        let found = self.scope.nearest(&every, plan.neighbours, 0)?;
        let background = match std::ptr::eq(all, self.scope) {
            true => background(&found, all.images.len()),
            false => background(&all.nearest(&every, plan.neighbours, 0)?, all.images.len()),
        };
        let (mut background, mut found) = (background.into_iter(), found.into_iter());
        let first = self.looks.len();
        for (tokens, seen_in) in looks {
            let mut background: Vec<f32> = background.by_ref().take(tokens.len()).collect();
            raise(&mut background, &tokens, self.unlike, self.scope.collection.metric());
            for (token, found) in found.by_ref().take(tokens.len()).enumerate() {
                let foreign = found.into_iter().filter(|found| Some(found.stretch.image) != seen_in);
                foreign.for_each(|found| self.add(self.looks.len(), token, &found));
            }
            let weights = match plan.weighted {
                true => weights(&background),
                false => vec![1.0 / tokens.len() as f32; tokens.len()],
            };
            self.looks.push(Look { tokens, seen_in, weights, background });
        }
        for candidate in &mut self.found {
            candidate.found.resize(self.looks.len(), Vec::new());
            candidate.maxsim.resize(first, 0.0);
            for (look, found) in self.looks.iter().zip(&candidate.found).skip(first) {
                // The first of a token is its best.
                let firsts = found.chunk_by(|a, b| a.token == b.token).map(|found| found[0]);
                let worth =
                    |best: FoundPatch| look.weights[best.token] * look.worth(best.token, best.similarity);
                candidate.maxsim.push(firsts.map(worth).sum());
            }
        }
        Ok(())
    }

    fn add(&mut self, look: usize, token: usize, row: &FoundRow<'_>) {
        let FoundRow { stretch, patch, similarity } = *row;
        let at = *self.places[stretch.image].get_or_insert_with(|| {
            let (place, stored) = (stretch.image, &self.scope.images[stretch.image]);
            self.found.push(Candidate { stored, place, found: Vec::new(), maxsim: Vec::new() });
            self.found.len() - 1
        });
        let found = &mut self.found[at].found;
        found.resize(found.len().max(look + 1), Vec::new());
        found[look].push(FoundPatch { token, view: stretch.view, patch, similarity });
    }

    /// The images that most was found in, best first, of equal ones in order of segments and rows.
    pub fn best(&self, limit: usize) -> Vec<&Candidate<'s, 'a>> {
        let mut best: Vec<&Candidate<'s, 'a>> = self.found.iter().collect();
        best.sort_by(|a, b| b.strength().total_cmp(&a.strength()).then(a.place.cmp(&b.place)));
        best.truncate(limit);
        best
    }
}

/// For each token the similarity that half of so many `images` reach, or the last that was found, where fewer are: what is not
/// found is worth nothing. With one or two images there is no background to speak of.
fn background(found: &[Vec<FoundRow<'_>>], images: usize) -> Vec<f32> {
    if images < 3 {
        return vec![0.0; found.len()];
    }
    let mut seen_by = vec![usize::MAX; images];
    let level = |(token, found): (usize, &Vec<FoundRow<'_>>)| {
        let is_first =
            |row: &&FoundRow<'_>| std::mem::replace(&mut seen_by[row.stretch.image], token) != token;
        let of_images = found.iter().filter(is_first).map(|row| row.similarity);
        of_images.take(images.div_ceil(2)).last().unwrap_or(0.0)
    };
    found.iter().enumerate().map(level).collect()
}

/// Raises the background of each token to what it has in common with what is not meant: only what is more alike says something.
fn raise(background: &mut [f32], tokens: &QueryTokens, unlike: &[f32], metric: Metric) {
    /// What stored vectors differ from those of the model by.
    const ROUNDING: f32 = 2e-3;
    let (rows, dim) = (Rows::F32(unlike), tokens.dim);
    let alike = similarities(&tokens.vectors, Vectors { rows, dim, metric }, 0, unlike.len() / dim);
    for (level, alike) in background.iter_mut().zip(alike.rows()) {
        *level = alike.iter().map(|alike| alike + ROUNDING).fold(*level, f32::max);
    }
}

fn weights(background: &[f32]) -> Vec<f32> {
    let raw: Vec<f32> = background.iter().map(|level| (1.0 - level).clamp(LEAST_WEIGHT, 1.0)).collect();
    let sum: f32 = raw.iter().sum();
    raw.iter().map(|weight| weight / sum.max(f32::MIN_POSITIVE)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{Bbox, Grid};
    use crate::query::search::Stretch;

    fn stretches(images: usize) -> Vec<Stretch> {
        let grid = Grid { area: Bbox::of_image(10, 10), rows: 1, cols: 1 };
        (0..images).map(|image| Stretch { first: image, grid, image, view: 0, before: 0 }).collect()
    }

    #[test]
    fn a_token_that_matches_everywhere_counts_little() {
        let stretches = stretches(3);
        let found = |similarities: &[(usize, f32)]| -> Vec<FoundRow<'_>> {
            let row = |&(image, similarity)| FoundRow { stretch: &stretches[image], patch: 0, similarity };
            similarities.iter().map(row).collect()
        };
        // A second patch of an image does not count.
        let everywhere = found(&[(1, 0.95), (1, 0.94), (0, 0.9), (2, 0.9)]);
        let background = background(&[everywhere, found(&[(2, 0.8), (0, 0.2), (1, 0.1)])], 3);
        assert_eq!(background, [0.9, 0.2]);
        let weights = weights(&background);
        assert!(weights[0] < weights[1] / 7.0);
        assert!((weights.iter().sum::<f32>() - 1.0).abs() < 1e-6);
    }

    #[test]
    fn the_last_that_was_found_is_background_and_few_images_have_none() {
        let stretches = stretches(9);
        let found: Vec<FoundRow<'_>> = [0.9, 0.7]
            .iter()
            .zip(&stretches)
            .map(|(&similarity, stretch)| FoundRow { stretch, patch: 0, similarity })
            .collect();
        let found = [found, Vec::new()];
        assert_eq!(background(&found, 9), [0.7, 0.0]);
        assert_eq!(background(&found, 2), [0.0, 0.0]);
    }
}
