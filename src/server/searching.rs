//! A search on its worker: from what was asked to the JSON of the answer.

use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

use super::asked::{Asked, Marked, Search};
use super::catalogue::Commit;
use super::metrics::Metrics;
use super::names::{LinkedHit, LinkedNearest};
use super::problem::{Cause, Problem};
use super::workers::Worker;
use crate::collection::{Filter, require_model};
use crate::engine::{Question, searched};
use crate::picture::{self, Limits, Picture};
use crate::query::{
    Answer, NearestAnswer, Patience, Plan, Scope, Subject, VectorSearch, comparable, execute, stored_image,
};

/// What a search needs besides the worker.
pub(super) struct Surroundings {
    pub commit: Arc<Commit>,
    pub metrics: Arc<Metrics>,
    pub limits: Limits,
}

impl Search {
    /// The answer, as JSON.
    pub fn answer(
        self,
        worker: &mut Worker,
        around: &Surroundings,
        patience: &Patience,
    ) -> Result<String, Problem> {
        match self.asked {
            Asked::Picture { image, name, mask, marked, plan } => {
                let start = Instant::now();
                let picture = decoded(&image, "image", &around.limits)?;
                let mask = mask
                    .map(|mask| Ok::<_, Problem>(Arc::new(decoded(&mask, "mask", &around.limits)?.mask())));
                let mask = mask.transpose()?;
                let decode_ms = milliseconds(start);
                let question = Question {
                    image: &name,
                    boxes: &marked.boxes,
                    mask: mask.as_ref(),
                    unlike: &marked.unlike,
                    scope: None,
                };
                let gallery = around.commit.gallery.as_ref().ok_or_else(|| imported(&around.commit))?;
                let answer =
                    worker.ask(gallery, |engine| engine.query(&picture, &question, &plan, patience))??;
                around.told(answer, start, decode_ms)
            }
            Asked::Indexed { image, marked, plan } => {
                let start = Instant::now();
                let answer =
                    worker.pool().install(|| indexed(&around.commit, &image, &marked, &plan, patience))?;
                around.told(answer, start, 0.0)
            }
            Asked::Vectors { rows, dim, wanted, thoroughness, choice } => {
                let start = Instant::now();
                let collection = &around.commit.collection;
                let manifest = collection.manifest();
                let scope = match &choice.filter {
                    Some(filter) => Scope::of(collection.matching(&filter.parse::<Filter>()?)?),
                    None => Scope::all(collection),
                };
                let name = &around.commit.name;
                let text = worker.pool().install(|| {
                    let vectors = comparable(collection, &rows, dim, choice.rows)?;
                    let search = VectorSearch::of(collection, &scope, thoroughness, patience)?;
                    let mut results = search.found(&vectors, wanted)?;
                    search.tell(results.iter_mut().flatten())?;
                    let (queries, dim) = (rows.len() / dim, manifest.dim);
                    let answer =
                        NearestAnswer { queries, dim, plan: search.paths().cloned().collect(), results };
                    Ok::<_, Problem>(text(&answer.map_results(|nearest| LinkedNearest::of(name, nearest))))
                })?;
                around.metrics.stage("search", start.elapsed());
                Ok(text)
            }
        }
    }
}

impl Surroundings {
    /// The answer as JSON.
    fn told(&self, mut answer: Answer, start: Instant, decode_ms: f64) -> Result<String, Problem> {
        answer.timing_ms.decode = decode_ms;
        answer.timing_ms.total = milliseconds(start);
        self.metrics.stages(&answer.timing_ms);
        let mut evidence = std::mem::take(&mut answer.evidence).into_iter();
        let linked = |hit| {
            let evidence = evidence.next().expect("invariant: there is evidence for each hit");
            LinkedHit::of(&self.commit, hit, &evidence)
        };
        Ok(text(&answer.map_hits(linked)))
    }
}

fn indexed(
    commit: &Commit,
    image: &str,
    marked: &Marked,
    plan: &Plan,
    patience: &Patience,
) -> Result<Answer, Problem> {
    let collection = &commit.collection;
    require_model(collection.path(), collection.manifest())?;
    let placed = stored_image(collection, image)?;
    let subject = Subject::stored(collection, &placed, &marked.boxes, &marked.unlike, plan)?;
    Ok(execute(collection, &searched(collection, None, plan)?, &subject, plan, patience)?)
}

/// Why a collection without a model cannot be asked by pictures.
pub(super) fn imported(commit: &Commit) -> Problem {
    match require_model(commit.collection.path(), commit.manifest()) {
        Err(error) => error.into(),
        Ok(()) => Problem::new(Cause::Internal, "a collection of a model was opened without it"),
    }
}

/// The picture that a client sent: whatever is wrong with it is the client's.
fn decoded(bytes: &[u8], field: &str, limits: &Limits) -> Result<Picture, Problem> {
    picture::decode(bytes, limits).map_err(|error| Problem::new(Cause::Invalid, format!("{field}: {error}")))
}

fn text<T: Serialize>(answer: &T) -> String {
    serde_json::to_string(answer).expect("invariant: answers have texts as keys")
}

fn milliseconds(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}
