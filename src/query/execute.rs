//! Runs a plan: neighbours of tokens, places that their matches propose, places looked at, what was found with confidence looked
//! for as well, hits.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rayon::prelude::*;
use serde_json::Map;

use super::candidates::{Candidate, Candidates, Look};
use super::duplicates::grouped;
use super::expansion::{LEAST_SCORE, LEAST_SHARE, MOST_SCORE, seen_at};
use super::placement::{FUSION, Placement, fused};
use super::probability::Null;
use super::scene::{Judged, Scene, agreed, similarity_map, sized};
use super::search::RowSearch;
use super::suppress::{keep_best, same_place};
use super::{Answer, Evidence, Plan, QueryEcho, QueryTokens, Scope, Subject, Thoroughness, TimingMs};
use crate::collection::{Collection, CollectionError};
use crate::core::{Bbox, Fault, Hit, Kind, StageScores};
use crate::segment::{ImageView, OpenSegmentError, Segment};

/// Looks at each box that propose places in an image, those that found most in it; all judge them.
const LOOKS_PLACED: usize = 2;
/// A further box in the same image must score at least this share of the image's best.
const FURTHER_BOX_SHARE: f32 = 0.8;
/// Images that are proposed before anything else is looked for.
const FIRST_PROPOSED: usize = 128;
/// Of them, those that are looked at for each place that will be looked for.
const FIRST_LOOKED_AT: usize = 4;

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// Tokens that do not belong to the collection.
    #[error(
        "the query has vectors of {found} numbers, the collection of {expected}; use the collection's model and preparation"
    )]
    Dimensions {
        /// What the collection has.
        expected: usize,
        /// What the query has.
        found: usize,
    },
    /// Rows that are neither tokens nor vectors of the collection.
    #[error(
        "the rows of the query have {found} numbers; give tokens as the model gives them, of {hidden_size} numbers, or \
         prepared vectors of {dim}"
    )]
    Rows {
        /// Numbers in a row.
        found: usize,
        /// Numbers in a token.
        hidden_size: usize,
        /// Numbers in a stored vector.
        dim: usize,
    },
    /// A box that is not in the image.
    #[error(
        "box {bbox} lies outside the image of {width}x{height} px; give x,y,w,h in pixels of the upright image"
    )]
    OutsideImage {
        /// The box.
        bbox: Bbox,
        /// Width of the upright image.
        width: u32,
        /// Height of the upright image.
        height: u32,
    },
    /// An image that the collection does not have.
    #[error(
        "{} has no image '{named}'; give its path as hits and 'patchdex export' name it, or its id", collection.display()
    )]
    NoSuchImage {
        /// As it was named.
        named: String,
        /// The collection.
        collection: PathBuf,
    },
    /// Damage in a segment.
    #[error(transparent)]
    Segment(#[from] OpenSegmentError),
    /// Damage in the collection.
    #[error(transparent)]
    Collection(#[from] CollectionError),
}

impl Fault for QueryError {
    fn kind(&self) -> Kind {
        match self {
            Self::Dimensions { .. } | Self::Rows { .. } => Kind::Incompatible,
            Self::OutsideImage { .. } => Kind::Invalid,
            Self::NoSuchImage { .. } => Kind::NotFound,
            Self::Segment(error) => error.kind(),
            Self::Collection(error) => error.kind(),
        }
    }
}

/// A hit before it is ranked.
#[derive(Clone)]
pub(super) struct Found<'a> {
    pub segment: &'a Segment,
    /// The image, or a copy of it, which has the same patches.
    pub image: ImageView<'a>,
    pub hit: Hit,
    pub evidence: Evidence,
    /// The look that found most in the image.
    look: usize,
}

