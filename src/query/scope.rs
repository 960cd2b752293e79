//! Which images of a collection a query may search.

use crate::collection::Collection;

/// For each segment, which rows of its image table may be searched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    segments: Vec<Vec<bool>>,
}

impl Scope {
    /// Every image.
    pub fn all(collection: &Collection) -> Self {
        let every = |segment: &crate::segment::Segment| vec![true; segment.image_count()];
        Self { segments: collection.segments().iter().map(every).collect() }
    }

    /// The images whose place holds `true`: one list for each segment, in order of the segments, one place for each row
    /// of its image table. What has no place is not searched.
    pub fn of(segments: Vec<Vec<bool>>) -> Self {
        Self { segments }
    }

    /// What may be searched by both.
    pub fn and(&self, other: &Self) -> Self {
        let segments = self.segments.iter().enumerate().map(|(segment, rows)| {
            let both = |(image, inside): (usize, &bool)| *inside && other.contains(segment, image);
            rows.iter().enumerate().map(both).collect()
        });
        Self { segments: segments.collect() }
    }

    /// Whether row `image` of segment number `segment` may be searched.
    pub fn contains(&self, segment: usize, image: usize) -> bool {
        self.segments.get(segment).and_then(|rows| rows.get(image)).copied().unwrap_or(false)
    }

    /// Number of images that may be searched, copies of others among them.
    pub fn count(&self) -> usize {
        self.segments.iter().flatten().filter(|&&inside| inside).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_place_is_not_searched() {
        let scope = Scope::of(vec![vec![true, false], vec![true]]);
        assert_eq!(scope.count(), 2);
        let both = scope.and(&Scope::of(vec![vec![true, true]]));
        assert!(both.contains(0, 0) && both.count() == 1);
        assert!(scope.contains(0, 0) && scope.contains(1, 0));
        assert!(!scope.contains(0, 1) && !scope.contains(0, 2) && !scope.contains(2, 0));
    }
}
