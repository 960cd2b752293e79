//! `export`: every patch of a collection with its image and box, or the list of its images, as a foreign file. One image
//! at a time, or a part of a large one, is in memory.

use std::path::Path;

use serde_json::Value;

use super::columns::{cell, columns};
use super::{FileFormat, TransferError, coco};
use crate::collection::{Collection, Filter, Placed};
use crate::exchange::{MetadataColumn, ParquetWriter, PatchRows, VectorFileWriter};
use crate::index::{Rows, Vectors};
use crate::segment::ImageView;

/// Patches that are written at a time.
const BLOCK_PATCHES: usize = 4096;

/// What is exported, and over what.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExportOptions<'a> {
    /// The model's own tokens instead of the stored vectors.
    pub raw: bool,
    /// Only images that meet the condition.
    pub filter: Option<&'a Filter>,
    /// Replace a file that has the name.
    pub force: bool,
}

/// What was exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Export {
    /// The kind of file.
    pub format: FileFormat,
    /// Images, copies of others among them.
    pub images: u64,
    /// Vectors, and the numbers in each; none in a list of images.
    pub vectors: Option<(u64, usize)>,
}

/// Writes `file`, whose ending names the format. Images come in order of their paths, their views in order, the patches
/// of a view row by row; a copy of an image comes with the patches that both share. In a list of images they have the
/// numbers of [`Collection::listing`], whatever the condition.
///
/// # Errors
/// A name that is taken or of no format, tokens that were not kept, numbers that the format cannot hold, damage, or a
/// full disk. No file is written then.
pub fn export(
    collection: &Collection,
    file: &Path,
    options: ExportOptions<'_>,
) -> Result<Export, TransferError> {
    let format = FileFormat::written(file)?;
    check_target(collection, file, options.force)?;
    let listing = collection.listing()?;
    let meets = options.filter.map(|filter| collection.matching(filter)).transpose()?;
    let wanted = |placed: &&Placed<'_>| match &meets {
        Some(meets) => meets[placed.segment][placed.image.index],
        None => true,
    };
    let chosen: Vec<&Placed<'_>> = listing.iter().filter(wanted).collect();
    let images = chosen.len() as u64;
    if format == FileFormat::Coco {
        if options.raw {
            return Err(TransferError::RawImages { path: file.to_owned() });
        }
        coco::write(file, &chosen)?;
        return Ok(Export { format, images, vectors: None });
    }
    let source = Source::of(collection, options.raw)?;
    let rows = chosen.iter().map(|placed| placed.image.patch_count() as u64).sum();
    let dim = source.dim;
    match format {
        FileFormat::Parquet => write_parquet(collection, file, &source, &chosen)?,
        _ => {
            let mut writer = VectorFileWriter::create(file, rows, dim)?;
            for placed in chosen {
                source.blocks(placed.segment, &placed.image, |_, vectors| Ok(writer.push(vectors)?))?;
            }
            writer.finish()?;
        }
    }
    Ok(Export { format, images, vectors: Some((rows, dim)) })
}

fn write_parquet(
    collection: &Collection,
    file: &Path,
    source: &Source<'_>,
    chosen: &[&Placed<'_>],
) -> Result<(), TransferError> {
    let columns = columns(collection)?;
    let mut writer = ParquetWriter::create(file, source.dim, columns.clone())?;
    for placed in chosen {
        let (image, metadata) = (placed.image.path_text(), metadata(collection, placed, &columns)?);
        source.blocks(placed.segment, &placed.image, |boxes, vectors| {
            Ok(writer.push(&PatchRows { image: &image, boxes, vectors, metadata: &metadata })?)
        })?;
    }
    Ok(writer.finish()?)
}

/// An image's value in each column.
fn metadata(
    collection: &Collection,
    placed: &Placed<'_>,
    columns: &[MetadataColumn],
) -> Result<Vec<Option<Value>>, TransferError> {
    let table = collection.segments()[placed.segment].metadata()?;
    let said = table.map(|table| table.row(placed.image.index)).unwrap_or_default();
    Ok(columns.iter().map(|column| said.get(&column.name).map(|value| cell(value, column.kind))).collect())
}

/// Where the exported rows are: those of each segment.
struct Source<'a> {
    rows: Vec<Vectors<'a>>,
    dim: usize,
}

impl<'a> Source<'a> {
    fn of(collection: &'a Collection, raw: bool) -> Result<Self, TransferError> {
        let manifest = collection.manifest();
        if !raw {
            let rows = collection.segments().iter().map(|segment| segment.vectors()).collect();
            return Ok(Self { rows, dim: manifest.dim as usize });
        }
        let dim = manifest.model.hidden_size as usize;
        let missing = || TransferError::NoRaw { path: collection.path().to_owned() };
        let tokens = collection.segments().iter().map(|segment| segment.raw(dim));
        let metric = collection.metric();
        let vectors = |tokens| Vectors { rows: Rows::F32(tokens), dim, metric };
        let rows = tokens.map(|tokens| tokens?.map(vectors).ok_or_else(missing)).collect::<Result<_, _>>()?;
        Ok(Self { rows, dim })
    }

    /// Gives boxes and vectors of an image's patches, some at a time.
    fn blocks(
        &self,
        segment: usize,
        image: &ImageView<'_>,
        mut take: impl FnMut(&[[f32; 4]], &[f32]) -> Result<(), TransferError>,
    ) -> Result<(), TransferError> {
        let (mut boxes, mut vectors) = (Vec::new(), Vec::new());
        for view in image.views() {
            let mut at = 0;
            while at < view.grid.len() {
                let count = (view.grid.len() - at).min(BLOCK_PATCHES - boxes.len());
                let start = vectors.len();
                vectors.resize(start + count * self.dim, 0.0);
                self.rows[segment].widen(view.first_patch + at, &mut vectors[start..]);
                boxes.extend((at..at + count).map(|patch| <[f32; 4]>::from(view.grid.patch_box(patch))));
                at += count;
                if boxes.len() == BLOCK_PATCHES {
                    take(&boxes, &vectors)?;
                    boxes.clear();
                    vectors.clear();
                }
            }
        }
        match boxes.is_empty() {
            true => Ok(()),
            false => take(&boxes, &vectors),
        }
    }
}

/// Whether a file may take this name: nothing has it, or it may be replaced, and it is none of the collection's.
fn check_target(collection: &Collection, file: &Path, force: bool) -> Result<(), TransferError> {
    let path = file.to_owned();
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let (Ok(folder), Ok(own)) = (folder.canonicalize(), collection.path().canonicalize())
        && folder.starts_with(own)
    {
        return Err(TransferError::Inside { path, collection: collection.path().to_owned() });
    }
    match file.symlink_metadata() {
        _ if file.is_dir() => Err(TransferError::Folder { path }),
        Ok(_) if !force => Err(TransferError::Exists { path }),
        _ => Ok(()),
    }
}
