//! The table of routes, what lies around all of them, and the ways to answer.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderValue, Method, Uri, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Serialize;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};

use super::problem::{Cause, PROBLEM_JSON, Problem, ProblemDocument};
use super::record::{REQUEST_ID, recorded};
use super::{ServeError, Service, access, api, collections, health, images, jobs, metrics, page, search};

/// How long a browser may remember what a page elsewhere may do.
const PREFLIGHT: Duration = Duration::from_secs(3600);

/// All routes, and what lies around them: outermost last.
pub(super) fn router(service: &Arc<Service>) -> Result<Router, ServeError> {
    let routes = Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(metrics::metrics))
        .route("/v1/collections", get(collections::list))
        .route("/v1/collections/{name}/reload", post(collections::reload))
        .route("/v1/search", post(search::search))
        .route("/v1/search/batch", post(search::batch))
        .route("/v1/images", get(images::list).put(jobs::put))
        .route("/v1/images/{id}", get(images::image).delete(jobs::delete))
        .route("/v1/images/{id}/file", get(images::file))
        .route("/v1/images/{id}/thumbnail", get(images::thumbnail))
        .route("/v1/images/{id}/crop", get(images::crop))
        .route("/v1/jobs", get(jobs::list))
        .route("/v1/jobs/{id}", get(jobs::job))
        .route("/problems/{name}", get(api::problem))
        .route("/", get(page::index))
        .route("/page/{file}", get(page::file))
        .route("/docs", get(api::docs))
        .route("/openapi.json", get(api::openapi))
        .fallback(nothing)
        .method_not_allowed_fallback(no_method)
        .with_state(service.clone());
    Ok(routes
        .layer(DefaultBodyLimit::max(service.options.max_body_bytes))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(service.clone(), access::checked))
        .layer(cors(&service.options.cors)?)
        .layer(from_fn_with_state(service.clone(), recorded))
        .layer(CompressionLayer::new()))
}

/// Lets pages of some origins ask; without one, none.
fn cors(origins: &[String]) -> Result<CorsLayer, ServeError> {
    let origin = |text: &String| {
        let is_origin = text
            .parse::<Uri>()
            .is_ok_and(|uri| uri.scheme().is_some() && uri.host().is_some() && !text.ends_with('/'));
        let value = HeaderValue::from_str(text).ok().filter(|_| is_origin);
        value.ok_or_else(|| ServeError::Origin(text.clone()))
    };
    let origins = origins.iter().map(origin).collect::<Result<Vec<_>, _>>()?;
    let layer = CorsLayer::new();
    Ok(match origins.is_empty() {
        true => layer,
        false => layer
            .allow_origin(AllowOrigin::list(origins))
            .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
            .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE, REQUEST_ID])
            .expose_headers([REQUEST_ID, header::RETRY_AFTER, header::ETAG])
            .max_age(PREFLIGHT),
    })
}

async fn nothing(uri: Uri) -> Problem {
    Problem::new(Cause::NotFound, format!("there is no '{}'; /openapi.json lists what there is", uri.path()))
}

async fn no_method(method: Method, uri: Uri) -> Problem {
    Problem::new(
        Cause::Method,
        format!("'{}' does not know {method}; the header 'allow' lists what it does", uri.path()),
    )
}

fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or_default();
    Problem::new(Cause::Internal, format!("a request panicked: {text}")).into_response()
}

/// An answer as JSON.
pub(super) fn json<T: Serialize>(answer: &T) -> Result<Response, Problem> {
    json_text(
        serde_json::to_string(answer).map_err(|error| Problem::new(Cause::Internal, error.to_string()))?,
    )
}

/// A text that is JSON, as an answer.
pub(super) fn json_text(text: String) -> Result<Response, Problem> {
    Ok(([(header::CONTENT_TYPE, "application/json")], text).into_response())
}

/// Runs what reads files or counts long on a thread where it keeps nobody waiting.
pub(super) async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let ended = tokio::task::spawn_blocking(work).await;
    ended.unwrap_or_else(|error| Err(Problem::new(Cause::Internal, error.to_string())))
}

/// The problems that any route may answer: for the description of the API.
pub(super) enum Problems {}

impl IntoResponses for Problems {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let of = |description: &str| {
            let schema = Ref::from_schema_name(ProblemDocument::name());
            let content = ContentBuilder::new().schema(Some(schema)).build();
            ResponseBuilder::new().description(description).content(PROBLEM_JSON, content).build().into()
        };
        let said = [("4XX", "The request cannot be answered"), ("5XX", "The service cannot answer")];
        said.into_iter().map(|(status, what)| (status.to_owned(), of(what))).collect()
    }
}
