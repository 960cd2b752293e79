//! Routes of searches: one, or many in one request.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Extension;
use axum::body::Bytes;
use axum::extract::multipart::Multipart;
use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use http_body_util::BodyExt as _;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::task::JoinSet;
use utoipa::ToSchema;

use super::Service;
use super::asked::{IndexedSearch, Search, SearchForm, VectorSearch, parsed};
use super::names::{LinkedHit, LinkedNearest};
use super::problem::{Cause, Problem, ProblemDocument};
use super::record::{Deadline, RequestId};
use super::routes::{Problems, json, json_text, off_thread};
use super::searching::Surroundings;
use super::workers::Place;
use crate::query::{Answer, NearestAnswer};

/// How long the body of a request is read that is refused.
const DROPPING: Duration = Duration::from_secs(2);
/// Searches of one request at most.
const MAX_BATCH: usize = 256;

/// A search without a picture of its own.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it describes the body, which is read by its fields")]
pub(super) enum JsonSearch {
    Indexed(IndexedSearch),
    Vectors(VectorSearch),
}

/// What a search finds: images with boxes, or stored vectors.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it describes the answer, which is written on the worker")]
pub(super) enum SearchAnswer {
    Images(Box<Answer<LinkedHit>>),
    Vectors(NearestAnswer<LinkedNearest>),
}

/// Many searches.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Batch {
    /// Each as `/v1/search` takes it as JSON.
    #[schema(value_type = Vec<JsonSearch>, min_items = 1, max_items = 256)]
    searches: Vec<Box<RawValue>>,
}

/// What came of many searches.
#[derive(Serialize, ToSchema)]
pub(super) struct BatchAnswer {
    /// One for each search, in their order.
    answers: Vec<BatchItem>,
}

/// What came of one of them: an answer, or a problem.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum BatchItem {
    #[schema(value_type = SearchAnswer)]
    Answer(Box<RawValue>),
    Problem(ProblemDocument),
}

/// Finds what a picture, an image of the collection, or rows of numbers show.
///
/// A picture comes as a multipart form, an indexed image or vectors as JSON. The answer is that of `patchdex query --json`, and each
/// hit has links.
#[utoipa::path(post, path = "/v1/search", tag = "search",
    request_body(content(
        (SearchForm = "multipart/form-data"),
        (JsonSearch = "application/json", example = json!({"image": "motorcycle_left.png", "boxes": [[300, 190, 170, 150]], "top": 3})),
    )),
    responses((status = 200, description = "What was found, best first", body = SearchAnswer), Problems)
)]
pub(super) async fn search(
    State(service): State<Arc<Service>>,
    Extension(Deadline(deadline)): Extension<Deadline>,
    request: Request,
) -> Result<Response, Problem> {
    let (place, request) = placed(&service, request).await?;
    let search = in_time(deadline, read_search(request)).await?;
    json_text(answered(&service, place, deadline, search).await?)
}

/// Does many searches, and answers them in their order.
///
/// A search that fails is a problem among the answers; the others are not concerned.
#[utoipa::path(post, path = "/v1/search/batch", tag = "search",
    request_body(content = Batch, example = json!({"searches": [{"image": "coffee.png"}, {"image": "moon.png", "top": 1}]})),
    responses((status = 200, description = "An answer or a problem for each", body = BatchAnswer), Problems)
)]
pub(super) async fn batch(
    State(service): State<Arc<Service>>,
    Extension(Deadline(deadline)): Extension<Deadline>,
    Extension(RequestId(id)): Extension<RequestId>,
    request: Request,
) -> Result<Response, Problem> {
    let (place, request) = placed(&service, request).await?;
    let mut first = Some(place);
    let text = in_time(deadline, async {
        match media_type(request.headers()) {
            Media::Json => read_text(request).await,
            _ => Err(Problem::new(Cause::MediaType, "send the searches as application/json")),
        }
    });
    let Batch { searches } = parsed(&text.await?, "")?;
    if !(1..=MAX_BATCH).contains(&searches.len()) {
        return Err(Problem::new(Cause::Invalid, format!("searches: give 1 to {MAX_BATCH} of them")));
    }
    let count = searches.len();
    let mut waiting = searches.into_iter().enumerate();
    let mut running = JoinSet::new();
    let mut answers: Vec<Option<BatchItem>> = (0..count).map(|_| None).collect();
    loop {
        // No more than can run: other requests have their turn between.
        while running.len() < service.workers.sessions()
            && let Some((at, search)) = waiting.next()
        {
            let (service, place) = (service.clone(), first.take());
            running.spawn(async move {
                let answered = async {
                    let search = parse_search(search.get().to_owned()).await?;
                    let place = match place {
                        Some(place) => place,
                        None => in_time(deadline, service.workers.next_place()).await?,
                    };
                    answered(&service, place, deadline, search).await
                };
                (at, answered.await)
            });
        }
        let Some(ended) = running.join_next().await else { break };
        let (at, answered) = ended.map_err(|error| Problem::new(Cause::Internal, error.to_string()))?;
        let raw = |text| {
            RawValue::from_string(text).map_err(|error| Problem::new(Cause::Internal, error.to_string()))
        };
        answers[at] = Some(match answered.and_then(raw) {
            Ok(answer) => BatchItem::Answer(answer),
            Err(problem) => BatchItem::Problem(service.document(problem, &id)),
        });
    }
    json(&BatchAnswer { answers: answers.into_iter().flatten().collect() })
}

