//! In which views of the query image a box is seen, and which of their patches are its tokens.
//!
//! Context decides: the whole image is embedded, not the crop, and the tokens inside the box are taken. So does scale: what is
//! as many patches large as in the gallery looks alike to the model, and in how many it appears there nobody knows. Hence a
//! box is seen in several sizes. Only a box that would have too few patches in the whole image is zoomed in on, with as much
//! context as the gallery's size of an image leaves.

use std::sync::Arc;

use crate::core::{Bbox, Grid, Mask, Pose, Posed};

/// Zooming in further than this shows things as no gallery image does.
const MAX_ZOOM: f32 = 4.0;
/// Views whose sizes differ by less than this factor see the same.
const SAME_SIZE: f32 = 1.15;

/// A part of the query image to embed, and how large.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QueryView {
    /// Rectangle of the upright image.
    pub area: Bbox,
    /// How much larger than at the gallery's scale things appear.
    pub zoom: f32,
}

/// A view as the model saw it.
#[derive(Clone, Debug)]
pub struct SeenView {
    /// The view.
    pub view: QueryView,
    /// Where its patches lie.
    pub grid: Grid,
    /// Their prepared vectors, patches × `dim`.
    pub vectors: Vec<f32>,
    /// Numbers in a vector.
    pub dim: usize,
    /// Which patches are artefacts of the model ([`crate::dims::long_rows`]): they say something of the whole image instead of
    /// their place. As many as there are patches, or none where that is not known.
    pub artefacts: Vec<bool>,
}

/// What is marked in a query image: one of the places that show what is looked for, as the image is held in one pose.
#[derive(Clone, Debug, PartialEq)]
pub struct Marked {
    /// The box around it, in pixels of the posed image.
    pub bbox: Bbox,
    /// Which pixels of the upright image are meant; none: all in the box.
    pub mask: Option<Arc<Mask>>,
    /// How the image is held.
    pub posed: Posed,
}

/// The tokens of one box, seen in one size.
#[derive(Clone, Debug, PartialEq)]
pub struct QueryTokens {
    /// What they are the tokens of. What is compared with boxes of the same image is in the frame of its pose.
    pub marked: Marked,
    /// Prepared vectors, `len`×`dim`.
    pub vectors: Vec<f32>,
    /// Each token's rectangle in the posed query image.
    pub boxes: Vec<Bbox>,
    /// Numbers in a vector.
    pub dim: usize,
    /// The view of the query image that they come from, or that of the look for which they were found.
    pub view: QueryView,
}

/// The views for `bbox` in an image of `width`×`height` pixels, when a whole image of the gallery has `long_side_patches` patches
/// along its long side: one for each of `sizes`, the patches along the side of a square as large as the box, as far as zooming out to
/// `least_zoom` and in is of use; last the whole image as large as one of the gallery, in which a copy is found exactly. Sizes that
/// come to nearly the same are one view.
pub fn choose_views(
    bbox: &Bbox,
    width: u32,
    height: u32,
    long_side_patches: f32,
    sizes: &[f32],
    least_zoom: f32,
) -> Vec<QueryView> {
    let whole = Bbox::of_image(width, height);
    let patch_px = whole.w.max(whole.h) / long_side_patches;
    let mut views = vec![QueryView { area: whole, zoom: 1.0 }];
    for size in sizes {
        let zoom = (size * patch_px / bbox.area().sqrt()).clamp(least_zoom, MAX_ZOOM);
        let is_new = |view: &QueryView| (zoom / view.zoom).max(view.zoom / zoom) >= SAME_SIZE;
        if views.iter().all(is_new) {
            views.push(QueryView { area: window(bbox, &whole, zoom), zoom });
        }
    }
    views.rotate_left(1);
    views
}

