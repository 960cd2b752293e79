//! Foreign patches on their way into a segment: rows of a vector file are one image, those of a Parquet file as many as
//! it names.

use std::collections::HashSet;
use std::ops::Range;
use std::path::Path;

use patchdex_format::{ImageRow, ViewRow};
use serde_json::{Map, Value};

use super::TransferError;
use super::growth::Growth;
use crate::exchange::{ExchangeError, MetadataColumn, ParquetPatches, PatchBlock, VectorFile};
use crate::segment::{BLOCK_TOKENS, Listed};

/// All rows of a vector file as the one image that is called like it.
pub(super) fn grow_from_vectors(
    file: &VectorFile,
    modified_ns: i64,
    growth: &mut Growth<'_>,
) -> Result<(), TransferError> {
    let name = file.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut image = Incoming::new(name, Vec::new(), false);
    let mut block = vec![0.0; BLOCK_TOKENS * file.dim()];
    for first in (0..file.rows()).step_by(BLOCK_TOKENS) {
        let rows = &mut block[..(file.rows() - first).min(BLOCK_TOKENS) * file.dim()];
        file.read(first, rows)?;
        image.add(rows, file.dim());
        growth.push(file.path(), first as u64, rows)?;
    }
    growth.end_image(image.listed(&[], modified_ns))
}

/// The images of a Parquet file.
pub(super) struct Images<'a> {
    path: &'a Path,
    modified_ns: i64,
    columns: Vec<MetadataColumn>,
    dim: usize,
    /// Names of all images so far.
    names: HashSet<String>,
    /// The name of the last row as it stands there.
    last: String,
    image: Option<Incoming>,
    /// Whether any name was absolute, or any was not.
    absolute: bool,
    relative: bool,
}

impl<'a> Images<'a> {
    /// For vectors of `dim` numbers.
    pub fn new(path: &'a Path, modified_ns: i64, columns: &[MetadataColumn], dim: usize) -> Self {
        Self {
            path,
            modified_ns,
            columns: columns.to_vec(),
            dim,
            names: HashSet::new(),
            last: String::new(),
            image: None,
            absolute: false,
            relative: false,
        }
    }

    /// Takes `first` and what follows it in `blocks`; gives whether every name was absolute.
    pub fn grow(
        mut self,
        first: PatchBlock,
        blocks: &mut ParquetPatches,
        growth: &mut Growth<'_>,
    ) -> Result<bool, TransferError> {
        let rest = blocks.map(|block: Result<PatchBlock, ExchangeError>| block);
        for block in [Ok(first)].into_iter().chain(rest) {
            let block = block?;
            let ends = (1..=block.images.len())
                .filter(|&at| at == block.images.len() || block.images[at] != block.images[at - 1]);
            let mut start = 0;
            for end in ends {
                self.take(&block, start..end, growth)?;
                start = end;
            }
        }
        self.end_image(growth)?;
        Ok(self.absolute && !self.relative)
    }

    /// Takes patches of one image.
    fn take(
        &mut self,
        block: &PatchBlock,
        range: Range<usize>,
        growth: &mut Growth<'_>,
    ) -> Result<(), TransferError> {
        let stated = &block.images[range.start];
        if self.image.is_none() || *stated != self.last {
            self.turn_to(stated, block, range.start, growth)?;
        }
        let Some(image) = &mut self.image else { return Ok(()) };
        for (at, (column, values)) in self.columns.iter().zip(&block.metadata).enumerate() {
            let other = |&row: &usize| values[row] != image.metadata[at];
            if let Some(row) = range.clone().find(other) {
                let (path, row) = (self.path.to_owned(), block.first + row as u64);
                let (image, column) = (stated.clone(), column.name.clone());
                return Err(TransferError::Differs { path, row, image, column });
            }
        }
        if let (Some(own), Some(boxes)) = (&mut image.boxes, &block.boxes) {
            let boxes = &boxes[range.clone()];
            if let Some(at) = boxes.iter().position(|&[_, _, width, height]| width < 0.0 || height < 0.0) {
                let [_, _, width, height] = boxes[at];
                let (path, row) = (self.path.to_owned(), block.first + (range.start + at) as u64);
                return Err(TransferError::Box { path, row, width, height });
            }
            own.extend(boxes);
        }
        let vectors = &block.vectors[range.start * self.dim..range.end * self.dim];
        image.add(vectors, self.dim);
        growth.push(self.path, block.first + range.start as u64, vectors)
    }

