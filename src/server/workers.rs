//! The pool that searches run on: sessions of their own threads, a bounded queue before them, a deadline for each request. What nobody
//! waits for any more is not begun.
//!
//! Batches gain nothing over one-thread sessions on a CPU, so requests are not put together: as many sessions run as there are
//! threads, unless the caller wants fewer and quicker ones.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use rayon::ThreadPool;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::catalogue::{Catalogue, Commit};
use super::metrics::Metrics;
use super::problem::{Cause, Problem};
use super::{ServeError, ServeOptions};
use crate::engine::{Engine, EngineError, Gallery};
use crate::model::{Model, Session};
use crate::query::Patience;

/// Searches that wait for a session where nobody says how many: more would wait longer than people do.
const QUEUE_PER_SESSION: usize = 4;

/// A search on its way to a worker.
type Work = Box<dyn FnOnce(&mut Worker) + Send>;
/// Where it waits; emptied by the worker that begins it, or when nobody waits for it any more.
type Slot = Arc<Mutex<Option<Work>>>;

/// All workers, and the queue before them.
pub(super) struct Workers {
    queue: Sender<Slot>,
    /// One for each search that runs or waits.
    places: Arc<Semaphore>,
    metrics: Arc<Metrics>,
    sessions: usize,
    waiting: usize,
    /// Smoothed time of a search, microseconds.
    mean_us: Arc<AtomicU64>,
}