/// Answers which images in `scope` show the subject. Runs on the calling thread's rayon pool; `timing_ms` has the stages that
/// happen here.
///
/// # Errors
/// Tokens that do not fit, or damage that shows while reading.
pub fn execute(
    collection: &Collection,
    scope: &Scope,
    subject: &Subject,
    plan: &Plan,
) -> Result<Answer, QueryError> {
    let Subject { looks, unlike, .. } = subject;
    let expected = collection.manifest().dim as usize;
    if let Some(foreign) = looks.iter().find(|tokens| tokens.dim != expected) {
        return Err(QueryError::Dimensions { expected, found: foreign.dim });
    }
    let mut timing_ms = TimingMs::default();
    let start = Instant::now();
    let thoroughness = if plan.exact { Thoroughness::Exact } else { Thoroughness::Ef(plan.ef) };
    let searched = RowSearch::of(collection, scope, thoroughness)?;
    let every = Scope::all(collection);
    let all = match *scope == every {
        true => None,
        false => Some(RowSearch::of(collection, &every, thoroughness)?),
    };
    let all = all.as_ref().unwrap_or(&searched);
    let mut candidates = Candidates::among(&searched, unlike);
    candidates.look_for(looks.iter().map(|tokens| (tokens.clone(), None)).collect(), all, plan);
    timing_ms.search = milliseconds(start);
    let places =
        Places { plan, deadline: plan.time_budget_ms.map(|budget| start + Duration::from_millis(budget)) };
    let is_cut = AtomicBool::new(false);
    let mut expanded = 0;
    if plan.expansions > 0 && !places.is_late() {
        let start = Instant::now();
        let more = places.expansions(&candidates);
        expanded = more.len();
        timing_ms.rerank = milliseconds(start);
        let start = Instant::now();
        candidates.look_for(more, all, plan);
        timing_ms.search += milliseconds(start);
    }
    let start = Instant::now();
    let proposed = places.proposed(&candidates, plan.proposed, plan.candidates.max(plan.top));
    let looked_at = proposed.par_iter().map(|proposed| {
        if places.is_late() {
            is_cut.store(true, Ordering::Relaxed);
            return Vec::new();
        }
        places.found(proposed, &candidates.looks)
    });
    let found: Vec<Vec<Found<'_>>> = looked_at.collect();
    let best = |places: &Vec<Found<'_>>| Some(places.first()?.hit.score);
    let null = Null::of(found.iter().filter_map(best).collect());
    let mut found: Vec<Found<'_>> = found.into_iter().flatten().collect();
    found.iter_mut().for_each(|found| found.hit.probability = null.probability(found.hit.score));
    found.retain(|found| found.hit.probability >= plan.min_probability);
    if collection.metric().normalise {
        found.iter_mut().for_each(cut_to_one);
    }
    found.sort_by(|a, b| {
        b.hit.score.total_cmp(&a.hit.score).then_with(|| a.evidence.path.cmp(&b.evidence.path))
    });
    if plan.group_duplicates {
        found = grouped(found, plan.top);
    }
    found.truncate(plan.top);
    for Found { segment, image, hit, evidence, look } in &mut found {
        hit.metadata = segment.metadata()?.map(|table| table.row(image.index)).unwrap_or_default();
        if plan.heat_maps {
            evidence.similarity = similarity_map(segment, image, &candidates.looks[*look].tokens);
        }
    }
    let rank = |(at, item): (usize, Found<'_>)| (Hit { rank: at + 1, ..item.hit }, item.evidence);
    let (hits, evidence) = found.into_iter().enumerate().map(rank).unzip();
    timing_ms.rerank += milliseconds(start);
    let mut boxes: Vec<Bbox> = Vec::new();
    for tokens in looks {
        // Another pose of what is marked is no other box.
        let bbox = tokens.marked.posed.back(&tokens.marked.bbox);
        if !boxes.iter().any(|held| held.iou(&bbox) > 0.999) {
            boxes.push(bbox);
        }
    }
    let query = QueryEcho {
        image: subject.image.clone(),
        bbox: boxes.first().copied().unwrap_or(Bbox::new(0.0, 0.0, 0.0, 0.0)),
        boxes: if boxes.len() > 1 { boxes } else { Vec::new() },
        tokens: looks.iter().map(QueryTokens::len).sum(),
        scales: looks.iter().map(|tokens| tokens.view.zoom).collect(),
        expanded,
    };
    Ok(Answer {
        query,
        plan: plan.clone(),
        searched_images: scope.count(),
        searched: searched.paths().cloned().collect(),
        is_cut: is_cut.into_inner(),
        timing_ms,
        hits,
        evidence,
    })
}

fn milliseconds(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}

/// How places are found.
struct Places<'p> {
    plan: &'p Plan,
    /// When no further image is looked at.
    deadline: Option<Instant>,
}

/// An image with the places that its matches vote for, by the looks that found most in it.
struct Proposed<'s, 'a> {
    candidate: &'s Candidate<'s, 'a>,
    /// The number of a look, and what it proposes.
    places: Vec<(usize, Vec<Judged>)>,
    /// What the best proposal scores.
    score: f32,
}

/// Where one look finds the object.
struct Placed<'s> {
    scene: &'s Scene<'s>,
    placement: Placement,
    scores: StageScores,
    /// Its box, as far as it is inside the image.
    visible: Bbox,
}

impl Placed<'_> {
    fn score(&self) -> f32 {
        fused(&self.scores)
    }

    /// By which places of an image are compared.
    fn worth(&self) -> f32 {
        sized(self.score(), self.placement.scale())
    }
}

