//! Routes of collections: the list, and opening a new commit.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::Service;
use super::catalogue::Commit;
use super::problem::Problem;
use super::routes::{Problems, json, off_thread};
use crate::collection::is_imported;

/// A collection as it is served.
#[derive(Serialize, ToSchema)]
pub(super) struct CollectionFacts {
    /// What requests call it.
    name: String,
    /// Number of images, copies of others among them.
    images: usize,
    /// Stored patches that belong to an image.
    patches: u64,
    /// Number of the commit.
    commit: u64,
    /// Columns that conditions may name.
    columns: Vec<String>,
    /// The model that made it; none where vectors were imported: those are asked by vectors only.
    model: Option<ModelFacts>,
    /// The linear map between the model's tokens and stored vectors.
    preparation: String,
    /// Numbers in a stored vector.
    dim: u32,
    /// `cosine`, `dot` or `l2`.
    metric: String,
    /// Bytes that are mapped.
    mapped_bytes: u64,
}

/// The model of a collection.
#[derive(Serialize, ToSchema)]
pub(super) struct ModelFacts {
    /// Its name.
    name: String,
    /// `fp32`, `fp16` or `int8`.
    variant: String,
    /// The output that tokens are read from.
    output: String,
    /// Numbers in a token.
    hidden_size: u32,
    /// BLAKE3 of its graph, hexadecimal.
    digest: String,
}

/// All collections.
#[derive(Serialize, ToSchema)]
pub(super) struct CollectionList {
    /// In the order in which the service was told of them.
    collections: Vec<CollectionFacts>,
}

/// What came of looking for a new commit.
#[derive(Serialize, ToSchema)]
pub(super) struct Reloaded {
    /// Whether there was one.
    changed: bool,
    /// The collection as it is served from now on.
    collection: CollectionFacts,
}

impl CollectionFacts {
    fn of(commit: &Commit) -> Self {
        let manifest = commit.manifest();
        let model = &manifest.model;
        Self {
            columns: commit.columns.clone(),
            name: commit.name.to_string(),
            images: commit.image_count(),
            patches: commit.patches,
            commit: manifest.commit,
            model: (!is_imported(manifest)).then(|| ModelFacts {
                name: model.name.clone(),
                variant: model.variant.clone(),
                output: model.output.clone(),
                hidden_size: model.hidden_size,
                digest: model.digest.clone(),
            }),
            preparation: manifest.preparation.spec.clone(),
            dim: manifest.dim,
            metric: manifest.metric.clone(),
            mapped_bytes: commit.mapped_bytes,
        }
    }
}

/// The collections that are served.
#[utoipa::path(get, path = "/v1/collections", tag = "collections", responses(
    (status = 200, description = "All of them", body = CollectionList),
    Problems
))]
pub(super) async fn list(State(service): State<Arc<Service>>) -> Result<Response, Problem> {
    let collections = service.catalogue.all().map(|commit| CollectionFacts::of(&commit)).collect();
    json(&CollectionList { collections })
}

/// Opens the last commit of a collection now.
///
/// The service also looks for one each second. Requests that run end on the commit that they began with.
#[utoipa::path(post, path = "/v1/collections/{name}/reload", tag = "collections",
    params(("name" = String, Path, description = "The collection's name")),
    responses((status = 200, description = "The last commit is served", body = Reloaded), Problems)
)]
pub(super) async fn reload(
    State(service): State<Arc<Service>>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let Path(name) = name?;
    let of_all = service.clone();
    let (commit, changed) = off_thread(move || renewed(&of_all, &name)).await?;
    json(&Reloaded { changed, collection: CollectionFacts::of(&commit) })
}

/// Opens the last commit, and writes down what came of it.
pub(super) fn renewed(service: &Service, name: &str) -> Result<(Arc<Commit>, bool), Problem> {
    let renewed = service.catalogue.renew(name);
    match &renewed {
        Ok((commit, true)) => {
            service.metrics.reloaded(name, "opened");
            tracing::info!(
                collection = name,
                commit = commit.manifest().commit,
                images = commit.image_count(),
                "a new commit is served"
            );
        }
        Ok((_, false)) => {}
        Err(_) if service.catalogue.names().any(|known| known == name) => {
            service.metrics.reloaded(name, "failed");
        }
        Err(_) => {}
    }
    renewed
}

/// The same where nobody asked: what keeps failing is said once.
pub(super) fn renewed_by_itself(service: &Service, name: &str) {
    let failure = renewed(service, name).err().map(|problem| problem.detail);
    if service.catalogue.is_news(name, failure.as_deref())
        && let Some(detail) = failure
    {
        tracing::warn!(
            collection = name,
            detail,
            "the last commit cannot be opened; the one before is served"
        );
    }
}
