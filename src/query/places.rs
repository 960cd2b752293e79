//! Where an image shows the object: places that its matches propose, looked at by every look, and those that are found with
//! confidence as further looks.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rayon::prelude::*;

use super::candidates::{Candidate, Candidates, Look};
use super::expansion::{LEAST_SCORE, LEAST_SHARE, MOST_SCORE, drawn_below, seen_at};
use super::found::{Found, Scored, under_all_names};
use super::placement::{Placement, fused};
use super::scene::{Judged, LARGER, Scene, Verdict, agreed, agreed_pairs, sized, verdicts};
use super::suppress::{keep_best, same_place};
use super::{Patience, Plan, QueryTokens};
use crate::core::{Bbox, StageScores};

/// Looks at each box that propose places in an image, those that found most in it; all judge them.
const LOOKS_PLACED: usize = 2;
/// Proposals that take the corners of the box less than this apart, as a share of its size, once they are refined have become one.
const SAME_SETTLED: f32 = 0.05;
/// A further box in the same image must score at least this share of the image's best.
const FURTHER_BOX_SHARE: f32 = 0.8;
/// Power of the size by which a place that is refined is compared with what it was ([`sized`]): less than between places, for
/// what grows a little more each time takes in what is around.
const GROWN: f32 = 0.3;
/// Images that are proposed before anything else is looked for.
const FIRST_PROPOSED: usize = 128;
/// Of them, those that are looked at for each place that will be looked for.
const FIRST_LOOKED_AT: usize = 2;

/// Images that places are proposed for, and as many that are looked at, whatever the time.
const LEAST_IMAGES: usize = 8;
/// Share of the time that is left in which places are proposed; in the rest they are looked at.
const PROPOSING: f32 = 0.5;

/// How places are found, and how long somebody waits for them.
pub(super) struct Places<'p> {
    pub plan: &'p Plan,
    pub patience: &'p Patience,
    /// Whether something of the plan was left out for want of time.
    pub is_cut: AtomicBool,
}

/// An image with the places that its matches vote for, by the looks that found most in it.
pub(super) struct Proposed<'s, 'a> {
    candidate: &'s Candidate<'s, 'a>,
    /// The number of a look, and what it proposes.
    places: Vec<(usize, Vec<Judged>)>,
    /// The look whose first proposal scores best, that place, and what is said for it.
    best: Option<(usize, Placement, StageScores)>,
}

impl Proposed<'_, '_> {
    fn score(&self) -> f32 {
        self.best.as_ref().map_or(0.0, |(.., scores)| fused(scores))
    }
}

/// Where one look finds the object.
struct Placed<'s> {
    scene: &'s Scene<'s>,
    placement: Placement,
    /// What all looks make of it, each and together.
    verdicts: Vec<Verdict<'s>>,
    scores: StageScores,
    /// Its box, as far as it is inside the image.
    visible: Bbox,
}

impl<'s> Placed<'s> {
    /// What `scene` found, as all looks judge it. None where too little is inside the image.
    fn judged(scenes: &'s [Scene<'s>], scene: &'s Scene<'s>, placement: Placement) -> Option<Self> {
        let visible = scene.visible(&placement)?;
        let verdicts = verdicts(scenes, scene, &placement);
        Some(Self { scene, scores: agreed(&verdicts), verdicts, placement, visible })
    }

    /// Refined by what all looks match there, while they agree that it is worth more.
    fn refined(self, scenes: &'s [Scene<'s>], plan: &Plan) -> Self {
        let refit = |placed: &Self| {
            let refit = placed.scene.refit(&placed.placement, &agreed_pairs(&placed.verdicts))?;
            Self::judged(scenes, placed.scene, refit)
        };
        plan.refined(self, refit, |placed| placed.worth(GROWN))
    }

    fn score(&self) -> f32 {
        fused(&self.scores)
    }

    /// By which places of an image are compared. A size in patches of the whole image, for that is what all looks have in common.
    fn worth(&self, power: f32) -> f32 {
        sized(self.score(), self.scene.side(0, &self.placement), power)
    }
}

