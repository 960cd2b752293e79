//! RoIAlign (He et al., Mask R-CNN, 2017): a box of a map of patch tokens as a fixed number of tokens, sampled bilinearly.

use crate::core::{Bbox, Grid};

/// Bins along each side of a box.
pub(super) const BINS: usize = 7;

/// Tokens of `bins` × [`BINS`] bins of `bbox` (pixels of the image that `grid` covers), row by row: `BINS² × dim` numbers of
/// `tokens` (`grid.len() × dim`). Each bin is the mean of `samples` × `samples` points, evenly spread; one is its centre. A token
/// stands at its patch's centre; beyond the outermost centres the map goes on as it is there.
pub(super) fn align(tokens: &[f32], grid: &Grid, dim: usize, bbox: &Bbox, samples: usize) -> Vec<f32> {
    let (patch_w, patch_h) = grid.patch_size();
    let points = (BINS * samples) as f32;
    let along = |start: f32, length: f32, origin: f32, patch: f32, count: u32| -> Vec<(usize, usize, f32)> {
        let place = |at: usize| {
            let point = start + (at as f32 + 0.5) / points * length;
            let cell = ((point - origin) / patch - 0.5).clamp(0.0, (count - 1) as f32);
            let low = cell.floor() as usize;
            (low, (low + 1).min(count as usize - 1), cell - cell.floor())
        };
        (0..BINS * samples).map(place).collect()
    };
    let columns = along(bbox.x, bbox.w, grid.area.x, patch_w, grid.cols);
    let rows = along(bbox.y, bbox.h, grid.area.y, patch_h, grid.rows);
    let mut out = vec![0.0f32; BINS * BINS * dim];
    let part = 1.0 / (samples * samples) as f32;
    let mut add = |bin: usize, row: usize, col: usize, weight: f32| {
        let token = &tokens[(row * grid.cols as usize + col) * dim..][..dim];
        let out = &mut out[bin * dim..][..dim];
        out.iter_mut().zip(token).for_each(|(out, v)| *out += weight * v);
    };
    for (y, &(top, low, down)) in rows.iter().enumerate() {
        for (x, &(left, right, across)) in columns.iter().enumerate() {
            let bin = y / samples * BINS + x / samples;
            add(bin, top, left, part * (1.0 - down) * (1.0 - across));
            add(bin, top, right, part * (1.0 - down) * across);
            add(bin, low, left, part * down * (1.0 - across));
            add(bin, low, right, part * down * across);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A map whose tokens are their centres' coordinates: what is sampled inside says where.
    fn coordinates(grid: &Grid) -> Vec<f32> {
        (0..grid.len()).flat_map(|at| <[f32; 2]>::from(grid.patch_box(at).center())).collect()
    }

    #[test]
    fn samples_lie_at_the_centres_of_the_bins() {
        let grid = Grid { area: Bbox::new(0.0, 0.0, 140.0, 70.0), rows: 5, cols: 10 };
        let bbox = Bbox::new(21.0, 14.0, 35.0, 21.0);
        for samples in [1, 2] {
            let found = align(&coordinates(&grid), &grid, 2, &bbox, samples);
            for (bin, place) in found.chunks_exact(2).enumerate() {
                let centre = [21.0 + ((bin % 7) as f32 + 0.5) * 5.0, 14.0 + ((bin / 7) as f32 + 0.5) * 3.0];
                assert!((place[0] - centre[0]).abs() < 1e-3 && (place[1] - centre[1]).abs() < 1e-3, "{bin}");
            }
        }
    }

    #[test]
    fn beyond_the_map_it_goes_on_as_at_its_edge() {
        let grid = Grid { area: Bbox::new(0.0, 0.0, 28.0, 28.0), rows: 2, cols: 2 };
        let found = align(&coordinates(&grid), &grid, 2, &Bbox::new(-50.0, -50.0, 20.0, 20.0), 1);
        assert!(found.chunks_exact(2).all(|place| place == [7.0, 7.0]));
    }
}
