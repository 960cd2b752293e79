//! Several segments become one: the images that are listed, in order of their paths, each content once.

use std::collections::HashSet;
use std::path::Path;

use patchdex_format::{ContainerWriter, Element, SegmentEntry, ViewRow};

use super::{CREATED_BY, CollectionError, GraphStatus};
use crate::segment::{
    BLOCK_TOKENS, FileRole, Listed, RowEncoding, Segment, SegmentTables, file_entry, write_container,
};
use crate::storage::StorageError;

/// How far the rows of new segments are.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Written {
    /// Rows that are written.
    pub rows: u64,
    /// Rows in all. One that keeps the model's own token counts twice.
    pub of: u64,
    /// How far the graphs are, once all rows are written.
    pub graphs: Option<GraphStatus>,
}

impl Written {
    /// Tells `progress` of graphs, after `rows` rows.
    pub(super) fn telling(rows: u64, progress: &mut dyn FnMut(&Written)) -> impl FnMut(GraphStatus) {
        move |graphs| progress(&Written { rows, of: rows, graphs: Some(graphs) })
    }
}

/// Tells `progress` of rows as they are written, of `of` in all.
pub(super) fn tally(of: u64, progress: &mut dyn FnMut(&Written)) -> impl FnMut(u64) {
    let mut written = Written { rows: 0, of, graphs: None };
    progress(&written);
    move |rows| {
        written.rows += rows;
        progress(&written);
    }
}

/// Images of one segment on their way into another.
pub(super) struct Part<'a> {
    pub segment: &'a Segment,
    /// With the views that they have in that segment. No two parts list the same path.
    pub images: Vec<Listed>,
}

impl<'a> Part<'a> {
    /// All images of a segment, their paths after `prefix`.
    pub fn of(segment: &'a Segment, prefix: &[u8]) -> Result<Self, CollectionError> {
        let mut images = segment.listed()?;
        images.iter_mut().for_each(|image| image.path = [prefix, &image.path].concat());
        Ok(Self { segment, images })
    }
}

/// Rows that move: of which part, and which there. The views of an image follow each other and are one run.
struct Run {
    part: usize,
    first: usize,
    count: usize,
}

impl Run {
    /// The same rows in pieces that are copied at once.
    fn pieces(&self) -> impl Iterator<Item = Run> {
        let &Run { part, first, count } = self;
        let piece = move |at| Run { part, first: first + at, count: BLOCK_TOKENS.min(count - at) };
        (0..count).step_by(BLOCK_TOKENS).map(piece)
    }
}

/// One segment to be, of several.
pub(super) struct Fold<'a> {
    parts: Vec<Part<'a>>,
    listed: Vec<Listed>,
    runs: Vec<Run>,
    patches: u64,
    /// The model's own tokens of each part, where all keep them.
    raw: Option<Vec<&'a [f32]>>,
    hidden_size: usize,
}

impl<'a> Fold<'a> {
    /// Lays out the images of `parts`; raw tokens have `hidden_size` numbers.
    pub fn of(parts: Vec<Part<'a>>, hidden_size: usize) -> Result<Self, CollectionError> {
        let images = |(part, Part { images, .. }): (usize, &Part<'_>)| {
            images.iter().map(|image| (part, image.clone())).collect::<Vec<_>>()
        };
        let mut order: Vec<(usize, Listed)> = parts.iter().enumerate().flat_map(images).collect();
        order.sort_by(|(_, a), (_, b)| a.path.cmp(&b.path));
        let (mut runs, mut listed, mut seen) = (Vec::new(), Vec::with_capacity(order.len()), HashSet::new());
        let mut patches = 0;
        for (part, mut image) in order {
            if seen.insert(image.row.content) {
                let mut open: Option<Run> = None;
                let moved = image.views.iter().map(|view| {
                    let (first, count) = (view.first_patch as usize, view.patches() as usize);
                    let view = ViewRow { first_patch: patches, ..*view };
                    patches += count as u64;
                    match &mut open {
                        Some(run) if run.first + run.count == first => run.count += count,
                        _ => runs.extend(open.replace(Run { part, first, count })),
                    }
                    view
                });
                image.views = moved.collect();
                runs.extend(open);
            }
            listed.push(image);
        }
        let raw = parts.iter().map(|part| part.segment.raw(hidden_size)).collect::<Result<_, _>>()?;
        Ok(Self { parts, listed, runs, patches, raw, hidden_size })
    }

