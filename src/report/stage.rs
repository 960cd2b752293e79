//! A picture with boxes over it and a caption below, as protocols show what was asked and found.

use maud::{Markup, html};

use super::figure::{jpeg, rectangle, view_box};
use crate::core::Bbox;
use crate::picture::Picture;

/// Long side of a picture on the page, in pixels.
const SHOWN_PX: u32 = 320;

/// The picture, or why it cannot be shown; each box has a class of the style.
pub(super) fn stage(picture: Result<Picture, String>, boxes: &[(Bbox, &str)], caption: Markup) -> Markup {
    html! {
        figure {
            @match picture {
                Ok(picture) => div.stage {
                    img src=(jpeg(&picture, SHOWN_PX)) alt="";
                    svg viewBox=(view_box(&picture)) aria-hidden="true" {
                        @for (bbox, class) in boxes { (rectangle(bbox, class)) }
                    }
                },
                Err(reason) => p.gone { "The picture cannot be shown: " (reason) },
            }
            figcaption { (caption) }
        }
    }
}
