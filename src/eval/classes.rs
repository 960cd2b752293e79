//! Classes of points in images: those of the labelled boxes or turned boxes that they lie in, or of label maps. What has no class is no
//! object.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::labels::Role;
use super::masks::MaskSet;
use super::{EvalError, LabelError, LabelledSet};
use crate::picture::LabelMap;

/// The class of a point, and the kind of class that it is of, where the labels say it; by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Class {
    pub fine: usize,
    pub coarse: Option<usize>,
}

/// Classes of the points of images.
pub struct ClassSet {
    /// Where the labels are.
    pub file: PathBuf,
    /// The form that they have.
    pub form: &'static str,
    /// BLAKE3 of them, hexadecimal.
    pub digest: String,
    kind: SetKind,
}

enum SetKind {
    Boxes(HashMap<PathBuf, Boxed>),
    Masks(MaskSet, HashMap<PathBuf, usize>),
}

/// An image with boxes.
struct Boxed {
    /// Its width and height, where the labels say them.
    size: Option<[u32; 2]>,
    /// Its boxes, those that lie over others first.
    boxes: Vec<(Outline, Class)>,
}

/// The classes of one image.
pub(super) enum Classes<'a> {
    Boxes(&'a [(Outline, Class)]),
    Mask(LabelMap, Option<u16>),
    /// Nothing in it has a class.
    None,
}

/// The corners of a box, in order.
pub(super) struct Outline([[f32; 2]; 4]);

impl Outline {
    fn area(&self) -> f32 {
        let Self(corners) = self;
        let part = |at: usize| {
            let ([x, y], [u, v]) = (corners[at], corners[(at + 1) % 4]);
            x * v - u * y
        };
        ((0..4).map(part).sum::<f32>() / 2.0).abs()
    }

    /// Whether a point lies inside: on the same side of every edge.
    fn holds(&self, x: f32, y: f32) -> bool {
        let Self(corners) = self;
        let side = |at: usize| {
            let ([left, top], [right, bottom]) = (corners[at], corners[(at + 1) % 4]);
            (right - left) * (y - top) - (bottom - top) * (x - left)
        };
        let sides: [f32; 4] = std::array::from_fn(side);
        sides.iter().all(|&side| side >= 0.0) || sides.iter().all(|&side| side <= 0.0)
    }
}

impl ClassSet {
    /// Reads a labelled set whose boxes have categories, or a folder of images with label maps.
    ///
    /// # Errors
    /// What has no form that is known, boxes without categories.
    pub fn read(path: &Path) -> Result<Self, EvalError> {
        match MaskSet::read(&path.to_string_lossy()) {
            Ok(set) => {
                let (file, form, digest) = (path.to_owned(), set.layout, set.digest.clone());
                let places =
                    set.images.iter().enumerate().map(|(at, image)| (same(&image.image), at)).collect();
                Ok(Self { file, form, digest, kind: SetKind::Masks(set, places) })
            }
            Err(LabelError::UnknownLayout { .. }) => Self::of_boxes(LabelledSet::read(path, Role::Gallery)?),
            Err(error) => Err(error.into()),
        }
    }

    fn of_boxes(set: LabelledSet) -> Result<Self, EvalError> {
        let (mut fine, mut coarse) = (Numbers::default(), Numbers::default());
        let mut images: HashMap<PathBuf, Boxed> = HashMap::new();
        let labelled = set.boxes.iter().filter(|labelled| labelled.is_located);
        for (labelled, category) in
            labelled.filter_map(|labelled| Some((labelled, labelled.category.as_ref()?)))
        {
            let bbox = labelled.bbox;
            let (left, top, right, bottom) = (bbox.x, bbox.y, bbox.x + bbox.w, bbox.y + bbox.h);
            let upright = [[left, top], [right, top], [right, bottom], [left, bottom]];
            let class = Class {
                fine: fine.of(category),
                coarse: labelled.supercategory.as_ref().map(|kind| coarse.of(kind)),
            };
            let outline = Outline(labelled.corners.unwrap_or(upright));
            let image = &set.images[labelled.image];
            let none = Boxed { size: image.size, boxes: Vec::new() };
            images.entry(same(&image.path)).or_insert(none).boxes.push((outline, class));
        }
        if images.is_empty() {
            return Err(EvalError::NoClasses { path: set.file });
        }
        // The smaller of two that lie over each other is the one in front, as far as boxes tell.
        images.values_mut().for_each(|image| image.boxes.sort_by(|a, b| a.0.area().total_cmp(&b.0.area())));
        Ok(Self { file: set.file, form: set.form, digest: set.digest, kind: SetKind::Boxes(images) })
    }

