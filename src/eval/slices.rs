//! Slices: the same answers, judged by a part of what is right. For a bin of an attribute the boxes in it are right, images
//! that show the instance otherwise are junk (as Oxford's easy, medium and hard ones are), and queries with nothing in the
//! bin are left out.

use super::LabelledBox;

/// An attribute with its bins.
pub(super) struct SliceBy {
    /// What it is called.
    pub name: &'static str,
    /// Its value for a box that shows what a query asks for; none where the labels do not say.
    pub of: fn(asked: &LabelledBox, shown: &LabelledBox) -> Option<f64>,
    /// Where bins begin; each ends where the next begins, the last is open.
    pub starts: &'static [f64],
}

/// Every attribute that answers are sliced by.
pub(super) const SLICES: [SliceBy; 4] = [
    // Square pixels, with COCO's small, medium and large.
    SliceBy {
        name: "area_px",
        of: |_, shown| shown.is_located.then(|| f64::from(shown.bbox.area())),
        starts: &[0.0, 1024.0, 9216.0],
    },
    SliceBy { name: "rotation", of: turn, starts: &[0.0, 10.0, 20.0, 45.0, 90.0] },
    SliceBy {
        name: "scale",
        of: |asked, shown| Some(shown.scale? / asked.scale.unwrap_or(1.0)),
        starts: &[0.0, 0.5, 0.8, 1.25, 2.0],
    },
    SliceBy { name: "occlusion", of: |_, shown| shown.occlusion, starts: &[0.0, 0.05, 0.25, 0.5] },
];

impl SliceBy {
    /// The bins: from, and up to.
    pub fn bins(&self) -> impl Iterator<Item = (f64, Option<f64>)> {
        let ends = self.starts[1..].iter().copied().map(Some).chain([None]);
        self.starts.iter().copied().zip(ends)
    }

    /// Whether a box is in a bin.
    pub fn holds(&self, bin: (f64, Option<f64>), asked: &LabelledBox, shown: &LabelledBox) -> bool {
        (self.of)(asked, shown).is_some_and(|value| value >= bin.0 && bin.1.is_none_or(|end| value < end))
    }
}

/// Degrees between how the query and a box show the instance, 0 to 180.
fn turn(asked: &LabelledBox, shown: &LabelledBox) -> Option<f64> {
    let turned = (shown.rotation? - asked.rotation.unwrap_or(0.0)).rem_euclid(360.0);
    Some(turned.min(360.0 - turned))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::Bbox;

    fn labelled(scale: Option<f64>, rotation: Option<f64>) -> LabelledBox {
        let bbox = Bbox::new(0.0, 0.0, 32.0, 32.0);
        let (id, instance) = ("1".to_owned(), "a".to_owned());
        LabelledBox { scale, rotation, ..LabelledBox::new(id, 0, instance, bbox) }
    }

    #[test]
    fn every_box_that_says_something_is_in_one_bin_of_each_attribute() {
        let bins = |name: &str, asked: &LabelledBox, shown: &LabelledBox| -> Vec<f64> {
            let by = SLICES.iter().find(|by| by.name == name).unwrap();
            by.bins().filter(|&bin| by.holds(bin, asked, shown)).map(|bin| bin.0).collect()
        };
        let (asked, plain) = (labelled(Some(2.0), Some(350.0)), labelled(None, None));
        for (rotation, bin) in [(350.0, 0.0), (0.0, 10.0), (-20.0, 10.0), (170.0, 90.0), (40.0, 45.0)] {
            assert_eq!(bins("rotation", &asked, &labelled(None, Some(rotation))), [bin], "{rotation}");
        }
        assert_eq!(bins("scale", &asked, &labelled(Some(1.0), None)), [0.5]);
        assert_eq!(bins("scale", &plain, &labelled(Some(7.0), None)), [2.0]);
        assert_eq!(bins("area_px", &asked, &plain), [1024.0]);
        assert_eq!(bins("occlusion", &asked, &plain), [0.0; 0]);
    }
}
