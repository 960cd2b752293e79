//! `import`: a collection made of foreign vectors. It has no model: only vectors can be asked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use patchdex_format::{FORMAT_VERSION, Manifest, ModelBinding, SegmentEntry, ViewPlan};
use serde_json::Value;

use super::growth::Growth;
use super::incoming::{Images, grow_from_vectors};
use super::{FileFormat, TransferError};
use crate::collection::{CREATED_BY, Draft, GraphDemand, GraphStatus, GraphWish, write_preparation};
use crate::dims::Preparation;
use crate::exchange::{ParquetPatches, PatchBlock, VectorFile};
use crate::index::RowKind;
use crate::metric::Metric;
use crate::segment::RowEncoding;
use crate::storage::{StorageError, modified_ns};

/// What is made of the vectors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ImportOptions {
    /// The similarity that they are made comparable for.
    pub metric: Metric,
    /// Element kind they are stored as.
    pub vectors: RowKind,
    /// The graph that they get.
    pub graph: GraphWish,
}

/// What was imported.
#[derive(Clone, Debug, PartialEq)]
pub struct Import {
    /// The new collection.
    pub manifest: Manifest,
    /// Whether it was there already, from the same command.
    pub unchanged: bool,
    /// Columns of a Parquet file that are not read.
    pub skipped: Vec<String>,
}

/// Makes the collection `out` of the vectors in `file`, whose ending names the format. `told` hears how far its graph is.
///
/// # Errors
/// A file that is damaged, of no format, or whose rows do not make images; a place that is taken; a full disk. No
/// collection is made then.
pub fn import(
    file: &Path,
    out: &Path,
    options: ImportOptions,
    told: &mut dyn FnMut(GraphStatus),
) -> Result<Import, TransferError> {
    let format = FileFormat::read(file)?;
    let before = Version::of(file)?;
    let mut source = Source::open(file, format)?;
    let dim = u32::try_from(source.dim())
        .map_err(|_| TransferError::Wide { path: file.to_owned(), dim: source.dim() })?;
    let skipped = source.skipped().to_vec();
    let stamp = before.stamp(options);
    let draft = match Draft::begin(out, &stamp)? {
        Ok(draft) => draft,
        Err(manifest) => {
            options.graph.require_met(out, &manifest)?;
            return Ok(Import { manifest: *manifest, unchanged: true, skipped });
        }
    };
    let preparation = Preparation::none(dim as usize);
    let encoding = RowEncoding { preparation: &preparation, metric: options.metric, rows: options.vectors };
    let grown =
        grow(&draft, &mut source, &before, encoding).and_then(|grown| match Version::of(file)? == before {
            true => Ok(grown),
            false => Err(TransferError::Changed { path: file.to_owned() }),
        });
    let (segment, root) = match grown {
        Ok(grown) => grown,
        Err(error) => {
            // Another attempt will be another command, when the file is another: this one's work is of no use to it.
            let _ = draft.abandon();
            return Err(error);
        }
    };
    let manifest = Manifest {
        format_version: FORMAT_VERSION,
        created_by: CREATED_BY.to_owned(),
        commit: draft.commit(),
        root: root.to_string_lossy().into_owned(),
        metric: options.metric.name.to_owned(),
        model: no_model(dim),
        views: ViewPlan { long_side_px: 0, tiles: None, pyramid: false },
        preparation: write_preparation(&draft, &preparation)?,
        vectors: options.vectors.name.to_owned(),
        dim,
        graph: options.graph.plan(None),
        segments: vec![segment],
        rejects: draft.write_rejects("")?,
        source: stamp,
    };
    let manifest = draft.publish(&manifest, true, GraphDemand::Required, told)?.manifest;
    Ok(Import { manifest, unchanged: false, skipped })
}

/// Writes the segment; gives it and the folder that its paths are relative to.
fn grow(
    draft: &Draft,
    source: &mut Source,
    file: &Version,
    encoding: RowEncoding<'_>,
) -> Result<(SegmentEntry, PathBuf), TransferError> {
    let (id, folder) = draft.new_segment(0)?;
    let dim = encoding.preparation.output_dim();
    let mut growth = Growth::begin(&folder, encoding, dim as u32)?;
    let all_absolute = match source {
        Source::Vectors(vectors) => {
            grow_from_vectors(vectors, file.modified_ns, &mut growth).map(|()| false)?
        }
        Source::Parquet(blocks, first) => {
            let images = Images::new(&file.path, file.modified_ns, blocks.columns(), dim);
            images.grow(std::mem::take(first), blocks, &mut growth)?
        }
    };
    let root = match all_absolute {
        true => PathBuf::from("/"),
        false => file.path.parent().unwrap_or(&file.path).to_owned(),
    };
    Ok((growth.finish(id)?, root))
}

/// The foreign file, open; its first rows are read.
enum Source {
    Vectors(VectorFile),
    Parquet(Box<ParquetPatches>, PatchBlock),
}

impl Source {
    fn open(file: &Path, format: FileFormat) -> Result<Self, TransferError> {
        if format != FileFormat::Parquet {
            let vectors = VectorFile::open(file)?;
            vectors.advise_sequential();
            return Ok(Self::Vectors(vectors));
        }
        let mut blocks = ParquetPatches::open(file)?;
        let first = blocks.next().transpose()?.filter(|block| !block.images.is_empty());
        let first = first.ok_or_else(|| TransferError::Empty { path: file.to_owned() })?;
        Ok(Self::Parquet(Box::new(blocks), first))
    }

    fn dim(&self) -> usize {
        match self {
            Self::Vectors(vectors) => vectors.dim(),
            Self::Parquet(blocks, _) => blocks.dim().unwrap_or(0),
        }
    }

    fn skipped(&self) -> &[String] {
        match self {
            Self::Vectors(_) => &[],
            Self::Parquet(blocks, _) => blocks.skipped(),
        }
    }
}

/// By what one version of a file is told from another.
#[derive(PartialEq)]
struct Version {
    /// Absolute.
    path: PathBuf,
    bytes: u64,
    modified_ns: i64,
}

impl Version {
    fn of(file: &Path) -> Result<Self, StorageError> {
        let about = std::fs::metadata(file).map_err(StorageError::at("read", file))?;
        Ok(Self {
            path: std::path::absolute(file).map_err(StorageError::at("read", file))?,
            bytes: about.len(),
            modified_ns: modified_ns(&about),
        })
    }

    /// What makes two imports the same.
    fn stamp(&self, options: ImportOptions) -> String {
        let Self { path, bytes, modified_ns } = self;
        let (metric, vectors) = (options.metric.name, options.vectors.name);
        let text = format!("import {bytes} {modified_ns} {metric} {vectors} {}", path.display());
        format!("import {}", blake3::hash(text.as_bytes()).to_hex())
    }
}

/// What the manifest says where no model made the vectors.
fn no_model(dim: u32) -> ModelBinding {
    ModelBinding {
        name: "imported".to_owned(),
        digest: String::new(),
        folder: String::new(),
        variant: String::new(),
        device: None,
        licence: None,
        patch_px: 1,
        hidden_size: dim,
        prefix_tokens: 0,
        output: String::new(),
        inputs: BTreeMap::new(),
        image: Value::Null,
    }
}
