//! RoIAlign (He et al., Mask R-CNN, 2017): a box of a map of patch tokens as a fixed number of tokens, sampled bilinearly.

use crate::core::{Bbox, Grid};

/// Bins along each side of a box.
pub(super) const BINS: usize = 7;

/// Points along each side of a bin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Samples {
    /// So many; one is the bin's centre.
    Fixed(usize),
    /// As many as the bin's side has tokens, rounded up: what `sampling_ratio=0` of torchvision means.
    Adaptive,
}

impl Samples {
    /// Along the bins of a side of `tokens`.
    fn along(self, tokens: f32) -> usize {
        match self {
            Self::Fixed(samples) => samples,
            Self::Adaptive => ((tokens / BINS as f32).ceil() as usize).max(1),
        }
    }
}

/// Where samples lie along a side: the tokens at both sides of each, and how far it is from the first to the second.
struct Side {
    samples: usize,
    points: Vec<(usize, usize, f32)>,
}

/// Tokens of [`BINS`] × [`BINS`] bins of `bbox` (pixels of the image that `grid` covers), row by row: `BINS² × dim` numbers of
/// `tokens` (`grid.len() × dim`). Each bin is the mean of its samples, evenly spread. A token stands at its patch's centre; beyond the
/// outermost centres the map goes on as it is there.
pub(super) fn align(tokens: &[f32], grid: &Grid, dim: usize, bbox: &Bbox, samples: Samples) -> Vec<f32> {
    let (patch_w, patch_h) = grid.patch_size();
    let along = |start: f32, length: f32, origin: f32, patch: f32, count: u32| -> Side {
        let samples = samples.along(length / patch);
        let points = (BINS * samples) as f32;
        let place = |at: usize| {
            let point = start + (at as f32 + 0.5) / points * length;
            let cell = ((point - origin) / patch - 0.5).clamp(0.0, (count - 1) as f32);
            let low = cell.floor() as usize;
            (low, (low + 1).min(count as usize - 1), cell - cell.floor())
        };
        Side { samples, points: (0..BINS * samples).map(place).collect() }
    };
    let columns = along(bbox.x, bbox.w, grid.area.x, patch_w, grid.cols);
    let rows = along(bbox.y, bbox.h, grid.area.y, patch_h, grid.rows);
    let mut out = vec![0.0f32; BINS * BINS * dim];
    let part = 1.0 / (rows.samples * columns.samples) as f32;
    let mut add = |bin: usize, row: usize, col: usize, weight: f32| {
        let token = &tokens[(row * grid.cols as usize + col) * dim..][..dim];
        let out = &mut out[bin * dim..][..dim];
        out.iter_mut().zip(token).for_each(|(out, v)| *out += weight * v);
    };
    for (y, &(top, low, down)) in rows.points.iter().enumerate() {
        for (x, &(left, right, across)) in columns.points.iter().enumerate() {
            let bin = y / rows.samples * BINS + x / columns.samples;
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
        for samples in [Samples::Fixed(1), Samples::Fixed(2), Samples::Adaptive] {
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
        let found =
            align(&coordinates(&grid), &grid, 2, &Bbox::new(-50.0, -50.0, 20.0, 20.0), Samples::Fixed(1));
        assert!(found.chunks_exact(2).all(|place| place == [7.0, 7.0]));
    }

    #[test]
    fn adaptive_samples_are_as_many_as_a_bin_has_tokens() {
        assert_eq!([0.5, 7.0, 7.1, 21.0].map(|tokens| Samples::Adaptive.along(tokens)), [1, 1, 2, 3]);
        // Bins of 2 x 1 tokens: the mean of two tokens of a row where one sample takes what lies between them.
        let grid = Grid { area: Bbox::new(0.0, 0.0, 14.0, 7.0), rows: 7, cols: 14 };
        let stripes: Vec<f32> = (0..grid.len()).map(|at| [0.0, 4.0, 4.0, 0.0][at % 14 % 4]).collect();
        let adaptive = align(&stripes, &grid, 1, &grid.area, Samples::Adaptive);
        assert!(adaptive.iter().all(|value| (value - 2.0).abs() < 1e-5), "{adaptive:?}");
        let wide = Bbox::new(0.0, 0.0, 14.0, 3.5);
        assert_eq!(align(&stripes, &grid, 1, &wide, Samples::Adaptive).len(), BINS * BINS);
    }
}
