//! `verify`: every byte of a collection read back against its checksum.

use std::path::{Path, PathBuf};

use patchdex_format::Manifest;

use super::{CollectionError, meaning, read_listed, read_manifest, read_preparation, segment_dir};
use crate::core::Fault;
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

/// Reads the manifest, the preparation, the rejects and every file of every segment.
///
/// # Errors
/// A manifest that cannot be read: without it nothing else can be judged.
pub fn verify(path: &Path) -> Result<VerifyReport, CollectionError> {
    let manifest = read_manifest(path)?;
    let (_, rows) = meaning(path, &manifest)?;
    let mut report = VerifyReport { files: 1, ..VerifyReport::default() };
    let listed = manifest.preparation.file.iter().chain([&manifest.rejects]);
    for file in listed.chain(manifest.segments.iter().flat_map(|segment| &segment.files)) {
        report.files += 1;
        report.bytes = report.bytes.saturating_add(file.bytes);
    }
    let preparation = read_preparation(path, &manifest).err();
    let rejects = verify_rejects(path, &manifest).err();
    for error in preparation.into_iter().chain(rejects) {
        report.damage.push(Damage { path: path.to_owned(), error: Box::new(error) });
    }
    for entry in &manifest.segments {
        let folder = segment_dir(path, entry);
        let faults = Segment::verify(&folder, entry, rows, manifest.dim as usize);
        let damage = faults.into_iter().map(|error| Damage { path: folder.clone(), error: Box::new(error) });
        report.damage.extend(damage);
    }
    Ok(report)
}

fn verify_rejects(folder: &Path, manifest: &Manifest) -> Result<(), CollectionError> {
    let entry = &manifest.rejects;
    let path = folder.join(&entry.name);
    let bytes = read_listed(&path)?;
    let what = match bytes.len() as u64 == entry.bytes {
        false => format!("{} bytes instead of {}", bytes.len(), entry.bytes),
        true if blake3::hash(&bytes).to_hex().as_str() != entry.digest => "its digest differs".to_owned(),
        true => return Ok(()),
    };
    Err(CollectionError::Rejects { path, what })
}
