//! A hit before it is ranked: an image with what is said for one place in it, under each of its names.

use serde_json::Map;

use super::Evidence;
use super::candidates::Candidate;
use crate::core::{Bbox, Grid, Hit, Match, StageScores};
use crate::segment::{ImageView, Segment};

/// A hit before it is ranked.
#[derive(Clone)]
pub(super) struct Found<'a> {
    pub segment: &'a Segment,
    /// The image, or a copy of it, which has the same patches.
    pub image: ImageView<'a>,
    pub hit: Hit,
    pub evidence: Evidence,
    /// The look that found most in the image.
    pub look: usize,
}

/// What is said for a place.
pub(super) struct Scored {
    pub bbox: Bbox,
    pub score: f32,
    pub scores: StageScores,
    pub matches: Vec<Match>,
}

impl<'a> Found<'a> {
    /// A place in an image that has no name yet. `look` found most in it.
    pub fn of(candidate: &Candidate<'_, 'a>, grid: Grid, scored: Scored, look: usize) -> Self {
        let (segment, image) = (candidate.stored.segment, candidate.stored.shown[0].image);
        let Scored { bbox, score, scores, matches } = scored;
        let hit = Hit {
            rank: 0,
            image: String::new(),
            id: image.id(),
            width: image.row.width_px,
            height: image.row.height_px,
            metadata: Map::new(),
            bbox,
            score,
            probability: 0.0,
            scores,
            matches,
            duplicates: Vec::new(),
        };
        let (path, similarity) = (Vec::new(), Vec::new());
        let evidence = Evidence { path, content: image.row.content, grid, similarity };
        Self { segment, image, hit, evidence, look }
    }

    /// The same place in a file of the same bytes.
    fn under(&self, shown: &ImageView<'a>) -> Self {
        let mut found = Self { image: *shown, ..self.clone() };
        found.hit.image = shown.path_text();
        found.evidence.path = shown.path.to_vec();
        found
    }

    /// Gives the place another score, and what the stages say in the same proportion.
    pub fn draw_to(&mut self, score: f32) {
        let share = score / self.hit.score.max(f32::MIN_POSITIVE);
        let StageScores { vote, maxsim, geometry } = &mut self.hit.scores;
        [vote, maxsim, geometry].into_iter().for_each(|stage| *stage *= share);
        self.hit.score = score;
    }

    /// Rounding takes the similarity of equal vectors past 1, where no cosine is.
    pub fn cut_to_one(&mut self) {
        let hit = &mut self.hit;
        let scores = [&mut hit.score, &mut hit.scores.vote, &mut hit.scores.maxsim, &mut hit.scores.geometry];
        let matches = hit.matches.iter_mut().map(|found| &mut found.similarity);
        scores.into_iter().chain(matches).for_each(|value| *value = value.min(1.0));
    }
}

/// An image as a hit, without a place.
pub(super) fn whole<'a>(candidate: &Candidate<'_, 'a>) -> Vec<Found<'a>> {
    let image = candidate.stored.shown[0].image;
    let Some(view) = image.views().next() else { return Vec::new() };
    let score = candidate.strength();
    let scores = StageScores { maxsim: score, ..StageScores::default() };
    let bbox = Bbox::of_image(image.row.width_px, image.row.height_px);
    let by_maxsim = |a: &usize, b: &usize| candidate.maxsim[*a].total_cmp(&candidate.maxsim[*b]);
    let look = (0..candidate.maxsim.len()).max_by(by_maxsim).unwrap_or(0);
    let scored = Scored { bbox, score, scores, matches: Vec::new() };
    under_all_names(candidate, &[Found::of(candidate, view.grid, scored, look)])
}

/// Places under each of the names that their image has in scope.
pub(super) fn under_all_names<'a>(candidate: &Candidate<'_, 'a>, places: &[Found<'a>]) -> Vec<Found<'a>> {
    let shown = candidate.stored.shown.iter();
    shown.flat_map(|shown| places.iter().map(|place| place.under(&shown.image))).collect()
}
