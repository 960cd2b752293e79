//! Whether the service is alive, and whether it takes requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::Service;
use super::problem::{Cause, Problem};
use super::routes::{Problems, json};

/// Whether the service is on its way out.
#[derive(Default)]
pub(super) struct Health(AtomicBool);

impl Health {
    /// From now on nothing new is taken.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// How the service is.
#[derive(Serialize, ToSchema)]
pub(super) struct Condition {
    /// `ok` or `ready`.
    status: &'static str,
    /// The version that runs.
    version: &'static str,
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Whether the process is alive.
#[utoipa::path(get, path = "/healthz", tag = "operations", responses(
    (status = 200, description = "It is alive", body = Condition),
))]
pub(super) async fn healthz() -> Result<Response, Problem> {
    json(&Condition { status: "ok", version: VERSION })
}

/// Whether requests are taken: all collections are open, all sessions loaded.
#[utoipa::path(get, path = "/readyz", tag = "operations", responses(
    (status = 200, description = "It takes requests", body = Condition),
    Problems
))]
pub(super) async fn readyz(State(service): State<Arc<Service>>) -> Result<Response, Problem> {
    match service.health.0.load(Ordering::Relaxed) {
        false => json(&Condition { status: "ready", version: VERSION }),
        true => Err(Problem::new(Cause::Stopping, "the service is stopping; ask another one")),
    }
}
