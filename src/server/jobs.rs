//! Changes of collections, where the service may make them: images that come and go. Each is a job; one writer does one after the
//! other, since a collection has one writer at a time. What is done is served at once.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequest, Path, Query, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use crossbeam_channel::{Receiver, Sender};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use utoipa::{IntoParams, ToSchema};

use super::images::ImageQuery;
use super::originals::{self, Stored};
use super::problem::{Cause, Problem, ProblemDocument};
use super::record::Deadline;
use super::routes::{Problems, json, off_thread};
use super::{Service, collections};
use crate::collection::{Selection, remove};
use crate::ingest::{self, IndexOptions, Status};
use crate::picture;

/// Jobs that wait at most, and that are remembered.
const MAX_WAITING: usize = 256;
const MAX_REMEMBERED: usize = 1024;
/// Images that are taken in at the same time: each is held in memory until its file is written.
const UPLOADS: usize = 4;

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum JobState {
    Waiting,
    Running,
    Done,
    Failed,
}

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Change {
    Add,
    Remove,
}

/// A change of a collection.
#[derive(Clone, Serialize, ToSchema)]
pub(super) struct Job {
    /// What it is called: `/v1/jobs/ID` says how far it is.
    id: u64,
    collection: String,
    change: Change,
    /// Path of the image that is added, id of the one that is removed.
    image: String,
    state: JobState,
    /// What is being done beside embedding.
    stage: Option<String>,
    /// Images that were taken up or out.
    done: usize,
    /// Of so many.
    of: usize,
    /// The commit that has the change, where it is done.
    commit: Option<u64>,
    /// Why it failed.
    problem: Option<ProblemDocument>,
}

/// All jobs that are remembered.
#[derive(Serialize, ToSchema)]
pub(super) struct JobList {
    /// In the order in which they were asked for.
    jobs: Vec<Job>,
}

/// Where an image goes.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AddQuery {
    /// The collection; where there is one only, it needs no name.
    collection: Option<String>,
    /// Path of the new file below the collection's root, `/`-separated, with the ending of an image.
    #[param(example = "2024/new.png")]
    path: String,
    /// Whether a file that is there and has other content is replaced.
    #[serde(default)]
    replace: bool,
}

/// A job on its way to the writer.
struct Task {
    id: u64,
    collection: String,
    what: What,
    request_id: Arc<str>,
}

enum What {
    Add(PathBuf),
    Remove(String),
}

/// All jobs, and the way to the writer.
pub(super) struct Jobs {
    is_writable: bool,
    tasks: Sender<Task>,
    all: Mutex<BTreeMap<u64, Job>>,
    uploads: Semaphore,
    stop: AtomicBool,
}

/// What the writer takes jobs from.
pub(super) struct Tasks(Receiver<Task>);

impl Jobs {
    pub fn new(is_writable: bool) -> (Self, Tasks) {
        let (tasks, waiting) = crossbeam_channel::bounded(MAX_WAITING);
        let (all, uploads, stop) = (Mutex::default(), Semaphore::new(UPLOADS), AtomicBool::new(false));
        (Self { is_writable, tasks, all, uploads, stop }, Tasks(waiting))
    }

