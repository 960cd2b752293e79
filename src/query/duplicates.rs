//! Nearly equal images as one hit: the same picture compressed again, resized, a little brighter, or in another format.

use std::collections::HashSet;

use rayon::prelude::*;

use super::found::Found;
use crate::core::Grid;
use crate::index::Vectors;

/// Images whose patches have a lower mean cosine, each with the one at the same place, are different pictures. Measured
/// with the default model: 0.58 and more for any two of a photograph's versions (JPEG of quality 30, half the size as
/// JPEG of quality 60, twice the size, 15 % darker or brighter, 15 % more contrast, WebP), 0.44 and less for different
/// photographs, stereo pairs among them.
const NEARLY_EQUAL: f32 = 0.52;
/// Where less than this share of the mean is left at the worst places, something else is to be seen there: a camera
/// that stands still gives pictures of a high mean in which the object is elsewhere, while compression, size and light
/// change all places alike. Measured likewise: 0.46 and more for versions of a photograph, 0.40 and less for pictures
/// of a film in which something moved (up to 0.47 when they are also half as large and compressed). Neighbours in a
/// film that differ by less than a patch (0.84 and more) are nearly equal.
const WORST_SHARE: f32 = 0.43;
/// One place in so many may be worse than that.
const PLACES_A_SLIP: usize = 50;
/// Images are not nearly equal when one is wider than the other, at equal height, by more than this share.
const ASPECT_TOLERANCE: f32 = 0.03;
/// Places compared along each side at most.
const PLACES: u32 = 16;

/// The best hit of each group of nearly equal images, with the names of the others; `top` groups at most. `found` comes
/// best first, and an image joins the first group whose best image it nearly equals: no chain of small changes makes
/// one group of two images that differ.
pub(super) fn grouped(found: Vec<Found<'_>>, top: usize) -> Vec<Found<'_>> {
    let mut seen = HashSet::new();
    let mut leaders: Vec<Found<'_>> = Vec::new();
    for item in found {
        // A further box of an image that has its place already.
        if !seen.insert(item.evidence.path.clone()) {
            continue;
        }
        match leaders.par_iter().position_first(|leader| nearly_equal(leader, &item)) {
            Some(at) => leaders[at].hit.duplicates.push(item.hit.image),
            None if leaders.len() < top => leaders.push(item),
            // The groups that are shown are complete only when all images were looked at.
            None => {}
        }
    }
    leaders
}

fn nearly_equal(a: &Found<'_>, b: &Found<'_>) -> bool {
    if a.evidence.content == b.evidence.content {
        return true;
    }
    let aspect = |found: &Found<'_>| found.image.row.width_px as f32 / found.image.row.height_px as f32;
    let ratio = aspect(a) / aspect(b);
    let (Some(patches), Some(others)) = (Patches::of(a), Patches::of(b)) else { return false };
    ratio.max(1.0 / ratio) <= 1.0 + ASPECT_TOLERANCE && patches.nearly_equal(&others)
}

/// The patches of a view of a whole image.
struct Patches<'a> {
    vectors: Vectors<'a>,
    first: usize,
    grid: Grid,
}

impl<'a> Patches<'a> {
    /// The first view of an image shows all of it.
    fn of(found: &Found<'a>) -> Option<Self> {
        let view = found.image.views().next()?;
        Some(Self { vectors: found.segment.vectors(), first: view.first_patch, grid: view.grid })
    }

    /// Whether `other` shows the same at every place.
    fn nearly_equal(&self, other: &Self) -> bool {
        let pairs = same_places(&self.grid, &other.grid);
        let needed = NEARLY_EQUAL * pairs.len() as f32;
        let (mut own, mut its) = (vec![0.0; self.vectors.dim], vec![0.0; other.vectors.dim]);
        let (mut sum, mut cosines) = (0.0, Vec::with_capacity(pairs.len()));
        for (at, (a, b)) in pairs.iter().enumerate() {
            self.vectors.widen(self.first + a, &mut own);
            other.vectors.widen(other.first + b, &mut its);
            let cosine = cosine(&own, &its);
            sum += cosine;
            cosines.push(cosine);
            // Most images differ so much that the first places tell.
            if sum + ((pairs.len() - at - 1) as f32) < needed {
                return false;
            }
        }
        cosines.sort_by(f32::total_cmp);
        let worst = cosines.get(pairs.len() / PLACES_A_SLIP);
        sum >= needed && worst.is_some_and(|worst| *worst >= WORST_SHARE * sum / pairs.len() as f32)
    }
}

