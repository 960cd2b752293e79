//! Pictures on a page, inside the page itself, with boxes drawn over them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, html};

use crate::core::{Bbox, Match};
use crate::picture::{Filter, Picture};

const JPEG_QUALITY: u8 = 82;
/// Matches drawn for one hit.
const MATCHES_DRAWN: usize = 12;

/// The outline of a box, of a class that the style has.
pub(super) fn rectangle(bbox: &Bbox, class: &str) -> Markup {
    html! {
        // A light line on a dark one is seen on any picture.
        rect class={ (class) " under" } x=(px(bbox.x)) y=(px(bbox.y)) width=(px(bbox.w)) height=(px(bbox.h)) {}
        rect class=(class) x=(px(bbox.x)) y=(px(bbox.y)) width=(px(bbox.w)) height=(px(bbox.h)) {}
    }
}

/// The picture's own coordinates, for what is drawn over it.
pub(super) fn view_box(picture: &Picture) -> String {
    view_box_of(&Bbox::of_image(picture.width, picture.height))
}

/// The same for a part of it.
pub(super) fn view_box_of(area: &Bbox) -> String {
    format!("{} {} {} {}", area.x, area.y, area.w, area.h)
}

/// The matches that are drawn, strongest first, each with its colour as a style.
pub(super) fn coloured(matches: &[Match]) -> impl Iterator<Item = (String, &Match)> {
    let drawn = matches.len().min(MATCHES_DRAWN);
    matches
        .iter()
        .take(drawn)
        .enumerate()
        .map(move |(at, found)| (format!("--hue:{}", at * 360 / drawn), found))
}

pub(super) fn px(value: f32) -> String {
    format!("{value:.1}")
}

/// A box in words.
pub(super) fn shown(bbox: &Bbox) -> String {
    format!("{:.0}, {:.0}, {:.0} × {:.0} px", bbox.x, bbox.y, bbox.w, bbox.h)
}

/// The picture as a JPEG whose long side has `long_px` at most: no larger than the page needs.
pub(super) fn jpeg(picture: &Picture, long_px: u32) -> String {
    let long = picture.width.max(picture.height);
    if long <= long_px {
        return data_uri("jpeg", &picture.to_jpeg(JPEG_QUALITY));
    }
    jpeg_of_part(picture, Bbox::of_image(picture.width, picture.height), long_px)
}

/// A part of the picture, likewise.
pub(super) fn jpeg_of_part(picture: &Picture, area: Bbox, long_px: u32) -> String {
    let scale = (f64::from(long_px) / f64::from(area.w.max(area.h))).min(1.0);
    let side = |px: f32| (f64::from(px) * scale).round().max(1.0) as u32;
    let small = picture.resize(area, side(area.w), side(area.h), Filter::Bicubic);
    data_uri("jpeg", &small.to_jpeg(JPEG_QUALITY))
}

/// An image file of some kind as an address.
pub(super) fn data_uri(kind: &str, bytes: &[u8]) -> String {
    format!("data:image/{kind};base64,{}", STANDARD.encode(bytes))
}
