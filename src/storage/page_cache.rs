//! The system's cache of file pages, for measurements: what of a file is in it, and taking it out. Linux only.

use std::path::Path;

use super::{Map, StorageError};

/// Takes a file out of the page cache; whether nothing of it is left there. What a process has mapped and read stays, and so
/// does what lies in memory only. A system that cannot do it or cannot tell says no.
///
/// # Errors
/// A file that cannot be opened or mapped.
pub fn forget(path: &Path) -> Result<bool, StorageError> {
    #[cfg(target_os = "linux")]
    {
        use std::os::fd::AsRawFd;
        let file = std::fs::File::open(path).map_err(StorageError::at("open", path))?;
        // What is not written yet stays.
        file.sync_all().map_err(StorageError::at("sync", path))?;
        // SAFETY: advice about an open file touches no memory of this process.
        unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
    }
    Ok(cached_pages(&Map::open(path)?) == Some(0))
}

/// Pages of a mapped file that are in memory, whoever brought them there; none where the system does not say.
#[cfg(target_os = "linux")]
pub fn cached_pages(map: &Map) -> Option<usize> {
    // SAFETY: asks for a constant of the system.
    let page_bytes = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).ok()?;
    let mut pages = vec![0u8; map.len().div_ceil(page_bytes)];
    if pages.is_empty() {
        return Some(0);
    }
    // SAFETY: the range is that of a live map, and there is a byte for each of its pages. Nothing is written to the map.
    let refused = unsafe { libc::mincore(map.as_ptr().cast_mut().cast(), map.len(), pages.as_mut_ptr()) };
    (refused == 0).then(|| pages.iter().filter(|&page| page & 1 == 1).count())
}

/// Pages of a mapped file that are in memory, whoever brought them there; none where the system does not say.
#[cfg(not(target_os = "linux"))]
pub fn cached_pages(_: &Map) -> Option<usize> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_read_is_cached_until_it_is_forgotten() {
        // Beside the binaries: a temporary folder may lie in memory only.
        let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR").to_owned() + "/target").unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, vec![1; 1 << 20]).unwrap();
        let map = Map::open(&path).unwrap();
        assert!(cached_pages(&map).unwrap() > 0);
        drop(map);
        assert!(forget(&path).unwrap());
        let map = Map::open(&path).unwrap();
        map.advise_random();
        assert_eq!((map[0], map[700_000]), (1, 1));
        assert_eq!(cached_pages(&map), Some(2));
        // A page that is mapped stays.
        assert!(!forget(&path).unwrap());
    }

    #[test]
    fn an_empty_file_and_a_missing_one() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), "").unwrap();
        assert!(forget(&folder.path().join("a")).unwrap());
        assert!(forget(&folder.path().join("gone")).is_err());
    }
}