    /// Ends the writer: what is being embedded is left for 'patchdex add' to go on with.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    fn require_writable(&self) -> Result<(), Problem> {
        let detail = "the service was started without --writable; change the collection by 'patchdex add' and 'remove'";
        self.is_writable.then_some(()).ok_or_else(|| Problem::new(Cause::ReadOnly, detail))
    }

    fn all(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Job>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a change.
    fn ask(
        &self,
        collection: &str,
        what: What,
        image: String,
        request_id: &Arc<str>,
    ) -> Result<Job, Problem> {
        let mut all = self.all();
        let id = all.last_key_value().map_or(1, |(last, _)| last + 1);
        let change = match what {
            What::Add(_) => Change::Add,
            What::Remove(_) => Change::Remove,
        };
        let job = Job {
            id,
            collection: collection.to_owned(),
            change,
            image,
            state: JobState::Waiting,
            stage: None,
            done: 0,
            of: 1,
            commit: None,
            problem: None,
        };
        let task = Task { id, collection: collection.to_owned(), what, request_id: request_id.clone() };
        self.tasks.try_send(task).map_err(|_| {
            let detail = format!("{MAX_WAITING} changes wait already; try again later");
            Problem { retry_after: Some(5), ..Problem::new(Cause::Full, detail) }
        })?;
        all.insert(id, job.clone());
        if all.len() > MAX_REMEMBERED {
            let is_over = |job: &Job| matches!(job.state, JobState::Done | JobState::Failed);
            let oldest = all.values().find(|job| is_over(job)).map(|job| job.id);
            oldest.map(|id| all.remove(&id));
        }
        Ok(job)
    }

    fn update(&self, id: u64, change: impl FnOnce(&mut Job)) {
        if let Some(job) = self.all().get_mut(&id) {
            change(job);
        }
    }
}

/// Starts the writer.
pub(super) fn start(service: &Arc<Service>, tasks: Tasks) -> std::io::Result<JoinHandle<()>> {
    let service = service.clone();
    std::thread::Builder::new().name("writer".to_owned()).spawn(move || {
        let pause = std::time::Duration::from_millis(100);
        while !service.jobs.stop.load(Ordering::Relaxed) {
            if let Ok(task) = tasks.0.recv_timeout(pause) {
                done(&service, &task);
            }
        }
    })
}

/// Does a job, and writes down what came of it.
fn done(service: &Service, task: &Task) {
    let jobs = &service.jobs;
    jobs.update(task.id, |job| job.state = JobState::Running);
    let changed = match &task.what {
        What::Add(file) => add(service, task, file),
        What::Remove(id) => {
            let selection = Selection { ids: vec![id.clone()], ..Selection::default() };
            let folder = service.catalogue.named(Some(&task.collection));
            let removed = folder.and_then(|commit| Ok(remove(commit.collection.path(), &selection, false)?));
            removed.map(|removal| removal.images.len())
        }
    };
    let renewed = changed.and_then(|count| {
        let (commit, _) = collections::renewed(service, &task.collection)?;
        Ok((count, commit.manifest().commit))
    });
    match renewed {
        Ok((count, commit)) => jobs.update(task.id, |job| {
            (job.state, job.stage, job.commit) = (JobState::Done, None, Some(commit));
            (job.done, job.of) = (count, count);
        }),
        Err(problem) => {
            let problem = service.document(problem, &task.request_id);
            jobs.update(task.id, |job| {
                (job.state, job.stage, job.problem) = (JobState::Failed, None, Some(problem));
            });
        }
    }
}

