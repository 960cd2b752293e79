//! `verify`: every byte of a collection read back against its checksum.

use std::path::{Path, PathBuf};

use patchdex_format::SegmentEntry;

use super::{Collection, CollectionError, read_manifest, segment_dir};
use crate::core::Fault;
use crate::index::RowKind;
use crate::segment::Segment;

/// One fault that was found.
#[derive(Debug)]
pub struct Damage {
    /// The file or folder.
    pub path: PathBuf,
    /// What is wrong, where, and what to do.
    pub error: Box<dyn Fault>,
}

/// What verification found.
#[derive(Debug, Default)]
pub struct VerifyReport {
    /// Files that were read.
    pub files: usize,
    /// Bytes that were read.
    pub bytes: u64,
    /// Faults, in order of the files.
    pub damage: Vec<Damage>,
}

/// Reads the manifest, the preparation and every file of every segment.
///
/// # Errors
/// A manifest that cannot be read: without it nothing else can be judged.
pub fn verify(path: &Path) -> Result<VerifyReport, CollectionError> {
    let manifest = read_manifest(path)?;
    let mut report = VerifyReport { files: 1, ..VerifyReport::default() };
    let shell = Collection {
        path: path.to_owned(),
        segments: Vec::new(),
        metric: crate::metric::METRICS[0],
        manifest: manifest.clone(),
    };
    if let Some(file) = &manifest.preparation.file {
        report.files += 1;
        report.bytes += file.bytes;
        if let Err(error) = shell.preparation() {
            report.damage.push(Damage { path: path.join(&file.name), error: Box::new(error) });
        }
    }
    for entry in &manifest.segments {
        verify_segment(path, entry, &manifest.vectors, manifest.dim as usize, &mut report);
    }
    Ok(report)
}

fn verify_segment(path: &Path, entry: &SegmentEntry, vectors: &str, dim: usize, report: &mut VerifyReport) {
    let folder = segment_dir(path, entry);
    let rows = RowKind::named(vectors).unwrap_or(RowKind::ALL[0]);
    report.files += entry.files.len();
    report.bytes += entry.files.iter().map(|file| file.bytes).sum::<u64>();
    let faults = match Segment::open(&folder, entry, rows, dim) {
        Ok(segment) => segment.verify(),
        Err(error) => vec![error],
    };
    report
        .damage
        .extend(faults.into_iter().map(|error| Damage { path: folder.clone(), error: Box::new(error) }));
}
