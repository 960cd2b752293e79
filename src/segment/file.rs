//! One file of a segment: mapped, its section table read, held against what the manifest vouches for.

use std::path::Path;

use patchdex_format::{Element, FileEntry, Layout};

use super::{FileRole, OpenSegmentError};
use crate::core::{Fault, Kind};
use crate::storage::{Map, Residency};

/// How closely files are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Structure: lengths, headers, section tables, rows of the image tables.
    Quick,
    /// Every byte.
    Full,
}

/// A mapped file with its section table.
pub struct SegmentFile {
    pub(super) map: Map,
    pub(super) layout: Layout,
}

impl SegmentFile {
    /// Maps a file. Its sections are not read.
    ///
    /// # Errors
    /// A missing or damaged file, or one that the manifest does not vouch for.
    pub fn open(path: &Path, entry: &FileEntry) -> Result<Self, OpenSegmentError> {
        Self::open_as(path, entry, Residency::Mapped)
    }

    /// The same, with the file in memory as `residency` says.
    ///
    /// # Errors
    /// As [`SegmentFile::open`]; the system's refusal of memory.
    pub fn open_as(path: &Path, entry: &FileEntry, residency: Residency) -> Result<Self, OpenSegmentError> {
        let role = FileRole::of(&entry.name)
            .ok_or_else(|| OpenSegmentError::replaced(path, "this patchdex knows no such file"))?;
        let map = Map::open_as(path, residency).map_err(|error| match error.kind() {
            Kind::NotFound => OpenSegmentError::Missing { path: path.to_owned() },
            _ => error.into(),
        })?;
        if map.len() as u64 != entry.bytes {
            let what = format!("{} bytes instead of {}", map.len(), entry.bytes);
            return Err(OpenSegmentError::replaced(path, what));
        }
        let layout = Layout::parse(&map, role.kind()).map_err(OpenSegmentError::in_file(path))?;
        match layout.digest() == entry.digest {
            true => Ok(Self { map, layout }),
            false => Err(OpenSegmentError::replaced(path, "its digest differs")),
        }
    }

    /// Opens a file to look at it; with [`Depth::Full`] every byte is read back against its checksum.
    ///
    /// # Errors
    /// The first fault.
    pub fn verify(path: &Path, entry: &FileEntry, depth: Depth) -> Result<(), OpenSegmentError> {
        let Self { map, layout } = Self::open(path, entry)?;
        if depth == Depth::Quick {
            return Ok(());
        }
        map.advise_sequential();
        layout.verify(&map).map_err(OpenSegmentError::in_file(path))
    }

    /// The tokens of a raw file: `rows` of `hidden_size` numbers.
    ///
    /// # Errors
    /// A file that does not hold as many.
    pub fn tokens(&self, rows: usize, hidden_size: usize) -> Result<&[f32], OpenSegmentError> {
        let Self { map, layout } = self;
        let tokens = layout.slice::<f32>(map, "vectors", Element::F32);
        let tokens = tokens.map_err(OpenSegmentError::in_file(map.path()))?;
        match tokens.len() == rows * hidden_size {
            true => Ok(tokens),
            false => Err(OpenSegmentError::replaced(map.path(), format!("{} numbers", tokens.len()))),
        }
    }
}
