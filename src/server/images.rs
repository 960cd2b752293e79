//! Routes of images: the list, what is known of one, its file, and small pictures of it.

use std::sync::Arc;

use axum::Extension;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use super::Service;
use super::catalogue::Commit;
use super::names::{DEFAULT_PX, ImageLinks};
use super::originals;
use super::problem::{Cause, Problem};
use super::record::Deadline;
use super::renditions::{Rendition, jpeg};
use super::routes::{Problems, json, off_thread};
use crate::collection::{CollectionError, Filter};
use crate::core::Bbox;
use crate::picture;
use crate::query::boxes_inside;
use crate::segment::ImageView;

/// Images of a page where nobody says how many, and at most.
const DEFAULT_LIMIT: u32 = 100;
const MAX_LIMIT: u32 = 1000;
/// Sides of small pictures, in pixels.
const LEAST_PX: u32 = 16;
const MOST_PX: u32 = 2048;
/// What an id names never changes; a token may.
const CACHE_CONTROL: &str = "private, max-age=86400, immutable";

/// Which images are listed.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// The collection; where there is one only, it needs no name.
    collection: Option<String>,
    /// Images of a page at most; 100 where nothing is said.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next` of the page before.
    after: Option<String>,
    /// Condition that images must meet, such as `camera = 'c2' and year >= 2020`.
    #[serde(rename = "where")]
    filter: Option<String>,
}

/// Which collection an image is in.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ImageQuery {
    /// The collection; where there is one only, it needs no name.
    pub collection: Option<String>,
}

/// Which small picture.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ThumbnailQuery {
    /// The collection; where there is one only, it needs no name.
    collection: Option<String>,
    /// Long side at most, in pixels; 320 where nothing is said. Nothing is enlarged.
    #[param(minimum = 16, maximum = 2048)]
    px: Option<u32>,
}

/// Which part of an image.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct CropQuery {
    /// The collection; where there is one only, it needs no name.
    collection: Option<String>,
    /// `x,y,w,h` in pixels of the upright image; cut to the image.
    #[serde(rename = "box")]
    #[param(example = "300,190,170,150")]
    bbox: String,
    /// Long side at most, in pixels; 320 where nothing is said. Nothing is enlarged.
    #[param(minimum = 16, maximum = 2048)]
    px: Option<u32>,
}

/// An image of a collection.
#[derive(Serialize, ToSchema)]
pub(super) struct ImageFacts {
    /// The first 16 hexadecimal digits of the BLAKE3 of its file: copies have the same.
    id: String,
    /// Path relative to the collection's root, `/`-separated; bytes that are no UTF-8 are shown as U+FFFD.
    path: String,
    /// Width of the upright image, in pixels.
    width: u32,
    /// Height of the upright image, in pixels.
    height: u32,
    /// Size of its file.
    bytes: u64,
    /// Stored patches.
    patches: usize,
    /// What the user said about it.
    metadata: Map<String, Value>,
    links: ImageLinks,
}

/// An image of a collection, and its copies.
#[derive(Serialize, ToSchema)]
pub(super) struct ImageWithCopies {
    #[serde(flatten)]
    image: ImageFacts,
    /// Paths of further images with the same bytes.
    copies: Vec<String>,
}

/// A page of a collection's images, in order of the bytes of their paths.
#[derive(Serialize, ToSchema)]
pub(super) struct ImagePage {
    /// Images that meet the condition, on all pages.
    total: usize,
    images: Vec<ImageFacts>,
    /// `after` of the next page; null on the last one.
    next: Option<String>,
}

impl ImageFacts {
    fn of(commit: &Commit, (segment, image): (usize, ImageView<'_>)) -> Result<Self, CollectionError> {
        let table = commit.collection.segments()[segment].metadata()?;
        let id = image.id();
        Ok(Self {
            path: image.path_text(),
            width: image.row.width_px,
            height: image.row.height_px,
            bytes: image.row.file_bytes,
            patches: image.patch_count(),
            metadata: table.map(|table| table.row(image.index)).unwrap_or_default(),
            links: ImageLinks::of(&commit.name, &id),
            id,
        })
    }
}

/// The images of a collection.
#[utoipa::path(get, path = "/v1/images", tag = "images", params(ListQuery), responses(
    (status = 200, description = "A page of them", body = ImagePage),
    Problems
))]
pub(super) async fn list(
    State(service): State<Arc<Service>>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(asked) = query?;
    let commit = service.catalogue.named(asked.collection.as_deref())?;
    let page = off_thread(move || page(&commit, &asked)).await?;
    json(&page)
}

