//! Which class was predicted for the pixels of each class, and what follows: IoU of a class, their mean, accuracy.

/// Pixels by true and predicted class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Confusion {
    classes: usize,
    /// `classes` × (`classes` + 1) counts, row by row; a row is a true class, the last column what got no class at all.
    counts: Vec<u64>,
}

impl Confusion {
    /// Of pixels; those whose true class is `ignored` do not count, a predicted `ignored` is no class.
    pub fn of(truth: &[u16], predicted: &[u16], ignored: u16) -> Self {
        let classes = truth.iter().chain(predicted).filter(|&&class| class != ignored).max();
        let classes = classes.map_or(0, |&most| usize::from(most) + 1);
        let mut counts = vec![0; classes * (classes + 1)];
        for (&truth, &predicted) in truth.iter().zip(predicted).filter(|&(&truth, _)| truth != ignored) {
            let predicted = if predicted == ignored { classes } else { usize::from(predicted) };
            counts[usize::from(truth) * (classes + 1) + predicted] += 1;
        }
        Self { classes, counts }
    }

    /// All of them together.
    pub fn sum<'a>(parts: impl Iterator<Item = &'a Self> + Clone) -> Self {
        let classes = parts.clone().map(|part| part.classes).max().unwrap_or(0);
        let mut counts = vec![0; classes * (classes + 1)];
        for part in parts {
            for (truth, row) in part.counts.chunks_exact(part.classes + 1).enumerate() {
                for (predicted, count) in row.iter().enumerate() {
                    let predicted = if predicted == part.classes { classes } else { predicted };
                    counts[truth * (classes + 1) + predicted] += count;
                }
            }
        }
        Self { classes, counts }
    }

    fn row(&self, class: usize) -> u64 {
        self.counts[class * (self.classes + 1)..][..=self.classes].iter().sum()
    }

    fn column(&self, class: usize) -> u64 {
        self.counts.iter().skip(class).step_by(self.classes + 1).sum()
    }

    /// Classes that some pixel has or was given.
    pub fn classes(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.classes).filter(|&class| self.row(class) + self.column(class) > 0)
    }

    /// Intersection over union of a class; none where no pixel has it or was given it.
    pub fn iou(&self, class: usize) -> Option<f64> {
        if class >= self.classes {
            return None;
        }
        let both = self.counts[class * (self.classes + 1) + class];
        let either = self.row(class) + self.column(class) - both;
        (either > 0).then(|| both as f64 / either as f64)
    }

    /// Mean of the classes that have one; 0 of none.
    pub fn mean_iou(&self) -> f64 {
        let ious: Vec<f64> = (0..self.classes).filter_map(|class| self.iou(class)).collect();
        if ious.is_empty() { 0.0 } else { ious.iter().sum::<f64>() / ious.len() as f64 }
    }

    /// Share of the pixels that got their own class.
    pub fn accuracy(&self) -> f64 {
        let right: u64 = (0..self.classes).map(|class| self.counts[class * (self.classes + 1) + class]).sum();
        let all: u64 = self.counts.iter().sum();
        if all > 0 { right as f64 / all as f64 } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ignored_pixels_do_not_count_and_no_class_is_wrong() {
        let confusion = Confusion::of(&[0, 0, 1, 255, 1, 3], &[0, 1, 1, 1, 255, 3], 255);
        assert_eq!(
            [0, 1, 2, 3, 9].map(|class| confusion.iou(class)),
            [Some(0.5), Some(1.0 / 3.0), None, Some(1.0), None]
        );
        assert!((confusion.mean_iou() - (0.5 + 1.0 / 3.0 + 1.0) / 3.0).abs() < 1e-12);
        assert!((confusion.accuracy() - 0.6).abs() < 1e-12);
        assert_eq!(confusion.classes().collect::<Vec<_>>(), [0, 1, 3]);
        assert_eq!(Confusion::of(&[255], &[0], 255).mean_iou(), 0.0);
    }

    proptest! {
        #[test]
        fn sums_are_what_all_pixels_together_give(
            pixels in proptest::collection::vec((0u16..5, 0u16..7), 0..90), cut in 0usize..90,
        ) {
            let (truth, predicted): (Vec<u16>, Vec<u16>) = pixels.into_iter().unzip();
            let cut = cut.min(truth.len());
            let parts = [
                Confusion::of(&truth[..cut], &predicted[..cut], 4),
                Confusion::of(&truth[cut..], &predicted[cut..], 4),
            ];
            let (sum, all) = (Confusion::sum(parts.iter()), Confusion::of(&truth, &predicted, 4));
            prop_assert_eq!(sum.mean_iou(), all.mean_iou());
            prop_assert_eq!(sum.accuracy(), all.accuracy());
        }
    }
}
