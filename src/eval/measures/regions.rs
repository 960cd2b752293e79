//! Measures of one region of an image against the true one, as DAVIS has them (Perazzi et al., A Benchmark Dataset and Evaluation
//! Methodology for Video Object Segmentation, 2016): J, of their areas, and F, of their contours.

/// What contours may be apart, as a share of the image's diagonal.
const TOLERANCE: f64 = 0.008;

/// A region and the true one, both `width` pixels wide, row by row.
#[derive(Clone, Copy, Debug)]
pub struct Regions<'a> {
    /// Pixels in a row.
    pub width: usize,
    /// What was found.
    pub found: &'a [bool],
    /// What is true.
    pub truth: &'a [bool],
}

impl Regions<'_> {
    /// J: intersection over union of both; 1 where both are empty.
    pub fn jaccard(&self) -> f64 {
        let count = |holds: fn(bool, bool) -> bool| {
            self.found.iter().zip(self.truth).filter(|&(&found, &truth)| holds(found, truth)).count()
        };
        match count(|found, truth| found || truth) {
            0 => 1.0,
            union => count(|found, truth| found && truth) as f64 / union as f64,
        }
    }

    /// F: harmonic mean of the share of the found contour that is near the true one, and of the true one that is near the found one;
    /// 1 where neither has a contour.
    pub fn contour(&self) -> f64 {
        let height = self.truth.len() / self.width;
        let radius = (TOLERANCE * (self.width as f64).hypot(height as f64)).ceil() as i64;
        let [found, truth] = [self.found, self.truth].map(|region| contour(region, self.width));
        let count = |map: &[bool]| map.iter().filter(|&&is_in| is_in).count();
        let near = |contour: &[bool], other: &[bool]| {
            let around = dilated(other, self.width, radius);
            contour.iter().zip(&around).filter(|&(&own, &around)| own && around).count() as f64
        };
        let (precision, recall) = match (count(&found), count(&truth)) {
            (0, 0) => (1.0, 1.0),
            (0, _) => (1.0, 0.0),
            (_, 0) => (0.0, 1.0),
            (ours, theirs) => (near(&found, &truth) / ours as f64, near(&truth, &found) / theirs as f64),
        };
        if precision + recall == 0.0 { 0.0 } else { 2.0 * precision * recall / (precision + recall) }
    }
}

/// Pixels that differ from the next one at the right, below, or both.
fn contour(region: &[bool], width: usize) -> Vec<bool> {
    let height = region.len() / width;
    let differs = |at: usize| {
        let (x, y) = (at % width, at / width);
        let (right, below) = (x + 1 < width, y + 1 < height);
        let other = |is_there: bool, step: usize| is_there && region[at] != region[at + step];
        other(right, 1) || other(below, width) || other(right && below, width + 1)
    };
    (0..region.len()).map(differs).collect()
}

/// What is at most `radius` pixels from a pixel of a map.
fn dilated(map: &[bool], width: usize, radius: i64) -> Vec<bool> {
    let (columns, rows) = (width as i64, (map.len() / width) as i64);
    let mut out = vec![false; map.len()];
    for (at, _) in map.iter().enumerate().filter(|&(_, &is_in)| is_in) {
        let (x, y) = ((at % width) as i64, (at / width) as i64);
        for row in (y - radius).max(0)..(y + radius + 1).min(rows) {
            let half = ((radius * radius - (row - y) * (row - y)) as f64).sqrt() as i64;
            let (first, end) = ((x - half).max(0), (x + half + 1).min(columns));
            let line = (row * columns) as usize;
            out[line + first as usize..line + end as usize].fill(true);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDTH: usize = 60;

    /// A square of side 20 in 60x50 px.
    fn square(left: usize, top: usize) -> Vec<bool> {
        let inside =
            |at: usize| (left..left + 20).contains(&(at % WIDTH)) && (top..top + 20).contains(&(at / WIDTH));
        (0..WIDTH * 50).map(inside).collect()
    }

    fn figures(found: &[bool], truth: &[bool]) -> [f64; 2] {
        let regions = Regions { width: WIDTH, found, truth };
        [regions.jaccard(), regions.contour()]
    }

    #[test]
    fn areas_overlap_and_contours_are_near_or_not() {
        let (truth, empty) = (square(10, 10), vec![false; WIDTH * 50]);
        assert_eq!(figures(&truth, &truth), [1.0, 1.0]);
        // 0.8 % of the diagonal of 78 px: one pixel.
        let [jaccard, contour] = figures(&square(11, 10), &truth);
        assert!((jaccard - 19.0 / 21.0).abs() < 1e-12 && contour == 1.0, "{jaccard} {contour}");
        // Contours are of 80 px: 11 of each of two sides lie on those of the other, and 4 at their ends are one pixel away.
        let [jaccard, contour] = figures(&square(20, 10), &truth);
        assert!(
            (jaccard - 10.0 / 30.0).abs() < 1e-12 && (contour - 26.0 / 80.0).abs() < 1e-12,
            "{jaccard} {contour}"
        );
        assert_eq!(figures(&square(35, 30), &square(5, 5)), [0.0, 0.0]);
        assert_eq!(figures(&empty, &empty), [1.0, 1.0]);
        assert_eq!([figures(&empty, &truth), figures(&truth, &empty)], [[0.0; 2]; 2]);
    }
}