/// The part of an image around `bbox` that is `zoom` times as small as the whole, and not smaller than the box. It keeps the
/// image's aspect unless the box is longer, and is moved, not cut, where it would stick out.
fn window(bbox: &Bbox, whole: &Bbox, zoom: f32) -> Bbox {
    let share = zoom.max(1.0);
    let (w, h) = ((whole.w / share).max(bbox.w), (whole.h / share).max(bbox.h));
    let (w, h) = (w.min(whole.w), h.min(whole.h));
    let (cx, cy) = bbox.center();
    let x = (cx - w / 2.0).clamp(0.0, whole.w - w);
    let y = (cy - h / 2.0).clamp(0.0, whole.h - h);
    Bbox::new(x, y, w, h)
}

/// `most` of `all` at most, spread evenly.
pub(super) fn thinned<T: Copy>(all: &[T], most: usize) -> Vec<T> {
    let count = all.len().min(most);
    (0..count).map(|at| all[at * all.len() / count]).collect()
}

impl Marked {
    /// What is marked in an image of `width`×`height` pixels, held in `pose`.
    pub fn new(bbox: &Bbox, mask: Option<&Arc<Mask>>, (width, height): (u32, u32), pose: Pose) -> Self {
        let posed = Posed { pose, width, height };
        Self { bbox: posed.place(bbox), mask: mask.cloned(), posed }
    }

    /// Whether a point of the posed image is meant.
    pub fn contains(&self, x: f32, y: f32) -> bool {
        let is_masked = |mask: &Arc<Mask>| {
            let at = self.posed.back(&Bbox::new(x, y, 0.0, 0.0));
            mask.contains(at.x, at.y)
        };
        self.bbox.contains(x, y) && self.mask.as_ref().is_none_or(is_masked)
    }
}

impl QueryTokens {
    /// The tokens of what is marked among the patches of a view: those whose centre lies inside, or the one nearest to the box's
    /// centre, thinned evenly to `max_tokens`. Artefacts are left out where there is anything else.
    pub fn select(marked: Marked, seen: &SeenView, max_tokens: usize) -> Self {
        let SeenView { view, ref grid, ref vectors, dim, ref artefacts } = *seen;
        let center = |index: usize| grid.patch_box(index).center();
        let mut inside: Vec<usize> = (0..grid.len())
            .filter(|&index| {
                let (x, y) = center(index);
                marked.contains(x, y)
            })
            .collect();
        let is_artefact = |index: &usize| artefacts.get(*index).is_some_and(|&is| is);
        if !inside.iter().all(is_artefact) {
            inside.retain(|index| !is_artefact(index));
        }
        if inside.is_empty() {
            let (cx, cy) = marked.bbox.center();
            let distance = |index: &usize| {
                let (x, y) = center(*index);
                (x - cx).powi(2) + (y - cy).powi(2)
            };
            let by_distance = |a: &usize, b: &usize| distance(a).total_cmp(&distance(b));
            let by_worth = |a: &usize, b: &usize| is_artefact(a).cmp(&is_artefact(b)).then(by_distance(a, b));
            inside.extend((0..grid.len()).min_by(by_worth));
        }
        let chosen = thinned(&inside, max_tokens.max(1));
        Self {
            marked,
            vectors: chosen.iter().flat_map(|&at| &vectors[at * dim..(at + 1) * dim]).copied().collect(),
            boxes: chosen.iter().map(|&at| grid.patch_box(at)).collect(),
            dim,
            view,
        }
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.boxes.len()
    }

    /// Whether there is no token.
    pub fn is_empty(&self) -> bool {
        self.boxes.is_empty()
    }

