//! The views of an image: the whole of it, and for small objects overlapping tiles or quarters.

use patchdex_format::{TilePlan, ViewPlan};

use crate::core::{Bbox, Grid};
use crate::model::Model;

/// One rendering of an image that goes through the model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct View {
    /// Where its patches lie in the image.
    pub grid: Grid,
    /// Model input size.
    pub width_px: u32,
    /// Model input size.
    pub height_px: u32,
    /// 0 the whole image, 1 a part of it.
    pub kind: u32,
}

/// What is seen of an image beside the whole of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ViewChoice {
    /// Nothing.
    Whole,
    /// Tiles of a fixed size, where the image is larger.
    Tiles(TilePlan),
    /// Its overlapping quarters.
    Pyramid,
}

impl ViewChoice {
    /// What a collection's images are seen as.
    pub fn of(plan: &ViewPlan) -> Self {
        match plan.tiles {
            _ if plan.pyramid => Self::Pyramid,
            Some(tiles) => Self::Tiles(tiles),
            None => Self::Whole,
        }
    }
}

/// The views of an image of `width`×`height` pixels, the whole image first.
pub fn views(width: u32, height: u32, plan: &ViewPlan, model: &Model) -> Vec<View> {
    let view = |area: Bbox, kind: u32| {
        let patch_px = model.spec.patch_px;
        let (width_px, height_px) = model.sizes.view_size(area.w, area.h, plan.long_side_px, patch_px);
        let grid = Grid { area, rows: height_px / patch_px, cols: width_px / patch_px };
        View { grid, width_px, height_px, kind }
    };
    let mut views = vec![view(Bbox::of_image(width, height), 0)];
    if let Some(tiles) = plan.tiles {
        views.extend(tile_areas(width, height, tiles).into_iter().map(|area| view(area, 1)));
    }
    if plan.pyramid {
        views.extend(quarters(width, height).map(|area| view(area, 1)));
    }
    views
}

/// Tiles of equal size, row by row, spread so that they cover the image and overlap by at least what is asked. None
/// when one tile would show the whole image.
fn tile_areas(width: u32, height: u32, plan: TilePlan) -> Vec<Bbox> {
    if width <= plan.side_px && height <= plan.side_px {
        return Vec::new();
    }
    let starts = |length: u32| -> Vec<f32> {
        let step = plan.side_px.saturating_sub(plan.overlap_px).max(1);
        let more = length.saturating_sub(plan.side_px).div_ceil(step);
        let spare = length.saturating_sub(plan.side_px) as f32;
        (0..=more).map(|at| (spare * at as f32 / more.max(1) as f32).round()).collect()
    };
    let side = |length: u32| plan.side_px.min(length) as f32;
    let rows = starts(height);
    let tiles = rows
        .iter()
        .flat_map(|&y| starts(width).into_iter().map(move |x| Bbox::new(x, y, side(width), side(height))));
    tiles.collect()
}

/// Four parts of an image's own shape that overlap by a quarter of their sides.
fn quarters(width: u32, height: u32) -> impl Iterator<Item = Bbox> {
    /// What two parts that overlap by a quarter of one have of the whole.
    const SHARE: f32 = 4.0 / 7.0;
    let (width, height) = (width as f32, height as f32);
    let (w, h) = (width * SHARE, height * SHARE);
    [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)]
        .into_iter()
        .map(move |(right, down)| Bbox::new(right * (width - w), down * (height - h), w, h))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quarters_overlap_by_a_quarter_and_reach_every_edge() {
        let all: Vec<Bbox> = quarters(700, 350).collect();
        assert!(all[0].iou(&Bbox::new(0.0, 0.0, 400.0, 200.0)) > 0.999);
        assert_eq!((all[3].right().round(), all[3].bottom().round()), (700.0, 350.0));
        assert!(
            (all[0].right() - all[1].x - 100.0).abs() < 1e-3
                && (all[0].bottom() - all[2].y - 50.0).abs() < 1e-3
        );
    }

    proptest! {
        #[test]
        fn tiles_cover_the_image_and_stay_inside(
            width in 1u32..900, height in 1u32..900, side_px in 32u32..400, overlap in 0u32..31,
        ) {
            let plan = TilePlan { side_px, overlap_px: overlap };
            let tiles = tile_areas(width, height, plan);
            prop_assert_eq!(tiles.is_empty(), width <= side_px && height <= side_px);
            for tile in &tiles {
                prop_assert!(tile.x >= 0.0 && tile.y >= 0.0);
                prop_assert!(tile.right() <= width as f32 && tile.bottom() <= height as f32);
            }
            if !tiles.is_empty() {
                for (x, y) in [(0, 0), (width - 1, height - 1), (width / 2, height / 2), (width / 3, height - 1)] {
                    let (x, y) = (x as f32 + 0.5, y as f32 + 0.5);
                    prop_assert!(tiles.iter().any(|tile| tile.contains(x, y)), "{x},{y}");
                }
            }
        }
    }
}