/// Takes a file into the collection; says how many images were.
fn add(service: &Service, task: &Task, file: &std::path::Path) -> Result<usize, Problem> {
    let commit = service.catalogue.named(Some(&task.collection))?;
    let gallery = commit.gallery.as_ref().ok_or_else(|| super::searching::imported(&commit))?;
    let sources = ingest::collect(std::slice::from_ref(&file.to_owned()), None)?;
    // One thread: searches go on beside.
    let mut options = IndexOptions::new(commit.collection.path().to_owned(), 1);
    options.limits = service.options.limits;
    let mut progress = |status: &Status| {
        service.jobs.update(task.id, |job| {
            (job.done, job.of) = (status.done, status.images.max(1));
            job.stage = status.stage.map(str::to_owned);
        });
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    let pool = pool.map_err(|error| Problem::new(Cause::Internal, error.to_string()))?;
    let stop = &service.jobs.stop;
    let addition =
        pool.install(|| ingest::add(&sources, gallery.model(), &options, true, stop, &mut progress))?;
    let path = commit.relative(file);
    match addition.summary.rejects.iter().find(|reject| Some(&reject.path) == path.as_ref()) {
        Some(reject) => Err(Problem::new(Cause::Invalid, format!("{}: {}", reject.path, reject.message))),
        None => Ok(addition.added + addition.changed + addition.moved),
    }
}

/// Writes an image into the collection's root and takes it up: a job.
///
/// Only where the service was started with `--writable`.
#[utoipa::path(put, path = "/v1/images", tag = "changes", params(AddQuery),
    request_body(content = Vec<u8>, content_type = "image/*", description = "The file: JPEG, PNG, WebP, TIFF, BMP or GIF"),
    responses((status = 202, description = "The job that takes it up", body = Job), Problems)
)]
pub(super) async fn put(
    State(service): State<Arc<Service>>,
    Extension(Deadline(deadline)): Extension<Deadline>,
    Extension(id): Extension<super::record::RequestId>,
    query: Result<Query<AddQuery>, QueryRejection>,
    request: Request,
) -> Result<Response, Problem> {
    service.jobs.require_writable()?;
    let Query(asked) = query?;
    let commit = service.catalogue.named(asked.collection.as_deref())?;
    let upload = async {
        let _place = service.jobs.uploads.acquire().await;
        let read = Bytes::from_request(request, &()).await;
        let bytes =
            read.map_err(|error| Problem::new(Cause::of_status(error.status()), error.body_text()))?;
        let (limits, to, path) = (service.options.limits, commit.clone(), asked.path.clone());
        off_thread(move || {
            picture::header(&bytes, &limits)
                .map_err(|error| Problem::new(Cause::Invalid, format!("the body: {error}")))?;
            originals::store(&to, &path, &bytes, asked.replace)
        })
        .await
    };
    let late = |_| Problem::new(Cause::Slow, "the request did not arrive in the time of a request");
    let Stored(file) = tokio::time::timeout_at(deadline.into(), upload).await.map_err(late)??;
    accepted(&service.jobs.ask(&commit.name, What::Add(file), asked.path, &id.0)?)
}

/// Takes an image and its copies out of a collection: a job. The files stay.
///
/// Only where the service was started with `--writable`.
#[utoipa::path(delete, path = "/v1/images/{id}", tag = "changes",
    params(("id" = String, Path, description = "Id of an image, as hits have it"), ImageQuery),
    responses((status = 202, description = "The job that takes it out", body = Job), Problems)
)]
pub(super) async fn delete(
    State(service): State<Arc<Service>>,
    Extension(request_id): Extension<super::record::RequestId>,
    id: Result<Path<String>, PathRejection>,
    query: Result<Query<ImageQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    service.jobs.require_writable()?;
    let (Path(id), Query(asked)) = (id?, query?);
    let commit = service.catalogue.named(asked.collection.as_deref())?;
    commit.with_id(&id)?;
    accepted(&service.jobs.ask(&commit.name, What::Remove(id.clone()), id, &request_id.0)?)
}

/// The changes that were asked for; old ones are forgotten.
#[utoipa::path(get, path = "/v1/jobs", tag = "changes", responses(
    (status = 200, description = "All that are remembered", body = JobList),
    Problems
))]
pub(super) async fn list(State(service): State<Arc<Service>>) -> Result<Response, Problem> {
    let jobs = service.jobs.all().values().cloned().collect();
    json(&JobList { jobs })
}

/// How far a change is.
#[utoipa::path(get, path = "/v1/jobs/{id}", tag = "changes",
    params(("id" = u64, Path, description = "Id of a job")),
    responses((status = 200, description = "The job", body = Job), Problems)
)]
pub(super) async fn job(
    State(service): State<Arc<Service>>,
    id: Result<Path<u64>, PathRejection>,
) -> Result<Response, Problem> {
    let Path(id) = id?;
    let job = service.jobs.all().get(&id).cloned();
    json(&job.ok_or_else(|| Problem::new(Cause::NotFound, format!("there is no job {id}, or not any more")))?)
}

fn accepted(job: &Job) -> Result<Response, Problem> {
    let mut response = json(job)?;
    *response.status_mut() = StatusCode::ACCEPTED;
    if let Ok(place) = HeaderValue::from_str(&format!("/v1/jobs/{}", job.id)) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    Ok(response)
}