    /// The classes of the image in a file, which has that width and height.
    ///
    /// # Errors
    /// A label map that cannot be read, an image of another size than its labels.
    pub(super) fn of_image(&self, file: &Path, size: [u32; 2]) -> Result<Classes<'_>, EvalError> {
        let file = same(file);
        let sound = |said: Option<[u32; 2]>| match said.filter(|&said| said != size) {
            None => Ok(()),
            Some(said) => {
                let image = file.display().to_string();
                Err(EvalError::OtherSize { file: self.file.clone(), image, said, found: size })
            }
        };
        match &self.kind {
            SetKind::Boxes(images) => images.get(&file).map_or(Ok(Classes::None), |Boxed { size, boxes }| {
                sound(*size)?;
                Ok(Classes::Boxes(boxes))
            }),
            SetKind::Masks(set, places) => places.get(&file).map_or(Ok(Classes::None), |&at| {
                let map = set.labels(&set.images[at])?;
                sound(Some([map.width, map.height]))?;
                Ok(Classes::Mask(map, set.background()))
            }),
        }
    }
}

impl Classes<'_> {
    /// The class of a point, in pixels.
    pub fn at(&self, x: f32, y: f32) -> Option<Class> {
        match self {
            Self::None => None,
            Self::Boxes(boxes) => {
                boxes.iter().find(|(outline, _)| outline.holds(x, y)).map(|(_, class)| *class)
            }
            Self::Mask(map, background) => {
                let inside = x >= 0.0 && y >= 0.0 && x < map.width as f32 && y < map.height as f32;
                let number = inside.then(|| map.at(x as u32, y as u32));
                let class =
                    number.filter(|&number| number != super::masks::IGNORED && Some(number) != *background);
                class.map(|number| Class { fine: usize::from(number), coarse: None })
            }
        }
    }
}

/// Numbers of names, in the order in which they come.
#[derive(Default)]
struct Numbers(HashMap<String, usize>);

impl Numbers {
    fn of(&mut self, name: &str) -> usize {
        let next = self.0.len();
        *self.0.entry(name.to_owned()).or_insert(next)
    }
}

/// A path by which files are told from each other.
fn same(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outline(corners: [[f32; 2]; 4]) -> Outline {
        Outline(corners)
    }

    #[test]
    fn a_turned_box_holds_what_lies_inside_its_corners() {
        let turned = outline([[5.0, 0.0], [10.0, 5.0], [5.0, 10.0], [0.0, 5.0]]);
        assert!(turned.holds(5.0, 5.0) && turned.holds(5.0, 0.5) && !turned.holds(1.0, 1.0));
        let other_way = outline([[0.0, 5.0], [5.0, 10.0], [10.0, 5.0], [5.0, 0.0]]);
        assert!(other_way.holds(7.0, 5.0) && !other_way.holds(9.0, 9.0));
        assert_eq!([turned.area(), other_way.area()], [50.0, 50.0]);
    }

    #[test]
    fn the_class_is_that_of_the_smallest_box_that_holds_the_point() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("set.json");
        let set = serde_json::json!({
            "images": [{"id": 1, "file_name": "a.png", "width": 40, "height": 30}],
            "annotations": [
                {"id": 1, "image_id": 1, "category_id": 1, "instance_id": 1, "bbox": [0, 0, 30, 30]},
                {"id": 2, "image_id": 1, "category_id": 2, "instance_id": 2, "bbox": [5, 5, 10, 10]}],
            "categories": [{"id": 1, "name": "bus", "supercategory": "vehicle"}, {"id": 2, "name": "face"}]});
        std::fs::write(&file, set.to_string()).unwrap();
        let set = ClassSet::read(&file).unwrap();
        let classes = set.of_image(&folder.path().join("a.png"), [40, 30]).unwrap();
        let (bus, face) = (Class { fine: 0, coarse: Some(0) }, Class { fine: 1, coarse: None });
        assert_eq!(
            [classes.at(20.0, 20.0), classes.at(6.0, 6.0), classes.at(35.0, 1.0)],
            [Some(bus), Some(face), None]
        );
        assert!(set.of_image(&folder.path().join("a.png"), [80, 60]).is_err());
        assert!(set.of_image(&folder.path().join("b.png"), [9, 9]).unwrap().at(6.0, 6.0).is_none());
    }
}
