//! One object, one box: overlapping boxes of an image are one place, of which the best stays.

use crate::core::Bbox;

/// Boxes that overlap more than this (intersection over union) are one place.
const SAME_PLACE_IOU: f32 = 0.3;
/// So are boxes of which one lies this much inside the other (share of the smaller).
const SAME_PLACE_INSIDE: f32 = 0.6;

/// Keeps the first of those whose boxes are the same, `limit` at most; `items` come best first.
pub(super) fn keep_best<T>(
    items: Vec<T>,
    limit: usize,
    bbox: impl Fn(&T) -> Bbox,
    is_same: impl Fn(&Bbox, &Bbox) -> bool,
) -> Vec<T> {
    let mut kept: Vec<T> = Vec::new();
    for item in items {
        if kept.len() == limit {
            break;
        }
        let candidate = bbox(&item);
        if !kept.iter().any(|held| is_same(&bbox(held), &candidate)) {
            kept.push(item);
        }
    }
    kept
}

/// Whether two boxes of an image show one object.
pub(super) fn same_place(a: &Bbox, b: &Bbox) -> bool {
    let smaller = a.area().min(b.area()).max(f32::MIN_POSITIVE);
    a.iou(b) > SAME_PLACE_IOU || a.intersection(b).area() / smaller > SAME_PLACE_INSIDE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_box_of_each_place_stays() {
        let boxes = vec![
            Bbox::new(0.0, 0.0, 10.0, 10.0),
            Bbox::new(1.0, 1.0, 10.0, 10.0),
            Bbox::new(2.0, 2.0, 3.0, 3.0),
            Bbox::new(50.0, 50.0, 10.0, 10.0),
        ];
        assert_eq!(keep_best(boxes.clone(), 9, |b| *b, same_place), vec![boxes[0], boxes[3]]);
        assert_eq!(keep_best(boxes.clone(), 1, |b| *b, same_place), vec![boxes[0]]);
    }
}
