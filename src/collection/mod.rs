//! Collections: a folder with a manifest and immutable segments. Opening, the commit that publishes, verification.
//! Does not know what the vectors mean.

mod columns;
mod commit;
mod compact;
mod error;
mod filter;
mod fold;
mod graphs;
mod listing;
mod merge;
mod plan;
mod preparation;
mod prepare;
mod remove;
mod repair;
mod verify;

use std::path::{Path, PathBuf};

pub use commit::{Draft, MODEL_PREPARATION, Published};
pub use compact::{CompactOptions, Compaction, compact};
pub use error::{CollectionError, Difference};
pub use filter::{Column, Columns, Filter, FilterError};
pub use fold::Written;
pub use graphs::{GraphDemand, GraphStatus, Ungraphed};
pub use listing::Placed;
pub use merge::{Merge, merge};
use patchdex_format::{MANIFEST_NAME, Manifest, ModelBinding, SegmentEntry};
pub use plan::{GraphWish, Searching};
pub use preparation::{PreparationChoice, generic_preparation, write_preparation};
pub use prepare::{Prepared, prepare};
pub use remove::{Removal, Selection, relist, remove};
pub use repair::{Repair, repair};
pub use verify::{Damage, VerifyReport, verify};

use crate::core::{Fault, Kind};
use crate::dims::Preparation;
use crate::index::{RowKind, VectorLayout};
use crate::metric::Metric;
use crate::segment::{ImageView, OpenSegmentError, Segment};
use crate::storage::{Map, Residency, StorageError};

/// Program and version, as manifests and files name their writer.
pub const CREATED_BY: &str = concat!("patchdex ", env!("CARGO_PKG_VERSION"));

/// An open collection: the segments of its last commit. It stays as it is while others commit.
pub struct Collection {
    path: PathBuf,
    manifest: Manifest,
    segments: Vec<Segment>,
    /// Mapped at once, so that it stays the one of this commit.
    preparation: Option<Map>,
    metric: Metric,
}

impl Collection {
    /// Maps the collection in `path`. Vectors are not read, whatever their size. A segment whose graph is missing or damaged is
    /// scanned.
    ///
    /// # Errors
    /// No collection there, a later version, or damage, with the file and what to do.
    pub fn open(path: &Path) -> Result<Self, CollectionError> {
        Self::open_as(path, Residency::Mapped)
    }

    /// The same, with vectors and graphs in memory as `residency` says.
    ///
    /// # Errors
    /// As [`Collection::open`]; the system's refusal of memory.
    pub fn open_as(path: &Path, residency: Residency) -> Result<Self, CollectionError> {
        let mut manifest = read_manifest(path)?;
        loop {
            let commit = manifest.commit;
            let opened = Self::of(path, manifest, residency);
            if opened.as_ref().is_ok_and(|collection| collection.graph_faults().next().is_none()) {
                return opened;
            }
            // A writer may have replaced files between the manifest and them: then there is a later commit.
            manifest = read_manifest(path)?;
            if manifest.commit == commit {
                return opened;
            }
        }
    }

    /// The commit that `manifest` describes.
    fn of(path: &Path, manifest: Manifest, residency: Residency) -> Result<Self, CollectionError> {
        let stored = meaning(path, &manifest)?;
        let open = |entry| Segment::open_as(&segment_dir(path, entry), entry, stored, residency);
        let segments = manifest.segments.iter().map(open).collect::<Result<_, _>>()?;
        let preparation = map_preparation(path, &manifest)?;
        Ok(Self { path: path.to_owned(), segments, preparation, metric: stored.metric, manifest })
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

    /// Graphs that are missing or damaged, so that their segments are scanned.
    pub fn graph_faults(&self) -> impl Iterator<Item = &OpenSegmentError> {
        self.segments.iter().filter_map(Segment::graph_fault)
    }

    /// The similarity that its vectors were made for.
    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// Whether the model's own tokens are kept, and those of new images are to be.
    pub fn keeps_raw(&self) -> bool {
        !self.segments.is_empty() && self.segments.iter().all(Segment::has_raw)
    }

    /// Every image of every segment, segment by segment.
    pub fn images(&self) -> impl Iterator<Item = Result<ImageView<'_>, CollectionError>> {
        self.segments.iter().flat_map(Segment::images).map(|image| Ok(image?))
    }

    /// The map between tokens and stored vectors, read and verified against the manifest.
    ///
    /// # Errors
    /// A missing or damaged file.
    pub fn preparation(&self) -> Result<Preparation, CollectionError> {
        parse_preparation(&self.path, &self.manifest, self.preparation.as_ref())
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
    let none = || CollectionError::None { path: path.to_owned(), unfinished: Draft::interrupted(path) };
    read_manifest_file(&path.join(MANIFEST_NAME)).map_err(|error| match error.kind() {
        Kind::NotFound => none(),
        _ => error,
    })
}

fn read_manifest_file(file: &Path) -> Result<Manifest, CollectionError> {
    let bytes = std::fs::read(file).map_err(StorageError::at("read", file))?;
    Manifest::parse(&bytes).map_err(|source| CollectionError::Manifest { path: file.to_owned(), source })
}

/// What the manifest's words mean to this version.
fn meaning(path: &Path, manifest: &Manifest) -> Result<VectorLayout, CollectionError> {
    let unknown = |what: &'static str, value: &str| CollectionError::Unknown {
        path: path.to_owned(),
        what,
        value: value.to_owned(),
    };
    let metric = Metric::named(&manifest.metric).ok_or_else(|| unknown("metric", &manifest.metric))?;
    let kind = RowKind::named(&manifest.vectors).ok_or_else(|| unknown("vectors", &manifest.vectors))?;
    match manifest.dim {
        0 => Err(unknown("dim", "0")),
        dim => Ok(VectorLayout { kind, dim: dim as usize, metric }),
    }
}

