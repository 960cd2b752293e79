//! `merge`: several collections become a new one, below the root that they have in common.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use patchdex_format::{FileEntry, Manifest};

use super::error::Difference;
use super::fold::{Fold, Part, Written, tally};
use super::{
    Collection, CollectionError, Draft, GraphDemand, PreparationChoice, Published, Ungraphed, common_root,
    meaning, model_difference, path_prefix, read_listed, require_tokens, write_preparation,
};
use crate::dims::{Moments, Source};
use crate::index::VectorLayout;
use crate::segment::{Listed, RowEncoding};

/// What was merged.
#[derive(Clone, Debug, PartialEq)]
pub struct Merge {
    /// The new collection.
    pub manifest: Manifest,
    /// Images that both sides list under the same path: the one whose file is newer was taken. Where both are the same
    /// file, it has the columns of both.
    pub superseded: usize,
    /// Paths whose older file had another content, and columns that are left out with it.
    pub metadata_dropped: Vec<String>,
    /// Whether some collections keep the model's own tokens and others do not: the new one does not.
    pub raw_dropped: bool,
    /// Segments that were to have a graph and have none.
    pub ungraphed: Vec<Ungraphed>,
}

/// Makes `out` of the images of `paths`. With `prepare`, all vectors are made anew from the model's own tokens; without,
/// the collections must have the same preparation. `progress` is told of rows as they are written.
///
/// # Errors
/// Collections that do not belong together, damage, a full disk, or a place that is taken. Nothing is changed then.
pub fn merge(
    out: &Path,
    paths: &[PathBuf],
    prepare: Option<&Source>,
    progress: &mut dyn FnMut(&Written),
) -> Result<Merge, CollectionError> {
    let collections = paths.iter().map(|path| Collection::open(path)).collect::<Result<Vec<_>, _>>()?;
    let Some((first, others)) = collections.split_first() else {
        return Err(CollectionError::None { path: out.to_owned(), unfinished: None });
    };
    others.iter().try_for_each(|other| check_alike(first, other, prepare.is_some()))?;
    let manifest = first.manifest();
    let VectorLayout { metric, kind: rows, .. } = meaning(first.path(), manifest)?;
    let dim = manifest.model.hidden_size as usize;
    if prepare.is_some() {
        require_tokens(first.path(), manifest)?;
    }
    let choice = prepare.map(|source| PreparationChoice::of(source, dim, Path::new(&manifest.model.folder)));
    let choice = choice.transpose()?;
    let (root, prefixes) = roots(&collections)?;

    let draft = match Draft::begin(out, &stamp(&collections, prepare))? {
        Ok(draft) => draft,
        Err(manifest) => {
            let (superseded, metadata_dropped, raw_dropped, ungraphed) = (0, Vec::new(), false, Vec::new());
            return Ok(Merge { manifest: *manifest, superseded, metadata_dropped, raw_dropped, ungraphed });
        }
    };
    let mut parts = Vec::new();
    for (collection, prefix) in collections.iter().zip(&prefixes) {
        for segment in collection.segments() {
            parts.push(Part::of(segment, prefix)?);
        }
    }
    let (superseded, metadata_dropped) = keep_newest(&mut parts);
    let with_raw = parts.iter().filter(|part| part.segment.has_raw()).count();
    let raw_dropped = with_raw > 0 && with_raw < parts.len();
    let (id, folder) = draft.new_segment(0)?;
    let fold = Fold::of(parts, dim)?;
    let rows_written = fold.rows();
    let mut written = tally(rows_written, progress);
    let (segment, preparation) = match choice {
        Some(choice) => {
            let blocks = fold.blocks().ok_or_else(|| without_raw(&collections))?;
            let preparation = choice.fit(|| Moments::of_blocks(&blocks, dim))?;
            let encoding = RowEncoding { preparation: &preparation, metric, rows };
            (fold.write_prepared(&folder, id, &blocks, &encoding, &mut written)?, preparation)
        }
        None => (fold.write(&folder, id, rows.element, &mut written)?, first.preparation()?),
    };
    let merged = Manifest {
        root: root.to_string_lossy().into_owned(),
        preparation: write_preparation(&draft, &preparation)?,
        dim: preparation.output_dim() as u32,
        segments: if segment.images > 0 { vec![segment] } else { Vec::new() },
        rejects: write_rejects(&draft, &collections, &prefixes)?,
        source: stamp(&collections, prepare),
        ..draft.next(manifest)
    };
    drop(written);
    let mut told = Written::telling(rows_written, progress);
    let Published { manifest, ungraphed } = draft.publish(&merged, true, GraphDemand::Wanted, &mut told)?;
    Ok(Merge { manifest, superseded, metadata_dropped, raw_dropped, ungraphed })
}

