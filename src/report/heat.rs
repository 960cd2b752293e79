//! Similarities as colours: a heat-map of one pixel a patch, to be stretched over the picture it belongs to.

use crate::picture::Picture;
use crate::query::Evidence;

/// Dark violet over red and orange to pale yellow: lightness rises evenly, so it also reads in grey.
const COLOURS: [[f32; 3]; 6] = [
    [0.0, 0.0, 4.0],
    [66.0, 10.0, 104.0],
    [147.0, 38.0, 103.0],
    [221.0, 81.0, 58.0],
    [252.0, 165.0, 10.0],
    [252.0, 255.0, 164.0],
];

/// The similarities that the darkest and the brightest colour stand for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Range {
    pub low: f32,
    pub high: f32,
}

impl Range {
    /// From the median to the most of all patches, so that the colours of one page mean the same in every picture.
    pub fn of(evidence: &[Evidence]) -> Self {
        let mut all: Vec<f32> = evidence.iter().flat_map(|one| one.similarity.iter().copied()).collect();
        all.sort_by(f32::total_cmp);
        match (all.get(all.len() / 2), all.last()) {
            (Some(&low), Some(&high)) if high > low => Self { low, high },
            (Some(&low), _) => Self { low, high: low + 1.0 },
            _ => Self { low: 0.0, high: 1.0 },
        }
    }

    fn colour(self, similarity: f32) -> [u8; 3] {
        let place =
            ((similarity - self.low) / (self.high - self.low)).clamp(0.0, 1.0) * (COLOURS.len() - 1) as f32;
        let below = (place as usize).min(COLOURS.len() - 2);
        let share = place - below as f32;
        std::array::from_fn(|at| (COLOURS[below][at] * (1.0 - share) + COLOURS[below + 1][at] * share) as u8)
    }
}

/// One pixel a patch; none where there are no patches.
pub(super) fn picture(evidence: &Evidence, range: Range) -> Option<Picture> {
    let (width, height) = (evidence.grid.cols, evidence.grid.rows);
    let whole = !evidence.grid.is_empty() && evidence.similarity.len() == evidence.grid.len();
    whole.then(|| Picture {
        width,
        height,
        rgb: evidence.similarity.iter().flat_map(|&similarity| range.colour(similarity)).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{Bbox, Grid};

    fn evidence(grid: Grid, similarity: Vec<f32>) -> Evidence {
        Evidence { path: vec![], content: [0; 32], grid, similarity }
    }

    #[test]
    fn more_alike_is_brighter_and_the_ends_are_the_ends() {
        let grid = Grid { area: Bbox::of_image(40, 10), rows: 1, cols: 4 };
        let evidence = evidence(grid, vec![-1.0, 0.2, 0.6, 1.0]);
        let range = Range::of(std::slice::from_ref(&evidence));
        assert_eq!(range, Range { low: 0.6, high: 1.0 });
        let range = Range { low: 0.0, high: 1.0 };
        let picture = picture(&evidence, range).unwrap();
        let light: Vec<u32> =
            picture.rgb.chunks_exact(3).map(|c| c.iter().map(|&v| u32::from(v)).sum()).collect();
        assert!(light.is_sorted_by(|a, b| a < b), "{light:?}");
        assert_eq!((&picture.rgb[..3], &picture.rgb[9..]), (&[0, 0, 4][..], &[252, 255, 164][..]));
    }

    #[test]
    fn no_patches_give_no_picture() {
        let grid = Grid { area: Bbox::of_image(0, 0), rows: 0, cols: 0 };
        assert!(picture(&evidence(grid, vec![]), Range::of(&[])).is_none());
    }
}
