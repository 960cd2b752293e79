//! What the service says of itself: the OpenAPI description, made from the routes' own types, and what each kind of problem is.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::problem::{Cause, Problem, ProblemDocument};
use super::routes::{Problems, json_text};
use super::{collections, health, images, jobs, metrics, search};

/// The description.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "patchdex",
        description = "Find this very object in my images, and show where. Boxes are `[x, y, w, h]` in pixels of the upright image, \
                       top-left origin. Every answer has the header `x-request-id`: the request's own, where it has a fit one.",
    ),
    paths(
        search::search,
        search::batch,
        collections::list,
        collections::reload,
        images::list,
        images::image,
        images::file,
        images::thumbnail,
        images::crop,
        jobs::put,
        jobs::delete,
        jobs::list,
        jobs::job,
        health::healthz,
        health::readyz,
        metrics::metrics,
        problem
    ),
    components(schemas(ProblemDocument)),
    tags(
        (name = "search", description = "Crops, images and vectors in, places out"),
        (name = "images", description = "The images of a collection"),
        (name = "changes", description = "Images that come and go, where the service is writable"),
        (name = "collections", description = "Collections and their commits"),
        (name = "operations", description = "Health and figures")
    ),
    modifiers(&Token),
    // Which of both, the service's options say.
    security((), ("token" = []))
)]
struct Api;

struct Token;

impl Modify for Token {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        api.components.get_or_insert_default().add_security_scheme("token", scheme);
    }
}

/// The description as JSON.
fn description() -> &'static str {
    static TEXT: LazyLock<String> =
        LazyLock::new(|| Api::openapi().to_json().expect("invariant: the description has texts as keys"));
    &TEXT
}

/// The description of the API.
pub(super) async fn openapi() -> Result<Response, Problem> {
    json_text(description().to_owned())
}

/// The description for people, with a form for each route. It loads nothing from elsewhere.
pub(super) async fn docs() -> Response {
    static POLICY: LazyLock<String> = LazyLock::new(|| {
        let (script, style) = (digest_of("<script>", "</script>"), digest_of("<style>", "</style>"));
        format!(
            "default-src 'none'; connect-src 'self'; img-src blob:; script-src {script}; style-src {style}"
        )
    });
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY.as_str()),
    ];
    (headers, DOCS).into_response()
}

const DOCS: &str = include_str!("docs.html");

/// The part of the page between two tags, as a policy allows it.
fn digest_of(start: &str, end: &str) -> String {
    let part = DOCS.split_once(start).and_then(|(_, rest)| rest.split_once(end)).map_or("", |(part, _)| part);
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(part)))
}

/// What a kind of problem is: where the `type` of a problem leads.
#[utoipa::path(get, path = "/problems/{name}", tag = "operations",
    params(("name" = String, Path, description = "The last part of a problem's type")),
    responses((status = 200, description = "Its status and its title", body = String, content_type = "text/plain"), Problems)
)]
pub(super) async fn problem(name: Result<Path<String>, PathRejection>) -> Result<Response, Problem> {
    let Path(name) = name?;
    let cause = Cause::ALL.into_iter().find(|cause| cause.name() == name);
    let cause = cause.ok_or_else(|| {
        let names = Cause::ALL.map(Cause::name).join(", ");
        Problem::new(Cause::NotFound, format!("there is no problem '{name}'; there are {names}"))
    })?;
    let text = format!("{} {}\n", cause.status().as_u16(), cause.title());
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::query::{CANDIDATES, EF, EXPAND, NEIGHBOURS, TIME_BUDGET_MS, TOKENS, TOP};

    fn api() -> Value {
        serde_json::from_str(description()).unwrap()
    }

    /// Routes that serve people, not programs.
    const PAGES: [&str; 4] = ["/", "/page/{file}", "/docs", "/openapi.json"];

    #[test]
    fn every_route_is_described_and_nothing_else() {
        let table = include_str!("routes.rs");
        let routes = table.split(".route(\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned());
        let routes: BTreeSet<String> = routes.filter(|route| !PAGES.contains(&route.as_str())).collect();
        let described: BTreeSet<String> = api()["paths"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(routes, described);
        assert_eq!(api()["openapi"], "3.1.0");
    }

    #[test]
    fn the_limits_that_are_described_are_those_that_hold() {
        let api = api();
        let properties = &api["components"]["schemas"]["IndexedSearch"]["properties"];
        for (name, limits) in [
            ("top", TOP),
            ("ef", EF),
            ("tokens", TOKENS),
            ("neighbours", NEIGHBOURS),
            ("candidates", CANDIDATES),
            ("expand", EXPAND),
            ("time_budget_ms", TIME_BUDGET_MS),
        ] {
            let of = |end: &str| properties[name][end].as_f64().map(|number| number as i64);
            assert_eq!(
                (of("minimum"), of("maximum")),
                (Some(*limits.start()), Some(*limits.end())),
                "{name}"
            );
        }
        assert!(properties["image"].is_object());
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn references(value: &Value, found: &mut BTreeSet<String>) {
            match value {
                Value::Object(object) => {
                    found.extend(object.get("$ref").and_then(Value::as_str).map(str::to_owned));
                    object.values().for_each(|value| references(value, found));
                }
                Value::Array(array) => array.iter().for_each(|value| references(value, found)),
                _ => {}
            }
        }
        let (api, mut found) = (api(), BTreeSet::new());
        references(&api, &mut found);
        assert!(found.len() > 10, "{found:?}");
        for reference in found {
            assert!(api.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
        }
    }
}
