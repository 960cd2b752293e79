//! The image table: fixed-size rows for images and views, and a heap of path bytes.
//!
//! The patch table is run-length: patches of a view are consecutive rows of the vector file and divide the view's
//! rectangle evenly, so one view row says where all of them lie. Rows are checked when they are read, not at open.

use std::io::{self, Write};

use bytemuck::{Pod, Zeroable};

use crate::{Cause, ContainerWriter, Element, FormatError, Layout};

/// One image. 80 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct ImageRow {
    /// First byte of the path in section `paths`.
    pub path_offset: u64,
    /// Size of the image file.
    pub file_bytes: u64,
    /// Modification time of the image file, nanoseconds since 1970.
    pub modified_ns: i64,
    /// Bytes of the path.
    pub path_bytes: u32,
    /// Width of the upright image.
    pub width_px: u32,
    /// Height of the upright image.
    pub height_px: u32,
    /// First row in section `views`.
    pub first_view: u32,
    /// Number of rows in section `views`.
    pub view_count: u32,
    /// The first image with the same bytes (itself, as a rule): it owns the views that both share.
    pub same_as: u32,
    /// BLAKE3 of the image file.
    pub content: [u8; 32],
}

/// One view of an image. 40 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub struct ViewRow {
    /// First row in the vector file.
    pub first_patch: u64,
    /// The image that owns the view.
    pub image: u32,
    /// Patches from top to bottom.
    pub rows: u32,
    /// Patches from left to right.
    pub cols: u32,
    /// 0 the whole image, 1 a part of it.
    pub kind: u32,
    /// Rectangle shown, pixels of the upright image: left, top, width, height.
    pub area: [f32; 4],
}

impl ViewRow {
    /// Number of patches.
    pub fn patches(&self) -> u64 {
        u64::from(self.rows) * u64::from(self.cols)
    }
}

/// The tables of an `images` file, read in place.
#[derive(Clone, Copy)]
pub struct ImageTable<'a> {
    images: &'a [ImageRow],
    views: &'a [ViewRow],
    paths: &'a [u8],
}

impl<'a> ImageTable<'a> {
    /// Container kind of the file.
    pub const KIND: &'static str = "images";

    /// The tables in `bytes`, whose layout was parsed before.
    ///
    /// # Errors
    /// A missing or foreign section.
    pub fn new(layout: &Layout, bytes: &'a [u8]) -> Result<Self, FormatError> {
        Ok(Self {
            images: layout.slice(bytes, "images", Element::ImageRow)?,
            views: layout.slice(bytes, "views", Element::ViewRow)?,
            paths: layout.slice(bytes, "paths", Element::U8)?,
        })
    }

    /// Checks that images share views only as copies do. Otherwise a small table could list any number of them.
    ///
    /// # Errors
    /// A copy with other bytes or views than the image that it names, or images that list more views than there are.
    pub fn check_shares(&self) -> Result<(), FormatError> {
        let of = |row: &ImageRow| (row.same_as, row.first_view, row.view_count, row.content);
        let mut listed = 0;
        for (index, row) in self.images.iter().enumerate() {
            let first = row.same_as as usize;
            if first == index {
                listed += u64::from(row.view_count);
            } else if self.images.get(first).is_none_or(|first| of(first) != of(row)) {
                let what = format!("image {index} is no copy of image {first}");
                return Err(FormatError::section("images", None, Cause::Structure { what }));
            }
        }
        match listed <= self.views.len() as u64 {
            true => Ok(()),
            false => {
                let what = format!("images list {listed} views, there are {}", self.views.len());
                Err(FormatError::section("images", None, Cause::Structure { what }))
            }
        }
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.images.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.images.is_empty()
    }

    /// Number of views.
    pub fn view_count(&self) -> usize {
        self.views.len()
    }

