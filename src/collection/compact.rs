//! `compact`: vectors that belong to no image are dropped, small segments become one.

use std::path::Path;

use patchdex_format::{Manifest, SegmentEntry};

use super::fold::{Fold, Part, Written, tally};
use super::{Collection, CollectionError, Draft, GraphDemand, GraphWish, Published, Ungraphed, meaning};
use crate::index::{HnswParameters, VectorLayout};
use crate::segment::FileRole;

/// Which segments are folded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CompactOptions {
    /// Segments of this many patches or more stay as they are, unless much of them is dead.
    pub keep_patches: u64,
    /// A segment is folded, whatever its size, when more than this share of its vectors belongs to no image.
    pub dead_share: f64,
    /// The graphs that segments get from now on, those that stay as they are too; none changes nothing about them.
    pub graph: Option<GraphWish>,
}

impl CompactOptions {
    /// Everything becomes one segment.
    pub const ALL: CompactOptions = CompactOptions { keep_patches: u64::MAX, dead_share: 0.0, graph: None };
}

impl Default for CompactOptions {
    fn default() -> Self {
        Self { keep_patches: 4_000_000, dead_share: 0.1, graph: None }
    }
}

/// What was folded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Compaction {
    /// Segments before.
    pub segments_before: usize,
    /// Segments after.
    pub segments: usize,
    /// Vectors that belonged to no image, or were stored twice, and are gone.
    pub dropped_patches: u64,
    /// Segments that were to have a graph and have none.
    pub ungraphed: Vec<Ungraphed>,
}

/// Folds segments of the collection in `path` into one, in one commit. Readers keep what they have open. `progress` is
/// told of rows as they are written.
///
/// # Errors
/// Graphs that do not serve the vectors, or that are worth nothing, damage, a full disk, or another writer at work. The last
/// commit is still there then.
pub fn compact(
    path: &Path,
    options: CompactOptions,
    progress: &mut dyn FnMut(&Written),
) -> Result<Compaction, CollectionError> {
    let draft = Draft::change(path)?;
    let collection = Collection::open(path)?;
    let manifest = collection.manifest();
    let VectorLayout { metric, kind: rows, .. } = meaning(path, manifest)?;
    let patches = |manifest: &Manifest| manifest.segments.iter().map(|segment| segment.patches).sum::<u64>();
    // Tokens that the model gave are never dropped: segments with and without them stay apart.
    let (mut parts, mut raw_parts) = (Vec::new(), Vec::new());
    let mut kept = Vec::new();
    for (entry, segment) in manifest.segments.iter().zip(collection.segments()) {
        // In a forged table images may share patches, and count more than there are.
        let lost = entry.patches.saturating_sub(segment.live_patch_count()?);
        let folds =
            entry.patches < options.keep_patches || lost as f64 > options.dead_share * entry.patches as f64;
        match folds {
            true => {
                let parts = if segment.has_raw() { &mut raw_parts } else { &mut parts };
                parts.push(Part::of(segment, b"")?);
            }
            false => kept.push(entry.clone()),
        }
    }
    let segments_before = manifest.segments.len();
    let groups = [parts, raw_parts].into_iter().filter(|parts| !parts.is_empty());
    let folds = groups.map(|parts| Fold::of(parts, manifest.model.hidden_size as usize));
    let folds = folds.collect::<Result<Vec<_>, _>>()?;
    let graph = match &options.graph {
        Some(wish) => wish.plan(manifest.graph.as_ref()),
        None => manifest.graph.clone(),
    };
    let wants_graphs = options.graph.is_some() && graph.is_some();
    let misfit = HnswParameters::misfit(metric, manifest.dim as usize);
    let misfit = misfit.or_else(|| options.graph.and_then(|wish| wish.misfit(metric)));
    if let Some(why) = misfit.filter(|_| wants_graphs) {
        return Err(CollectionError::Unsuited { path: path.to_owned(), why });
    }
    let is_folded = !folds.iter().all(Fold::changes_nothing);
    // Where graphs are asked for that were worth nothing, they are tried again.
    let lacks = |entry: &SegmentEntry| entry.patches > 0 && FileRole::Graph.entry(entry).is_none();
    let is_complete = !wants_graphs || !manifest.segments.iter().any(lacks);
    if !is_folded && graph == manifest.graph && is_complete {
        return Ok(Compaction { segments_before, segments: segments_before, ..Compaction::default() });
    }
    let rows_written = folds.iter().map(Fold::rows).sum();
    let mut written = tally(rows_written, progress);
    match is_folded {
        true => {
            for (number, fold) in folds.into_iter().enumerate() {
                let (id, folder) = draft.new_segment(number)?;
                kept.push(fold.write(&folder, id, rows.element, &mut written)?);
            }
        }
        false => kept = manifest.segments.clone(),
    }
    if graph != manifest.graph {
        kept.iter_mut().for_each(FileRole::drop_graph);
    }
    let compacted = Manifest { segments: kept, graph, ..draft.next(manifest) };
    let segments = compacted.segments.len();
    let dropped_patches = patches(manifest).saturating_sub(patches(&compacted));
    let demand = match options.graph {
        Some(_) => GraphDemand::Required,
        None => GraphDemand::Wanted,
    };
    drop(written);
    let mut told = Written::telling(rows_written, progress);
    let Published { ungraphed, .. } = draft.publish(&compacted, false, demand, &mut told)?;
    Ok(Compaction { segments_before, segments, dropped_patches, ungraphed })
}
