//! One image beside the query's tokens of one size: matches propose places, patches where tokens are expected judge them, and
//! robust least squares refine them. Scores are fused, nothing is vetoed.

use std::cell::RefCell;
use std::ops::Range;

use super::candidates::{Candidate, FoundPatch, Look};
use super::placement::{LEAST_PAIRS, Pair, Placement, fused};
use super::suppress::keep_best;
use super::votes::{Peak, Votes};
use super::{Plan, QueryTokens};
use crate::core::{Bbox, Match, StageScores};
use crate::index::{Vectors, similarities};
use crate::segment::{ImageView, PatchView, Segment};

/// Peaks of the votes, over all scales and turns, that are judged.
const MOST_PEAKS: usize = 40;
/// Proposed places of an image that are looked at.
const PROPOSALS: usize = 3;
/// Proposed boxes that overlap more than this (intersection over union) are one.
const SAME_PROPOSAL: f32 = 0.7;
/// Share of a place's box that is inside the image at least.
const LEAST_VISIBLE: f32 = 0.25;
/// A patch this far from where it is expected, in patches, still belongs to the place.
const REACH: f32 = 1.0;
/// What it costs in similarity that a patch lies one patch away from where it is expected. Without a cost, places that
/// differ by less than the reach would count alike, and boxes would fit no better than that.
const PULL: f32 = 0.07;
/// Share of its vote that a token loses whose best match lies one patch away from where it is expected.
const ASTRAY: f32 = 0.2;
/// Power of the size by which places are compared ([`sized`]). With less (.3) fewer boxes fit on composed pictures.
pub(super) const LARGER: f32 = 0.5;
/// What a token counts that is expected outside the image, where nothing was seen for or against it.
const UNSEEN: f32 = 0.5;

/// A place with its part of the fused score, as one look judges it.
#[derive(Clone, Copy)]
pub(super) struct Judged {
    /// In which of the image's views.
    view: usize,
    pub placement: Placement,
    /// Share of the weight whose best match lies where it is expected, by how near.
    vote: f32,
    /// Weighted mean of what the similarity is worth where each token is expected.
    geometry: f32,
    /// Patches along the side of a square as large as the object.
    side: f32,
}

impl Judged {
    /// What is said for the place, where the look's tokens find so much anywhere in the image.
    pub fn scores(&self, maxsim: f32) -> StageScores {
        StageScores { vote: self.vote, maxsim, geometry: self.geometry }
    }

    fn worth(&self) -> f32 {
        // What is found anywhere is the same for all places of an image.
        sized(fused(&self.scores(0.0)), self.side, LARGER)
    }
}

/// By which places of an image are compared, of which the object would be `side` patches large. Where it is few patches large,
/// each of them is within reach of many tokens, and some answer by chance: of places that score alike the larger one says more,
/// unless they are all but sure. `power` is how much more.
pub(super) fn sized(score: f32, side: f32, power: f32) -> f32 {
    /// The size that neither gains nor loses, in patches. What scores more is worth more up to e² = 7.4 times that: the long side
    /// of an image.
    const EVEN: f32 = 5.0;
    score * (side / EVEN).powf((1.0 - score).clamp(0.0, 1.0) * power)
}

/// The patch that answers a token where a placement expects it.
#[derive(Clone, Copy)]
struct Reply {
    patch: usize,
    similarity: f32,
    /// Square of its distance from the expected place, in patches.
    squared: f32,
}

impl Reply {
    /// The similarity less what the distance costs.
    fn net(&self) -> f32 {
        self.similarity - PULL * self.squared
    }
}

/// One image as one look sees it. Similarities are computed where they are asked for.
pub(super) struct Scene<'s> {
    look: &'s Look,
    /// Whether the look says something about the image.
    is_judge: bool,
    /// What the tokens found, in order of tokens.
    found: &'s [FoundPatch],
    /// Where each token's part of `found` begins, and where the last ends.
    starts: Vec<usize>,
    /// What they are worth together.
    maxsim: f32,
    /// All of the image.
    whole: Bbox,
    views: Vec<PatchView>,
    /// Columns and rows of each view's patches in a pixel.
    per_px: Vec<(f32, f32)>,
    vectors: Vectors<'s>,
    /// For each view tokens × patches; what was not computed is no number.
    similarities: RefCell<Vec<Vec<f32>>>,
}

