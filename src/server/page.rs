//! The page for people: its files, embedded. It loads nothing from elsewhere, and has no build step.

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::problem::{Cause, Problem};

/// Scripts and styles are files of the service, pictures its own or made in the browser; nobody may frame the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Name, media type and text of each file.
const FILES: [(&str, &str, &str); 13] = [
    ("page.css", "text/css; charset=utf-8", include_str!("page/page.css")),
    ("icon.svg", "image/svg+xml", include_str!("page/icon.svg")),
    ("page.js", SCRIPT, include_str!("page/page.js")),
    ("address.js", SCRIPT, include_str!("page/address.js")),
    ("boxes.js", SCRIPT, include_str!("page/boxes.js")),
    ("dom.js", SCRIPT, include_str!("page/dom.js")),
    ("gallery.js", SCRIPT, include_str!("page/gallery.js")),
    ("hits.js", SCRIPT, include_str!("page/hits.js")),
    ("query.js", SCRIPT, include_str!("page/query.js")),
    ("service.js", SCRIPT, include_str!("page/service.js")),
    ("stage.js", SCRIPT, include_str!("page/stage.js")),
    ("uploads.js", SCRIPT, include_str!("page/uploads.js")),
    ("viewer.js", SCRIPT, include_str!("page/viewer.js")),
];

fn served(media_type: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, media_type),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        // The next version has other files under the same names.
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, text).into_response()
}

/// The page.
pub(super) async fn index() -> Response {
    served("text/html; charset=utf-8", include_str!("page/index.html"))
}

/// A file of the page.
pub(super) async fn file(name: Result<Path<String>, PathRejection>) -> Result<Response, Problem> {
    let Path(name) = name?;
    let found = FILES.iter().find(|(held, _, _)| *held == name);
    let (_, media_type, text) =
        found.ok_or_else(|| Problem::new(Cause::NotFound, format!("the page has no file '{name}'")))?;
    Ok(served(media_type, text))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_file_of_the_page_is_served_and_none_is_forgotten() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/server/page");
        let held =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let served = FILES.iter().map(|(name, _, _)| (*name).to_owned()).chain(["index.html".to_owned()]);
        assert_eq!(held.collect::<BTreeSet<_>>(), served.collect::<BTreeSet<_>>());
    }

    #[test]
    fn the_page_names_nothing_that_lies_elsewhere() {
        let texts = FILES.iter().map(|(_, _, text)| *text).chain([include_str!("page/index.html")]);
        for text in texts {
            let elsewhere = text.matches("://").count() - text.matches("http://www.w3.org/2000/svg").count();
            assert_eq!(elsewhere, 0, "{text}");
        }
    }

    #[test]
    fn data_never_become_markup() {
        for (name, _, text) in FILES {
            for markup in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
                assert!(!text.contains(markup), "{markup} in {name}");
            }
        }
    }
}