impl Places<'_> {
    /// The best `kept` of the `asked` images that most was found in.
    pub fn proposed<'s, 'a>(
        &self,
        candidates: &'s Candidates<'s, 'a>,
        asked: usize,
        kept: usize,
    ) -> Vec<Proposed<'s, 'a>> {
        let propose = |candidate: &'s Candidate<'s, 'a>| {
            let scene = |look| Scene::new(candidate, &candidates.looks, look);
            let looks = candidate.looks(&candidates.looks, LOOKS_PLACED).into_iter();
            let places: Vec<(usize, Vec<Judged>)> =
                looks.map(|look| (look, scene(look).proposals(self.plan))).collect();
            let first = |(look, places): &(usize, Vec<Judged>)| {
                let place = places.first()?;
                Some((*look, place.placement, place.scores(candidate.maxsim[*look])))
            };
            let best = places.iter().filter_map(first).max_by(|a, b| fused(&a.2).total_cmp(&fused(&b.2)));
            Proposed { candidate, places, best }
        };
        let best = candidates.best(asked);
        let made = self.in_time(&best, &self.patience.share(PROPOSING), |candidate| propose(candidate));
        let mut proposed: Vec<Proposed<'_, '_>> = made.into_iter().flatten().collect();
        // A stable sort: equal ones stay in order of what was found.
        proposed.sort_by(|a, b| b.score().total_cmp(&a.score()));
        proposed.truncate(kept);
        proposed
    }

    /// The places of an image that are proposed, as all looks judge them, best first; that one is refined.
    fn placed<'s>(&self, proposed: &Proposed<'_, '_>, scenes: &'s [Scene<'s>]) -> Vec<Placed<'s>> {
        let mut placed: Vec<Placed<'_>> = Vec::new();
        for (look, places) in &proposed.places {
            let scene = &scenes[*look];
            for placement in places.iter().map(|proposal| scene.settled(proposal, self.plan).placement) {
                let is_same = |held: &Placed<'_>| {
                    held.scene.marks_as(scene)
                        && held.placement.apart(&placement, &scene.bbox()) < SAME_SETTLED
                };
                if !placed.iter().any(is_same) {
                    placed.extend(Placed::judged(scenes, scene, placement));
                }
            }
        }
        placed.sort_by(|a, b| b.worth(LARGER).total_cmp(&a.worth(LARGER)));
        let mut placed = placed.into_iter();
        let best = placed.next().map(|best| best.refined(scenes, self.plan));
        best.into_iter().chain(placed).collect()
    }

    /// What is found with confidence among the images that most was found in, as further looks; with the images that they are
    /// seen in.
    pub fn expansions(&self, candidates: &Candidates<'_, '_>) -> Vec<(QueryTokens, Option<usize>)> {
        let plan = self.plan;
        let proposed = self.proposed(candidates, FIRST_PROPOSED, FIRST_LOOKED_AT * plan.expansions);
        let best = |proposed: &Proposed<'_, '_>| {
            let candidate = proposed.candidate;
            let scenes = scenes(candidate, &candidates.looks);
            let placed = self.placed(proposed, &scenes).into_iter().next()?;
            let seen = seen_at(candidate, placed.scene.tokens(), &placed.placement, plan.tokens);
            Some((placed.score(), seen, Some(candidate.place)))
        };
        let mut found: Vec<_> = proposed.par_iter().filter_map(best).collect();
        found.retain(|(score, ..)| *score <= MOST_SCORE);
        found.sort_by(|a, b| b.0.total_cmp(&a.0));
        let least = found.first().map_or(0.0, |(score, ..)| LEAST_SHARE * score).max(LEAST_SCORE);
        found.retain(|(score, ..)| *score >= least);
        found.truncate(plan.expansions);
        // What is looked for comes before what is not: where one has too few patches for it, those behind it are left.
        found.into_iter().map_while(|(_, seen, place)| Some((seen?, place))).collect()
    }

    /// What `make` makes of `items`, the first ones first, as far as there is time; of the first few in any case, unless nobody
    /// waits any more.
    fn in_time<T: Sync, R: Send>(
        &self,
        items: &[T],
        patience: &Patience,
        make: impl Fn(&T) -> R + Sync,
    ) -> Vec<Option<R>> {
        // Each thread begins somewhere else in the work: what it takes is counted, for that the first ones come first.
        let next = AtomicUsize::new(0);
        let taken = (0..items.len()).into_par_iter().map(|_| {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if patience.is_given_up() || at >= LEAST_IMAGES && patience.is_late() {
                self.is_cut.store(true, Ordering::Relaxed);
                return (at, None);
            }
            (at, Some(make(&items[at])))
        });
        let mut made: Vec<(usize, Option<R>)> = taken.collect();
        made.sort_unstable_by_key(|(at, _)| *at);
        made.into_iter().map(|(_, made)| made).collect()
    }

    /// The object's places in each image that is proposed; where there is no time to look at one, the best that is
    /// proposed.
    pub fn found<'a>(&self, proposed: &[Proposed<'_, 'a>], looks: &[Look]) -> Vec<Vec<Found<'a>>> {
        let made = self.in_time(proposed, self.patience, |proposed| self.looked_at(proposed, looks));
        let either = |(made, proposed): (Option<_>, &Proposed<'_, 'a>)| {
            made.unwrap_or_else(|| as_proposed(proposed, looks))
        };
        made.into_iter().zip(proposed).map(either).collect()
    }

    /// The object's places in one image, under each of the names that it has in scope.
    fn looked_at<'a>(&self, proposed: &Proposed<'_, 'a>, looks: &[Look]) -> Vec<Found<'a>> {
        let candidate = proposed.candidate;
        let scenes = scenes(candidate, looks);
        let placed = self.placed(proposed, &scenes);
        let placed = keep_best(placed, self.plan.boxes_per_image, |placed| placed.visible, same_place);
        let image = candidate.stored.shown[0].image;
        let (Some(best), Some(view)) = (placed.first().map(Placed::score), image.views().next()) else {
            return Vec::new();
        };
        let place = |placed: &Placed<'_>| {
            let look = candidate.own_look(looks, &placed.scene.tokens().marked);
            let matches = scenes[look].matches(&placed.placement, self.plan.matches);
            let scored =
                Scored { bbox: placed.visible, score: placed.score(), scores: placed.scores, matches };
            let mut found = Found::of(candidate, view.grid, scored, look);
            // The place that is worth most is the image's first, and no further one scores more.
            found.draw_to(placed.score().min(best));
            found
        };
        let places: Vec<Found<'a>> = placed
            .iter()
            .enumerate()
            .filter(|(at, placed)| *at == 0 || placed.score() >= FURTHER_BOX_SHARE * best)
            .map(|(_, placed)| place(placed))
            .collect();
        under_all_names(candidate, &places)
    }
}