    /// Side of a patch of the view in query pixels: mean of width and height.
    pub fn patch_px(&self) -> f32 {
        self.boxes.first().map_or(1.0, |patch| (patch.w + patch.h) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_box_is_seen_in_the_whole_image_in_every_size() {
        let views =
            choose_views(&Bbox::new(100.0, 100.0, 250.0, 160.0), 640, 480, 32.0, &[4.0, 4.1, 10.0], 0.1);
        let whole = Bbox::of_image(640, 480);
        assert_eq!(views, [0.4, 1.0].map(|zoom| QueryView { area: whole, zoom }));
    }

    #[test]
    fn a_small_box_is_zoomed_in_on_and_stays_inside() {
        let bbox = Bbox::new(630.0, 5.0, 10.0, 20.0);
        let views = choose_views(&bbox, 640, 480, 37.0, &[9.0, 13.0], 0.1);
        let [view, _] = views[..] else { panic!("{views:?}") };
        assert_eq!(view.zoom, MAX_ZOOM);
        let inside =
            |inner: &Bbox, outer: &Bbox| (inner.intersection(outer).area() / inner.area() - 1.0).abs() < 1e-4;
        assert!(inside(&bbox, &view.area), "{view:?}");
        assert!(inside(&view.area, &Bbox::of_image(640, 480)), "{view:?}");
        assert!((view.area.w / view.area.h - 640.0 / 480.0).abs() < 1e-3);
    }

    #[test]
    fn zooming_out_has_an_end() {
        let views = choose_views(&Bbox::of_image(640, 640), 640, 640, 32.0, &[4.0, 6.0, 16.0], 0.25);
        assert_eq!(views.iter().map(|view| view.zoom).collect::<Vec<_>>(), [0.25, 0.5, 1.0]);
    }

    #[test]
    fn tokens_are_the_patches_inside_and_at_least_one() {
        let grid = Grid { area: Bbox::new(0.0, 0.0, 40.0, 40.0), rows: 4, cols: 4 };
        let vectors: Vec<f32> = (0..16).map(|at| at as f32).collect();
        let view = QueryView { area: grid.area, zoom: 1.0 };
        let marked =
            |bbox: Bbox, mask: Option<&Arc<Mask>>| Marked::new(&bbox, mask, (40, 40), Pose::default());
        let mut seen = SeenView { view, grid, vectors, dim: 1, artefacts: Vec::new() };
        let select = |bbox, most| QueryTokens::select(marked(bbox, None), &seen, most).vectors;
        assert_eq!(select(Bbox::new(10.0, 10.0, 20.0, 20.0), 9), vec![5.0, 6.0, 9.0, 10.0]);
        assert_eq!(select(Bbox::new(31.0, 31.0, 1.0, 1.0), 9), vec![15.0]);
        assert_eq!(select(Bbox::new(0.0, 0.0, 40.0, 40.0), 4), vec![0.0, 4.0, 8.0, 12.0]);
        let lower_left = Arc::new(Mask::new(40, (0..1600).map(|at| at % 40 < at / 40).collect()));
        let masked = marked(Bbox::new(10.0, 10.0, 20.0, 20.0), Some(&lower_left));
        assert_eq!(QueryTokens::select(masked, &seen, 9).vectors, vec![9.0]);
        seen.artefacts = (0..16).map(|at| at == 6 || at == 15).collect();
        let select = |bbox, most| QueryTokens::select(marked(bbox, None), &seen, most).vectors;
        assert_eq!(select(Bbox::new(10.0, 10.0, 20.0, 20.0), 9), vec![5.0, 9.0, 10.0]);
        assert_eq!(select(Bbox::new(31.0, 31.0, 9.0, 9.0), 9), vec![15.0], "there is nothing else");
        assert_eq!(select(Bbox::new(31.0, 32.0, 1.0, 1.0), 9), vec![14.0], "no centre lies inside");
    }

    #[test]
    fn a_mask_stays_on_what_is_meant_in_every_pose() {
        // One pixel in a corner of the box.
        let mask = Arc::new(Mask::new(30, (0..600).map(|at| at == 4 * 30 + 12).collect()));
        for pose in Pose::all(true, true) {
            let marked = Marked::new(&Bbox::new(12.0, 4.0, 6.0, 5.0), Some(&mask), (30, 20), pose);
            let inside = |at: u32| marked.contains((at % 30) as f32 + 0.5, (at / 30) as f32 + 0.5);
            let pixels: Vec<u32> = (0..900).filter(|&at| inside(at)).collect();
            let there = marked.posed.place(&Bbox::new(12.0, 4.0, 1.0, 1.0));
            assert_eq!(pixels, [there.y as u32 * 30 + there.x as u32], "{pose:?}");
        }
    }
}
