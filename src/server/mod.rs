//! The HTTP service: collections by name, searches on a pool of sessions, images, problems, metrics. Everything that knows HTTP is
//! here. `run` serves until it is told to stop; the caller says where, and prints.

mod access;
mod api;
mod asked;
mod catalogue;
mod collections;
mod health;
mod images;
mod jobs;
mod listener;
mod metrics;
mod names;
mod originals;
mod page;
mod patient;
mod problem;
mod record;
mod renditions;
mod routes;
mod search;
mod searching;
mod silent;
mod workers;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use access::Access;
use catalogue::Catalogue;
use health::Health;
use jobs::Jobs;
use metrics::Metrics;
pub use record::{LogFormat, log_to_stderr};
use renditions::Renditions;
use workers::Workers;

use crate::collection::CollectionError;
use crate::core::{Fault, Kind};
use crate::engine::{EngineError, EngineOptions};
use crate::picture::Limits;

/// A collection, and the name that requests call it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The name, one segment of a URL.
    pub name: String,
    /// The folder.
    pub path: PathBuf,
}

/// How collections are served.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// Where connections are taken; port 0 is a free one.
    pub listen: SocketAddr,
    /// What is served; names differ.
    pub collections: Vec<Named>,
    /// Where models and ONNX Runtime are. Its `threads` are those of all sessions together.
    pub engine: EngineOptions,
    /// Searches that run at the same time, each on its share of the threads; as many as fit the device where none.
    pub sessions: Option<usize>,
    /// Searches that wait beside those that run, where a further one is refused; some for each session where none.
    pub queue: Option<usize>,
    /// How long a request may take, from its first byte to its answer.
    pub timeout: Duration,
    /// Length of a request's body at most, in bytes.
    pub max_body_bytes: usize,
    /// What decoding a picture may take on.
    pub limits: Limits,
    /// Connections at the same time at most.
    pub max_connections: usize,
    /// How long a client may take to send the head of a request.
    pub header_timeout: Duration,
    /// Memory for thumbnails and crops, in bytes.
    pub thumbnail_bytes: usize,
    /// What requests have to present; nothing where there is none.
    pub token: Option<String>,
    /// Whether everybody is answered, whatever name of this host they use.
    pub is_insecure: bool,
    /// Whether images may come and go by requests.
    pub is_writable: bool,
    /// Origins of other pages that may ask.
    pub cors: Vec<String>,
    /// How long requests that run are waited for when the service is told to stop.
    pub grace: Duration,
}

/// Why nothing is served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// A collection.
    #[error(transparent)]
    Collection(#[from] CollectionError),
    /// A collection's model.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Two collections of one name.
    #[error("two collections are called '{name}'; give one of them another name: NAME={}", path.display())]
    SameName {
        /// The name.
        name: String,
        /// The second one.
        path: PathBuf,
    },
    /// A name that URLs cannot hold.
    #[error("'{name}' is no name of a collection: letters, digits, '-', '_' and '.' are; give NAME={}", path.display())]
    NoName {
        /// The name.
        name: String,
        /// The collection.
        path: PathBuf,
    },
    /// Not an origin.
    #[error("--cors '{0}' is no origin; give scheme, host and port: https://example.org")]
    Origin(String),
    /// The address.
    #[error("cannot listen at {address}: {source}; choose another --listen")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// The system's refusal.
        source: std::io::Error,
    },
    /// Threads, signals.
    #[error("cannot serve: {0}")]
    System(#[from] std::io::Error),
}

impl Fault for ServeError {
    fn kind(&self) -> Kind {
        match self {
            Self::Collection(error) => error.kind(),
            Self::Engine(error) => error.kind(),
            Self::SameName { .. } | Self::NoName { .. } | Self::Origin(_) => Kind::Invalid,
            Self::Listen { .. } | Self::System(_) => Kind::Io,
        }
    }
}

/// What every request is answered from.
struct Service {
    catalogue: Catalogue,
    workers: Workers,
    renditions: Renditions,
    metrics: Arc<Metrics>,
    access: Access,
    health: Health,
    jobs: Jobs,
    options: ServeOptions,
}

/// Serves until SIGINT or SIGTERM, then finishes what runs. `ready` is told the address as soon as connections are taken.
///
/// # Errors
/// A collection that cannot be opened, an address that cannot be listened at.
pub fn run(options: ServeOptions, ready: &mut dyn FnMut(SocketAddr)) -> Result<(), ServeError> {
    let metrics = Arc::new(Metrics::new());
    let catalogue = Catalogue::open(&options)?;
    let workers = Workers::start(&options, &catalogue, &metrics)?;
    let (jobs, tasks) = Jobs::new(options.is_writable);
    let service = Arc::new(Service {
        catalogue,
        workers,
        renditions: Renditions::new(&options),
        metrics,
        access: Access::new(&options),
        health: Health::default(),
        jobs,
        options,
    });
    let router = routes::router(&service)?;
    let writer = service.options.is_writable.then(|| jobs::start(&service, tasks)).transpose()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let served = runtime.block_on(listener::serve(&service, router, ready));
    service.jobs.stop();
    // A panic there has told of itself.
    writer.map(JoinHandle::join);
    // Work that nobody waits for any more need not end.
    runtime.shutdown_background();
    served
}