/// Refuses collections whose vectors say different things.
fn check_alike(a: &Collection, b: &Collection, prepares: bool) -> Result<(), CollectionError> {
    const INDEX_AGAIN: &str = "index one of them again as the other";
    const PREPARE: &str =
        "give --prepare to make both anew from their raw tokens, or index one of them again as the other";
    let (first, second) = (a.manifest(), b.manifest());
    let differ = |what, first: String, second: String, advice| {
        let paths = [a.path().to_owned(), b.path().to_owned()];
        let difference = Difference { paths, what, values: [first, second], advice };
        Err(CollectionError::Different(Box::new(difference)))
    };
    let views = |manifest: &Manifest| {
        let tiles = manifest.views.tiles;
        let tiles = tiles.map(|tiles| format!(", tiles of {}/{} px", tiles.side_px, tiles.overlap_px));
        let quarters = if manifest.views.pyramid { ", quarters" } else { "" };
        format!("{} px{}{quarters}", manifest.views.long_side_px, tiles.unwrap_or_default())
    };
    if let Some((what, first, second)) = model_difference(&first.model, &second.model) {
        return differ(what, first, second, INDEX_AGAIN);
    }
    if first.views != second.views {
        return differ("views", views(first), views(second), INDEX_AGAIN);
    }
    if first.metric != second.metric {
        return differ("metrics", first.metric.clone(), second.metric.clone(), INDEX_AGAIN);
    }
    let named =
        |manifest: &Manifest| format!("{} {:.12}", manifest.preparation.spec, manifest.preparation.digest);
    if !prepares && first.preparation.digest != second.preparation.digest {
        return differ("preparations", named(first), named(second), PREPARE);
    }
    match !prepares && first.vectors != second.vectors {
        true => differ("vectors", first.vectors.clone(), second.vectors.clone(), PREPARE),
        false => Ok(()),
    }
}

/// The root that all have in common, and what each collection's paths begin with there.
fn roots(collections: &[Collection]) -> Result<(PathBuf, Vec<Vec<u8>>), CollectionError> {
    let roots: Vec<PathBuf> =
        collections.iter().map(|collection| PathBuf::from(&collection.manifest().root)).collect();
    let root = common_root(&roots);
    let prefix = |own: &PathBuf| {
        let none = || CollectionError::NoCommonRoot { first: roots[0].clone(), second: own.clone() };
        path_prefix(&root, own).ok_or_else(none)
    };
    let prefixes = roots.iter().map(prefix).collect::<Result<_, CollectionError>>()?;
    Ok((root, prefixes))
}

/// Of images with the same path, the one whose file is newest stays; of equally old ones the first. It takes over what
/// was said about the others, as far as they are the same file and nothing else is said about it. Gives how many went,
/// and the paths of other files that something was said about.
fn keep_newest(parts: &mut [Part<'_>]) -> (usize, Vec<String>) {
    let mut all: Vec<(usize, Listed)> = Vec::new();
    for (at, part) in parts.iter_mut().enumerate() {
        all.extend(part.images.drain(..).map(|image| (at, image)));
    }
    // Stable: of equally old ones the first stays the first.
    all.sort_by(|(_, a), (_, b)| a.path.cmp(&b.path).then(b.row.modified_ns.cmp(&a.row.modified_ns)));
    let before = all.len();
    let mut dropped = Vec::new();
    let mut newest: Vec<(usize, Listed)> = Vec::with_capacity(before);
    for (at, image) in all {
        match newest.last_mut().filter(|(_, held)| held.path == image.path) {
            None => newest.push((at, image)),
            Some((_, held)) if held.row.content == image.row.content => {
                for (column, value) in image.metadata {
                    held.metadata.entry(column).or_insert(value);
                }
            }
            Some(_) if image.metadata.is_empty() => {}
            Some(_) => dropped.push(String::from_utf8_lossy(&image.path).into_owned()),
        }
    }
    dropped.dedup();
    let superseded = before - newest.len();
    newest.into_iter().for_each(|(at, image)| parts[at].images.push(image));
    (superseded, dropped)
}

fn without_raw(collections: &[Collection]) -> CollectionError {
    let lacks = |collection: &&Collection| collection.segments().iter().any(|segment| !segment.has_raw());
    let path = collections.iter().find(lacks).map(|collection| collection.path().to_owned());
    CollectionError::NoRaw { path: path.unwrap_or_default() }
}

/// All lists of rejects in one, paths below the new root, each once.
fn write_rejects(
    draft: &Draft,
    collections: &[Collection],
    prefixes: &[Vec<u8>],
) -> Result<FileEntry, CollectionError> {
    let mut rejects = BTreeMap::new();
    for (collection, prefix) in collections.iter().zip(prefixes) {
        let prefix = String::from_utf8_lossy(prefix);
        let bytes = read_listed(&collection.path().join(&collection.manifest().rejects.name))?;
        for line in String::from_utf8_lossy(&bytes).lines() {
            let Ok(mut reject) = serde_json::from_str::<serde_json::Value>(line) else { continue };
            let Some(path) = reject.get("path").and_then(|path| path.as_str()) else { continue };
            let path = format!("{prefix}{path}");
            reject["path"] = path.clone().into();
            rejects.entry(path).or_insert(reject);
        }
    }
    let text: String = rejects.values().map(|reject| format!("{reject}\n")).collect();
    Ok(draft.write_rejects(&text)?)
}

/// What makes two merges the same: the commits that go in, and what is made of them.
fn stamp(collections: &[Collection], prepare: Option<&Source>) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"merge");
    for collection in collections {
        hasher.update(&collection.manifest().to_bytes());
    }
    hasher.update(prepare.map(Source::to_string).unwrap_or_default().as_bytes());
    format!("merge {}", hasher.finalize().to_hex())
}