    /// Whether this is one segment whose vectors stay as they are.
    pub fn changes_nothing(&self) -> bool {
        let [part] = self.parts.as_slice() else { return false };
        let mut next = 0;
        let follows = |run: &Run| std::mem::replace(&mut next, run.first + run.count) == run.first;
        self.runs.iter().all(follows) && self.patches == part.segment.patch_count() as u64
    }

    /// Rows that will be written.
    pub fn rows(&self) -> u64 {
        self.patches * (1 + u64::from(self.raw.is_some()))
    }

    /// The tokens as the model gave them, in blocks that do not cross images; none where a part does not keep them.
    pub fn blocks(&self) -> Option<Vec<&'a [f32]>> {
        let dim = self.hidden_size;
        let raw = self.raw.as_ref()?;
        let block = |run: &Run| {
            raw[run.part][run.first * dim..(run.first + run.count) * dim].chunks(BLOCK_TOKENS * dim)
        };
        Some(self.runs.iter().flat_map(block).collect())
    }

    /// Writes the segment `id` into the empty `folder`: rows of `element`s as they are stored, and raw tokens when all
    /// parts have them. `written` is told of rows as they are.
    pub fn write(
        self,
        folder: &Path,
        id: String,
        element: Element,
        written: &mut dyn FnMut(u64),
    ) -> Result<SegmentEntry, CollectionError> {
        // A fold of nothing is a file of no rows, and those have some length.
        let dim = self.parts.first().map_or(1, |part| part.segment.dim());
        let rows = |run: &Run| self.parts[run.part].segment.row_bytes(run.first, run.count);
        write_container(&folder.join(FileRole::Vectors.first_name()), |file| {
            let mut writer = ContainerWriter::new(file, FileRole::Vectors.kind(), CREATED_BY)?;
            writer.begin("vectors", element, dim as u32)?;
            for piece in self.runs.iter().flat_map(Run::pieces) {
                writer.rows(rows(&piece).0)?;
                written(piece.count as u64);
            }
            if element == Element::I8 {
                writer.begin("scales", Element::F32, 1)?;
                self.runs.iter().try_for_each(|run| writer.rows(rows(run).1))?;
            }
            writer.finish().map(|_| ())
        })?;
        self.finish(folder, id, written)
    }

    /// The same with rows that are prepared anew from `blocks`, which [`Fold::blocks`] gave.
    pub fn write_prepared(
        self,
        folder: &Path,
        id: String,
        blocks: &[&[f32]],
        encoding: &RowEncoding<'_>,
        written: &mut dyn FnMut(u64),
    ) -> Result<SegmentEntry, CollectionError> {
        encoding.write(&folder.join(FileRole::Vectors.first_name()), blocks, CREATED_BY, written)?;
        self.finish(folder, id, written)
    }

    fn finish(
        self,
        folder: &Path,
        id: String,
        written: &mut dyn FnMut(u64),
    ) -> Result<SegmentEntry, CollectionError> {
        let mut files = vec![file_entry(folder, &FileRole::Vectors.first_name())?];
        if let Some(blocks) = self.blocks() {
            write_raw(folder, &blocks, self.hidden_size, written)?;
            files.push(file_entry(folder, &FileRole::Raw.first_name())?);
        }
        let tables = SegmentTables::of(self.listed);
        files.extend(tables.write(folder, FileRole::first_name, CREATED_BY)?);
        let (images, views) = (tables.image_count(), tables.view_count());
        let mut entry =
            SegmentEntry { id, images, views, patches: self.patches, files: Vec::new(), graph: None };
        FileRole::replace(&mut entry, files);
        Ok(entry)
    }
}

fn write_raw(
    folder: &Path,
    blocks: &[&[f32]],
    dim: usize,
    written: &mut dyn FnMut(u64),
) -> Result<(), StorageError> {
    write_container(&folder.join(FileRole::Raw.first_name()), |file| {
        let mut writer = ContainerWriter::new(file, FileRole::Raw.kind(), CREATED_BY)?;
        writer.begin("vectors", Element::F32, dim as u32)?;
        for block in blocks {
            writer.rows(block)?;
            written((block.len() / dim) as u64);
        }
        writer.finish().map(|_| ())
    })
}
