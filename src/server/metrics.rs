//! What is counted and timed, in Prometheus's text format at `/metrics`.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use prometheus::core::Collector;
use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

use super::Service;
use super::problem::Problem;
use crate::query::TimingMs;

/// Upper ends of the histograms' buckets, seconds.
const SECONDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// All figures of one service.
pub(super) struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    request_seconds: HistogramVec,
    stage_seconds: HistogramVec,
    rejected: IntCounterVec,
    reloads: IntCounterVec,
    images: IntGaugeVec,
    points: IntGaugeVec,
    mapped_bytes: IntGaugeVec,
    commit: IntGaugeVec,
    queue_depth: IntGauge,
    thumbnail_bytes: IntGauge,
    /// Searches that run.
    pub running: IntGauge,
    /// Open connections.
    pub connections: IntGauge,
}

impl Metrics {
    pub fn new() -> Self {
        let registry = Registry::new();
        let counter =
            |name, help, labels: &[&str]| kept(&registry, IntCounterVec::new(Opts::new(name, help), labels));
        let histogram = |name, help, labels: &[&str]| {
            let options = HistogramOpts::new(name, help).buckets(SECONDS.to_vec());
            kept(&registry, HistogramVec::new(options, labels))
        };
        let of_collection =
            |name, help| kept(&registry, IntGaugeVec::new(Opts::new(name, help), &["collection"]));
        let gauge = |name, help| kept(&registry, IntGauge::new(name, help));
        Self {
            requests: counter(
                "patchdex_requests_total",
                "Requests by route, method and status; 499 where the client went away.",
                &["route", "method", "status"],
            ),
            request_seconds: histogram("patchdex_request_seconds", "Time of requests by route.", &["route"]),
            stage_seconds: histogram(
                "patchdex_stage_seconds",
                "Time of a search in each stage: queue, decode, embed, search, rerank.",
                &["stage"],
            ),
            rejected: counter(
                "patchdex_rejected_total",
                "Searches without an answer, by reason.",
                &["reason"],
            ),
            reloads: counter(
                "patchdex_reloads_total",
                "Commits that were opened while serving, by collection and outcome.",
                &["collection", "outcome"],
            ),
            images: of_collection("patchdex_images", "Images of a collection."),
            points: of_collection("patchdex_points", "Stored patches that belong to an image."),
            mapped_bytes: of_collection("patchdex_mapped_bytes", "Bytes of a collection's mapped files."),
            commit: of_collection("patchdex_commit", "Number of the commit that is served."),
            queue_depth: gauge("patchdex_queue_depth", "Searches that wait for a session."),
            thumbnail_bytes: gauge("patchdex_thumbnail_bytes", "Memory of the thumbnails that are kept."),
            running: gauge("patchdex_running", "Searches that run."),
            connections: gauge("patchdex_connections", "Open connections."),
            registry,
        }
    }

    /// A request that was answered.
    pub fn answered(&self, route: &str, method: &str, status: u16, time: Duration) {
        self.requests.with_label_values(&[route, method, &status.to_string()]).inc();
        self.request_seconds.with_label_values(&[route]).observe(time.as_secs_f64());
    }

    /// A stage of a search that took some time.
    pub fn stage(&self, stage: &str, time: Duration) {
        self.stage_seconds.with_label_values(&[stage]).observe(time.as_secs_f64());
    }

    /// The stages of an answer.
    pub fn stages(&self, timing: &TimingMs) {
        let TimingMs { decode, embed, search, rerank, .. } = *timing;
        for (stage, ms) in [("decode", decode), ("embed", embed), ("search", search), ("rerank", rerank)] {
            self.stage(stage, Duration::from_secs_f64(ms.max(0.0) / 1e3));
        }
    }

    /// A search without an answer.
    pub fn rejected(&self, reason: &str) {
        self.rejected.with_label_values(&[reason]).inc();
    }

    /// A commit that was opened, or could not be.
    pub fn reloaded(&self, collection: &str, outcome: &str) {
        self.reloads.with_label_values(&[collection, outcome]).inc();
    }
}

/// Puts figures into the registry.
fn kept<C: Collector + Clone + 'static>(registry: &Registry, figures: prometheus::Result<C>) -> C {
    let figures = figures.expect("invariant: the names are sound");
    registry.register(Box::new(figures.clone())).expect("invariant: the names differ");
    figures
}

/// All figures, in Prometheus's text format.
#[utoipa::path(get, path = "/metrics", tag = "operations", responses(
    (status = 200, description = "Prometheus's text format", body = String, content_type = "text/plain"),
    super::routes::Problems
))]
pub(super) async fn metrics(State(service): State<Arc<Service>>) -> Result<Response, Problem> {
    let metrics = &service.metrics;
    for commit in service.catalogue.all() {
        let set =
            |gauge: &IntGaugeVec, value: u64| gauge.with_label_values(&[&*commit.name]).set(value as i64);
        set(&metrics.images, commit.image_count() as u64);
        set(&metrics.points, commit.patches);
        set(&metrics.mapped_bytes, commit.mapped_bytes);
        set(&metrics.commit, commit.manifest().commit);
    }
    metrics.queue_depth.set(service.workers.waiting() as i64);
    metrics.thumbnail_bytes.set(service.renditions.bytes() as i64);
    let mut text = Vec::new();
    let encoder = TextEncoder::new();
    encoder
        .encode(&metrics.registry.gather(), &mut text)
        .map_err(|error| Problem::new(super::problem::Cause::Internal, error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}
