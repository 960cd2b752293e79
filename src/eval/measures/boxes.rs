//! Measures of one ranked list of boxes. Hits and true boxes are matched as COCO does: in the order of the ranking, each hit
//! with the true box of its image that it covers best and that no earlier hit has taken.

use crate::core::Bbox;

/// A box in an image, which has some number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// The image.
    pub image: usize,
    /// The box, in its pixels.
    pub bbox: Bbox,
}

/// The boxes of one answer, best first, beside the true boxes. Neither holds anything of junk images.
#[derive(Clone, Copy, Debug)]
pub struct BoxRanking<'a> {
    /// What was found.
    pub hits: &'a [Place],
    /// What there is to be found, at least one box.
    pub truth: &'a [Place],
}

impl BoxRanking<'_> {
    /// Best IoU of a hit with the true boxes of its image; none where the image has none.
    pub fn iou(&self, hit: &Place) -> Option<f64> {
        let there = self.truth.iter().filter(|place| place.image == hit.image);
        there.map(|place| f64::from(hit.bbox.iou(&place.bbox))).max_by(f64::total_cmp)
    }

    /// IoU of the first hit; 0 in an image that does not show the object.
    pub fn first_iou(&self) -> f64 {
        self.hits.first().and_then(|hit| self.iou(hit)).unwrap_or(0.0)
    }

    /// 1 where the first hit has that IoU.
    pub fn success(&self, iou: f64) -> f64 {
        f64::from(u8::from(self.first_iou() >= iou))
    }

    /// Mean IoU of the first hit in each image that shows the object and was found; none where none was.
    pub fn found_iou(&self) -> Option<f64> {
        let is_first =
            |(at, hit): &(usize, &Place)| !self.hits[..*at].iter().any(|one| one.image == hit.image);
        let first = self.hits.iter().enumerate().filter(is_first);
        let found: Vec<f64> = first.filter_map(|(_, hit)| self.iou(hit)).collect();
        (!found.is_empty()).then(|| found.iter().sum::<f64>() / found.len() as f64)
    }

    /// The pointing game: 1 where the centre of the first hit lies in a true box.
    pub fn pointing(&self) -> f64 {
        let points = |hit: &Place| {
            let (x, y) = hit.bbox.center();
            self.truth.iter().any(|place| place.image == hit.image && place.bbox.contains(x, y))
        };
        f64::from(u8::from(self.hits.first().is_some_and(points)))
    }

    /// Whether each hit takes a true box at that IoU.
    fn right(&self, iou: f64) -> Vec<bool> {
        let mut taken = vec![false; self.truth.len()];
        let takes = |hit: &Place| {
            let free = |&(at, place): &(usize, &Place)| !taken[at] && place.image == hit.image;
            let of = |(at, place): (usize, &Place)| (f64::from(hit.bbox.iou(&place.bbox)), at);
            let best = self.truth.iter().enumerate().filter(free).map(of).max_by(|a, b| a.0.total_cmp(&b.0));
            let right = best.filter(|&(found, _)| found >= iou);
            right.map(|(_, at)| taken[at] = true).is_some()
        };
        self.hits.iter().map(takes).collect()
    }

    /// Share of the true boxes that some hit takes: success over all positives.
    pub fn recall(&self, iou: f64) -> f64 {
        self.right(iou).iter().filter(|&&right| right).count() as f64 / self.truth.len() as f64
    }

    /// COCO's average precision of this query alone: precision, made to fall, at the recalls 0, .01, ..., 1.
    pub fn average_precision(&self, iou: f64) -> f64 {
        let mut right = 0;
        let mut curve: Vec<(f64, f64)> = Vec::with_capacity(self.hits.len());
        for (at, is_right) in self.right(iou).into_iter().enumerate() {
            right += usize::from(is_right);
            curve.push((right as f64 / self.truth.len() as f64, right as f64 / (at + 1) as f64));
        }
        let mut best = 0.0f64;
        for (_, precision) in curve.iter_mut().rev() {
            best = best.max(*precision);
            *precision = best;
        }
        let precision_at = |step: u32| {
            // As numpy.linspace has it, which pycocotools takes the recalls from.
            let wanted = f64::from(step) * 0.01;
            curve
                .get(curve.partition_point(|&(recall, _)| recall < wanted))
                .map_or(0.0, |&(_, precision)| precision)
        };
        (0..=100).map(precision_at).sum::<f64>() / 101.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place(image: usize, x: f32, w: f32) -> Place {
        Place { image, bbox: Bbox::new(x, 0.0, w, 10.0) }
    }

    #[test]
    fn boxes_worked_by_hand_have_these_figures() {
        // Image 0 shows the object twice, image 1 once, image 7 not at all.
        let truth = [place(0, 0.0, 10.0), place(0, 20.0, 10.0), place(1, 0.0, 10.0)];
        // IoU 8/10 with the first; the same again, taken; wrong image; 6/14 with the third.
        let hits = [place(0, 0.0, 8.0), place(0, 1.0, 9.0), place(7, 0.0, 10.0), place(1, 4.0, 10.0)];
        let ranking = BoxRanking { hits: &hits, truth: &truth };
        assert!((ranking.first_iou() - 0.8).abs() < 1e-6);
        assert_eq!([0.5, 0.75, 0.9].map(|iou| ranking.success(iou)), [1.0, 1.0, 0.0]);
        assert_eq!(ranking.pointing(), 1.0);
        assert_eq!(ranking.iou(&hits[2]), None);
        assert!((ranking.found_iou().unwrap() - (0.8 + 6.0 / 14.0) / 2.0).abs() < 1e-6);
        assert!((ranking.recall(0.3) - 2.0 / 3.0).abs() < 1e-12);
        assert!((ranking.recall(0.5) - 1.0 / 3.0).abs() < 1e-12);
        // At .5: recall 1/3 with precision 1: the recalls 0 to .33, 34 of 101.
        assert!((ranking.average_precision(0.5) - 34.0 / 101.0).abs() < 1e-12);
        // At .3: also recall 2/3 with precision 2/4: the recalls .34 to .66, 33 more.
        assert!((ranking.average_precision(0.3) - (34.0 + 33.0 * 0.5) / 101.0).abs() < 1e-12);
    }

    #[test]
    fn a_hit_takes_the_free_box_that_it_covers_best() {
        let truth = [place(0, 0.0, 10.0), place(0, 2.0, 10.0)];
        let hits = [place(0, 2.0, 10.0), place(0, 1.9, 10.0)];
        let ranking = BoxRanking { hits: &hits, truth: &truth };
        // The second hit covers the second box better, which is taken, and the first well enough.
        assert_eq!(ranking.right(0.5), [true, true]);
        assert_eq!(ranking.right(0.8), [true, false]);
    }

    #[test]
    fn nothing_found_is_zero() {
        let ranking = BoxRanking { hits: &[], truth: &[place(0, 0.0, 1.0)] };
        let figures = [
            ranking.first_iou(),
            ranking.success(0.5),
            ranking.pointing(),
            ranking.recall(0.5),
            ranking.average_precision(0.5),
        ];
        assert_eq!((figures, ranking.found_iou()), ([0.0; 5], None));
    }

    proptest! {
        #[test]
        fn the_truth_itself_has_1_everywhere(images in prop::collection::vec(0usize..5, 1..12)) {
            let truth: Vec<Place> = (0u8..).zip(&images).map(|(at, &image)| place(image, f32::from(at) * 20.0, 10.0)).collect();
            let ranking = BoxRanking { hits: &truth, truth: &truth };
            prop_assert_eq!(
                [ranking.first_iou(), ranking.pointing(), ranking.recall(0.75), ranking.found_iou().unwrap()],
                [1.0; 4]
            );
            prop_assert!((ranking.average_precision(0.75) - 1.0).abs() < 1e-12);
        }

        #[test]
        fn stricter_is_never_better_and_no_box_is_found_twice(
            xs in prop::collection::vec((0usize..3, 0u8..40), 0..20),
            ts in prop::collection::vec((0usize..3, 0u8..40), 1..6),
        ) {
            let places = |list: &[(usize, u8)]| -> Vec<Place> { list.iter().map(|&(image, x)| place(image, f32::from(x), 10.0)).collect() };
            let (hits, truth) = (places(&xs), places(&ts));
            let ranking = BoxRanking { hits: &hits, truth: &truth };
            for [loose, strict] in [[0.3, 0.5], [0.5, 0.75]] {
                prop_assert!(ranking.average_precision(loose) >= ranking.average_precision(strict) - 1e-12);
                prop_assert!(ranking.recall(loose) >= ranking.recall(strict));
                prop_assert!(ranking.success(loose) >= ranking.success(strict));
            }
            prop_assert!(ranking.recall(0.3) <= 1.0 && ranking.average_precision(0.3) <= 1.0 + 1e-12);
        }
    }
}