fn page(commit: &Commit, asked: &ListQuery) -> Result<ImagePage, Problem> {
    let limit = number("limit", asked.limit, DEFAULT_LIMIT, 1, MAX_LIMIT)? as usize;
    let after = match &asked.after {
        Some(cursor) => URL_SAFE_NO_PAD.decode(cursor).map(Some).map_err(|_| {
            Problem::new(Cause::Invalid, "after is no cursor: give 'next' of the page before")
        })?,
        None => None,
    };
    let filter = asked.filter.as_ref().map(|filter| filter.parse::<Filter>()).transpose()?;
    let matching = filter.map(|filter| commit.collection.matching(&filter)).transpose()?;
    let total = match &matching {
        Some(segments) => segments.iter().flatten().filter(|&&meets| meets).count(),
        None => commit.image_count(),
    };
    let first = after.map_or(0, |path| commit.place_behind(&path));
    let mut images = Vec::new();
    let mut last: Option<&[u8]> = None;
    for found in commit.images_from(first) {
        let (segment, image) = found?;
        if matching.as_ref().is_some_and(|segments| !segments[segment][image.index]) {
            continue;
        }
        if images.len() == limit {
            return Ok(ImagePage { total, images, next: last.map(|path| URL_SAFE_NO_PAD.encode(path)) });
        }
        last = Some(image.path);
        images.push(ImageFacts::of(commit, (segment, image))?);
    }
    Ok(ImagePage { total, images, next: None })
}

/// What is known of an image.
#[utoipa::path(get, path = "/v1/images/{id}", tag = "images",
    params(("id" = String, Path, description = "Id of an image, as hits have it"), ImageQuery),
    responses((status = 200, description = "The image", body = ImageWithCopies), Problems)
)]
pub(super) async fn image(
    State(service): State<Arc<Service>>,
    id: Result<Path<String>, PathRejection>,
    query: Result<Query<ImageQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let (Path(id), Query(asked)) = (id?, query?);
    let commit = service.catalogue.named(asked.collection.as_deref())?;
    let mut named = commit.with_id(&id)?.into_iter();
    let first =
        named.next().ok_or_else(|| Problem::new(Cause::NotFound, format!("there is no image '{id}'")))?;
    let copies = named.map(|(_, image)| image.path_text()).collect();
    json(&ImageWithCopies { image: ImageFacts::of(&commit, first)?, copies })
}

/// The file of an image, byte for byte as it was indexed.
#[utoipa::path(get, path = "/v1/images/{id}/file", tag = "images",
    params(("id" = String, Path, description = "Id of an image, as hits have it"), ImageQuery),
    responses(
        (status = 200, description = "The file", content_type = "image/*", body = Vec<u8>),
        (status = 304, description = "It is what the client has"),
        Problems
    )
)]
pub(super) async fn file(
    State(service): State<Arc<Service>>,
    id: Result<Path<String>, PathRejection>,
    query: Result<Query<ImageQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (Path(id), Query(asked)) = (id?, query?);
    let commit = service.catalogue.named(asked.collection.as_deref())?;
    let (content, name) = {
        let named = commit.with_id(&id)?;
        let first = &named[0].1;
        (first.row.content, first.path_text())
    };
    let tag = format!("\"{}\"", blake3::Hash::from_bytes(content).to_hex());
    if is_held(&headers, &tag) {
        return Ok(unchanged(&tag));
    }
    let limits = service.options.limits;
    let (bytes, format) = off_thread(move || {
        let bytes = originals::read(&commit, &id)?;
        // It was read when it was indexed; what this limit does not let pass is sent as bytes.
        let format = picture::header(&bytes, &limits).map_or("", |header| header.format);
        Ok((bytes, format))
    })
    .await?;
    let mut response = cached(&tag, originals::media_type(format), bytes);
    let called = name.rsplit('/').next().unwrap_or_default();
    if let Ok(disposition) =
        HeaderValue::from_str(&format!("inline; filename*=UTF-8''{}", percent_encoded(called)))
    {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, disposition);
    }
    Ok(response)
}