/// Pairs of patches at the same place, spread evenly over two grids that differ little.
fn same_places(a: &Grid, b: &Grid) -> Vec<(usize, usize)> {
    let middle = |at: u32, of: u32, count: u32| (2 * at + 1) * count / (2 * of);
    let along = |a: u32, b: u32| {
        let places = a.min(PLACES);
        (0..places).map(move |place| {
            let at = middle(place, places, a);
            (at as usize, middle(at, a, b) as usize)
        })
    };
    along(a.rows, b.rows)
        .flat_map(|(row_a, row_b)| {
            let patch = |row: usize, grid: &Grid, col: usize| row * grid.cols as usize + col;
            along(a.cols, b.cols).map(move |(col_a, col_b)| (patch(row_a, a, col_a), patch(row_b, b, col_b)))
        })
        .collect()
}

/// Zero for a vector of zeros, which has no direction.
fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let norms = (dot(a, a) * dot(b, b)).sqrt();
    if norms > 0.0 { dot(a, b) / norms } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use crate::index::Rows;
    use crate::metric::Metric;
    use proptest::prelude::*;

    use super::*;
    use crate::core::Bbox;

    fn grid(rows: u32, cols: u32) -> Grid {
        Grid { area: Bbox::of_image(100, 100), rows, cols }
    }

    proptest! {
        #[test]
        fn places_are_the_same_to_half_a_patch_and_inside_both(
            rows in 2u32..60, cols in 2u32..60, more_rows in 0u32..2, more_cols in 0u32..2,
        ) {
            let (a, b) = (grid(rows, cols), grid(rows + more_rows, cols + more_cols));
            let pairs = same_places(&a, &b);
            prop_assert_eq!(pairs.len() as u32, rows.min(PLACES) * cols.min(PLACES));
            for (at_a, at_b) in pairs {
                prop_assert!(at_a < a.len() && at_b < b.len());
                let ((ax, ay), (bx, by)) = (a.patch_box(at_a).center(), b.patch_box(at_b).center());
                let (w, h) = a.patch_size();
                prop_assert!((ax - bx).abs() <= 0.5 * w + 0.01 && (ay - by).abs() <= 0.5 * h + 0.01);
                prop_assert!(more_rows + more_cols > 0 || at_a == at_b);
            }
        }
    }

    fn pairs(rows: &[f32]) -> Vectors<'_> {
        Vectors { rows: Rows::F32(rows), dim: 2, metric: Metric::COSINE }
    }

    /// Whether images are nearly equal that have the given cosines, place by place, in one row of patches.
    fn equal(cosines: &[f32]) -> bool {
        let patches =
            |vectors| Patches { vectors: pairs(vectors), first: 0, grid: grid(1, cosines.len() as u32) };
        // Of any length: only directions count.
        let own: Vec<f32> = cosines.iter().flat_map(|_| [3.0, 0.0]).collect();
        let its: Vec<f32> =
            cosines.iter().flat_map(|cosine| [5.0 * cosine, 5.0 * (1.0 - cosine * cosine).sqrt()]).collect();
        patches(&own).nearly_equal(&patches(&its))
    }

    #[test]
    fn all_places_must_be_alike_in_the_mean_and_nearly_each_of_them() {
        assert!(equal(&[0.7; 10]), "all a little different");
        assert!(!equal(&[0.5; 10]), "all rather different");
        assert!(equal(&[1.0, 1.0, 1.0, 1.0, 0.5]));
        assert!(!equal(&[1.0, 1.0, 1.0, 1.0, 0.1]), "equal but for one place");
        assert!(!equal(&[f32::NAN; 10]));
        let zeros = Patches { vectors: pairs(&[0.0; 4]), first: 0, grid: grid(1, 2) };
        assert!(!zeros.nearly_equal(&zeros));
    }

    #[test]
    fn one_place_in_many_may_slip() {
        let own = [1.0, 0.0].repeat(256);
        let with = |slips: usize| {
            let its = [[0.0, 1.0].repeat(slips), [1.0, 0.0].repeat(256 - slips)].concat();
            let grid = grid(16, 16);
            let patches = |vectors| Patches { vectors: pairs(vectors), first: 0, grid };
            patches(&own).nearly_equal(&patches(&its))
        };
        assert!(with(256 / PLACES_A_SLIP) && !with(256 / PLACES_A_SLIP + 1));
    }
}