/// A place among the searches that run or wait.
pub(super) struct Place(#[expect(dead_code, reason = "held, not read")] OwnedSemaphorePermit);

/// A thread that searches, with a pool and a session of each model.
pub(super) struct Worker {
    /// Those used least recently first. Between searches they hold no commit: the files of an old one can go.
    sessions: Vec<(Arc<Model>, Session)>,
    /// The most models that are served at a time.
    models: usize,
    pool: ThreadPool,
    threads: usize,
}

impl Worker {
    /// Asks an engine over a gallery, on the worker's pool. A session is made where there is none of its model.
    pub fn ask<T: Send>(
        &mut self,
        gallery: &Arc<Gallery>,
        ask: impl FnOnce(&mut Engine) -> T + Send,
    ) -> Result<T, EngineError> {
        let model = gallery.model();
        let held = self.sessions.iter().position(|(held, _)| Arc::ptr_eq(held, model));
        let session = match held {
            Some(at) => self.sessions.remove(at).1,
            None => gallery.session(self.threads)?,
        };
        let mut engine = Engine::resume(gallery.clone(), session);
        let answer = self.pool.install(|| ask(&mut engine));
        self.sessions.push((model.clone(), engine.into_session()));
        if self.sessions.len() > self.models {
            self.sessions.remove(0);
        }
        Ok(answer)
    }

    /// The threads of this worker.
    pub fn pool(&self) -> &ThreadPool {
        &self.pool
    }
}

/// Takes a search out of the queue when its request is given up; one that runs ends soon.
struct Awaited {
    slot: Slot,
    patience: Patience,
    metrics: Arc<Metrics>,
    is_settled: bool,
}

impl Drop for Awaited {
    fn drop(&mut self) {
        self.patience.give_up();
        drop(taken(&self.slot));
        if !self.is_settled {
            self.metrics.rejected("gone");
        }
    }
}

fn taken(slot: &Slot) -> Option<Work> {
    slot.lock().unwrap_or_else(PoisonError::into_inner).take()
}

impl Workers {
    /// Starts `options.sessions` workers, each with a session of every model: as many as there are threads where nobody says how many,
    /// and fewer where a model runs on another device than the CPU.
    pub fn start(
        options: &ServeOptions,
        catalogue: &Catalogue,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, ServeError> {
        let (queue, slots) = crossbeam_channel::unbounded();
        let most = |commit: Arc<Commit>| {
            let model = commit.gallery.as_ref()?.model().clone();
            Some(model.device.sessions(options.engine.threads))
        };
        let fitting = catalogue.all().filter_map(most).min().unwrap_or(options.engine.threads);
        let sessions = options.sessions.unwrap_or(fitting).max(1);
        let queue_places = options.queue.unwrap_or(QUEUE_PER_SESSION * sessions);
        let threads = (options.engine.threads / sessions).max(1);
        for number in 0..sessions {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            let pool = pool.map_err(std::io::Error::other)?;
            let models = catalogue.names().count();
            let mut worker = Worker { sessions: Vec::new(), models, pool, threads };
            for commit in catalogue.all() {
                commit.gallery.as_ref().map(|gallery| worker.ask(gallery, |_| ())).transpose()?;
            }
            let slots = slots.clone();
            std::thread::Builder::new()
                .name(format!("search-{number}"))
                .spawn(move || work(worker, &slots))?;
        }
        let places = Arc::new(Semaphore::new(sessions + queue_places));
        let (waiting, mean_us) = (queue_places, Arc::default());
        Ok(Self { queue, places, metrics: metrics.clone(), sessions, waiting, mean_us })
    }

    /// Searches at the same time.
    pub fn sessions(&self) -> usize {
        self.sessions
    }

    /// Searches that wait.
    pub fn waiting(&self) -> usize {
        let held =
            self.sessions + self.waiting - self.places.available_permits().min(self.sessions + self.waiting);
        held.saturating_sub(self.sessions)
    }

    /// A place among those that run or wait, or the problem that there is none.
    pub fn place(&self) -> Result<Place, Problem> {
        self.places.clone().try_acquire_owned().map(Place).map_err(|_| {
            self.metrics.rejected("full");
            let detail = format!("{} searches run and {} wait; try again later", self.sessions, self.waiting);
            Problem { retry_after: Some(self.free_in_s()), ..Problem::new(Cause::Full, detail) }
        })
    }

    /// The next place that is free.
    pub async fn next_place(&self) -> Result<Place, Problem> {
        let stopping = |_| Problem::new(Cause::Stopping, "the service is stopping; ask another one");
        self.places.clone().acquire_owned().await.map(Place).map_err(stopping)
    }

    /// Runs a search on the next free worker. The future ends at `deadline` at the latest; a search that was not begun by then, or
    /// when the future is dropped, is never begun, and one that runs is told that nobody waits.
    pub async fn run<T: Send + 'static>(
        &self,
        place: Place,
        deadline: Instant,
        search: impl FnOnce(&mut Worker, &Patience) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let (reply, answer) = oneshot::channel();
        let patience = Patience::until(deadline);
        let waited = patience.clone();
        let (metrics, mean_us, asked) = (self.metrics.clone(), self.mean_us.clone(), Instant::now());
        let work = move |worker: &mut Worker| {
            let begun = Instant::now();
            metrics.stage("queue", begun - asked);
            metrics.running.inc();
            // A session that panics is not put back.
            let answer = catch_unwind(AssertUnwindSafe(|| search(worker, &waited))).unwrap_or_else(|panic| {
                Err(Problem::new(Cause::Internal, format!("a search panicked: {}", panic_text(&*panic))))
            });
            metrics.running.dec();
            // What was broken off because its time was over took at least that long.
            if !waited.is_given_up() || Instant::now() >= deadline {
                smooth(&mean_us, begun.elapsed());
            }
            drop(place);
            // Nobody may wait any more.
            let _ = reply.send(answer);
        };
        let slot: Slot = Arc::new(Mutex::new(Some(Box::new(work))));
        let metrics = self.metrics.clone();
        let mut awaited = Awaited { slot: slot.clone(), patience, metrics, is_settled: false };
        let ended = || Problem::new(Cause::Internal, "no worker is left");
        self.queue.send(slot).map_err(|_| ended())?;
        let answer = tokio::time::timeout_at(deadline.into(), answer).await;
        awaited.is_settled = true;
        match answer {
            Ok(answer) => answer.unwrap_or_else(|_| Err(ended())),
            Err(_) => {
                self.metrics.rejected("late");
                let detail = "the time of the request was over before its answer was there; ask for less, or try again later";
                Err(Problem { retry_after: Some(self.free_in_s()), ..Problem::new(Cause::Late, detail) })
            }
        }
    }

    /// Seconds until the searches that wait are done, as far as one can tell.
    fn free_in_s(&self) -> u64 {
        let each_s = self.mean_us.load(Ordering::Relaxed) as f64 / 1e6;
        let rounds = (self.waiting + 1).div_ceil(self.sessions);
        (each_s * rounds as f64).ceil().clamp(1.0, 60.0) as u64
    }
}

/// Runs what comes until the queue is gone.
fn work(mut worker: Worker, slots: &Receiver<Slot>) {
    for slot in slots {
        if let Some(work) = taken(&slot) {
            work(&mut worker);
        }
    }
}

/// A moving mean, the last one counting an eighth.
fn smooth(mean_us: &AtomicU64, last: Duration) {
    let last = last.as_micros() as u64;
    let mean = mean_us.load(Ordering::Relaxed);
    mean_us.store(if mean == 0 { last } else { mean - mean / 8 + last / 8 }, Ordering::Relaxed);
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}
