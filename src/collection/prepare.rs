//! `prepare`: other stored vectors from the model's own tokens, without embedding again.

use std::ops::Range;
use std::path::Path;

use patchdex_format::Manifest;

use super::fold::{Written, tally};
use super::{
    Collection, CollectionError, Draft, GraphDemand, PreparationChoice, Published, Ungraphed, meaning,
    require_tokens, segment_dir, write_preparation,
};
use crate::dims::{Moments, Preparation, Source};
use crate::index::VectorLayout;
use crate::segment::{BLOCK_TOKENS, FileRole, RowEncoding, Segment, file_entry};

/// What was prepared.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// The map that the stored vectors went through.
    pub preparation: Preparation,
    /// Segments that were to have a graph and have none.
    pub ungraphed: Vec<Ungraphed>,
}

/// Replaces the preparation of the collection in `path`, and with it every stored vector, in one commit; none when it
/// has that preparation already. `progress` is told of rows as they are written.
///
/// # Errors
/// Tokens that were not kept, a preparation that does not fit them, damage, a full disk, or another writer at work. The
/// last commit is still there then.
pub fn prepare(
    path: &Path,
    source: &Source,
    progress: &mut dyn FnMut(&Written),
) -> Result<Prepared, CollectionError> {
    let draft = Draft::change(path)?;
    let collection = Collection::open(path)?;
    let manifest = collection.manifest();
    require_tokens(path, manifest)?;
    let VectorLayout { metric, kind: rows, .. } = meaning(path, manifest)?;
    let dim = manifest.model.hidden_size as usize;
    let choice = PreparationChoice::of(source, dim, Path::new(&manifest.model.folder))?;
    let mut tokens = Vec::with_capacity(manifest.segments.len());
    for (entry, segment) in manifest.segments.iter().zip(collection.segments()) {
        let missing = || CollectionError::NoRaw { path: segment_dir(path, entry) };
        tokens.push(segment.raw(dim)?.ok_or_else(missing)?);
    }
    let mut blocks = Vec::new();
    for (segment, tokens) in collection.segments().iter().zip(&tokens) {
        for range in live_ranges(segment)? {
            blocks.extend(tokens[range.start * dim..range.end * dim].chunks(BLOCK_TOKENS * dim));
        }
    }
    let preparation = choice.fit(|| Moments::of_blocks(&blocks, dim))?;
    let (held, digest) = (&manifest.preparation, preparation.digest());
    if (&held.spec, &held.fitted_on, &held.digest) == (&preparation.method, &preparation.fitted_on, &digest) {
        // The stored vectors are what they would become.
        return Ok(Prepared { preparation, ungraphed: Vec::new() });
    }
    let encoding = RowEncoding { preparation: &preparation, metric, rows };
    let mut segments = manifest.segments.clone();
    let rows_written = segments.iter().map(|segment| segment.patches).sum();
    let mut written = tally(rows_written, progress);
    for (entry, tokens) in segments.iter_mut().zip(&tokens) {
        let folder = segment_dir(path, entry);
        let name = FileRole::Vectors.name_at(draft.commit());
        // Rows without an image are prepared too: the tables go on pointing to the same rows.
        let blocks: Vec<&[f32]> = tokens.chunks(BLOCK_TOKENS * dim).collect();
        encoding.write(&folder.join(&name), &blocks, super::CREATED_BY, &mut written)?;
        FileRole::replace(entry, vec![file_entry(&folder, &name)?]);
    }
    let prepared = Manifest {
        preparation: write_preparation(&draft, &preparation)?,
        dim: preparation.output_dim() as u32,
        segments,
        ..draft.next(manifest)
    };
    drop(written);
    let mut told = Written::telling(rows_written, progress);
    let Published { ungraphed, .. } = draft.publish(&prepared, false, GraphDemand::Wanted, &mut told)?;
    Ok(Prepared { preparation, ungraphed })
}

/// Rows that belong to an image, an image each.
fn live_ranges(segment: &Segment) -> Result<Vec<Range<usize>>, CollectionError> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for image in segment.images() {
        let image = image?;
        let start = ranges.len();
        for view in image.views().filter(|_| image.is_original()) {
            let range = view.first_patch..view.first_patch + view.grid.len();
            // The views of an image follow each other: they are one run.
            match ranges[start..].last_mut().filter(|last| last.end == range.start) {
                Some(last) => last.end = range.end,
                None => ranges.push(range),
            }
        }
    }
    Ok(ranges)
}
