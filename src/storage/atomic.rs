//! Files that appear whole or not at all: written beside their name, synced, renamed, folder synced.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::{StorageError, fault, remove_dir_all, remove_file, rename};

/// Bytes that wait before they go to the system.
const BUFFER_BYTES: usize = 1 << 20;

/// What a file's name is followed by, before the process's id, while it is under construction.
const TEMPORARY: &str = ".tmp-";

/// A file under construction. It gets its name in [`NewFile::commit`]; dropped before that, it leaves nothing.
pub struct NewFile {
    path: PathBuf,
    temporary: PathBuf,
    file: Option<BufWriter<Unbuffered>>,
    len: u64,
}

impl NewFile {
    /// Starts a file that will be called `path`.
    ///
    /// # Errors
    /// The system's refusal, with the path.
    pub fn create(path: &Path) -> Result<Self, StorageError> {
        let temporary = temporary(path);
        let file = fault::check().and_then(|()| File::create(&temporary));
        let file = Unbuffered(file.map_err(StorageError::at("write", path))?);
        Ok(Self {
            path: path.to_owned(),
            temporary,
            file: Some(BufWriter::with_capacity(BUFFER_BYTES, file)),
            len: 0,
        })
    }

    /// Bytes written so far.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Makes the bytes durable and gives the file its name, replacing what had it before.
    ///
    /// # Errors
    /// The system's refusal, with the path; the former file is then still there.
    pub fn commit(mut self) -> Result<(), StorageError> {
        if let Some(file) = self.file.take() {
            let wrap = || StorageError::at("write", &self.path);
            let file = file.into_inner().map_err(|error| wrap()(error.into_error()))?;
            fault::check().and_then(|()| file.0.sync_all()).map_err(wrap())?;
            drop(file);
            rename(&self.temporary, &self.path)?;
        }
        Ok(())
    }
}

/// What the buffer writes to.
struct Unbuffered(File);

impl Write for Unbuffered {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        fault::check()?;
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = match &mut self.file {
            Some(file) => file.write(bytes)?,
            None => 0,
        };
        self.len += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            let _ = file.into_parts();
        }
        // After a commit the temporary name is gone and this finds nothing.
        let _ = remove_file(&self.temporary);
    }
}

/// Replaces a small file: write, sync, rename, sync the folder.
///
/// # Errors
/// The system's refusal, with the path; the former file is then still there.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), StorageError> {
    let mut file = NewFile::create(path)?;
    file.write_all(bytes).map_err(StorageError::at("write", path))?;
    file.commit()
}

/// Removes a folder so that it is whole or gone, whenever the process dies; a missing one is fine. What is left of one
/// that is gone, [`remove_unfinished`] removes.
///
/// # Errors
/// The system's refusal, with the path.
pub fn discard_dir(path: &Path) -> Result<(), StorageError> {
    if !path.exists() {
        return Ok(());
    }
    let discarded = temporary(path);
    remove_dir_all(&discarded)?;
    rename(path, &discarded)?;
    remove_dir_all(&discarded)
}

/// Whether `name` is one that [`discard_dir`] gives to a folder that was called `of`.
pub fn is_discarded(name: &OsStr, of: &str) -> bool {
    name.to_string_lossy().strip_prefix(of).is_some_and(|rest| rest.starts_with(TEMPORARY))
}

/// The name of `path` while it is under construction, or on its way out.
fn temporary(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!("{TEMPORARY}{}", std::process::id()));
    path.with_file_name(name)
}

/// Whether `folder` holds nothing but files that killed processes left under construction.
pub fn is_unfinished_only(folder: &Path) -> bool {
    let unfinished = |name: &OsStr| name.to_string_lossy().contains(TEMPORARY);
    std::fs::read_dir(folder)
        .is_ok_and(|entries| entries.flatten().all(|entry| unfinished(&entry.file_name())))
}

/// Removes what killed processes left in `folder` under construction or half removed. Nobody else may write there.
///
/// # Errors
/// The system's refusal, with the path.
pub fn remove_unfinished(folder: &Path) -> Result<(), StorageError> {
    let entries = std::fs::read_dir(folder).map_err(StorageError::at("read", folder))?;
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().contains(TEMPORARY) {
            match entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                true => remove_dir_all(&entry.path())?,
                false => remove_file(&entry.path())?,
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_file_leaves_the_former_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write_atomic(&path, b"old").unwrap();
        let mut file = NewFile::create(&path).unwrap();
        file.write_all(b"new").unwrap();
        drop(file);
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        write_atomic(&path, b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
    }
}
