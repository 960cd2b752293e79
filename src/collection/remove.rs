//! `remove`: images leave the tables that list them. Their vectors stay where they are, without an image, until the
//! collection is compacted.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use patchdex_format::{Manifest, SegmentEntry};

use super::fold::{Fold, Part};
use super::{Collection, CollectionError, Draft, GraphDemand, Ungraphed, is_imported, meaning};
use crate::segment::{FileRole, ImageView, Listed, SegmentTables};

/// Which images.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Paths of images or folders, as stored or absolute, or patterns such as `2019/**/*.jpg`.
    pub patterns: Vec<String>,
    /// First digits of content digests.
    pub ids: Vec<String>,
    /// Also images whose file is gone.
    pub missing: bool,
}

/// What was removed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Removal {
    /// Paths of the images, segment by segment.
    pub images: Vec<String>,
    /// Vectors that belong to no image any more.
    pub patches: u64,
    /// Segments that were to have a graph and have none.
    pub ungraphed: Vec<Ungraphed>,
}

/// Removes images from the collection in `path`, in one commit; with `dry_run` it only says which.
///
/// # Errors
/// A pattern or id that no image answers to, missing files of imported images, which need none, damage, or another
/// writer at work. Nothing is changed then.
pub fn remove(path: &Path, selection: &Selection, dry_run: bool) -> Result<Removal, CollectionError> {
    let draft = Draft::change(path)?;
    let collection = Collection::open(path)?;
    let chosen = selection.chosen(&collection)?;
    let manifest = collection.manifest();
    let mut removal = Removal::default();
    let mut segments = Vec::with_capacity(manifest.segments.len());
    for (entry, segment) in manifest.segments.iter().zip(collection.segments()) {
        let (gone, kept): (Vec<Listed>, Vec<Listed>) =
            segment.listed()?.into_iter().partition(|image| chosen.contains(&image.path));
        removal.images.extend(gone.iter().map(|image| String::from_utf8_lossy(&image.path).into_owned()));
        if dry_run || kept.len() == segment.image_count() {
            segments.push(entry.clone());
            continue;
        }
        let before = segment.live_patch_count()?;
        let relisted = relist(&draft, entry, kept)?;
        removal.patches += before.saturating_sub(relisted.as_ref().map_or(0, |(_, live)| *live));
        segments.extend(relisted.map(|(entry, _)| entry));
    }
    if !dry_run && !removal.images.is_empty() {
        segments.extend(emptied(&draft, &collection, &segments)?);
        let removed = Manifest { segments, ..draft.next(manifest) };
        removal.ungraphed = draft.publish(&removed, false, GraphDemand::Wanted, &mut |_| ())?.ungraphed;
    }
    Ok(removal)
}

/// Where no segment is left of a collection that keeps the model's own tokens, one of no images: by it `add` knows that
/// those of new images are to be kept.
fn emptied(
    draft: &Draft,
    collection: &Collection,
    left: &[SegmentEntry],
) -> Result<Option<SegmentEntry>, CollectionError> {
    if !left.is_empty() || !collection.keeps_raw() {
        return Ok(None);
    }
    let stored = meaning(collection.path(), collection.manifest())?;
    let part = |segment| Part { segment, images: Vec::new() };
    let parts = collection.segments().iter().take(1).map(part).collect();
    let (id, folder) = draft.new_segment(0)?;
    let fold = Fold::of(parts, collection.manifest().model.hidden_size as usize)?;
    Ok(Some(fold.write(&folder, id, stored.kind.element, &mut |_| {})?))
}

/// The entry of a segment that lists `images` from now on, and the vectors that belong to them: a new table beside the
/// same vectors. None when no image is left.
///
/// # Errors
/// The system's refusal.
pub fn relist(
    draft: &Draft,
    entry: &SegmentEntry,
    images: Vec<Listed>,
) -> Result<Option<(SegmentEntry, u64)>, CollectionError> {
    if images.is_empty() {
        return Ok(None);
    }
    let folder = draft.segment_dir(entry);
    let tables = SegmentTables::of(images);
    let files = tables.write(&folder, |role| role.name_at(draft.commit()), super::CREATED_BY)?;
    let mut relisted = entry.clone();
    (relisted.images, relisted.views) = (tables.image_count(), tables.view_count());
    relisted.files.retain(|file| FileRole::of(&file.name) != Some(FileRole::Metadata));
    FileRole::replace(&mut relisted, files);
    Ok(Some((relisted, tables.patch_count())))
}

impl Selection {
    /// The stored paths of the images that are meant.
    fn chosen(&self, collection: &Collection) -> Result<HashSet<Vec<u8>>, CollectionError> {
        if self.missing && is_imported(collection.manifest()) {
            return Err(CollectionError::ImportedImages { path: collection.path().to_owned() });
        }
        let mut chosen = HashSet::new();
        for pattern in &self.patterns {
            self.add(collection, pattern, &mut chosen, &matcher(collection, pattern))?;
        }
        for id in &self.ids {
            let id_of = |image: &ImageView<'_>| blake3::Hash::from(image.row.content).to_hex();
            let is_meant =
                |image: &ImageView<'_>| !id.is_empty() && id_of(image).starts_with(&id.to_lowercase());
            self.add(collection, id, &mut chosen, &is_meant)?;
        }
        if self.missing {
            for image in collection.images() {
                let image = image?;
                if !collection.image_file(image.path).exists() {
                    chosen.insert(image.path.to_vec());
                }
            }
        }
        Ok(chosen)
    }

    fn add(
        &self,
        collection: &Collection,
        pattern: &str,
        chosen: &mut HashSet<Vec<u8>>,
        is_meant: &dyn Fn(&ImageView<'_>) -> bool,
    ) -> Result<(), CollectionError> {
        let mut found = false;
        for image in collection.images() {
            let image = image?;
            if is_meant(&image) {
                found = true;
                chosen.insert(image.path.to_vec());
            }
        }
        match found {
            true => Ok(()),
            false => {
                let (path, pattern) = (collection.path().to_owned(), pattern.to_owned());
                Err(CollectionError::NoMatch { path, pattern })
            }
        }
    }
}

/// Whether an image is the one called `pattern`, lies in the folder of that name, or matches it.
fn matcher(collection: &Collection, pattern: &str) -> impl Fn(&ImageView<'_>) -> bool + use<> {
    let root = PathBuf::from(&collection.manifest().root);
    let named = Path::new(pattern);
    // An absolute path, or one from where the command runs, may lead below the root.
    let below = |path: &Path| path.strip_prefix(&root).ok().map(super::bytes_of_path);
    let absolute = std::path::absolute(named).ok().and_then(|path| below(&path));
    let stored = Some(pattern.trim_end_matches('/').as_bytes().to_vec());
    let names: Vec<Vec<u8>> =
        [stored, absolute].into_iter().flatten().filter(|name| !name.is_empty()).collect();
    let is_pattern = pattern.contains(['*', '?', '[']);
    let glob = glob::Pattern::new(pattern).ok().filter(|_| is_pattern);
    let options = glob::MatchOptions { require_literal_separator: true, ..glob::MatchOptions::new() };
    move |image| {
        let is_named = |name: &Vec<u8>| {
            image.path == name.as_slice()
                || image.path.strip_prefix(name.as_slice()).is_some_and(|rest| rest.starts_with(b"/"))
        };
        names.iter().any(is_named)
            || glob.as_ref().is_some_and(|glob| glob.matches_with(&image.path_text(), options))
    }
}
