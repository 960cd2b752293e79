//! Files in memory, read-only: mapped, mapped and locked, or copied.

use std::fs::File;
use std::io::{self, Read};
use std::ops::{Deref, Range};
use std::path::{Path, PathBuf};

use super::StorageError;

/// Where a copy begins: large pages of most systems are as long.
const LARGE_PAGE_BYTES: usize = 2 << 20;

/// How a file lies in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Residency {
    /// Mapped: the system reads pages when they are first needed, and takes them away when memory is short.
    #[default]
    Mapped,
    /// Mapped and read at once; the system may take no page away.
    Locked,
    /// Read into memory of the process, in large pages where the system has them.
    Copied,
}

impl Residency {
    /// Every one; the first is the default.
    pub const ALL: [Self; 3] = [Self::Mapped, Self::Locked, Self::Copied];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mapped => "mapped",
            Self::Locked => "locked",
            Self::Copied => "copied",
        }
    }

    /// The one called `name`.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|residency| residency.name() == name)
    }
}

/// A whole file in memory, read-only.
pub struct Map {
    memory: memmap2::Mmap,
    /// Where the file's bytes lie in it.
    bytes: Range<usize>,
    path: PathBuf,
}

impl Map {
    /// Maps `path`. Nothing is read yet.
    ///
    /// # Errors
    /// The system's refusal, with the path.
    pub fn open(path: &Path) -> Result<Self, StorageError> {
        let wrap = || StorageError::at("open", path);
        let file = File::open(path).map_err(wrap())?;
        // SAFETY: committed files are never changed in place (they are replaced by rename), so the bytes under the map
        // stay as they are. A foreign program that truncates one can raise SIGBUS; no mapping can prevent that.
        let memory = unsafe { memmap2::Mmap::map(&file) }.map_err(wrap())?;
        Ok(Self { bytes: 0..memory.len(), memory, path: path.to_owned() })
    }

    /// Brings `path` into memory as `residency` says.
    ///
    /// # Errors
    /// The system's refusal, with the path; [`StorageError::Memory`] where it is one of memory.
    pub fn open_as(path: &Path, residency: Residency) -> Result<Self, StorageError> {
        match residency {
            Residency::Mapped => Self::open(path),
            Residency::Locked => {
                let map = Self::open(path)?;
                lock(&map.memory).map_err(StorageError::of_memory(residency, path, map.len()))?;
                Ok(map)
            }
            Residency::Copied => Self::copy(path),
        }
    }

    fn copy(path: &Path) -> Result<Self, StorageError> {
        let wrap = || StorageError::at("read", path);
        let mut file = File::open(path).map_err(StorageError::at("open", path))?;
        let bytes = file.metadata().map_err(wrap())?.len();
        let len = usize::try_from(bytes).unwrap_or(usize::MAX);
        let (mut memory, range) =
            room_for(len).map_err(StorageError::of_memory(Residency::Copied, path, len))?;
        file.read_exact(&mut memory[range.clone()]).map_err(wrap())?;
        let memory = memory.make_read_only().map_err(wrap())?;
        Ok(Self { memory, bytes: range, path: path.to_owned() })
    }

    /// Where the bytes come from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Tells the system that the map will be read from front to back.
    pub fn advise_sequential(&self) {
        #[cfg(unix)]
        let _ = self.memory.advise(memmap2::Advice::Sequential);
    }

    /// Tells the system that the map will be read here and there: it then reads nothing ahead.
    pub fn advise_random(&self) {
        #[cfg(unix)]
        let _ = self.memory.advise(memmap2::Advice::Random);
    }
}

impl Deref for Map {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.memory[self.bytes.clone()]
    }
}

/// Memory of the process for `len` bytes, and where they lie in it: from the start of a large page on.
fn room_for(len: usize) -> io::Result<(memmap2::MmapMut, Range<usize>)> {
    // Whole large pages, and one more to begin where one begins.
    let whole = len.checked_next_multiple_of(LARGE_PAGE_BYTES);
    let room =
        whole.and_then(|whole| whole.checked_add(LARGE_PAGE_BYTES)).ok_or(io::ErrorKind::OutOfMemory)?;
    let memory = memmap2::MmapMut::map_anon(room)?;
    // A system that does not have them, or not now, gives small ones.
    #[cfg(target_os = "linux")]
    let _ = memory.advise(memmap2::Advice::HugePage);
    let start = memory.as_ptr().align_offset(LARGE_PAGE_BYTES);
    Ok((memory, start..start + len))
}

#[cfg(unix)]
fn lock(memory: &memmap2::Mmap) -> io::Result<()> {
    memory.lock()
}

#[cfg(not(unix))]
fn lock(_: &memmap2::Mmap) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this system has no way to"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_residency_gives_the_bytes_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        for len in [0, 1, 4096, 5 << 20] {
            let bytes: Vec<u8> = (0..len).map(|at: usize| (at * 31 % 251) as u8).collect();
            let path = folder.path().join(len.to_string());
            std::fs::write(&path, &bytes).unwrap();
            for residency in Residency::ALL {
                let name = residency.name();
                assert_eq!(Residency::named(name), Some(residency));
                match Map::open_as(&path, residency) {
                    Ok(map) => {
                        assert!(*map == *bytes && map.path() == path, "{name}, {len} bytes");
                        map.advise_sequential();
                    }
                    // Where little may be locked.
                    Err(StorageError::Memory { .. }) => assert_eq!(residency, Residency::Locked),
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }

    #[test]
    fn a_copy_begins_at_a_large_page() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, [7; 100]).unwrap();
        let copy = Map::open_as(&path, Residency::Copied).unwrap();
        assert_eq!(copy.as_ptr().addr() % LARGE_PAGE_BYTES, 0);
        std::fs::write(&path, [8; 100]).unwrap();
        assert_eq!(*copy, [7; 100]);
    }

    #[test]
    fn a_missing_file_is_named_whatever_the_residency() {
        for residency in Residency::ALL {
            let error = Map::open_as(Path::new("gone/a.pdx"), residency).err().unwrap();
            assert!(error.to_string().starts_with("cannot open gone/a.pdx"), "{error}");
        }
    }
}
