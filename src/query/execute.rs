//! Runs a plan: candidates, placements, hits.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use rayon::prelude::*;

use super::candidates::{Candidate, Ranking, rank};
use super::placement::{FUSION, Placement, Scene};
use super::suppress::keep_best;
use super::{Answer, Evidence, Plan, QueryEcho, QueryTokens, TimingMs};
use crate::collection::Collection;
use crate::core::{Bbox, Fault, Hit, Kind, StageScores};
use crate::segment::OpenSegmentError;

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
    /// Damage in the collection.
    #[error(transparent)]
    Segment(#[from] OpenSegmentError),
}

impl Fault for QueryError {
    fn kind(&self) -> Kind {
        match self {
            Self::Dimensions { .. } => Kind::Incompatible,
            Self::Segment(error) => error.kind(),
        }
    }
}

/// A hit before it is ranked.
struct Found {
    hit: Hit,
    evidence: Evidence,
}

/// Answers a query of one or several boxes of the same object. `image` names the query image in the answer. Runs on
/// the calling thread's rayon pool; `timing_ms` has the stages that happen here.
///
/// # Errors
/// Tokens that do not fit, or damage that shows while reading.
pub fn execute(
    collection: &Collection,
    image: &str,
    boxes: &[QueryTokens],
    plan: &Plan,
) -> Result<Answer, QueryError> {
    let mut timing_ms = TimingMs::default();
    let mut found = Vec::new();
    for tokens in boxes {
        let expected = collection.manifest().dim as usize;
        if tokens.dim != expected {
            return Err(QueryError::Dimensions { expected, found: tokens.dim });
        }
        let start = Instant::now();
        let ranking = rank(collection.segments(), tokens)?;
        timing_ms.search += milliseconds(start);
        let start = Instant::now();
        let short_list = &ranking.candidates[..ranking.candidates.len().min(plan.candidates.max(plan.top))];
        found.par_extend(
            short_list.par_iter().flat_map_iter(|candidate| locate(candidate, &ranking, tokens, plan)),
        );
        timing_ms.rerank += milliseconds(start);
    }
    let found = fuse(found, plan, boxes.len() > 1);
    let found = with_copies(collection, found)?;
    let (hits, evidence) = ranked(found, plan.top);
    let query = QueryEcho {
        image: image.to_owned(),
        bbox: boxes.first().map_or(Bbox::new(0.0, 0.0, 0.0, 0.0), |tokens| tokens.bbox),
        boxes: if boxes.len() > 1 { boxes.iter().map(|tokens| tokens.bbox).collect() } else { Vec::new() },
        tokens: boxes.iter().map(QueryTokens::len).sum(),
        scales: boxes.iter().map(|tokens| tokens.view.zoom).collect(),
    };
    Ok(Answer { query, plan: plan.clone(), timing_ms, hits, evidence })
}

fn milliseconds(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}

/// The object's places in one image.
fn locate(candidate: &Candidate<'_>, ranking: &Ranking<'_>, tokens: &QueryTokens, plan: &Plan) -> Vec<Found> {
    let scene = Scene::new(candidate, ranking, tokens);
    let whole = Bbox::of_image(candidate.image.row.width_px, candidate.image.row.height_px);
    let visible = |placement: &Placement| placement.place(&tokens.bbox).intersection(&whole);
    let mut placements = scene.placements(&plan.scales);
    // A place of which less than a quarter is inside the image shows too little to be judged.
    placements.retain(|placement| visible(placement).area() > 0.25 * placement.place(&tokens.bbox).area());
    let placements = keep_best(placements, plan.boxes_per_image, visible);
    let score = |placement: &Placement| placement.worth() + FUSION.maxsim * candidate.maxsim;
    let (Some(best), Some((grid, similarity))) = (placements.first().map(score), scene.similarity_map())
    else {
        return Vec::new();
    };
    let (path, content) = (candidate.image.path.to_vec(), candidate.image.row.content);
    let evidence = Evidence { path, content, grid, similarity };
    placements
        .iter()
        .enumerate()
        .filter(|(at, placement)| *at == 0 || score(placement) >= FURTHER_BOX_SHARE * best)
        .map(|(_, placement)| Found {
            hit: Hit {
                rank: 0,
                image: candidate.image.path_text(),
                bbox: visible(placement),
                score: score(placement),
                scores: StageScores {
                    vote: placement.vote,
                    maxsim: candidate.maxsim,
                    geometry: placement.geometry,
                },
                matches: scene.matches(placement, plan.matches),
            },
            evidence: evidence.clone(),
        })
        .collect()
}

/// Hits of several boxes of the same object become one list: of one place in one image the best stays.
fn fuse(found: Vec<Found>, plan: &Plan, several: bool) -> Vec<Found> {
    if !several {
        return found;
    }
    let mut by_image: BTreeMap<Vec<u8>, Vec<Found>> = BTreeMap::new();
    for item in found {
        by_image.entry(item.evidence.path.clone()).or_default().push(item);
    }
    by_image
        .into_values()
        .flat_map(|mut list| {
            list.sort_by(|a, b| b.hit.score.total_cmp(&a.hit.score));
            keep_best(list, plan.boxes_per_image, |item| item.hit.bbox)
        })
        .collect()
}

/// Images with the same bytes as a found one are found too.
fn with_copies(collection: &Collection, found: Vec<Found>) -> Result<Vec<Found>, QueryError> {
    let mut copies: HashMap<&[u8], Vec<&[u8]>> = HashMap::new();
    for segment in collection.segments() {
        for image in segment.images() {
            let image = image?;
            if image.row.same_as as usize != image.index {
                copies.entry(segment.image(image.row.same_as as usize)?.path).or_default().push(image.path);
            }
        }
    }
    let expand = |item: Found| {
        let paths = copies.get(item.evidence.path.as_slice());
        let twin = |path: &&[u8]| Found {
            hit: Hit { image: String::from_utf8_lossy(path).into_owned(), ..item.hit.clone() },
            evidence: Evidence { path: path.to_vec(), ..item.evidence.clone() },
        };
        let twins: Vec<Found> = paths.into_iter().flatten().map(twin).collect();
        std::iter::once(item).chain(twins)
    };
    Ok(found.into_iter().flat_map(expand).collect())
}

fn ranked(mut found: Vec<Found>, top: usize) -> (Vec<Hit>, Vec<Evidence>) {
    found.sort_by(|a, b| {
        b.hit.score.total_cmp(&a.hit.score).then_with(|| a.evidence.path.cmp(&b.evidence.path))
    });
    found.truncate(top);
    let rank = |(at, item): (usize, Found)| (Hit { rank: at + 1, ..item.hit }, item.evidence);
    found.into_iter().enumerate().map(rank).unzip()
}
