//! Which class was predicted for the pixels of each class, and what follows: IoU of a class, their mean, accuracy.

/// Pixels by class: of what they are, of what was predicted, and of both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Confusion {
    classes: Vec<Counts>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    truth: u64,
    predicted: u64,
    both: u64,
}

impl Confusion {
    /// Of pixels; those whose true class is `ignored` do not count, a predicted `ignored` is no class.
    pub fn of(truth: &[u16], predicted: &[u16], ignored: u16) -> Self {
        let counted = || truth.iter().zip(predicted).filter(|&(&truth, _)| truth != ignored);
        let most = counted().flat_map(|(&a, &b)| [a, b]).filter(|&class| class != ignored).max();
        let mut classes = vec![Counts::default(); most.map_or(0, |most| usize::from(most) + 1)];
        for (&truth, &predicted) in counted() {
            classes[usize::from(truth)].truth += 1;
            classes[usize::from(truth)].both += u64::from(truth == predicted);
            if predicted != ignored {
                classes[usize::from(predicted)].predicted += 1;
            }
        }
        Self { classes }
    }

    /// All of them together.
    pub fn sum<'a>(parts: impl Iterator<Item = &'a Self>) -> Self {
        let mut classes: Vec<Counts> = Vec::new();
        for part in parts {
            classes.resize(classes.len().max(part.classes.len()), Counts::default());
            for (sum, part) in classes.iter_mut().zip(&part.classes) {
                sum.truth += part.truth;
                sum.predicted += part.predicted;
                sum.both += part.both;
            }
        }
        Self { classes }
    }

    /// Classes that some pixel has or was given.
    pub fn classes(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.classes.len()).filter(|&class| self.iou(class).is_some())
    }

    /// Intersection over union of a class; none where no pixel has it or was given it.
    pub fn iou(&self, class: usize) -> Option<f64> {
        let Counts { truth, predicted, both } = *self.classes.get(class)?;
        let either = truth + predicted - both;
        (either > 0).then(|| both as f64 / either as f64)
    }

    /// Mean of the classes that have one; none where no pixel counts.
    pub fn mean_iou(&self) -> Option<f64> {
        let ious: Vec<f64> = (0..self.classes.len()).filter_map(|class| self.iou(class)).collect();
        (!ious.is_empty()).then(|| ious.iter().sum::<f64>() / ious.len() as f64)
    }

    /// Share of the pixels that got their own class; none where no pixel counts.
    pub fn accuracy(&self) -> Option<f64> {
        let all: u64 = self.classes.iter().map(|class| class.truth).sum();
        let right: u64 = self.classes.iter().map(|class| class.both).sum();
        (all > 0).then(|| right as f64 / all as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ignored_pixels_do_not_count_and_no_class_is_wrong() {
        let confusion = Confusion::of(&[0, 0, 1, 255, 1, 3], &[0, 1, 1, 1, 255, 3], 255);
        let ious = [0, 1, 2, 3, 9].map(|class| confusion.iou(class));
        assert_eq!(ious, [Some(0.5), Some(1.0 / 3.0), None, Some(1.0), None]);
        assert!((confusion.mean_iou().unwrap() - (0.5 + 1.0 / 3.0 + 1.0) / 3.0).abs() < 1e-12);
        assert!((confusion.accuracy().unwrap() - 0.6).abs() < 1e-12);
        assert_eq!(confusion.classes().collect::<Vec<_>>(), [0, 1, 3]);
        let ignored = Confusion::of(&[255], &[0], 255);
        assert_eq!((ignored.mean_iou(), ignored.accuracy()), (None, None));
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
