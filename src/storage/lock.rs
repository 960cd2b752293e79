//! One writer at a time: an advisory lock of the operating system, which a dead process cannot keep.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use super::{StorageError, fault};

/// Held while one process writes in a folder; released on drop, or by the system when the process dies.
pub struct WriterLock {
    _file: File,
}

impl WriterLock {
    /// Takes the lock file `name` in `folder`, and writes this process's id into it.
    ///
    /// # Errors
    /// [`StorageError::Busy`] with the holder's process id when another process has it.
    pub fn acquire(folder: &Path, name: &str) -> Result<Self, StorageError> {
        let path = folder.join(name);
        let wrap = || StorageError::at("lock", &path);
        let mut file =
            File::options().create(true).truncate(false).read(true).write(true).open(&path).map_err(wrap())?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = file.read_to_string(&mut holder);
                return Err(StorageError::Busy { path: folder.to_owned(), holder: holder.trim().to_owned() });
            }
            Err(TryLockError::Error(error)) => return Err(wrap()(error)),
        }
        fault::check().and_then(|()| file.set_len(0)).and_then(|()| file.rewind()).map_err(wrap())?;
        writeln!(file, "{}", std::process::id()).map_err(wrap())?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_writer_is_told_who_holds_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let held = WriterLock::acquire(folder.path(), "lock").unwrap();
        match WriterLock::acquire(folder.path(), "lock") {
            Err(StorageError::Busy { holder, .. }) => assert_eq!(holder, std::process::id().to_string()),
            _ => panic!("two writers"),
        }
        drop(held);
        WriterLock::acquire(folder.path(), "lock").unwrap();
    }
}
