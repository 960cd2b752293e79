//! Requests to the hub: redirects, the token, time limits, and the headers that name a file's content. Follows
//! redirects itself, because the headers that count are on the way and the token must not leave the hub's host.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use ureq::http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, ETAG, LOCATION, RANGE};
use ureq::http::{HeaderMap, Request, Response, Uri};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};

use super::{HubError, HubOptions};

/// The time limits are per step: a large file may take hours, as long as bytes keep coming.
const CONNECT_LIMIT: Duration = Duration::from_secs(15);
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
const READ_LIMIT: Duration = Duration::from_secs(60);

/// Redirects in a row before it is taken for a loop.
const MAX_HOPS: usize = 10;

/// A list of files is some hundred kilobytes at most.
const MAX_LISTING_BYTES: u64 = 64 << 20;

/// One hub and the connections to it.
pub(super) struct Client<'a> {
    agent: Agent,
    options: &'a HubOptions,
    origin: Origin,
}

/// The last answer of a chain of redirects.
pub(super) struct Reply {
    pub(super) url: String,
    pub(super) response: Response<Body>,
    pub(super) content: Content,
}

/// What the answers of the hub said about a file's content.
#[derive(Default)]
pub(super) struct Content {
    /// Name of the content: SHA-256 for large (LFS) files, else the id of the git object.
    pub(super) etag: Option<String>,
    pub(super) size_bytes: Option<u64>,
    is_linked: bool,
}

/// Scheme, host and port: to whom the token may be shown.
#[derive(PartialEq, Eq)]
struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    /// Ends where the content is named and the next hop is only its store: signed addresses are good for GET only.
    Head,
    /// From this byte on.
    Get(u64),
}