impl<'s> Scene<'s> {
    /// A candidate as look number `at` of `looks` sees it.
    pub fn new(candidate: &'s Candidate<'_, '_>, looks: &'s [Look], at: usize) -> Self {
        let (look, found) = (&looks[at], &candidate.found[at][..]);
        let starts = (0..=look.tokens.len()).map(|token| found.partition_point(|found| found.token < token));
        let image = candidate.stored.shown[0].image;
        let views: Vec<PatchView> = image.views().collect();
        let per_px = |view: &PatchView| {
            let (w, h) = view.grid.patch_size();
            (1.0 / w, 1.0 / h)
        };
        Self {
            look,
            is_judge: candidate.is_judged_by(look, looks),
            found,
            per_px: views.iter().map(per_px).collect(),
            starts: starts.collect(),
            maxsim: candidate.maxsim[at],
            whole: Bbox::of_image(image.row.width_px, image.row.height_px),
            similarities: RefCell::new(vec![Vec::new(); views.len()]),
            views,
            vectors: candidate.stored.segment.vectors(),
        }
    }

    /// What is looked for.
    pub fn tokens(&self) -> &'s QueryTokens {
        &self.look.tokens
    }

    /// The box that is looked for.
    pub fn bbox(&self) -> Bbox {
        self.tokens().marked.bbox
    }

    /// The side of a square as large as the object would be, in patches of a view.
    pub fn side(&self, view: usize, placement: &Placement) -> f32 {
        let (w, h) = self.views[view].grid.patch_size();
        placement.scale() * (self.bbox().area() / (w * h)).sqrt()
    }

    /// Whether both look for the same marked thing.
    pub fn marks_as(&self, other: &Self) -> bool {
        self.tokens().marked == other.tokens().marked
    }

    /// The box where a placement puts the object, as far as it is inside the image. None where too little is inside to be judged.
    pub fn visible(&self, placement: &Placement) -> Option<Bbox> {
        let bbox = placement.place(&self.bbox());
        let visible = bbox.intersection(&self.whole);
        (visible.area() > LEAST_VISIBLE * bbox.area()).then_some(visible)
    }

    /// The places that matches vote for, judged by the matches alone: those that are worth most, best first.
    pub fn proposals(&self, plan: &Plan) -> Vec<Judged> {
        let (scales, rotations): (&[f32], &[f32]) = match self.has_few_tokens() {
            true => (&[1.0], &[0.0]),
            false => (&plan.scales, &plan.rotations),
        };
        let mut peaks: Vec<(f32, usize, Placement)> = Vec::new();
        for (view, patches) in self.views.iter().enumerate() {
            let (w, h) = patches.grid.patch_size();
            let same = (w + h) / 2.0 / self.tokens().patch_px();
            let of_view: Vec<FoundPatch> =
                self.found.iter().filter(|found| found.view == view).copied().collect();
            let votes = Votes::of(&of_view, self.look, &patches.grid);
            for scale in scales {
                for degrees in rotations {
                    let (sin, cos) = degrees.to_radians().sin_cos();
                    let (a, b) = (same * scale * cos, same * scale * sin);
                    let peak = |Peak { at: (dx, dy), support }| (support, view, Placement { a, b, dx, dy });
                    peaks.extend(votes.peaks((a, b)).into_iter().map(peak));
                }
            }
        }
        peaks.sort_by(|one, other| other.0.total_cmp(&one.0));
        peaks.truncate(MOST_PEAKS);
        let cell = |found: &FoundPatch| {
            let cols = self.views[found.view].grid.cols as usize;
            ((found.patch % cols) as f32, (found.patch / cols) as f32)
        };
        let cells: Vec<(f32, f32)> = self.found.iter().map(cell).collect();
        let judge = |(_, view, placement)| {
            self.judged(view, placement, |token, at| self.known(&cells, view, token, at))
        };
        let mut proposed: Vec<Judged> = peaks.into_iter().map(judge).collect();
        proposed.retain(|proposal| self.visible(&proposal.placement).is_some());
        proposed.sort_by(|a, b| b.worth().total_cmp(&a.worth()));
        // Steps of scale and turn are small: many lead to the same place.
        let bbox = |proposal: &Judged| proposal.placement.place(&self.bbox());
        keep_best(proposed, PROPOSALS, bbox, |a, b| a.iou(b) >= SAME_PROPOSAL)
    }

    /// A proposal, judged by all patches where tokens are expected, and refined: least squares over the matches where they are
    /// expected, weighted by how far they stand out, repeated while it helps. The similarity transform keeps its aspect: coarse
    /// grids do not carry more.
    pub fn settled(&self, proposal: &Judged, plan: &Plan) -> Judged {
        let view = proposal.view;
        let refit = |settled: &Judged| {
            Some(self.looked_at(view, self.refit(&settled.placement, &self.pairs(settled))?))
        };
        plan.refined(self.looked_at(view, proposal.placement), refit, Judged::worth)
    }

    /// A placement that fits the pairs found around `placement`; by few tokens it is only moved.
    pub fn refit(&self, placement: &Placement, pairs: &[Pair]) -> Option<Placement> {
        match self.has_few_tokens() {
            true => placement.moved(pairs),
            false => placement.refit(pairs),
        }
    }

    /// Whether there are too few tokens to tell how large or how turned the object is: as in the query is assumed.
    fn has_few_tokens(&self) -> bool {
        self.tokens().len() < LEAST_PAIRS
    }

    /// The tokens and the patches that answer them where they are expected.
    fn pairs(&self, Judged { view, placement, .. }: &Judged) -> Vec<Pair> {
        let pair = |token: usize| {
            let center = self.tokens().boxes[token].center();
            let reply = self.expected(*view, token, placement.at(center))?;
            let weight = self.look.weights[token] * self.look.worth(token, reply.similarity);
            (weight > 0.0).then(|| (center, self.views[*view].grid.patch_box(reply.patch).center(), weight))
        };
        (0..self.tokens().len()).filter_map(pair).collect()
    }

    /// The matches behind a placement: each token with the best patch where it is expected, strongest first.
    pub fn matches(&self, placement: &Placement, limit: usize) -> Vec<Match> {
        let matched = |token: usize| {
            let token_box = self.tokens().boxes[token];
            let at = placement.at(token_box.center());
            let found = (0..self.views.len()).filter_map(|view| {
                let reply = self.expected(view, token, at)?;
                (reply.similarity > self.look.background[token]).then_some((view, reply))
            });
            let (view, reply) = found.max_by(|a, b| a.1.net().total_cmp(&b.1.net()).then(b.0.cmp(&a.0)))?;
            let patch_box = self.views[view].grid.patch_box(reply.patch);
            let query_box = self.tokens().marked.posed.back(&token_box);
            Some(Match { query_box, patch_box, similarity: reply.similarity })
        };
        let mut matches: Vec<Match> = (0..self.tokens().len()).filter_map(matched).collect();
        matches.sort_by(|a, b| b.similarity.total_cmp(&a.similarity));
        matches.truncate(limit);
        matches
    }

    /// Where in `found` is what a token found, best first.
    fn found_by(&self, token: usize) -> Range<usize> {
        self.starts[token]..self.starts[token + 1]
    }

    /// Where in a view's grid a point of the image is: column and row, from the centre of the first patch. None outside.
    fn cell(&self, view: usize, (x, y): (f32, f32)) -> Option<(f32, f32)> {
        let grid = &self.views[view].grid;
        let (across, down) = self.per_px[view];
        let (col, row) = ((x - grid.area.x) * across - 0.5, (y - grid.area.y) * down - 0.5);
        let within = |at: f32, count: u32| at > -REACH && at < count as f32 - 1.0 + REACH;
        (within(col, grid.cols) && within(row, grid.rows)).then_some((col, row))
    }

    /// The same as [`Scene::expected`], of those patches only that the token found; without one a reply worth nothing. `cells` are
    /// column and row of all that was found.
    fn known(&self, cells: &[(f32, f32)], view: usize, token: usize, at: (f32, f32)) -> Option<Reply> {
        let (col, row) = self.cell(view, at)?;
        let mut best = Reply { patch: 0, similarity: f32::NEG_INFINITY, squared: 0.0 };
        let found = self.found_by(token);
        for (found, cell) in self.found[found.clone()].iter().zip(&cells[found]) {
            let (dc, dr) = (cell.0 - col, cell.1 - row);
            if dc.abs() <= REACH && dr.abs() <= REACH && found.view == view {
                let (patch, similarity) = (found.patch, found.similarity);
                let reply = Reply { patch, similarity, squared: dc * dc + dr * dr };
                if reply.net() > best.net() {
                    best = reply;
                }
            }
        }
        Some(best)
    }

    /// The patch within reach of where a token is expected that answers it best, distance counted. None outside the view.
    fn expected(&self, view: usize, token: usize, at: (f32, f32)) -> Option<Reply> {
        let (col, row) = self.cell(view, at)?;
        let PatchView { first_patch, grid } = self.views[view];
        // Rounding towards zero, for `ceil` and `floor` are calls on a CPU that is not told apart.
        let range = |at: f32, count: u32| {
            let least = (at - REACH).max(0.0);
            let first = least as usize;
            let first = first + usize::from((first as f32) < least);
            first..((at + REACH) as usize + 1).min(count as usize)
        };
        let (rows, cols) = (range(row, grid.rows), range(col, grid.cols));
        let tokens = self.tokens();
        let mut all = self.similarities.borrow_mut();
        if all[view].is_empty() {
            all[view] = vec![f32::NAN; tokens.len() * grid.len()];
        }
        let known = &mut all[view][token * grid.len()..][..grid.len()];
        let query = &tokens.vectors[token * tokens.dim..][..tokens.dim];
        let mut best: Option<Reply> = None;
        for r in rows {
            let of_row = r * grid.cols as usize;
            let span = of_row + cols.start..of_row + cols.end;
            if known[span.clone()].iter().any(|similarity| similarity.is_nan()) {
                self.vectors.score(query, first_patch + span.start, &mut known[span]);
            }
            for c in cols.clone() {
                let squared = (c as f32 - col).powi(2) + (r as f32 - row).powi(2);
                let patch = of_row + c;
                let reply = Reply { patch, similarity: known[patch], squared };
                if best.is_none_or(|held| reply.net() > held.net()) {
                    best = Some(reply);
                }
            }
        }
        best
    }

    /// A place in the view that shows it best.
    fn best_judged(&self, placement: &Placement) -> Option<Judged> {
        let judged = (0..self.views.len()).map(|view| self.looked_at(view, *placement));
        judged.max_by(|one, other| one.worth().total_cmp(&other.worth()))
    }

    /// A place as all patches judge it.
    fn looked_at(&self, view: usize, placement: Placement) -> Judged {
        self.judged(view, placement, |token, at| self.expected(view, token, at))
    }

    fn judged(
        &self,
        view: usize,
        placement: Placement,
        reply: impl Fn(usize, (f32, f32)) -> Option<Reply>,
    ) -> Judged {
        let (mut geometry, mut vote, mut weights) = (0.0, 0.0, 0.0);
        for (token, weight) in self.look.weights.iter().enumerate() {
            let Some(reply) = reply(token, placement.at(self.tokens().boxes[token].center())) else {
                weights += UNSEEN * weight;
                continue;
            };
            weights += weight;
            geometry += weight * self.look.worth(token, reply.net());
            let found = &self.found[self.found_by(token)];
            let best = found.first().map_or(f32::NEG_INFINITY, |found| found.similarity);
            if reply.similarity >= best - 1e-6 && reply.similarity > self.look.background[token] {
                vote += weight * (1.0 - ASTRAY * reply.squared);
            }
        }
        let weights = if weights > 0.0 { weights } else { 1.0 };
        let side = self.side(view, &placement);
        Judged { view, placement, vote: vote / weights, geometry: geometry / weights, side }
    }
}

