//! Who may ask: the token, and the names of this host. A page elsewhere must not reach a service on loopback by a name of its own that
//! leads there (DNS rebinding).

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Uri, header};
use axum::middleware::Next;
use axum::response::Response;

use super::problem::{Cause, Problem};
use super::{ServeOptions, Service};

/// What requests are held against.
pub(super) struct Access {
    /// Digest of the token: comparing digests takes as long whatever differs.
    token: Option<blake3::Hash>,
    /// Whether only names of this host are answered to.
    is_local: bool,
}

/// What needs no token: the page and what describes the service.
const OPEN: [&str; 5] = ["/", "/healthz", "/readyz", "/docs", "/openapi.json"];
/// The same for everything below.
const OPEN_BELOW: [&str; 2] = ["/page/", "/problems/"];

impl Access {
    pub fn new(options: &ServeOptions) -> Self {
        let token = options.token.as_ref().map(|token| blake3::hash(token.as_bytes()));
        Self { is_local: token.is_none() && !options.is_insecure && options.listen.ip().is_loopback(), token }
    }

    fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
        if self.is_local && !host(uri, headers).is_some_and(is_here) {
            let detail = "without a token only requests to localhost or a loopback address are answered";
            return Err(Problem::new(Cause::ForeignHost, detail));
        }
        let Some(token) = self.token else { return Ok(()) };
        let path = uri.path();
        if OPEN.contains(&path) || OPEN_BELOW.iter().any(|below| path.starts_with(below)) {
            return Ok(());
        }
        let given = headers.get(header::AUTHORIZATION).and_then(|value| bearer(value.as_bytes()));
        match given.map(blake3::hash) {
            Some(given) if given == token => Ok(()),
            Some(_) => Err(Problem::new(Cause::Unauthorised, "the token is not the one of this service")),
            None => {
                let detail = "give the service's token as 'Authorization: Bearer TOKEN'";
                Err(Problem::new(Cause::Unauthorised, detail))
            }
        }
    }
}

/// The token of an `Authorization` header.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

/// The host that a request is meant for, without its port.
fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    if let Some(host) = uri.host() {
        return Some(host);
    }
    let host = headers.get(header::HOST)?.to_str().ok()?;
    match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next(),
        None => host.split(':').next(),
    }
}

fn is_here(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let is_loopback = host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    is_loopback || host.eq_ignore_ascii_case("localhost")
}

/// Lets a request pass, or answers why not.
pub(super) async fn checked(
    State(service): State<Arc<Service>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    service.access.check(request.uri(), request.headers())?;
    Ok(next.run(request).await)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[test]
    fn the_token_is_asked_for_where_something_can_be_read() {
        let access = Access { token: Some(blake3::hash(b"secret")), is_local: false };
        let check = |path: &'static str, value: &str| {
            access.check(&Uri::from_static(path), &headers(header::AUTHORIZATION, value)).is_ok()
        };
        assert!(check("/v1/search", "Bearer secret") && check("/v1/search", "bearer  secret"));
        for value in ["", "secret", "Bearer", "Bearer secre", "Bearer secret1", "Basic secret"] {
            assert!(!check("/v1/search", value) && !check("/metrics", value), "{value}");
            assert!(check("/healthz", value) && check("/page/app.js", value));
        }
    }

    #[test]
    fn without_a_token_only_names_of_this_host_are_answered_to() {
        let access = Access { token: None, is_local: true };
        let check =
            |host| access.check(&Uri::from_static("/v1/search"), &headers(header::HOST, host)).is_ok();
        for host in ["localhost", "LOCALHOST:7878", "127.0.0.1:7878", "[::1]:7878", "127.1.2.3"] {
            assert!(check(host), "{host}");
        }
        for host in ["", "example.org", "localhost.example.org:7878", "10.0.0.1", "[::2]:1"] {
            assert!(!check(host), "{host}");
        }
    }
}
