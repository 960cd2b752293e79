//! What every request has: an id, a line in the log, its figures; and the body of the problem, where it ends in one.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;

use super::Service;
use super::problem::{Cause, PROBLEM_JSON, Problem, ProblemDocument};

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// A JSON object a line.
    Json,
}

/// Sends what the service logs to standard error, from now on and once for the process.
pub fn log_to_stderr(format: LogFormat) {
    let lines = tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(tracing::Level::INFO);
    // A second service in the process logs where the first does.
    let _ = match format {
        LogFormat::Text => lines.with_ansi(false).with_target(false).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).with_target(false).try_init(),
    };
}

/// The header that requests and answers have their id in.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What a request is called in the answer and in the log.
#[derive(Clone, Debug)]
pub(super) struct RequestId(pub Arc<str>);

impl RequestId {
    /// The id that the client gave, where it is fit for logs and headers, else one of ours.
    fn of(headers: &HeaderMap) -> Self {
        let is_fit = |text: &&str| {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            (1..=64).contains(&text.len()) && text.bytes().all(is_plain)
        };
        let given = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok()).filter(is_fit);
        Self(given.map_or_else(|| made().into(), Into::into))
    }
}

/// When a request has to be answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline(pub Instant);

/// An id that no other request has: random for the process, then counted.
fn made() -> String {
    static PROCESS: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("{:016x}", PROCESS.hash_one(COUNT.fetch_add(1, Ordering::Relaxed)))
}

/// Writes down a request whose client went away before it was answered.
struct Unanswered<'a> {
    service: &'a Service,
    id: &'a str,
    route: &'a str,
    method: &'a str,
    path: &'a str,
    start: Instant,
    is_answered: bool,
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        if !self.is_answered {
            self.write(499);
        }
    }
}

impl Unanswered<'_> {
    fn write(&self, status: u16) {
        let Self { id, route, method, path, start, .. } = *self;
        let time = start.elapsed();
        self.service.metrics.answered(route, method, status, time);
        let ms = time.as_secs_f64() * 1e3;
        tracing::info!(request_id = id, method, path, status, ms = (ms * 10.0).round() / 10.0, "request");
    }
}

/// Answers a request, with all that it has besides.
pub(super) async fn recorded(
    State(service): State<Arc<Service>>,
    mut request: Request,
    next: Next,
) -> Response {
    let RequestId(id) = RequestId::of(request.headers());
    request.extensions_mut().insert(RequestId(id.clone()));
    request.extensions_mut().insert(Deadline(Instant::now() + service.options.timeout));
    let route = request.extensions().get::<MatchedPath>().map(|matched| matched.as_str().to_owned());
    let (method, path) = (request.method().as_str().to_owned(), request.uri().path().to_owned());
    let mut record = Unanswered {
        service: &service,
        id: &id,
        route: route.as_deref().unwrap_or("none"),
        // Others than those that are served are anybody's words, which labels must not hold.
        method: if METHODS.contains(&method.as_str()) { &method } else { "other" },
        path: &path,
        start: Instant::now(),
        is_answered: false,
    };
    let mut response = next.run(request).await;
    let status = response.status();
    if status.is_client_error() || status.is_server_error() {
        response = described(&service, response, &id);
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    record.is_answered = true;
    record.write(response.status().as_u16());
    response
}

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"];

/// The answer with its problem as the body.
fn described(service: &Service, response: Response, id: &str) -> Response {
    let (mut parts, _) = response.into_parts();
    let problem = parts.extensions.remove::<Problem>().unwrap_or_else(|| {
        let what = parts.status.canonical_reason().unwrap_or("refused").to_lowercase();
        Problem::new(Cause::of_status(parts.status), what)
    });
    parts.status = problem.cause.status();
    let body = serde_json::to_vec(&service.document(problem, id)).unwrap_or_default();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    parts.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Response::from_parts(parts, Body::from(body))
}

impl Service {
    /// A problem as the client reads it; what is inside goes to the log.
    pub fn document(&self, mut problem: Problem, request_id: &str) -> ProblemDocument {
        if problem.cause.status().is_server_error() {
            tracing::warn!(request_id, problem = problem.cause.name(), detail = problem.detail, "problem");
        }
        problem.detail = self.catalogue.without_paths(&problem.detail);
        problem.document(request_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_taken_over_where_it_can_do_no_harm() {
        let id = |given: &str| {
            let headers = HeaderMap::from_iter([(REQUEST_ID, HeaderValue::from_str(given).unwrap())]);
            RequestId::of(&headers).0.to_string()
        };
        assert_eq!(id("a-1_b.2"), "a-1_b.2");
        for harmful in ["", "a b", "a\"b", &"x".repeat(65)] {
            assert!(id(harmful) != harmful && id(harmful).len() == 16, "{harmful}");
        }
        assert_ne!(id(""), id(""));
    }
}