/// A small JPEG of an image.
#[utoipa::path(get, path = "/v1/images/{id}/thumbnail", tag = "images",
    params(("id" = String, Path, description = "Id of an image, as hits have it"), ThumbnailQuery),
    responses(
        (status = 200, description = "The picture", content_type = "image/jpeg", body = Vec<u8>),
        (status = 304, description = "It is what the client has"),
        Problems
    )
)]
pub(super) async fn thumbnail(
    State(service): State<Arc<Service>>,
    Extension(deadline): Extension<Deadline>,
    id: Result<Path<String>, PathRejection>,
    query: Result<Query<ThumbnailQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (Path(id), Query(asked)) = (id?, query?);
    let commit = service.catalogue.named(asked.collection.as_deref())?;
    let px = number("px", asked.px, DEFAULT_PX, LEAST_PX, MOST_PX)?;
    let content = commit.with_id(&id)?[0].1.row.content;
    rendered(&service, commit, id, Rendition::new(content, None, px), deadline, &headers).await
}

/// A JPEG of the part of an image that lies in a box.
#[utoipa::path(get, path = "/v1/images/{id}/crop", tag = "images",
    params(("id" = String, Path, description = "Id of an image, as hits have it"), CropQuery),
    responses(
        (status = 200, description = "The picture", content_type = "image/jpeg", body = Vec<u8>),
        (status = 304, description = "It is what the client has"),
        Problems
    )
)]
pub(super) async fn crop(
    State(service): State<Arc<Service>>,
    Extension(deadline): Extension<Deadline>,
    id: Result<Path<String>, PathRejection>,
    query: Result<Query<CropQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (Path(id), Query(asked)) = (id?, query?);
    let commit = service.catalogue.named(asked.collection.as_deref())?;
    let px = number("px", asked.px, DEFAULT_PX, LEAST_PX, MOST_PX)?;
    let bbox: Bbox =
        asked.bbox.parse().map_err(|error| Problem::new(Cause::Invalid, format!("box: {error}")))?;
    let (content, size) = {
        let named = commit.with_id(&id)?;
        let row = named[0].1.row;
        (row.content, (row.width_px, row.height_px))
    };
    let part = boxes_inside(&[bbox], size)?[0];
    rendered(&service, commit, id, Rendition::new(content, Some(part), px), deadline, &headers).await
}

async fn rendered(
    service: &Arc<Service>,
    commit: Arc<Commit>,
    id: String,
    wanted: Rendition,
    Deadline(deadline): Deadline,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let tag = wanted.tag();
    if is_held(headers, &tag) {
        return Ok(unchanged(&tag));
    }
    let bytes = jpeg(service, commit, id, wanted, deadline).await?;
    Ok(cached(&tag, "image/jpeg", bytes))
}

/// A number within its limits.
fn number(name: &str, said: Option<u32>, default: u32, least: u32, most: u32) -> Result<u32, Problem> {
    match said.unwrap_or(default) {
        number if (least..=most).contains(&number) => Ok(number),
        number => {
            let detail = format!("{name} is {number}; give a number from {least} to {most}");
            Err(Problem::new(Cause::Invalid, detail))
        }
    }
}

/// Whether the client says that it has what is tagged so.
fn is_held(headers: &HeaderMap, tag: &str) -> bool {
    let said = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|said| said.to_str().ok());
    said.flat_map(|said| said.split(','))
        .map(str::trim)
        .any(|said| said == "*" || said.strip_prefix("W/").unwrap_or(said) == tag)
}

fn unchanged(tag: &str) -> Response {
    (StatusCode::NOT_MODIFIED, [(header::ETAG, tag), (header::CACHE_CONTROL, CACHE_CONTROL)]).into_response()
}

fn cached(tag: &str, media_type: &str, bytes: impl IntoResponse) -> Response {
    let headers = [
        (header::CONTENT_TYPE, media_type),
        (header::ETAG, tag),
        (header::CACHE_CONTROL, CACHE_CONTROL),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, bytes).into_response()
}

/// A file name as RFC 8187 has it.
fn percent_encoded(name: &str) -> String {
    let encoded = name.bytes().map(|byte| match byte.is_ascii_alphanumeric() || b"-._".contains(&byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    });
    encoded.collect()
}