impl Places<'_> {
    fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() > deadline)
    }

    /// The best `kept` of the `asked` images that most was found in.
    fn proposed<'s, 'a>(
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
            let score = |(look, places): &(usize, Vec<Judged>)| {
                Some(places.first()?.score() + FUSION.maxsim * candidate.maxsim[*look])
            };
            let score = places.iter().filter_map(score).fold(0.0, f32::max);
            Proposed { candidate, places, score }
        };
        let mut proposed: Vec<Proposed<'_, '_>> =
            candidates.best(asked).into_par_iter().map(propose).collect();
        // A stable sort: equal ones stay in order of what was found.
        proposed.sort_by(|a, b| b.score.total_cmp(&a.score));
        proposed.truncate(kept);
        proposed
    }

    /// The places of an image that are proposed, as all looks judge them, best first.
    fn placed<'s>(&self, proposed: &Proposed<'_, '_>, scenes: &'s [Scene<'s>]) -> Vec<Placed<'s>> {
        let mut placed: Vec<Placed<'_>> = Vec::new();
        for (look, places) in &proposed.places {
            let scene = &scenes[*look];
            for placement in places.iter().map(|proposal| scene.settled(proposal).placement) {
                if let Some(visible) = scene.visible(&placement) {
                    let scores = agreed(scenes, scene, proposed.candidate.place, &placement);
                    placed.push(Placed { scene, scores, placement, visible });
                }
            }
        }
        placed.sort_by(|a, b| b.worth().total_cmp(&a.worth()));
        placed
    }

    /// What is found with confidence among the images that most was found in, as further looks; with the images that they are
    /// seen in.
    fn expansions(&self, candidates: &Candidates<'_, '_>) -> Vec<(QueryTokens, Option<usize>)> {
        let plan = self.plan;
        let proposed = self.proposed(candidates, FIRST_PROPOSED, FIRST_LOOKED_AT * plan.expansions);
        let best = |proposed: &Proposed<'_, '_>| {
            let candidate = proposed.candidate;
            let scenes = scenes(candidate, &candidates.looks);
            let placed = self.placed(proposed, &scenes).into_iter().next()?;
            let seen = seen_at(candidate, placed.scene.tokens(), &placed.placement, plan.tokens)?;
            Some((placed.score(), seen, Some(candidate.place)))
        };
        let mut found: Vec<_> = proposed.par_iter().filter_map(best).collect();
        found.retain(|(score, ..)| *score <= MOST_SCORE);
        found.sort_by(|a, b| b.0.total_cmp(&a.0));
        let least = found.first().map_or(0.0, |(score, ..)| LEAST_SHARE * score).max(LEAST_SCORE);
        found.retain(|(score, ..)| *score >= least);
        found.truncate(plan.expansions);
        found.into_iter().map(|(_, seen, place)| (seen, place)).collect()
    }

    /// The object's places in one image, under each of the names that it has in scope.
    fn found<'a>(&self, proposed: &Proposed<'_, 'a>, looks: &[Look]) -> Vec<Found<'a>> {
        let candidate = proposed.candidate;
        let scenes = scenes(candidate, looks);
        let placed = self.placed(proposed, &scenes);
        let placed = keep_best(placed, self.plan.boxes_per_image, |placed| placed.visible, same_place);
        let image = candidate.stored.shown[0].image;
        let (Some(best), Some(view)) = (placed.first().map(Placed::score), image.views().next()) else {
            return Vec::new();
        };
        let place = |placed: &Placed<'_>| Found {
            segment: candidate.stored.segment,
            image,
            hit: Hit {
                rank: 0,
                image: String::new(),
                id: image.id(),
                metadata: Map::new(),
                bbox: placed.visible,
                score: placed.score(),
                probability: 0.0,
                scores: placed.scores,
                matches: placed.scene.matches(&placed.placement, self.plan.matches),
                duplicates: Vec::new(),
            },
            evidence: Evidence {
                path: Vec::new(),
                content: image.row.content,
                grid: view.grid,
                similarity: Vec::new(),
            },
            look: proposed.places[0].0,
        };
        let places: Vec<Found<'a>> = placed
            .iter()
            .enumerate()
            .filter(|(at, placed)| *at == 0 || placed.score() >= FURTHER_BOX_SHARE * best)
            .map(|(_, placed)| place(placed))
            .collect();
        let shown = candidate.stored.shown.iter();
        shown.flat_map(|shown| places.iter().map(|place| place.under(&shown.image))).collect()
    }
}

/// An image as each look sees it.
fn scenes<'s>(candidate: &'s Candidate<'_, '_>, looks: &'s [Look]) -> Vec<Scene<'s>> {
    (0..looks.len()).map(|look| Scene::new(candidate, looks, look)).collect()
}

impl<'a> Found<'a> {
    /// The same place in a file of the same bytes.
    fn under(&self, shown: &ImageView<'a>) -> Self {
        let mut found = Self { image: *shown, ..self.clone() };
        found.hit.image = shown.path_text();
        found.evidence.path = shown.path.to_vec();
        found
    }
}

/// Rounding takes the similarity of equal vectors past 1, where no cosine is.
fn cut_to_one(found: &mut Found<'_>) {
    let hit = &mut found.hit;
    let scores = [&mut hit.score, &mut hit.scores.vote, &mut hit.scores.maxsim, &mut hit.scores.geometry];
    let matches = hit.matches.iter_mut().map(|found| &mut found.similarity);
    let patches = found.evidence.similarity.iter_mut();
    scores.into_iter().chain(matches).chain(patches).for_each(|value| *value = value.min(1.0));
}
