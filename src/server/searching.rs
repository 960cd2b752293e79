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
    Answer, NearestAnswer, Plan, Scope, Subject, VectorSearch, comparable, execute, stored_image,
};

/// What a search needs besides the worker.
pub(super) struct Surroundings {
    pub commit: Arc<Commit>,
    pub metrics: Arc<Metrics>,
    pub limits: Limits,
    pub deadline: Instant,
}

impl Search {
    /// The answer, as JSON.
    pub fn answer(self, worker: &mut Worker, around: &Surroundings) -> Result<String, Problem> {
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
                let hurried = around.hurried(&plan)?;
                let answer = worker.ask(gallery, |engine| engine.query(&picture, &question, &hurried))??;
                around.told(answer, plan, start, decode_ms)
            }
            Asked::Indexed { image, marked, plan } => {
                let start = Instant::now();
                let hurried = around.hurried(&plan)?;
                let answer = worker.pool().install(|| indexed(&around.commit, &image, &marked, &hurried))?;
                around.told(answer, plan, start, 0.0)
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
                    let search = VectorSearch::of(collection, &scope, thoroughness)?;
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
    /// The plan with what is left of the request's time as its budget: nobody reads what comes later.
    fn hurried(&self, plan: &Plan) -> Result<Plan, Problem> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Problem::new(
                Cause::Late,
                "the time of the request was over before its search began",
            ));
        }
        let left_ms = (left.as_millis() as u64).max(1);
        let budget_ms = plan.time_budget_ms.map_or(left_ms, |asked| asked.min(left_ms));
        Ok(Plan { time_budget_ms: Some(budget_ms), ..plan.clone() })
    }

    /// The answer to what was asked by `plan`, as JSON.
    fn told(
        &self,
        mut answer: Answer,
        plan: Plan,
        start: Instant,
        decode_ms: f64,
    ) -> Result<String, Problem> {
        answer.plan = plan;
        answer.timing_ms.decode = decode_ms;
        answer.timing_ms.total = milliseconds(start);
        self.metrics.stages(&answer.timing_ms);
        let name = &self.commit.name;
        Ok(text(&answer.map_hits(|hit| LinkedHit::of(name, hit))))
    }
}

fn indexed(commit: &Commit, image: &str, marked: &Marked, plan: &Plan) -> Result<Answer, Problem> {
    let collection = &commit.collection;
    require_model(collection.path(), collection.manifest())?;
    let placed = stored_image(collection, image)?;
    let subject = Subject::stored(collection, &placed, &marked.boxes, &marked.unlike, plan)?;
    Ok(execute(collection, &searched(collection, None, plan)?, &subject, plan)?)
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
