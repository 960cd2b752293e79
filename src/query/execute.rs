//! Runs a plan: neighbours of tokens, places that their matches propose, places looked at, what was found with confidence looked
//! for as well, hits.

use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use rayon::prelude::*;

use super::candidates::Candidates;
use super::duplicates::grouped;
use super::found::{Found, whole};
use super::places::{Places, draw_below_seen};
use super::probability::Null;
use super::scene::similarity_map;
use super::search::RowSearch;
use super::{
    Answer, Patience, Plan, QueryEcho, QueryError, QueryTokens, Scope, Subject, Thoroughness, TimingMs,
};
use crate::collection::Collection;
use crate::core::{Bbox, Hit};

/// How many times as long as the first search all that remains takes with what is looked for in turn, by graphs and by a scan, with the
/// default plan. Where less time is left, nothing is looked for in turn.
const EXPANDING: [f32; 2] = [5.0, 2.0];

/// Asks that crops can be compared with the patches of `collection`.
///
/// # Errors
/// Similarities that are no cosines.
pub fn require_cosine(collection: &Collection) -> Result<(), QueryError> {
    let metric = collection.metric();
    match metric.normalise {
        true => Ok(()),
        false => Err(QueryError::NotCosine { metric: metric.name }),
    }
}

/// Answers which images in `scope` show the subject, as far as it comes while somebody waits. Runs on the calling thread's rayon
/// pool; `timing_ms` has the stages that happen here.
///
/// # Errors
/// As [`require_cosine`], tokens that do not fit, damage that shows while reading, or that nobody waits any more.
pub fn execute(
    collection: &Collection,
    scope: &Scope,
    subject: &Subject,
    plan: &Plan,
    patience: &Patience,
) -> Result<Answer, QueryError> {
    require_cosine(collection)?;
    let Subject { looks, unlike, .. } = subject;
    let expected = collection.manifest().dim as usize;
    if let Some(foreign) = looks.iter().find(|tokens| tokens.dim != expected) {
        return Err(QueryError::Dimensions { expected, found: foreign.dim });
    }
    let mut timing_ms = TimingMs::default();
    let start = Instant::now();
    let thoroughness = if plan.exact { Thoroughness::Exact } else { Thoroughness::Ef(plan.ef) };
    let patience = patience.at_most(plan.time_budget_ms.map(|budget| start + Duration::from_millis(budget)));
    let searched = RowSearch::of(collection, scope, thoroughness, &patience)?;
    let every = Scope::all(collection);
    let all = match *scope == every {
        true => None,
        false => Some(RowSearch::of(collection, &every, thoroughness, &patience)?),
    };
    let all = all.as_ref().unwrap_or(&searched);
    let mut candidates = Candidates::among(&searched, unlike);
    candidates.look_for(looks.iter().map(|tokens| (tokens.clone(), None)).collect(), all, plan)?;
    timing_ms.search = milliseconds(start);
    let is_expanding = plan.expansions > 0 && plan.placed;
    let is_time =
        patience.left().is_none_or(|left| left > start.elapsed().mul_f32(EXPANDING[usize::from(plan.exact)]));
    let places = Places { plan, patience: &patience, is_cut: AtomicBool::new(is_expanding && !is_time) };
    let mut expanded = 0;
    if is_expanding && is_time {
        let start = Instant::now();
        let more = places.expansions(&candidates);
        expanded = more.len();
        timing_ms.rerank = milliseconds(start);
        let start = Instant::now();
        candidates.look_for(more, all, plan)?;
        timing_ms.search += milliseconds(start);
    }
    let start = Instant::now();
    let found: Vec<Vec<Found<'_>>> = match plan.placed {
        true => {
            let proposed = places.proposed(&candidates, plan.proposing(), plan.looked_at());
            let mut found = places.found(&proposed, &candidates.looks);
            draw_below_seen(&mut found, &proposed, &candidates.looks);
            found
        }
        false => candidates.best(plan.looked_at()).into_iter().map(whole).collect(),
    };
    patience.go_on()?;
    let best = |places: &Vec<Found<'_>>| Some(places.first()?.hit.score);
    let null = Null::of(found.iter().filter_map(best).collect());
    let mut found: Vec<Found<'_>> = found.into_iter().flatten().collect();
    found.iter_mut().for_each(|found| found.hit.probability = null.probability(found.hit.score));
    found.retain(|found| found.hit.probability >= plan.min_probability);
    found.iter_mut().for_each(Found::cut_to_one);
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
    if plan.heat_maps {
        found.par_iter_mut().for_each(|Found { segment, image, evidence, look, .. }| {
            if !patience.is_given_up() {
                evidence.similarity = similarity_map(segment, image, &candidates.looks[*look].tokens);
            }
        });
        patience.go_on()?;
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
        is_cut: places.is_cut.into_inner(),
        timing_ms,
        hits,
        evidence,
    })
}

fn milliseconds(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}
