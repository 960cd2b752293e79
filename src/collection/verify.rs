//! `verify`: the structure of a collection, or every byte of it read back against its checksum.

use std::path::{Path, PathBuf};

use patchdex_format::Manifest;

use super::commit::BACKUP_NAME;
use super::{
    CollectionError, meaning, read_listed, read_manifest, read_manifest_file, read_preparation, segment_dir,
};
use crate::core::Fault;
use crate::segment::{Depth, Segment};

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
    /// Files that were looked at.
    pub files: usize,
    /// Their size.
    pub bytes: u64,
    /// Faults, in order of the files.
    pub damage: Vec<Damage>,
}

/// Looks at the manifest, the preparation, the rejects and every file of every segment.
///
/// # Errors
/// A manifest that cannot be read: without it nothing else can be judged.
pub fn verify(path: &Path, depth: Depth) -> Result<VerifyReport, CollectionError> {
    loop {
        let manifest = read_manifest(path)?;
        let report = verify_commit(path, &manifest, depth)?;
        // A writer may have replaced files meanwhile: then there is a later commit.
        if report.damage.is_empty() || read_manifest(path)?.commit == manifest.commit {
            return Ok(report);
        }
    }
}

fn verify_commit(path: &Path, manifest: &Manifest, depth: Depth) -> Result<VerifyReport, CollectionError> {
    let stored = meaning(path, manifest)?;
    let mut report = VerifyReport { files: 1, ..VerifyReport::default() };
    let listed = manifest.preparation.file.iter().chain([&manifest.rejects]);
    for file in listed.chain(manifest.segments.iter().flat_map(|segment| &segment.files)) {
        report.files += 1;
        report.bytes = report.bytes.saturating_add(file.bytes);
    }
    let preparation = read_preparation(path, manifest).err();
    let rejects = verify_rejects(path, manifest).err();
    let copy = path.join(BACKUP_NAME);
    let has_copy = copy.exists();
    report.files += usize::from(has_copy);
    let copy = if has_copy { read_manifest_file(&copy).err() } else { None };
    for error in preparation.into_iter().chain(rejects).chain(copy) {
        report.damage.push(Damage { path: path.to_owned(), error: Box::new(error) });
    }
    for entry in &manifest.segments {
        let folder = segment_dir(path, entry);
        let faults = Segment::verify(&folder, entry, stored, depth);
        let damage = faults.into_iter().map(|error| Damage { path: folder.clone(), error: Box::new(error) });
        report.damage.extend(damage);
    }
    Ok(report)
}

pub(super) fn verify_rejects(folder: &Path, manifest: &Manifest) -> Result<(), CollectionError> {
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
