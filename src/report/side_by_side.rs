//! A hit beside what was asked: both boxes with something around them, the strongest matches as lines between.

use maud::{Markup, html};

use super::figure::{coloured, jpeg_of_part, px, rectangle, view_box_of};
use crate::core::{Bbox, Hit};
use crate::picture::Picture;

/// Long side of a picture in pixels, and in units of the drawing.
const SIDE_PX: u32 = 320;
const SIDE: f32 = SIDE_PX as f32;
/// Between the two.
const GAP: f32 = 48.0;
/// What is shown around a box, as a share of its long side.
const MARGIN: f32 = 0.25;
/// Name of the crop within the page.
const CROP: &str = "crop";

/// The part of the query image that is drawn beside every hit.
pub(super) struct Crop(Bbox);

impl Crop {
    /// What shows the boxes, and every token that a line starts from.
    pub fn of(picture: &Picture, boxes: &[Bbox], hits: &[Hit]) -> Self {
        let tokens = hits.iter().flat_map(|hit| coloured(&hit.matches)).map(|(_, found)| found.query_box);
        Self(part_with(picture, boxes, tokens))
    }

    /// Its picture with the boxes, which stands in the page once.
    pub fn symbol(&self, picture: &Picture, boxes: &[Bbox]) -> Markup {
        html! {
            svg.crop width="0" height="0" aria-hidden="true" {
                symbol id=(CROP) viewBox=(view_box_of(&self.0)) { (drawn(picture, &self.0, boxes)) }
            }
        }
    }

    /// The crop at the left, the hit in its picture at the right.
    pub fn beside(&self, hit: &Hit, picture: &Picture) -> Markup {
        let boxes = std::slice::from_ref(&hit.bbox);
        let area = part_with(picture, boxes, coloured(&hit.matches).map(|(_, found)| found.patch_box));
        let height = fitted(&self.0).h.max(fitted(&area).h);
        let (left, right) = (placed(&self.0, 0.0, height), placed(&area, SIDE + GAP, height));
        let lines: Vec<_> = coloured(&hit.matches)
            .map(|(colour, found)| {
                let from = point(found.query_box.center(), &self.0, &left);
                (colour, from, point(found.patch_box.center(), &area, &right))
            })
            .collect();
        let label = format!("{} matches between the query, at the left, and {}", lines.len(), hit.image);
        html! {
            svg viewBox={ "0 0 " (2.0 * SIDE + GAP) " " (px(height)) } role="img" aria-label=(label) {
                use href={ "#" (CROP) } x=(px(left.x)) y=(px(left.y)) width=(px(left.w)) height=(px(left.h)) {}
                svg x=(px(right.x)) y=(px(right.y)) width=(px(right.w)) height=(px(right.h)) viewBox=(view_box_of(&area)) {
                    (drawn(picture, &area, boxes))
                }
                // All shadows below all lines.
                @for (_, from, to) in &lines { (line("line under", from, to)) }
                @for (colour, from, to) in &lines {
                    g style=(colour) {
                        (line("line", from, to))
                        @for end in [from, to] { circle.end cx=(px(end.0)) cy=(px(end.1)) r="3.5" {} }
                    }
                }
            }
        }
    }
}

/// The part of a picture around boxes, with some margin; it holds the rectangles too.
fn part_with(picture: &Picture, boxes: &[Bbox], rectangles: impl Iterator<Item = Bbox>) -> Bbox {
    let wide = boxes.iter().map(|bbox| {
        let margin = MARGIN * bbox.w.max(bbox.h);
        Bbox::new(bbox.x - margin, bbox.y - margin, bbox.w + 2.0 * margin, bbox.h + 2.0 * margin)
    });
    let whole = Bbox::of_image(picture.width, picture.height);
    wide.chain(rectangles).reduce(around).map_or(whole, |part| part.intersection(&whole))
}

fn around(a: Bbox, b: Bbox) -> Bbox {
    Bbox::from_corners(a.x.min(b.x), a.y.min(b.y), a.right().max(b.right()), a.bottom().max(b.bottom()))
}

/// A part of a picture in the picture's own coordinates.
fn drawn(picture: &Picture, area: &Bbox, boxes: &[Bbox]) -> Markup {
    html! {
        image href=(jpeg_of_part(picture, *area, SIDE_PX)) preserveAspectRatio="none"
            x=(px(area.x)) y=(px(area.y)) width=(px(area.w)) height=(px(area.h)) {}
        @for bbox in boxes { (rectangle(bbox, "box")) }
    }
}

/// As large as it can be in a square of the drawing.
fn fitted(area: &Bbox) -> Bbox {
    let scale = SIDE / area.w.max(area.h).max(1.0);
    Bbox::new(0.0, 0.0, area.w * scale, area.h * scale)
}