    /// Row `index` of the images.
    ///
    /// # Errors
    /// No such row.
    pub fn image(&self, index: usize) -> Result<&'a ImageRow, FormatError> {
        self.images.get(index).ok_or_else(|| out_of_range("images", index))
    }

    /// The path of an image: bytes, `/`-separated, relative to the collection's root.
    ///
    /// # Errors
    /// A row that points outside the heap.
    pub fn path(&self, row: &ImageRow) -> Result<&'a [u8], FormatError> {
        let start = usize::try_from(row.path_offset).ok();
        start
            .and_then(|start| Some(start..start.checked_add(row.path_bytes as usize)?))
            .and_then(|range| self.paths.get(range))
            .ok_or_else(|| out_of_range("paths", row.path_offset as usize))
    }

    /// The views of an image.
    ///
    /// # Errors
    /// A row that points outside the table.
    pub fn views(&self, row: &ImageRow) -> Result<&'a [ViewRow], FormatError> {
        let start = row.first_view as usize;
        start
            .checked_add(row.view_count as usize)
            .and_then(|end| self.views.get(start..end))
            .ok_or_else(|| out_of_range("views", start))
    }
}

fn out_of_range(section: &str, index: usize) -> FormatError {
    let what = format!("row {index} does not exist");
    FormatError::section(section, None, Cause::Structure { what })
}

/// Collects images and views, then writes them as an `images` file.
#[derive(Default)]
pub struct ImageTableWriter {
    images: Vec<ImageRow>,
    views: Vec<ViewRow>,
    paths: Vec<u8>,
}

impl ImageTableWriter {
    /// Adds an image with its views; path and view fields of `row` are filled in here. Returns the image's index.
    pub fn push(&mut self, path: &[u8], mut row: ImageRow, views: &[ViewRow]) -> u32 {
        let index = self.images.len() as u32;
        row.path_offset = self.paths.len() as u64;
        row.path_bytes = path.len() as u32;
        row.first_view = self.views.len() as u32;
        row.view_count = views.len() as u32;
        row.same_as = index;
        self.paths.extend_from_slice(path);
        self.views.extend(views.iter().map(|view| ViewRow { image: index, ..*view }));
        self.images.push(row);
        index
    }

    /// Adds an image whose file has the same bytes as image `original`, with whom it shares the views.
    pub fn push_duplicate(&mut self, path: &[u8], row: ImageRow, original: u32) {
        let first = self.images[original as usize];
        let index = self.push(path, row, &[]) as usize;
        let row = &mut self.images[index];
        (row.first_view, row.view_count, row.same_as) = (first.first_view, first.view_count, original);
    }

    /// Number of images so far.
    pub fn len(&self) -> usize {
        self.images.len()
    }

    /// Whether there is no image yet.
    pub fn is_empty(&self) -> bool {
        self.images.is_empty()
    }

    /// Number of views so far.
    pub fn view_count(&self) -> usize {
        self.views.len()
    }

    /// Number of patches of all views so far.
    pub fn patch_count(&self) -> u64 {
        self.views.iter().map(ViewRow::patches).sum()
    }

    /// Writes the file.
    ///
    /// # Errors
    /// The sink's.
    pub fn write<W: Write>(&self, sink: W, created_by: &str) -> io::Result<W> {
        let mut writer = ContainerWriter::new(sink, ImageTable::KIND, created_by)?;
        writer.section("images", Element::ImageRow, 1, &self.images)?;
        writer.section("views", Element::ViewRow, 1, &self.views)?;
        writer.section("paths", Element::U8, 1, &self.paths)?;
        writer.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duplicate_shares_the_views_of_its_original() {
        let mut writer = ImageTableWriter::default();
        let view = ViewRow { rows: 2, cols: 3, area: [0.0, 0.0, 30.0, 20.0], ..Zeroable::zeroed() };
        writer.push(b"a.jpg", Zeroable::zeroed(), &[view, view]);
        writer.push_duplicate(b"b.jpg", Zeroable::zeroed(), 0);
        let mut bytes = rkyv::util::AlignedVec::<64>::new();
        bytes.extend_from_slice(&writer.write(Vec::new(), "test").unwrap());
        let layout = Layout::parse(&bytes, ImageTable::KIND).unwrap();
        let table = ImageTable::new(&layout, &bytes).unwrap();
        let row = table.image(1).unwrap();
        assert_eq!(table.path(row).unwrap(), b"b.jpg");
        assert_eq!(row.same_as, 0);
        assert_eq!(table.views(row).unwrap(), table.views(table.image(0).unwrap()).unwrap());
        assert!(table.image(2).is_err());
        assert!(table.views(&ImageRow { first_view: 1, view_count: 9, ..*row }).is_err());
        assert!(table.path(&ImageRow { path_offset: u64::MAX, ..*row }).is_err());
    }
}
