//! Runs a plan: candidates, placements, hits.

use std::time::Instant;

use rayon::prelude::*;
use serde_json::Map;

use super::candidates::{Candidate, Ranking, rank};
use super::duplicates::grouped;
use super::placement::{Placement, Scene, agreed, fused};
use super::suppress::keep_best;
use super::{Answer, Evidence, Plan, QueryEcho, QueryTokens, Scope, TimingMs};
use crate::collection::{Collection, CollectionError};
use crate::core::{Bbox, Fault, Hit, Kind, StageScores};
use crate::segment::{ImageView, OpenSegmentError, Segment};

/// Looks that are asked for places in an image, those that found most in it; all judge them.
const LOOKS_PLACED: usize = 2;
/// A further box in the same image must score at least this share of the image's best.
const FURTHER_BOX_SHARE: f32 = 0.8;

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
}

/// Answers a query of one or several looks at the same object, in several sizes and boxes, with images in `scope`. `image`
/// names the query image in the answer. Runs on the calling thread's rayon pool; `timing_ms` has the stages that happen here.
///
/// # Errors
/// Tokens that do not fit, or damage that shows while reading.
pub fn execute(
    collection: &Collection,
    scope: &Scope,
    image: &str,
    looks: &[QueryTokens],
    plan: &Plan,
) -> Result<Answer, QueryError> {
    let expected = collection.manifest().dim as usize;
    if let Some(foreign) = looks.iter().find(|tokens| tokens.dim != expected) {
        return Err(QueryError::Dimensions { expected, found: foreign.dim });
    }
    let mut timing_ms = TimingMs::default();
    let start = Instant::now();
    let ranking = rank(collection, scope, looks)?;
    timing_ms.search = milliseconds(start);
    let start = Instant::now();
    let short_list = &ranking.candidates[..ranking.candidates.len().min(plan.candidates.max(plan.top))];
    let mut found: Vec<Found<'_>> =
        short_list.par_iter().flat_map_iter(|candidate| locate(candidate, &ranking, plan)).collect();
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
    for Found { segment, image, hit, .. } in &mut found {
        hit.metadata = segment.metadata()?.map(|table| table.row(image.index)).unwrap_or_default();
    }
    let rank = |(at, item): (usize, Found<'_>)| (Hit { rank: at + 1, ..item.hit }, item.evidence);
    let (hits, evidence) = found.into_iter().enumerate().map(rank).unzip();
    timing_ms.rerank = milliseconds(start);
    let mut boxes: Vec<Bbox> = looks.iter().map(|tokens| tokens.bbox).collect();
    boxes.dedup();
    let query = QueryEcho {
        image: image.to_owned(),
        bbox: boxes.first().copied().unwrap_or(Bbox::new(0.0, 0.0, 0.0, 0.0)),
        boxes: if boxes.len() > 1 { boxes } else { Vec::new() },
        tokens: looks.iter().map(QueryTokens::len).sum(),
        scales: looks.iter().map(|tokens| tokens.view.zoom).collect(),
    };
    let searched_images = scope.count();
    Ok(Answer { query, plan: plan.clone(), searched_images, timing_ms, hits, evidence })
}

fn milliseconds(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}

/// The object's places in one image, under each of the names that it has in scope.
fn locate<'a>(candidate: &Candidate<'a>, ranking: &Ranking<'_, '_>, plan: &Plan) -> Vec<Found<'a>> {
    let looks = candidate.looks().into_iter();
    let scenes: Vec<Scene<'_>> = looks.map(|look| Scene::new(candidate, ranking, look)).collect();
    let whole = Bbox::of_image(candidate.image.row.width_px, candidate.image.row.height_px);
    let mut placed: Vec<Placed<'_>> = Vec::new();
    for scene in scenes.iter().take(LOOKS_PLACED) {
        for placement in scene.placements(plan) {
            let bbox = placement.place(&scene.bbox());
            let visible = bbox.intersection(&whole);
            // A place of which less than a quarter is inside the image shows too little to be judged.
            if visible.area() > 0.25 * bbox.area() {
                placed.push(Placed { scene, scores: agreed(&scenes, scene, &placement), placement, visible });
            }
        }
    }
    let score = |placed: &Placed<'_>| fused(&placed.scores);
    placed.sort_by(|a, b| score(b).total_cmp(&score(a)));
    let placed = keep_best(placed, plan.boxes_per_image, |placed| placed.visible);
    let similarity_map = scenes.first().and_then(Scene::similarity_map);
    let (Some(best), Some((grid, similarity))) = (placed.first().map(score), similarity_map) else {
        return Vec::new();
    };
    let (segment, image) = (candidate.segment, candidate.image);
    let place = |placed: &Placed<'_>| Found {
        segment,
        image,
        hit: Hit {
            rank: 0,
            image: String::new(),
            id: image.id(),
            metadata: Map::new(),
            bbox: placed.visible,
            score: score(placed),
            scores: placed.scores,
            matches: placed.scene.matches(&placed.placement, plan.matches),
            duplicates: Vec::new(),
        },
        evidence: Evidence {
            path: Vec::new(),
            content: image.row.content,
            grid,
            similarity: similarity.clone(),
        },
    };
    let places: Vec<Found<'a>> = placed
        .iter()
        .enumerate()
        .filter(|(at, placed)| *at == 0 || score(placed) >= FURTHER_BOX_SHARE * best)
        .map(|(_, placed)| place(placed))
        .collect();
    candidate.shown.iter().flat_map(|shown| places.iter().map(|place| place.under(shown))).collect()
}

/// Where one look finds the object.
struct Placed<'s> {
    scene: &'s Scene<'s>,
    placement: Placement,
    scores: StageScores,
    /// Its box, as far as it is inside the image.
    visible: Bbox,
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
