//! Pictures on a page, inside the page itself, with boxes drawn over them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, html};

use crate::core::Bbox;
use crate::picture::{Filter, Picture};

const JPEG_QUALITY: u8 = 82;

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
    format!("0 0 {} {}", picture.width, picture.height)
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
    let side = |px: u32| (f64::from(px) * f64::from(long_px) / f64::from(long)).round().max(1.0) as u32;
    let whole = Bbox::of_image(picture.width, picture.height);
    let small = picture.resize(whole, side(picture.width), side(picture.height), Filter::Bicubic);
    data_uri("jpeg", &small.to_jpeg(JPEG_QUALITY))
}

/// An image file of some kind as an address.
pub(super) fn data_uri(kind: &str, bytes: &[u8]) -> String {
    format!("data:image/{kind};base64,{}", STANDARD.encode(bytes))
}