/// The best place that is proposed in an image, under each of the names that it has in scope.
fn as_proposed<'a>(proposed: &Proposed<'_, 'a>, looks: &[Look]) -> Vec<Found<'a>> {
    let Some((look, placement, scores)) = proposed.best else { return Vec::new() };
    let candidate = proposed.candidate;
    let scene = Scene::new(candidate, looks, look);
    let (view, visible) = (candidate.stored.shown[0].image.views().next(), scene.visible(&placement));
    let (Some(view), Some(bbox)) = (view, visible) else { return Vec::new() };
    let scored = Scored { bbox, score: fused(&scores), scores, matches: Vec::new() };
    let look = candidate.own_look(looks, &looks[look].tokens.marked);
    under_all_names(candidate, &[Found::of(candidate, view.grid, scored, look)])
}

/// An image as each look sees it.
fn scenes<'s>(candidate: &'s Candidate<'_, '_>, looks: &'s [Look]) -> Vec<Scene<'s>> {
    (0..looks.len()).map(|look| Scene::new(candidate, looks, look)).collect()
}

/// Draws what was found in images that are not looked for in turn below the best of those that are. `found` is in the order of
/// `proposed`.
pub(super) fn draw_below_seen(found: &mut [Vec<Found<'_>>], proposed: &[Proposed<'_, '_>], looks: &[Look]) {
    let is_seen = |of: &Proposed<'_, '_>| looks.iter().any(|look| look.seen_in == Some(of.candidate.place));
    let (seen, others): (Vec<_>, Vec<_>) = found.iter_mut().zip(proposed).partition(|(_, of)| is_seen(of));
    let best = seen.iter().filter_map(|(found, _)| Some(found.first()?.hit.score)).reduce(f32::max);
    if let Some(best) = best {
        let others = others.into_iter().flat_map(|(found, _)| found);
        others.for_each(|found| found.draw_to(drawn_below(best, found.hit.score)));
    }
}