/// A place as one look judges it, in the view that shows it best.
pub(super) struct Verdict<'s> {
    judge: &'s Scene<'s>,
    judged: Judged,
}

impl Verdict<'_> {
    fn scores(&self) -> StageScores {
        self.judged.scores(self.judge.maxsim)
    }
}

/// What all looks that say something about the image make of a place that `scene` found.
pub(super) fn verdicts<'s>(
    scenes: &'s [Scene<'s>],
    scene: &Scene<'_>,
    placement: &Placement,
) -> Vec<Verdict<'s>> {
    let judges = scenes.iter().filter(|judge| judge.is_judge && judge.marks_as(scene));
    judges.filter_map(|judge| Some(Verdict { judge, judged: judge.best_judged(placement)? })).collect()
}

/// Where all looks have their tokens, and where they are matched at the place.
pub(super) fn agreed_pairs(verdicts: &[Verdict<'_>]) -> Vec<Pair> {
    verdicts.iter().flat_map(|Verdict { judge, judged }| judge.pairs(judged)).collect()
}

/// What a place is worth to all looks, on average: a size of few tokens finds a place for anything. Where one of them is all but
/// sure, it is the same picture, and the others only see it in another scale.
pub(super) fn agreed(verdicts: &[Verdict<'_>]) -> StageScores {
    /// How sure one look must be to have its way: its say is its score to this power.
    const SURE: i32 = 8;
    let said: Vec<StageScores> = verdicts.iter().map(Verdict::scores).collect();
    let by_score = |a: &&StageScores, b: &&StageScores| fused(a).total_cmp(&fused(b));
    let Some(surest) = said.iter().max_by(by_score) else { return StageScores::default() };
    let share = fused(surest).clamp(0.0, 1.0).powi(SURE);
    let blend = |of: fn(&StageScores) -> f32| {
        let mean = said.iter().map(of).sum::<f32>() / said.len() as f32;
        mean + share * (of(surest) - mean)
    };
    StageScores {
        vote: blend(|scores| scores.vote),
        maxsim: blend(|scores| scores.maxsim),
        geometry: blend(|scores| scores.geometry),
    }
}

/// The strongest similarity of each patch of an image's first view with any token.
pub(super) fn similarity_map(segment: &Segment, image: &ImageView<'_>, tokens: &QueryTokens) -> Vec<f32> {
    let Some(PatchView { first_patch, grid }) = image.views().next() else { return Vec::new() };
    let scores = similarities(&tokens.vectors, segment.vectors(), first_patch, grid.len());
    let mut strongest = vec![f32::NEG_INFINITY; grid.len()];
    for scores in scores.rows() {
        strongest.iter_mut().zip(scores).for_each(|(strongest, score)| *strongest = strongest.max(*score));
    }
    // Rounding takes that of equal vectors past 1.
    strongest.iter_mut().for_each(|strongest| *strongest = strongest.min(1.0));
    strongest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_scores_more_is_worth_more_and_of_equals_the_larger_unless_it_is_sure() {
        let scores: Vec<f32> = (1..=100).map(|percent| percent as f32 / 100.0).collect();
        for side in [1.0, 2.5, 5.0, 11.0, 37.0] {
            assert!(
                scores.iter().map(|&score| sized(score, side, LARGER)).is_sorted_by(|a, b| a < b),
                "{side}"
            );
        }
        assert!(sized(0.2, 8.0, LARGER) > sized(0.22, 4.0, LARGER));
        assert_eq!(sized(1.0, 8.0, LARGER), sized(1.0, 4.0, LARGER));
    }
}
