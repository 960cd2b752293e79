//! The bytes of a patchdex collection: containers of sections, tables, the manifest, and their validation.
//!
//! `FORMAT.md` beside this crate is the specification; a test holds both together. Nothing here opens a file: callers
//! bring bytes (usually a memory map) and get values or a [`FormatError`], never a panic.
#![deny(missing_docs)]

#[cfg(target_endian = "big")]
compile_error!("sections are little-endian rows read in place; big-endian hosts are not supported");

mod container;
mod element;
mod error;
mod manifest;
mod metadata;
mod table;

pub use container::{ALIGNMENT, ContainerWriter, Layout, Section};
pub use element::Element;
pub use error::{Cause, FormatError};
pub use manifest::{
    FileEntry, GraphPlan, GraphProof, MANIFEST_NAME, Manifest, ModelBinding, PreparationEntry, RecallPoint,
    SegmentEntry, TilePlan, ViewPlan,
};
pub use metadata::{MetadataTable, MetadataWriter};
pub use table::{ImageRow, ImageTable, ImageTableWriter, ViewRow};

/// Version of containers and manifest written by this crate.
pub const FORMAT_VERSION: u32 = 4;

/// Oldest version this crate still reads.
pub const OLDEST_VERSION: u32 = 1;
