//! What goes wrong, as RFC 9457 has it. Here is the one table from kinds of failure to status codes. [`super::record`] writes the
//! body, for it knows the request's id.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::core::{Fault, Kind};

/// Media type of problems.
pub(super) const PROBLEM_JSON: &str = "application/problem+json";

/// Kinds of problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    Malformed,
    Unauthorised,
    ForeignHost,
    NotFound,
    Method,
    Changed,
    Exists,
    ReadOnly,
    TooLarge,
    MediaType,
    Slow,
    Invalid,
    Incompatible,
    Busy,
    Corrupt,
    Io,
    Internal,
    Full,
    Stopping,
    Late,
}

impl Cause {
    /// All of them.
    pub const ALL: [Self; 20] = [
        Self::Malformed,
        Self::Unauthorised,
        Self::ForeignHost,
        Self::NotFound,
        Self::Method,
        Self::Changed,
        Self::Exists,
        Self::ReadOnly,
        Self::TooLarge,
        Self::MediaType,
        Self::Slow,
        Self::Invalid,
        Self::Incompatible,
        Self::Busy,
        Self::Corrupt,
        Self::Io,
        Self::Internal,
        Self::Full,
        Self::Stopping,
        Self::Late,
    ];

    /// What a failure of the library means to a client.
    fn of(kind: Kind) -> Self {
        match kind {
            Kind::NotFound => Self::NotFound,
            Kind::Invalid => Self::Invalid,
            Kind::Corrupt => Self::Corrupt,
            Kind::Incompatible => Self::Incompatible,
            Kind::Busy => Self::Busy,
            Kind::Io => Self::Io,
            Kind::Internal => Self::Internal,
        }
    }

    /// Its name, its status, and its title: the same for every problem of the kind.
    fn row(self) -> (&'static str, StatusCode, &'static str) {
        match self {
            Self::Malformed => ("malformed", StatusCode::BAD_REQUEST, "The request cannot be read"),
            Self::Unauthorised => ("unauthorised", StatusCode::UNAUTHORIZED, "A token is needed"),
            Self::ForeignHost => {
                ("foreign-host", StatusCode::FORBIDDEN, "The request is meant for another host")
            }
            Self::NotFound => ("not-found", StatusCode::NOT_FOUND, "There is no such thing"),
            Self::Method => {
                ("method", StatusCode::METHOD_NOT_ALLOWED, "The resource does not know this method")
            }
            Self::Changed => ("changed", StatusCode::CONFLICT, "The image is not what was indexed"),
            Self::Exists => ("exists", StatusCode::CONFLICT, "There is another file of this name"),
            Self::ReadOnly => ("read-only", StatusCode::FORBIDDEN, "The service changes nothing"),
            Self::TooLarge => ("too-large", StatusCode::PAYLOAD_TOO_LARGE, "The request is too large"),
            Self::MediaType => (
                "media-type",
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "The request is in a format that is not read",
            ),
            Self::Slow => ("slow", StatusCode::REQUEST_TIMEOUT, "The request did not arrive in time"),
            Self::Invalid => ("invalid", StatusCode::UNPROCESSABLE_ENTITY, "The request cannot be meant so"),
            Self::Incompatible => {
                ("incompatible", StatusCode::UNPROCESSABLE_ENTITY, "The request does not fit the collection")
            }
            Self::Busy => ("busy", StatusCode::SERVICE_UNAVAILABLE, "Somebody else holds it"),
            Self::Corrupt => ("corrupt", StatusCode::INTERNAL_SERVER_ERROR, "Stored data are damaged"),
            Self::Io => ("io", StatusCode::INTERNAL_SERVER_ERROR, "The operating system refused"),
            Self::Internal => ("internal", StatusCode::INTERNAL_SERVER_ERROR, "The service failed"),
            Self::Full => ("full", StatusCode::SERVICE_UNAVAILABLE, "Too many searches wait already"),
            Self::Stopping => ("stopping", StatusCode::SERVICE_UNAVAILABLE, "The service is stopping"),
            Self::Late => ("late", StatusCode::GATEWAY_TIMEOUT, "The answer was not there in time"),
        }
    }

    pub fn name(self) -> &'static str {
        self.row().0
    }

    pub fn status(self) -> StatusCode {
        self.row().1
    }

    pub fn title(self) -> &'static str {
        self.row().2
    }

    /// The kind of a problem that nobody described.
    pub fn of_status(status: StatusCode) -> Self {
        match status.as_u16() {
            401 => Self::Unauthorised,
            403 => Self::ForeignHost,
            404 => Self::NotFound,
            405 => Self::Method,
            408 => Self::Slow,
            413 => Self::TooLarge,
            415 => Self::MediaType,
            422 => Self::Invalid,
            503 => Self::Busy,
            504 => Self::Late,
            code if code < 500 => Self::Malformed,
            _ => Self::Internal,
        }
    }

    /// Whether what went wrong is for the log, not for the client.
    fn is_inside(self) -> bool {
        matches!(self, Self::Corrupt | Self::Io | Self::Internal)
    }
}

/// What went wrong with a request.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    pub cause: Cause,
    /// What, where, and what to do. For the log only, where the fault is inside.
    pub detail: String,
    /// Seconds after which trying again makes sense.
    pub retry_after: Option<u64>,
}

/// What a client reads.
#[derive(Clone, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct ProblemDocument {
    /// Which kind of problem it is.
    #[serde(rename = "type")]
    #[schema(example = "/problems/invalid")]
    kind: String,
    /// The kind in words.
    title: &'static str,
    /// The status code.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What, where, and what to do.
    detail: String,
    /// The request's id, as the header `x-request-id` and the log have it.
    instance: String,
}

impl Problem {
    pub fn new(cause: Cause, detail: impl Into<String>) -> Self {
        Self { cause, detail: detail.into(), retry_after: None }
    }

    /// The problem as a client reads it.
    pub fn document(&self, request_id: &str) -> ProblemDocument {
        let (name, status, title) = self.cause.row();
        let detail = match self.cause.is_inside() {
            true => format!("the service's log says more at request {request_id}"),
            false => self.detail.clone(),
        };
        let (kind, instance) = (format!("/problems/{name}"), request_id.to_owned());
        ProblemDocument { kind, title, status: status.as_u16(), detail, instance }
    }
}

impl<E: Fault> From<E> for Problem {
    fn from(error: E) -> Self {
        Self::new(Cause::of(error.kind()), error.to_string())
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(Cause::of_status(rejection.status()), rejection.body_text())
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::new(Cause::of_status(rejection.status()), rejection.body_text())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.cause.status().into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.cause == Cause::Unauthorised {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_inside_is_told_to_the_log_only() {
        let told = |cause| Problem::new(cause, "/home/me/secret.pdx is damaged").document("r1").detail;
        assert!(!told(Cause::Corrupt).contains("secret") && told(Cause::Corrupt).contains("r1"));
        assert!(told(Cause::Invalid).contains("secret"));
    }

    #[test]
    fn every_kind_has_a_status_and_every_status_a_kind() {
        let kinds = [
            Kind::NotFound,
            Kind::Invalid,
            Kind::Corrupt,
            Kind::Incompatible,
            Kind::Busy,
            Kind::Io,
            Kind::Internal,
        ];
        let statuses = kinds.map(|kind| Cause::of(kind).status().as_u16());
        assert_eq!(statuses, [404, 422, 500, 422, 503, 500, 500]);
        for status in [400, 401, 404, 405, 413, 415, 422, 500, 503, 504] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(Cause::of_status(status).status(), status);
        }
    }
}
