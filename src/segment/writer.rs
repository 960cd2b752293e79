//! Writing a segment's files. Each appears whole or not at all.

use std::io;
use std::path::Path;

use patchdex_format::{ContainerWriter, Element, FileEntry, Layout};
use rayon::prelude::*;

use super::{FileRole, OpenSegmentError};
use crate::dims::Preparation;
use crate::index::RowKind;
use crate::metric::Metric;
use crate::storage::{Map, NewFile, StorageError};

/// Tokens that one task prepares, or takes the moments of. Fixed, so that sums do not depend on the threads.
pub const BLOCK_TOKENS: usize = 4096;

/// How tokens become stored rows.
#[derive(Clone, Copy)]
pub struct RowEncoding<'a> {
    /// The linear map.
    pub preparation: &'a Preparation,
    /// The similarity that rows are made comparable for.
    pub metric: Metric,
    /// Element kind.
    pub rows: RowKind,
}

impl RowEncoding<'_> {
    /// Stored bytes and scales of tokens as the model gives them: prepared, made comparable, quantised.
    pub fn encode(&self, tokens: &[f32]) -> (Vec<u8>, Vec<f32>) {
        let dim = self.preparation.output_dim();
        let mut rows = self.preparation.apply(tokens);
        self.metric.prepare(&mut rows, dim);
        self.rows.encode(&rows, dim)
    }

    /// Writes the vectors of `blocks` of tokens; `written` is told of rows as they are.
    ///
    /// # Errors
    /// The system's refusal, with the path.
    pub fn write(
        &self,
        path: &Path,
        blocks: &[&[f32]],
        created_by: &str,
        written: &mut dyn FnMut(u64),
    ) -> Result<(), StorageError> {
        write_container(path, |file| {
            let mut writer = ContainerWriter::new(file, FileRole::Vectors.kind(), created_by)?;
            writer.begin("vectors", self.rows.element, self.preparation.output_dim() as u32)?;
            let mut scales = Vec::new();
            // A few blocks at a time in parallel, written in order.
            for blocks in blocks.chunks(rayon::current_num_threads().max(1) * 2) {
                let numbers: usize = blocks.iter().map(|block| block.len()).sum();
                let encoded: Vec<_> = blocks.par_iter().map(|block| self.encode(block)).collect();
                for (bytes, block_scales) in encoded {
                    writer.rows(&bytes)?;
                    scales.extend(block_scales);
                }
                written((numbers / self.preparation.input_dim()) as u64);
            }
            if self.rows.element == Element::I8 {
                writer.section("scales", Element::F32, 1, &scales)?;
            }
            writer.finish().map(|_| ())
        })
    }
}

/// Writes a file through `fill` and gives it its name once it is durable.
///
/// # Errors
/// The system's refusal, with the path.
pub fn write_container(
    path: &Path,
    fill: impl FnOnce(&mut NewFile) -> io::Result<()>,
) -> Result<(), StorageError> {
    let mut file = NewFile::create(path)?;
    fill(&mut file).map_err(StorageError::at("write", path))?;
    file.commit()
}

/// What the manifest says about a file of a segment that was just written.
///
/// # Errors
/// A file that cannot be read back.
pub fn file_entry(folder: &Path, name: &str) -> Result<FileEntry, OpenSegmentError> {
    let path = folder.join(name);
    let map = Map::open(&path)?;
    let kind = FileRole::of(name).map_or("", FileRole::kind);
    let layout = Layout::parse(&map, kind).map_err(OpenSegmentError::in_file(&path))?;
    Ok(FileEntry { name: name.to_owned(), bytes: map.len() as u64, digest: layout.digest() })
}