/// The preparation's file, mapped; none where there is none.
fn map_preparation(folder: &Path, manifest: &Manifest) -> Result<Option<Map>, CollectionError> {
    let Some(file) = &manifest.preparation.file else { return Ok(None) };
    let path = folder.join(&file.name);
    let map = Map::open(&path).map_err(|error| match error.kind() {
        Kind::NotFound => CollectionError::Missing { path },
        _ => error.into(),
    });
    map.map(Some)
}

/// The preparation of `manifest` from its file's bytes.
fn parse_preparation(
    folder: &Path,
    manifest: &Manifest,
    map: Option<&Map>,
) -> Result<Preparation, CollectionError> {
    let entry = &manifest.preparation;
    let (Some(map), Some(file)) = (map, &entry.file) else {
        return match manifest.model.hidden_size == manifest.dim {
            true => Ok(Preparation::none(manifest.dim as usize)),
            false => Err(CollectionError::ForeignPreparation { path: folder.join(MANIFEST_NAME) }),
        };
    };
    let path = map.path().to_owned();
    let wrong = |source| CollectionError::Preparation { path: path.clone(), source };
    let read = Preparation::from_bytes(map, &entry.fitted_on).map_err(wrong)?;
    let fits = read.input_dim() == manifest.model.hidden_size as usize
        && read.output_dim() == manifest.dim as usize
        && read.digest() == entry.digest
        && map.len() as u64 == file.bytes;
    match fits {
        true => Ok(read),
        false => Err(CollectionError::ForeignPreparation { path }),
    }
}

fn read_preparation(folder: &Path, manifest: &Manifest) -> Result<Preparation, CollectionError> {
    parse_preparation(folder, manifest, map_preparation(folder, manifest)?.as_ref())
}

/// The bytes of a file that the manifest lists.
fn read_listed(path: &Path) -> Result<Vec<u8>, CollectionError> {
    std::fs::read(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => CollectionError::Missing { path: path.to_owned() },
        _ => StorageError::at("read", path)(error).into(),
    })
}

/// Refuses a collection of imported vectors, which no model made: the manifest has no digest of one.
///
/// # Errors
/// [`CollectionError::Imported`].
pub fn require_model(path: &Path, manifest: &Manifest) -> Result<(), CollectionError> {
    match is_imported(manifest) {
        true => Err(CollectionError::Imported { path: path.to_owned() }),
        false => Ok(()),
    }
}

/// Refuses to make other vectors of imported ones.
fn require_tokens(path: &Path, manifest: &Manifest) -> Result<(), CollectionError> {
    match is_imported(manifest) {
        true => Err(CollectionError::ImportedTokens { path: path.to_owned() }),
        false => Ok(()),
    }
}

/// Whether the vectors were imported from a foreign file.
pub fn is_imported(manifest: &Manifest) -> bool {
    manifest.model.digest.is_empty()
}

/// What makes the tokens of two models differ: the first such field, and its values. Where a model lies, and its name, say
/// nothing.
pub fn model_difference(a: &ModelBinding, b: &ModelBinding) -> Option<(&'static str, String, String)> {
    let pair = |what, value: &dyn Fn(&ModelBinding) -> String| (what, value(a), value(b));
    let values = [
        pair("digests of the graph", &|model| match model.digest.as_str() {
            "" => "none: imported vectors".to_owned(),
            digest => format!("{digest:.12}"),
        }),
        // Imported vectors have no digest that would imply it.
        pair("numbers in a token", &|model| model.hidden_size.to_string()),
        pair("outputs", &|model| model.output.clone()),
        pair("inputs", &|model| format!("{:?}", model.inputs)),
        pair("patch sizes", &|model| model.patch_px.to_string()),
        pair("prefix tokens", &|model| model.prefix_tokens.to_string()),
        pair("settings of preprocessor_config.json", &|model| model.image.to_string()),
    ];
    values.into_iter().find(|(_, a, b)| a != b)
}

/// The folder of a segment.
fn segment_dir(path: &Path, entry: &SegmentEntry) -> PathBuf {
    path.join(commit::SEGMENTS_DIR).join(&entry.id)
}

/// The folder that all of `roots` are below; empty where there is none.
pub fn common_root(roots: &[PathBuf]) -> PathBuf {
    let Some(first) = roots.first() else { return PathBuf::new() };
    let shared = |count: usize| {
        let prefix: PathBuf = first.components().take(count).collect();
        roots.iter().all(|root| root.starts_with(&prefix)).then_some(prefix)
    };
    (0..=first.components().count()).rev().find_map(shared).unwrap_or_default()
}

/// What stored paths below the folder `own` begin with when they are named below `root`; none where `own` is not in it.
pub fn path_prefix(root: &Path, own: &Path) -> Option<Vec<u8>> {
    let below = own.strip_prefix(root).ok().filter(|_| root == own || root.is_absolute())?;
    let mut prefix = bytes_of_path(below);
    if !prefix.is_empty() {
        prefix.push(b'/');
    }
    Some(prefix)
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
