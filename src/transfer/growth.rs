//! A segment of foreign vectors on its way: rows image by image, each content stored once as far as memory lasts.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use patchdex_format::{ContainerWriter, Element, SegmentEntry, ViewRow};

use super::TransferError;
use crate::collection::{CREATED_BY, CollectionError};
use crate::exchange::ExchangeError;
use crate::segment::{FileRole, Listed, RowEncoding, SegmentTables, file_entry};
use crate::storage::{NewFile, StorageError};

/// Stored bytes of an image that wait until its content is known. A larger image is written at once: when it turns out to
/// be a copy, its rows belong to no image, until the collection is compacted.
const WAITING_BYTES: usize = 64 << 20;

/// A segment under construction.
pub(super) struct Growth<'a> {
    folder: PathBuf,
    path: PathBuf,
    writer: ContainerWriter<NewFile>,
    encoding: RowEncoding<'a>,
    /// Of all rows that are written.
    scales: Vec<f32>,
    written: u64,
    /// Stored bytes and scales of the image's rows that are not written yet.
    waiting: (Vec<u8>, Vec<f32>),
    /// Rows of the image so far, and how many were written before it.
    rows: u64,
    before: u64,
    listed: Vec<Listed>,
    /// The first image of each content.
    contents: HashMap<[u8; 32], usize>,
}

impl<'a> Growth<'a> {
    /// Starts in the empty `folder`.
    pub fn begin(folder: &Path, encoding: RowEncoding<'a>, dim: u32) -> Result<Self, TransferError> {
        let path = folder.join(FileRole::Vectors.first_name());
        let begun = ContainerWriter::new(NewFile::create(&path)?, FileRole::Vectors.kind(), CREATED_BY);
        let mut writer = begun.map_err(StorageError::at("write", &path))?;
        let section = writer.begin("vectors", encoding.rows.element, dim);
        section.map_err(StorageError::at("write", &path))?;
        Ok(Self {
            folder: folder.to_owned(),
            path,
            writer,
            encoding,
            scales: Vec::new(),
            written: 0,
            waiting: (Vec::new(), Vec::new()),
            rows: 0,
            before: 0,
            listed: Vec::new(),
            contents: HashMap::new(),
        })
    }

    /// Appends rows of the image, which are those of `file` from number `first` on.
    pub fn push(&mut self, file: &Path, first: u64, vectors: &[f32]) -> Result<(), TransferError> {
        let (bytes, scales) = self.encoding.encode(vectors);
        let dim = self.encoding.preparation.output_dim();
        ExchangeError::unless_held(file, first, &self.encoding.rows, &bytes, dim)?;
        self.waiting.0.extend(bytes);
        self.waiting.1.extend(scales);
        self.rows += (vectors.len() / dim) as u64;
        match self.waiting.0.len() > WAITING_BYTES {
            true => self.write_waiting(),
            false => Ok(()),
        }
    }

    /// Ends the image; `views` of its rows count patches from 0.
    pub fn end_image(&mut self, mut image: Listed) -> Result<(), TransferError> {
        match self.contents.get(&image.row.content) {
            Some(&first) => {
                image.views = Arc::clone(&self.listed[first].views);
                self.waiting = (Vec::new(), Vec::new());
            }
            None => {
                let place = |view: &ViewRow| ViewRow { first_patch: view.first_patch + self.before, ..*view };
                image.views = image.views.iter().map(place).collect();
                self.contents.insert(image.row.content, self.listed.len());
                self.write_waiting()?;
            }
        }
        self.listed.push(image);
        (self.rows, self.before) = (0, self.written);
        Ok(())
    }

    /// Writes what is left and the tables.
    pub fn finish(mut self, id: String) -> Result<SegmentEntry, TransferError> {
        let refused = |path: &Path| StorageError::at("write", path);
        if self.encoding.rows.element == Element::I8 {
            let scales = self.writer.section("scales", Element::F32, 1, &self.scales);
            scales.map_err(refused(&self.path))?;
        }
        self.writer.finish().map_err(refused(&self.path))?.commit()?;
        let mut files = vec![file_entry(&self.folder, &FileRole::Vectors.first_name())?];
        let tables = SegmentTables::of(self.listed);
        let written = tables.write(&self.folder, FileRole::first_name, CREATED_BY);
        files.extend(written.map_err(CollectionError::from)?);
        let (images, views) = (tables.image_count(), tables.view_count());
        let mut entry =
            SegmentEntry { id, images, views, patches: self.written, files: Vec::new(), graph: None };
        FileRole::replace(&mut entry, files);
        Ok(entry)
    }

    fn write_waiting(&mut self) -> Result<(), TransferError> {
        let (bytes, scales) = &mut self.waiting;
        self.writer.rows(bytes).map_err(StorageError::at("write", &self.path))?;
        self.scales.append(scales);
        bytes.clear();
        self.written = self.before + self.rows;
        Ok(())
    }
}