    /// Ends the image before, and begins the one that row `at` of the block names, unless both are the same.
    fn turn_to(
        &mut self,
        stated: &str,
        block: &PatchBlock,
        at: usize,
        growth: &mut Growth<'_>,
    ) -> Result<(), TransferError> {
        let (path, row) = (self.path, block.first + at as u64);
        let name = below_root(stated).ok_or_else(|| TransferError::ImagePath {
            path: path.to_owned(),
            row,
            image: stated.to_owned(),
        })?;
        stated.clone_into(&mut self.last);
        match stated.starts_with('/') {
            true => self.absolute = true,
            false => self.relative = true,
        }
        if self.image.as_ref().is_some_and(|image| image.name == name) {
            return Ok(());
        }
        self.end_image(growth)?;
        if !self.names.insert(name.clone()) {
            return Err(TransferError::Scattered { path: path.to_owned(), row, image: stated.to_owned() });
        }
        let metadata = block.metadata.iter().map(|values| values[at].clone()).collect();
        self.image = Some(Incoming::new(name, metadata, block.boxes.is_some()));
        Ok(())
    }

    fn end_image(&mut self, growth: &mut Growth<'_>) -> Result<(), TransferError> {
        match self.image.take() {
            Some(image) => growth.end_image(image.listed(&self.columns, self.modified_ns)),
            None => Ok(()),
        }
    }
}

/// An image, as far as it was read.
struct Incoming {
    name: String,
    /// A value for each column.
    metadata: Vec<Option<Value>>,
    /// Boxes of the patches, where they have any.
    boxes: Option<Vec<[f32; 4]>>,
    rows: u64,
    bytes: u64,
    content: blake3::Hasher,
}

impl Incoming {
    fn new(name: String, metadata: Vec<Option<Value>>, has_boxes: bool) -> Self {
        let (boxes, content) = (has_boxes.then(Vec::new), blake3::Hasher::new());
        Self { name, metadata, boxes, rows: 0, bytes: 0, content }
    }

    fn add(&mut self, vectors: &[f32], dim: usize) {
        let bytes = bytemuck::cast_slice::<f32, u8>(vectors);
        self.content.update(bytes);
        self.bytes += bytes.len() as u64;
        self.rows += (vectors.len() / dim) as u64;
    }

    fn listed(mut self, columns: &[MetadataColumn], modified_ns: i64) -> Listed {
        let (views, width_px, height_px) = match &self.boxes {
            Some(boxes) => {
                // Images of the same content share their boxes.
                self.content.update(bytemuck::cast_slice(boxes));
                let edge = |sides: fn(&[f32; 4]) -> f32| boxes.iter().map(sides).fold(1.0, f32::max).ceil();
                let (right, bottom) = (edge(|[x, _, w, _]| x + w), edge(|[_, y, _, h]| y + h));
                let views = (0..).zip(boxes).map(|(row, &area)| view(row, 1, area)).collect();
                (views, right as u32, bottom as u32)
            }
            None => (column_of(self.rows), 1, u32::try_from(self.rows).unwrap_or(u32::MAX)),
        };
        let row = ImageRow {
            file_bytes: self.bytes,
            modified_ns,
            width_px,
            height_px,
            content: *self.content.finalize().as_bytes(),
            ..bytemuck::Zeroable::zeroed()
        };
        let said = columns.iter().zip(self.metadata);
        let metadata: Map<String, Value> =
            said.filter_map(|(column, value)| Some((column.name.clone(), value?))).collect();
        Listed { path: self.name.into_bytes(), row, views: views.into(), metadata }
    }
}

fn view(first_patch: u64, rows: u32, area: [f32; 4]) -> ViewRow {
    ViewRow { first_patch, image: 0, rows, cols: 1, kind: 0, area }
}

/// Rows without boxes: patches of one pixel, one below the other, in as many views as it takes.
fn column_of(rows: u64) -> Vec<ViewRow> {
    let starts = (0..rows).step_by(u32::MAX as usize);
    let views = starts.map(|first| {
        let count = (rows - first).min(u32::MAX.into()) as u32;
        view(first, count, [0.0, first as f32, 1.0, count as f32])
    });
    views.collect()
}

/// A stated path without what says nothing in it; none where it leaves its folder or names nothing.
fn below_root(stated: &str) -> Option<String> {
    let parts: Vec<&str> = stated.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    (!parts.is_empty() && !parts.contains(&"..")).then(|| parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_beyond_a_views_most_go_on_in_the_next() {
        let most = u64::from(u32::MAX);
        let views: Vec<_> =
            column_of(2 * most + 5).iter().map(|view| (view.first_patch, view.rows)).collect();
        assert_eq!(views, [(0, u32::MAX), (most, u32::MAX), (2 * most, 5)]);
        assert_eq!(column_of(3), [view(0, 3, [0.0, 0.0, 1.0, 3.0])]);
    }

    #[test]
    fn stated_paths_are_brought_below_a_root_or_refused() {
        for (stated, name) in
            [("a/b.jpg", "a/b.jpg"), ("/data//./b.jpg", "data/b.jpg"), ("s3://bucket/b", "s3:/bucket/b")]
        {
            assert_eq!(below_root(stated).as_deref(), Some(name));
        }
        for stated in ["", "/", ".", "../a.jpg", "a/../b.jpg"] {
            assert_eq!(below_root(stated), None, "{stated}");
        }
    }
}
