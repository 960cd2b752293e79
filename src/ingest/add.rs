//! `add`: brings a collection up to date with its images. Only new contents are embedded; a moved or copied file keeps
//! the patches that its content has.

use std::borrow::Cow;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use patchdex_format::{Manifest, ModelBinding};

use super::finish::{Spool, embedded, originals, write_rejects, write_segment};
use super::journal::{self, Journal, Record};
use super::listing::Listing;
use super::pipeline::Spooling;
use super::{IndexOptions, IngestError, Sources, Summary, ViewChoice, Watch, embed, model_binding, stamp};
use crate::collection::{
    Collection, CollectionError, Draft, GraphDemand, model_difference, relist, require_model,
};
use crate::index::RowKind;
use crate::model::Model;

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Addition {
    /// Counts of the work, and the rejects of the collection as it is now.
    pub summary: Summary,
    /// Images that are new, copies of others among them.
    pub added: usize,
    /// Images whose file has another content than before.
    pub changed: usize,
    /// Images whose file was found under another name.
    pub moved: usize,
    /// Images of the collection, below the folders that were looked at, whose file is gone.
    pub gone: usize,
    /// Rejects among the collection's images: it keeps their former contents.
    pub kept: Vec<String>,
    /// The folder that paths are relative to, when it is another one now.
    pub new_root: Option<PathBuf>,
}

/// Adds what is new or changed in `sources` to the collection `options.out`, in one commit. What the collection fixes
/// (model, views, preparation, vectors) is taken from it, whatever `options` say. `restart` throws the unfinished work
/// of another addition away.
///
/// # Errors
/// Another model, damage, another writer at work, a full disk, or [`IngestError::Interrupted`]: what was embedded stays,
/// and the same command goes on.
pub fn add(
    sources: &Sources,
    model: &Model,
    options: &IndexOptions,
    restart: bool,
    stop: &AtomicBool,
    progress: &mut dyn FnMut(&super::Status),
) -> Result<Addition, IngestError> {
    let draft = Draft::change(&options.out)?;
    let collection = Collection::open(&options.out)?;
    let manifest = collection.manifest();
    require_model(&options.out, manifest)?;
    check_model(&options.out, &manifest.model, &model_binding(model))?;
    let options = bound(options, &collection)?;
    let preparation = collection.preparation()?;
    let mut listing = Listing::of(&collection, sources)?;
    let sources = listing.outdated(sources);
    let stamp = format!("add {}", stamp(&sources, model, &options, &preparation.digest()));
    if restart {
        draft.discard()?;
    }
    draft.claim(&stamp)?;
    let known = listing.known();
    let mut journal = Journal::open(&draft, &sources, &known)?;
    let encoding = (!options.keep_raw).then(|| options.encoding(&preparation));
    let spooling = Spooling { encoding, options: &options, known };
    let (status, embedded_views) = embed(&sources, model, &spooling, &mut journal, stop, progress)?;

    listing.apply(journal.records());
    listing.retell(&options);
    let list = options.out.join(&manifest.rejects.name);
    let before = journal::read_rejects(&list)?;
    let rejects = listing.rejects(&before, journal.sorted_rejects());
    let images = embedded(journal.records());
    let is_replaced = |record: &Record| listing.replaced.contains(&record.path.bytes());
    let new_paths: Vec<Vec<u8>> = images.iter().map(|(record, _)| record.path.bytes()).collect();
    let paths =
        listing.segments.iter().flat_map(|table| &table.images).map(|image| &image.path).chain(&new_paths);
    let unmatched_metadata = options.unmatched(&listing.root, paths.map(Vec::as_slice));
    let listed: usize = listing.segments.iter().map(|table| table.images.len()).sum();
    let rejected: HashSet<&str> = rejects.iter().map(|reject| reject.path.as_str()).collect();
    let held = listing.segments.iter().flat_map(|table| &table.images);
    let held = held.map(|image| String::from_utf8_lossy(&image.path));
    let mut kept: Vec<String> =
        held.filter(|path| rejected.contains(path.as_ref())).map(Cow::into_owned).collect();
    kept.sort();
    let new_images = images.iter().filter(|(record, _)| !is_replaced(record)).count();
    let mut addition = Addition {
        added: listing.copied + new_images,
        changed: listing.replaced.len(),
        moved: listing.moved,
        gone: listing.gone,
        kept,
        new_root: listing.new_root(),
        summary: Summary {
            status,
            images: listed + images.len(),
            rejects,
            embedded_views,
            unchanged: true,
            rejects_file: list,
            unmatched_metadata,
            ungraphed: Vec::new(),
        },
    };
    let relisted = listing.segments.iter().any(|table| table.changed) || addition.new_root.is_some();
    if images.is_empty() && !relisted && addition.summary.rejects == before {
        draft.discard()?;
        return Ok(addition);
    }
    let mut segments = Vec::with_capacity(listing.segments.len() + 1);
    for (entry, table) in manifest.segments.iter().zip(std::mem::take(&mut listing.segments)) {
        match table.changed {
            true => segments.extend(relist(&draft, entry, table.images)?.map(|(entry, _)| entry)),
            false => segments.push(entry.clone()),
        }
    }
    if !images.is_empty() {
        let spool = Spool::open(&journal, &originals(&images))?;
        let metadata_of = |path: &[u8]| {
            let said = listing.said.get(path).cloned().unwrap_or_default();
            options.told(&listing.root, path, said)
        };
        segments.push(write_segment(
            &draft,
            &metadata_of,
            &images,
            &spool,
            &preparation,
            options.keep_raw,
            &options,
        )?);
    }
    let rejects = match addition.summary.rejects == before {
        true => manifest.rejects.clone(),
        false => write_rejects(&draft, &addition.summary.rejects)?,
    };
    addition.summary.rejects_file = options.out.join(&rejects.name);
    addition.summary.unchanged = false;
    let added = Manifest {
        root: listing.root.to_string_lossy().into_owned(),
        segments,
        rejects,
        ..draft.next(manifest)
    };
    drop(journal);
    let mut watch = Watch { status: &mut addition.summary.status, stop, progress };
    let published = watch.publish(draft, &added, GraphDemand::Wanted)?;
    addition.summary.ungraphed = published.ungraphed;
    Ok(addition)
}

/// Refuses tokens of another model, or of pictures that were prepared otherwise.
fn check_model(path: &Path, expected: &ModelBinding, found: &ModelBinding) -> Result<(), IngestError> {
    match model_difference(expected, found) {
        None => Ok(()),
        Some((what, expected, found)) => {
            Err(IngestError::OtherModel { path: path.to_owned(), what, expected, found })
        }
    }
}

/// The options that the collection was made with.
fn bound(options: &IndexOptions, collection: &Collection) -> Result<IndexOptions, IngestError> {
    let manifest = collection.manifest();
    let unknown = || CollectionError::Unknown {
        path: options.out.clone(),
        what: "vectors",
        value: manifest.vectors.clone(),
    };
    Ok(IndexOptions {
        long_side_px: manifest.views.long_side_px,
        views: ViewChoice::of(&manifest.views),
        vectors: RowKind::named(&manifest.vectors).ok_or_else(unknown)?,
        metric: collection.metric(),
        keep_raw: collection.keeps_raw(),
        ..options.clone()
    })
}
