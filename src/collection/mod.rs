//! Collections: a folder with a manifest and immutable segments. Opening, the commit that publishes, verification.
//! Does not know what the vectors mean.

mod commit;
mod error;
mod verify;

use std::path::{Path, PathBuf};

pub use commit::{Draft, MODEL_PREPARATION, PREPARATION_FILE, publish};
pub use error::CollectionError;
use patchdex_format::{MANIFEST_NAME, Manifest};
pub use verify::{Damage, VerifyReport, verify};

use crate::dims::Preparation;
use crate::index::RowKind;
use crate::metric::Metric;
use crate::segment::Segment;
use crate::storage::StorageError;

/// Program and version, as manifests and files name their writer.
pub const CREATED_BY: &str = concat!("patchdex ", env!("CARGO_PKG_VERSION"));

/// An open collection: the segments of its last commit. It stays as it is while others commit.
pub struct Collection {
    path: PathBuf,
    manifest: Manifest,
    segments: Vec<Segment>,
    metric: Metric,
}

impl Collection {
    /// Maps the collection in `path`. Vectors are not read, whatever their size.
    ///
    /// # Errors
    /// No collection there, a later version, or damage, with the file and what to do.
    pub fn open(path: &Path) -> Result<Self, CollectionError> {
        let manifest = read_manifest(path)?;
        let (metric, rows) = meaning(path, &manifest)?;
        let open = |entry| Segment::open(&segment_dir(path, entry), entry, rows, manifest.dim as usize);
        let segments = manifest.segments.iter().map(open).collect::<Result<_, _>>()?;
        Ok(Self { path: path.to_owned(), segments, metric, manifest })
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Its segments, in order of their commits.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The similarity that its vectors were made for.
    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// The map between tokens and stored vectors, read and verified against the manifest.
    ///
    /// # Errors
    /// A missing or damaged file.
    pub fn preparation(&self) -> Result<Preparation, CollectionError> {
        read_preparation(&self.path, &self.manifest)
    }

    /// The file of an image, where it was when it was indexed.
    pub fn image_file(&self, relative: &[u8]) -> PathBuf {
        Path::new(&self.manifest.root).join(path_of_bytes(relative))
    }
}

/// Reads the manifest of the collection in `path`.
///
/// # Errors
/// No collection there, a later version, or damage.
pub fn read_manifest(path: &Path) -> Result<Manifest, CollectionError> {
    let file = path.join(MANIFEST_NAME);
    let bytes = match std::fs::read(&file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(CollectionError::None { path: path.to_owned(), unfinished: Draft::exists(path) });
        }
        Err(error) => return Err(StorageError::at("read", &file)(error).into()),
    };
    Manifest::parse(&bytes).map_err(|source| CollectionError::Manifest { path: file, source })
}

/// What the manifest's words mean to this version.
fn meaning(path: &Path, manifest: &Manifest) -> Result<(Metric, RowKind), CollectionError> {
    let unknown = |what: &'static str, value: &str| CollectionError::Unknown {
        path: path.to_owned(),
        what,
        value: value.to_owned(),
    };
    let metric = Metric::named(&manifest.metric).ok_or_else(|| unknown("metric", &manifest.metric))?;
    let rows = RowKind::named(&manifest.vectors).ok_or_else(|| unknown("vectors", &manifest.vectors))?;
    match manifest.dim {
        0 => Err(unknown("dim", "0")),
        _ => Ok((metric, rows)),
    }
}

fn read_preparation(folder: &Path, manifest: &Manifest) -> Result<Preparation, CollectionError> {
    let entry = &manifest.preparation;
    let Some(file) = &entry.file else {
        return match manifest.model.hidden_size == manifest.dim {
            true => Ok(Preparation::none(manifest.dim as usize)),
            false => Err(CollectionError::ForeignPreparation { path: folder.join(MANIFEST_NAME) }),
        };
    };
    let path = folder.join(&file.name);
    let bytes = read_listed(&path)?;
    let wrong = |source| CollectionError::Preparation { path: path.clone(), source };
    let read = Preparation::from_bytes(&bytes, &entry.fitted_on).map_err(wrong)?;
    let fits = read.input_dim() == manifest.model.hidden_size as usize
        && read.output_dim() == manifest.dim as usize
        && read.digest() == entry.digest
        && bytes.len() as u64 == file.bytes;
    match fits {
        true => Ok(read),
        false => Err(CollectionError::ForeignPreparation { path }),
    }
}

/// The bytes of a file that the manifest lists.
fn read_listed(path: &Path) -> Result<Vec<u8>, CollectionError> {
    std::fs::read(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => CollectionError::Missing { path: path.to_owned() },
        _ => StorageError::at("read", path)(error).into(),
    })
}

/// The folder of a segment.
fn segment_dir(path: &Path, entry: &patchdex_format::SegmentEntry) -> PathBuf {
    path.join("segments").join(&entry.id)
}

/// A stored path (bytes, `/`-separated) as a path of this system.
#[cfg(unix)]
pub fn path_of_bytes(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
}

/// A stored path (bytes, `/`-separated) as a path of this system.
#[cfg(not(unix))]
pub fn path_of_bytes(bytes: &[u8]) -> PathBuf {
    PathBuf::from(String::from_utf8_lossy(bytes).replace('/', std::path::MAIN_SEPARATOR_STR))
}

/// A relative path as it is stored: bytes, `/`-separated.
#[cfg(unix)]
pub fn bytes_of_path(path: &Path) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt;
    path.as_os_str().as_bytes().to_vec()
}

/// A relative path as it is stored: bytes, `/`-separated.
#[cfg(not(unix))]
pub fn bytes_of_path(path: &Path) -> Vec<u8> {
    path.to_string_lossy().replace(std::path::MAIN_SEPARATOR, "/").into_bytes()
}
