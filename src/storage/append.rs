//! A file that only grows: the journal and spool of an unfinished build, an unfinished download.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::{StorageError, fault};

/// A file opened for appending, created when missing.
pub struct AppendFile {
    path: PathBuf,
    file: File,
    len: u64,
}

impl AppendFile {
    /// Opens at the end.
    ///
    /// # Errors
    /// The system's refusal, with the path.
    pub fn open(path: &Path) -> Result<Self, StorageError> {
        let wrap = || StorageError::at("write", path);
        fault::check().map_err(wrap())?;
        let mut file =
            File::options().create(true).truncate(false).write(true).read(true).open(path).map_err(wrap())?;
        let len = file.seek(SeekFrom::End(0)).map_err(wrap())?;
        Ok(Self { path: path.to_owned(), file, len })
    }

    /// Bytes in the file.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the file is empty.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Cuts the file to `len` bytes and goes on from there.
    ///
    /// # Errors
    /// The system's refusal, with the path.
    pub fn truncate(&mut self, len: u64) -> Result<(), StorageError> {
        fault::check()
            .and_then(|()| self.file.set_len(len))
            .and_then(|()| self.file.seek(SeekFrom::Start(len)))
            .map_err(StorageError::at("cut", &self.path))?;
        self.len = len;
        Ok(())
    }

    /// Appends all of `bytes`; on an error the file is cut back to what it was.
    ///
    /// # Errors
    /// The system's refusal (a full disk, ...), with the path.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        let before = self.len;
        if let Err(error) = self.write_all(bytes) {
            let _ = self.truncate(before);
            return Err(StorageError::at("write", &self.path)(error));
        }
        Ok(())
    }

    /// Makes what was written durable.
    ///
    /// # Errors
    /// The system's refusal, with the path.
    pub fn sync(&mut self) -> Result<(), StorageError> {
        fault::check().and_then(|()| self.file.sync_data()).map_err(StorageError::at("sync", &self.path))
    }
}

impl Write for AppendFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        fault::check()?;
        let written = self.file.write(bytes)?;
        self.len += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}