/// In the middle of its half of a drawing.
fn placed(area: &Bbox, left: f32, height: f32) -> Bbox {
    let Bbox { w, h, .. } = fitted(area);
    Bbox::new(left + (SIDE - w) / 2.0, (height - h) / 2.0, w, h)
}

/// Where a point of a picture is in the drawing: at the edge where that part is not shown.
fn point((x, y): (f32, f32), area: &Bbox, at: &Bbox) -> (f32, f32) {
    let along = |offset: f32, side: f32| (offset / side.max(1.0)).clamp(0.0, 1.0);
    (at.x + at.w * along(x - area.x, area.w), at.y + at.h * along(y - area.y, area.h))
}

fn line(class: &str, from: &(f32, f32), to: &(f32, f32)) -> Markup {
    html! { line class=(class) x1=(px(from.0)) y1=(px(from.1)) x2=(px(to.0)) y2=(px(to.1)) {} }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{Match, StageScores};

    fn picture(width: u32, height: u32) -> Picture {
        Picture { width, height, rgb: vec![90; (width * height * 3) as usize] }
    }

    fn hit(image: &str, matches: usize) -> Hit {
        let patch = |at: usize| Bbox::new(20.0 + at as f32, 30.0, 10.0, 10.0);
        Hit {
            rank: 1,
            image: image.to_owned(),
            id: String::new(),
            width: 8,
            height: 8,
            metadata: serde_json::Map::new(),
            bbox: Bbox::new(20.0, 20.0, 40.0, 20.0),
            score: 0.5,
            probability: 0.9,
            scores: StageScores::default(),
            matches: (0..matches)
                .map(|at| Match { query_box: patch(at), patch_box: patch(at), similarity: 0.9 })
                .collect(),
            duplicates: Vec::new(),
        }
    }

    #[test]
    fn each_match_is_a_line_up_to_twelve() {
        let picture = picture(100, 80);
        for (matches, lines) in [(0, 0), (1, 1), (7, 7), (12, 12), (13, 12), (40, 12)] {
            let hit = hit("a.jpg", matches);
            let crop = Crop::of(&picture, &[hit.bbox], std::slice::from_ref(&hit));
            let text = crop.beside(&hit, &picture).into_string();
            assert_eq!(text.matches("class=\"line\"").count(), lines, "{text}");
            assert_eq!(text.matches("<circle").count(), 2 * lines, "{text}");
        }
    }

    #[test]
    fn a_line_joins_the_centres_of_token_and_patch() {
        let picture = picture(100, 80);
        let mut hit = hit("a.jpg", 1);
        let crop = Crop::of(&picture, &[Bbox::of_image(100, 80)], &[]);
        hit.bbox = Bbox::of_image(100, 80);
        hit.matches[0].patch_box = Bbox::new(90.0, 70.0, 10.0, 10.0);
        let text = crop.beside(&hit, &picture).into_string();
        // 3.2 units a pixel: from (25, 35), to (95, 75) behind 368 units.
        assert!(text.contains(r#"class="line" x1="80.0" y1="112.0" x2="672.0" y2="240.0""#), "{text}");
    }

    #[test]
    fn the_part_has_a_margin_holds_every_token_and_ends_with_the_picture() {
        let picture = picture(100, 80);
        let bbox = Bbox::new(40.0, 10.0, 20.0, 8.0);
        let part = |rectangles: &[Bbox]| part_with(&picture, &[bbox], rectangles.iter().copied());
        assert_eq!(part(&[]), Bbox::new(35.0, 5.0, 30.0, 18.0));
        assert_eq!(part(&[Bbox::new(0.0, 60.0, 10.0, 30.0)]), Bbox::from_corners(0.0, 5.0, 65.0, 80.0));
        assert_eq!(part_with(&picture, &[], std::iter::empty()), Bbox::of_image(100, 80));
    }

    #[test]
    fn a_picture_as_thin_as_a_line_is_drawn() {
        let thin = picture(700, 1);
        let mut hit = hit("a.jpg", 2);
        hit.bbox = Bbox::of_image(700, 1);
        let text = Crop::of(&thin, &[hit.bbox], &[]).beside(&hit, &thin).into_string();
        assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
    }

    #[test]
    fn names_are_text_and_never_markup() {
        let picture = picture(100, 80);
        let hit = hit("\"><script>&.jpg", 1);
        let text = Crop::of(&picture, &[hit.bbox], &[]).beside(&hit, &picture).into_string();
        assert!(text.contains("&quot;&gt;&lt;script&gt;&amp;.jpg") && !text.contains("<script"), "{text}");
    }
}