impl<'a> Client<'a> {
    /// Checks the address of the hub; sends nothing yet.
    pub(super) fn new(options: &'a HubOptions) -> Result<Self, HubError> {
        let bad = || HubError::Endpoint { endpoint: options.endpoint.clone() };
        let origin = Origin::of(&options.endpoint).ok_or_else(bad)?;
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("patchdex/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(CONNECT_LIMIT))
            .timeout_connect(Some(CONNECT_LIMIT))
            .timeout_recv_response(Some(ANSWER_LIMIT))
            .timeout_per_read(Some(READ_LIMIT));
        // Where a company's proxy signs with its own authority, this is how other programs learn of it.
        if origin.scheme == "https"
            && let Some(path) = std::env::var_os("SSL_CERT_FILE").filter(|path| !path.is_empty())
        {
            config =
                config.tls_config(TlsConfig::builder().root_certs(certificates(Path::new(&path))?).build());
        }
        Ok(Self { agent: config.build().new_agent(), options, origin })
    }

    /// Sends a request and follows redirects. An answer with an error status is still an answer.
    pub(super) fn send(&self, method: Method, url: &str) -> Result<Reply, HubError> {
        let mut url = url.to_owned();
        let mut content = Content::default();
        let mut at_home = true;
        for _ in 0..MAX_HOPS {
            let odd = |reason: &str| HubError::Reply { url: url.clone(), reason: reason.to_owned() };
            let origin = Origin::of(&url).ok_or_else(|| odd("it is no http address"))?;
            if self.origin.scheme == "https" && origin.scheme != "https" {
                return Err(odd("it is reached by a redirect from https to plain http"));
            }
            // Once away, always away: no later hop gets the token back.
            at_home &= origin == self.origin;
            let response = self.send_once(method, &url, at_home)?;
            content.note(response.headers(), at_home, response.status().is_redirection());
            if !response.status().is_redirection() {
                return Ok(Reply { url, response, content });
            }
            let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            let next = location.and_then(|location| resolve(&url, location));
            let next = next.ok_or_else(|| odd("it redirects to nowhere"))?;
            let leaves = Origin::of(&next).is_none_or(|origin| origin != self.origin);
            if method == Method::Head && (content.is_linked || leaves && content.etag.is_some()) {
                return Ok(Reply { url, response, content });
            }
            url = next;
        }
        Err(HubError::Reply { url, reason: format!("it is the end of more than {MAX_HOPS} redirects") })
    }

    fn send_once(&self, method: Method, url: &str, with_token: bool) -> Result<Response<Body>, HubError> {
        let mut request = Request::builder().uri(url).header(ACCEPT_ENCODING, "identity");
        match method {
            Method::Head => request = request.method("HEAD"),
            Method::Get(0) => {}
            Method::Get(from) => request = request.header(RANGE, format!("bytes={from}-")),
        }
        if let Some(token) = self.options.token.as_ref().filter(|_| with_token) {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let sent = request.body(()).map_err(ureq::Error::from).and_then(|request| self.agent.run(request));
        sent.map_err(|error| unreachable(url, error))
    }
}

impl Reply {
    /// The text of a header, if it is there and is text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name).and_then(|value| value.to_str().ok())
    }

    /// The whole body, which must be small.
    pub(super) fn into_bytes(self) -> Result<Vec<u8>, HubError> {
        let mut bytes = Vec::new();
        let read = self.response.into_body().into_reader().take(MAX_LISTING_BYTES).read_to_end(&mut bytes);
        read.map_err(|error| unreachable(&self.url, error))?;
        Ok(bytes)
    }

    /// Turns an error status into the error it means for `repo`; `file` is the one asked for, if it was one.
    pub(super) fn check(
        &self,
        options: &HubOptions,
        repo: &str,
        revision: &str,
        file: Option<&str>,
    ) -> Result<(), HubError> {
        let status = self.response.status();
        if !status.is_client_error() && !status.is_server_error() {
            return Ok(());
        }
        let (repo, revision) = (repo.to_owned(), revision.to_owned());
        let (endpoint, status) = (options.endpoint.clone(), status.as_u16());
        let code = self.header("x-error-code").unwrap_or_default();
        Err(match (status, code, file) {
            (_, "RevisionNotFound", _) => HubError::RevisionNotFound { repo, revision, endpoint },
            (401 | 403, _, _) | (_, "GatedRepo", _) => {
                HubError::Gated { repo, endpoint, status, with_token: options.token.is_some() }
            }
            (404, _, Some(file)) if code != "RepoNotFound" => HubError::Reply {
                url: self.url.clone(),
                reason: format!("{file} is in the list of files and yet not found"),
            },
            (404, _, _) => HubError::RepositoryNotFound { repo, revision, endpoint, status },
            _ => {
                let message = self.header("x-error-message").unwrap_or_default().to_owned();
                HubError::Status { url: self.url.clone(), status, message, cached: None }
            }
        })
    }
}

impl Content {
    /// Takes over what one answer says. `X-Linked-*` describes the file behind a redirect and beats `ETag`, which on a
    /// foreign host is a name of that host's own.
    fn note(&mut self, headers: &HeaderMap, at_home: bool, is_redirect: bool) {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let size = |name: &str| text(name).and_then(|value| value.parse().ok());
        if let Some(etag) = text("x-linked-etag").filter(|_| at_home) {
            *self = Self { etag: plain(etag), size_bytes: size("x-linked-size"), is_linked: true };
        } else if !self.is_linked {
            if let Some(etag) = text(ETAG.as_str()).filter(|_| at_home || self.etag.is_none()) {
                self.etag = plain(etag);
            }
            self.size_bytes = size(CONTENT_LENGTH.as_str()).filter(|_| !is_redirect);
        }
    }
}

impl Origin {
    fn of(url: &str) -> Option<Self> {
        let uri: Uri = url.parse().ok()?;
        let scheme = uri.scheme_str()?.to_ascii_lowercase();
        let default_port = match scheme.as_str() {
            "https" => 443,
            "http" => 80,
            _ => return None,
        };
        let port = uri.port_u16().unwrap_or(default_port);
        Some(Self { scheme, host: uri.host()?.to_ascii_lowercase(), port })
    }
}

/// `W/"abc"` and `"abc"` are both `abc`.
fn plain(etag: &str) -> Option<String> {
    let etag = etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"');
    super::cache::is_file_name(etag).then(|| etag.to_owned())
}

/// The address that `location` means on the page `base`.
fn resolve(base: &str, location: &str) -> Option<String> {
    if location.starts_with("http://") || location.starts_with("https://") {
        return Some(location.to_owned());
    }
    let uri: Uri = base.parse().ok()?;
    let (scheme, host) = (uri.scheme_str()?, uri.authority()?);
    if location.starts_with("//") {
        return Some(format!("{scheme}:{location}"));
    }
    if location.starts_with('/') {
        return Some(format!("{scheme}://{host}{location}"));
    }
    let folder = uri.path().rsplit_once('/').map_or("", |(folder, _)| folder);
    Some(format!("{scheme}://{host}{folder}/{location}"))
}

fn certificates(path: &Path) -> Result<RootCerts, HubError> {
    let bad = |reason: String| HubError::Certificates { path: path.to_owned(), reason };
    let pem = std::fs::read(path).map_err(|error| bad(error.to_string()))?;
    let of_item = |item: Result<PemItem<'static>, _>| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    };
    let found: Vec<Certificate<'static>> = parse_pem(&pem).filter_map(of_item).collect();
    if found.is_empty() {
        Err(bad("it holds none".to_owned()))
    } else {
        Ok(RootCerts::new_with_certs(&found))
    }
}

fn unreachable(url: &str, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> HubError {
    HubError::Unreachable { url: url.to_owned(), source: error.into(), cached: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_are_resolved_against_the_page() {
        let page = "https://hub:8443/o/n/resolve/main/a?x=1";
        assert_eq!(resolve(page, "http://cdn/b?s=1").unwrap(), "http://cdn/b?s=1");
        assert_eq!(resolve(page, "//cdn/b").unwrap(), "https://cdn/b");
        assert_eq!(resolve(page, "/api/b?x=://").unwrap(), "https://hub:8443/api/b?x=://");
        assert_eq!(resolve(page, "b").unwrap(), "https://hub:8443/o/n/resolve/main/b");
    }

    #[test]
    fn a_port_or_a_scheme_makes_another_origin() {
        let same = |a, b| Origin::of(a).unwrap() == Origin::of(b).unwrap();
        assert!(same("https://Hub/x", "https://hub:443/y"));
        assert!(!same("https://hub/x", "https://hub:8443/x"));
        assert!(!same("https://hub/x", "http://hub:443/x"));
        assert!(Origin::of("ftp://hub/x").is_none() && Origin::of("hub/x").is_none());
    }

    #[test]
    fn an_etag_that_is_no_file_name_is_no_etag() {
        assert_eq!(plain("W/\"ab-1\"").as_deref(), Some("ab-1"));
        assert_eq!(plain("\"../../x\""), None);
        assert_eq!(plain("\"..\""), None);
        assert_eq!(plain("\"\""), None);
    }
}