/// A place among the searches, before the body is read: what waits holds its body in memory. Where there is none, the body is read and
/// dropped: clients that are hung up on while they send do not see why.
async fn placed(service: &Service, request: Request) -> Result<(Place, Request), Problem> {
    let problem = match service.workers.place() {
        Ok(place) => return Ok((place, request)),
        Err(problem) => problem,
    };
    let dropped = async {
        let mut body = request.into_body();
        let mut left = service.options.max_body_bytes;
        while let Some(Ok(frame)) = body.frame().await {
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            match left.checked_sub(bytes) {
                Some(rest) => left = rest,
                None => break,
            }
        }
    };
    let _ = tokio::time::timeout(DROPPING, dropped).await;
    Err(problem)
}

/// Waits for a worker and for its answer.
async fn answered(
    service: &Arc<Service>,
    place: Place,
    deadline: Instant,
    search: Search,
) -> Result<String, Problem> {
    let commit = service.catalogue.named(search.collection.as_deref())?;
    let (metrics, limits) = (service.metrics.clone(), service.options.limits);
    let around = Surroundings { commit, metrics, limits };
    service
        .workers
        .run(place, deadline, move |worker, patience| search.answer(worker, &around, patience))
        .await
}

/// What a body is.
enum Media {
    Form,
    Json,
    Other,
}

fn media_type(headers: &HeaderMap) -> Media {
    let said = headers.get(header::CONTENT_TYPE).and_then(|said| said.to_str().ok()).unwrap_or_default();
    let essence = said.split(';').next().unwrap_or_default().trim();
    match () {
        () if essence.eq_ignore_ascii_case("multipart/form-data") => Media::Form,
        () if essence.eq_ignore_ascii_case("application/json") => Media::Json,
        () => Media::Other,
    }
}

async fn read_search(request: Request) -> Result<Search, Problem> {
    match media_type(request.headers()) {
        Media::Form => {
            let form = Multipart::from_request(request, &()).await;
            let form = form.map_err(|rejection| Problem::new(Cause::Malformed, rejection.body_text()))?;
            Search::of_form(form).await
        }
        Media::Json => parse_search(read_text(request).await?).await,
        Media::Other => {
            let detail =
                "send a picture as multipart/form-data, an indexed image or vectors as application/json";
            Err(Problem::new(Cause::MediaType, detail))
        }
    }
}

/// The body as text, within the limit of the router.
async fn read_text(request: Request) -> Result<String, Problem> {
    let bytes = Bytes::from_request(request, &())
        .await
        .map_err(|rejection| Problem::new(Cause::of_status(rejection.status()), rejection.body_text()))?;
    String::from_utf8(bytes.into()).map_err(|_| Problem::new(Cause::Malformed, "the body is no UTF-8"))
}

/// Bodies from which on reading JSON would keep others waiting, in bytes.
const LONG: usize = 64 << 10;

async fn parse_search(text: String) -> Result<Search, Problem> {
    match text.len() < LONG {
        true => Search::of_json(text.as_bytes()),
        false => off_thread(move || Search::of_json(text.as_bytes())).await,
    }
}

/// What comes by the deadline.
async fn in_time<T>(
    deadline: Instant,
    coming: impl Future<Output = Result<T, Problem>>,
) -> Result<T, Problem> {
    let late = |_| Problem::new(Cause::Slow, "the request did not arrive in the time of a request");
    tokio::time::timeout_at(deadline.into(), coming).await.map_err(late)?
}
