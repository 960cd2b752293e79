//! Every image of every segment in order of their paths: by this order exports and their readers number images and rows.

use super::{Collection, CollectionError};
use crate::segment::ImageView;

/// An image with its place in the collection.
#[derive(Clone, Copy, Debug)]
pub struct Placed<'a> {
    /// Its place among all images, counted from 1.
    pub number: u64,
    /// Number of its segment.
    pub segment: usize,
    /// The image.
    pub image: ImageView<'a>,
    /// Patches of the images before it, those of copies among them.
    pub first_row: u64,
}

impl Collection {
    /// Every image in order of the bytes of its path. A copy of an image counts with the patches that both share.
    ///
    /// # Errors
    /// Damage in the tables.
    pub fn listing(&self) -> Result<Vec<Placed<'_>>, CollectionError> {
        let mut all = Vec::with_capacity(self.segments().iter().map(|segment| segment.image_count()).sum());
        for (segment, images) in self.segments().iter().enumerate() {
            for image in images.images() {
                all.push(Placed { number: 0, segment, image: image?, first_row: 0 });
            }
        }
        all.sort_by(|a, b| a.image.path.cmp(b.image.path).then(a.segment.cmp(&b.segment)));
        let mut rows = 0;
        for (number, placed) in (1..).zip(&mut all) {
            (placed.number, placed.first_row) = (number, rows);
            rows += placed.image.patch_count() as u64;
        }
        Ok(all)
    }
}
