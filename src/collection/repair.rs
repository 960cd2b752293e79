//! `repair`: what can be made anew from what is sound is made anew; what cannot is set aside in `quarantine/`, never
//! deleted. What was lost is named.

use std::path::{Path, PathBuf};

use patchdex_format::{FileEntry, Manifest, SegmentEntry};

use super::commit::{BACKUP_NAME, LOCK_NAME};
use super::verify::verify_rejects;
use super::{
    CREATED_BY, CollectionError, Draft, GraphDemand, GraphStatus, Ungraphed, generic_preparation, meaning,
    read_manifest, read_manifest_file, read_preparation, write_preparation,
};
use crate::dims::Preparation;
use crate::index::VectorLayout;
use crate::segment::{BLOCK_TOKENS, Depth, FileRole, RowEncoding, Segment, SegmentFile, file_entry};
use crate::storage::{self, StorageError, WriterLock};

/// Folder of what was set aside.
const QUARANTINE_DIR: &str = "quarantine";

/// What was done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Repair {
    /// What is as good as before, a sentence each.
    pub rebuilt: Vec<String>,
    /// What is no longer in the collection, a sentence each.
    pub lost: Vec<String>,
    /// Paths of images that are no longer in the collection, as far as they are known.
    pub lost_images: Vec<String>,
    /// What was set aside.
    pub quarantined: Vec<PathBuf>,
    /// Segments that were to have a graph and have none.
    pub ungraphed: Vec<Ungraphed>,
}

impl Repair {
    /// Whether there was nothing to do.
    pub fn is_empty(&self) -> bool {
        self.rebuilt.is_empty() && self.lost.is_empty()
    }
}

/// Repairs the collection in `path`, in one commit. `told` hears how far graphs are that are made anew.
///
/// # Errors
/// A manifest or preparation that nothing can be made from, a full disk, or another writer at work. Nothing is lost then.
pub fn repair(path: &Path, told: &mut dyn FnMut(GraphStatus)) -> Result<Repair, CollectionError> {
    let mut done = Repair::default();
    restore_manifest(path, &mut done)?;
    let draft = Draft::change(path)?;
    let manifest = read_manifest(path)?;
    let mut shop = Workshop { path, manifest: &manifest, draft: &draft, done, graphs: Vec::new() };
    let (preparation, entry) = shop.preparation()?;
    let mut repaired = Manifest { preparation: entry, segments: Vec::new(), ..manifest.clone() };
    if let Err(error) = verify_rejects(path, &manifest) {
        shop.set_aside(&manifest.rejects.name)?;
        repaired.rejects = draft.write_rejects("")?;
        shop.done.lost.push(format!("the list of rejects: {error}"));
    }
    for segment in &manifest.segments {
        repaired.segments.extend(shop.segment(segment, &preparation)?);
    }
    let Workshop { mut done, graphs, .. } = shop;
    let copy = path.join(BACKUP_NAME);
    if let Some(error) = copy.exists().then(|| read_manifest_file(&copy).err()).flatten() {
        storage::write_atomic(&copy, &manifest.to_bytes())?;
        done.rebuilt.push(format!("the copy of the manifest ({error})"));
    }
    if repaired != manifest {
        let repaired = draft.next(&repaired);
        let published = draft.publish(&repaired, false, GraphDemand::Wanted, told)?;
        let has_graph = |segment: &str| {
            let entry = published.manifest.segments.iter().find(|entry| entry.id == segment);
            entry.is_some_and(|entry| FileRole::Graph.entry(entry).is_some())
        };
        for (segment, error) in graphs {
            let list = if has_graph(&segment) { &mut done.rebuilt } else { &mut done.lost };
            list.push(format!("the graph of segment {segment} ({error})"));
        }
        done.ungraphed = published.ungraphed;
    }
    Ok(done)
}

/// Puts the copy of the manifest in its place, when the manifest itself is damaged or gone.
fn restore_manifest(path: &Path, done: &mut Repair) -> Result<(), CollectionError> {
    let Err(error) = read_manifest(path) else { return Ok(()) };
    let copy = path.join(BACKUP_NAME);
    if read_manifest_file(&copy).is_err() {
        return Err(error);
    }
    // A writer may have been about to publish.
    let _lock = WriterLock::acquire(path, LOCK_NAME)?;
    let Err(error) = read_manifest(path) else { return Ok(()) };
    let Ok(manifest) = read_manifest_file(&copy) else { return Err(error) };
    let damaged = path.join(patchdex_format::MANIFEST_NAME);
    if damaged.is_file() {
        let aside = path.join(QUARANTINE_DIR).join(format!("manifest-{}.json", manifest.commit));
        storage::create_dir_all(&path.join(QUARANTINE_DIR))?;
        storage::link_or_copy(&damaged, &aside)?;
        done.quarantined.push(aside);
    }
    storage::write_atomic(&damaged, &manifest.to_bytes())?;
    done.rebuilt.push(format!("manifest.json from its copy ({error})"));
    Ok(())
}

struct Workshop<'a> {
    path: &'a Path,
    manifest: &'a Manifest,
    draft: &'a Draft,
    done: Repair,
    /// Graphs that were set aside, by their segments, and why: they are made anew when the repair is published.
    graphs: Vec<(String, String)>,
}

impl Workshop<'_> {
    /// The preparation: as it is, or from the model's folder.
    fn preparation(&mut self) -> Result<(Preparation, patchdex_format::PreparationEntry), CollectionError> {
        let entry = &self.manifest.preparation;
        let error = match read_preparation(self.path, self.manifest) {
            Ok(preparation) => return Ok((preparation, entry.clone())),
            Err(error) => error,
        };
        let generic = generic_preparation(Path::new(&self.manifest.model.folder)).ok().flatten();
        match generic.filter(|generic| generic.digest() == entry.digest) {
            Some(mut generic) => {
                if let Some(file) = &entry.file {
                    self.set_aside(&file.name)?;
                }
                generic.fitted_on = entry.fitted_on.clone();
                self.done.rebuilt.push(format!("the preparation, from the model's folder ({error})"));
                let entry = write_preparation(self.draft, &generic)?;
                Ok((generic, entry))
            }
            None => Err(error),
        }
    }

    /// A segment without what is damaged in it; none when nothing of it can be used.
    fn segment(
        &mut self,
        entry: &SegmentEntry,
        preparation: &Preparation,
    ) -> Result<Option<SegmentEntry>, CollectionError> {
        let folder = self.draft.segment_dir(entry);
        let stored = meaning(self.path, self.manifest)?;
        let fault = |role: FileRole| {
            role.entry(entry)
                .and_then(|file| SegmentFile::verify(&folder.join(&file.name), file, Depth::Full).err())
        };
        let mut mended = entry.clone();
        if let Some(error) = fault(FileRole::Raw) {
            self.drop_file(&folder, &mut mended, FileRole::Raw)?;
            self.done.lost.push(format!("the model's own tokens of segment {}: {error}", entry.id));
        }
        if let Some(error) = fault(FileRole::Metadata) {
            self.drop_file(&folder, &mut mended, FileRole::Metadata)?;
            self.done.lost.push(format!("the metadata of segment {}: {error}", entry.id));
        }
        if let Some(error) = fault(FileRole::Graph) {
            self.drop_graph(&folder, &mut mended, error.to_string())?;
        }
        if let Some(error) = fault(FileRole::Images) {
            return self.give_up(entry, &error.to_string(), Vec::new());
        }
        if let Some(error) = fault(FileRole::Vectors) {
            match self.vectors_from_raw(&mended, preparation)? {
                Some(file) => {
                    if let Some(damaged) = FileRole::Vectors.entry(entry) {
                        self.set_aside_file(&folder, &entry.id, damaged)?;
                    }
                    FileRole::replace(&mut mended, vec![file]);
                    self.done
                        .rebuilt
                        .push(format!("the vectors of segment {} from its tokens ({error})", entry.id));
                }
                None => {
                    let names = Segment::paths(&folder, entry);
                    return self.give_up(entry, &error.to_string(), names);
                }
            }
        }
        // Sound files may still not belong together.
        let opened = Segment::open(&folder, &mended, stored);
        let unusable = match &opened {
            Ok(segment) => segment.table_fault().map(|fault| fault.to_string()),
            Err(error) => Some(error.to_string()),
        };
        if let Some(error) = unusable {
            return self.give_up(entry, &error, Segment::paths(&folder, entry));
        }
        let misfit = opened.ok().and_then(|segment| segment.graph_fault().map(ToString::to_string));
        if let Some(error) = misfit {
            self.drop_graph(&folder, &mut mended, error)?;
        }
        Ok(Some(mended))
    }

    /// Sets a graph aside, to be made anew.
    fn drop_graph(
        &mut self,
        folder: &Path,
        segment: &mut SegmentEntry,
        error: String,
    ) -> Result<(), CollectionError> {
        self.drop_file(folder, segment, FileRole::Graph)?;
        FileRole::drop_graph(segment);
        self.graphs.push((segment.id.clone(), error));
        Ok(())
    }

    /// Vectors made anew; none where there are no sound tokens.
    fn vectors_from_raw(
        &self,
        entry: &SegmentEntry,
        preparation: &Preparation,
    ) -> Result<Option<FileEntry>, CollectionError> {
        let Some(raw) = FileRole::Raw.entry(entry) else { return Ok(None) };
        let VectorLayout { metric, kind: rows, .. } = meaning(self.path, self.manifest)?;
        let folder = self.draft.segment_dir(entry);
        let file = SegmentFile::open(&folder.join(&raw.name), raw)?;
        let dim = preparation.input_dim();
        let Ok(tokens) = file.tokens(entry.patches as usize, dim) else { return Ok(None) };
        let blocks: Vec<&[f32]> = tokens.chunks(BLOCK_TOKENS * dim).collect();
        let name = FileRole::Vectors.name_at(self.draft.commit());
        RowEncoding { preparation, metric, rows }.write(
            &folder.join(&name),
            &blocks,
            CREATED_BY,
            &mut |_| {},
        )?;
        Ok(Some(file_entry(&folder, &name)?))
    }

    /// Sets a file aside that a segment can do without.
    fn drop_file(
        &mut self,
        folder: &Path,
        segment: &mut SegmentEntry,
        role: FileRole,
    ) -> Result<(), CollectionError> {
        if let Some(file) = role.entry(segment) {
            self.set_aside_file(folder, &segment.id, file)?;
        }
        segment.files.retain(|file| FileRole::of(&file.name) != Some(role));
        Ok(())
    }

    /// Sets a whole segment aside.
    fn give_up(
        &mut self,
        entry: &SegmentEntry,
        error: &str,
        names: Vec<String>,
    ) -> Result<Option<SegmentEntry>, CollectionError> {
        let folder = self.draft.segment_dir(entry);
        for file in &entry.files {
            self.set_aside_file(&folder, &entry.id, file)?;
        }
        let known = if names.is_empty() { ", whose names are not known" } else { "" };
        self.done.lost.push(format!("{} images of segment {}{known}: {error}", entry.images, entry.id));
        self.done.lost_images.extend(names);
        self.graphs.retain(|(segment, _)| *segment != entry.id);
        Ok(None)
    }

    /// Keeps a file that stands beside the segments.
    fn set_aside(&mut self, name: &str) -> Result<(), StorageError> {
        self.keep(&self.path.join(name), &self.path.join(QUARANTINE_DIR).join(name))
    }

    /// Keeps a file of a segment.
    fn set_aside_file(&mut self, folder: &Path, id: &str, file: &FileEntry) -> Result<(), StorageError> {
        self.keep(&folder.join(&file.name), &self.path.join(QUARANTINE_DIR).join(id).join(&file.name))
    }

    /// Gives a file a name in the quarantine; the old one goes when the commit is swept.
    fn keep(&mut self, from: &Path, to: &Path) -> Result<(), StorageError> {
        if from.is_file() && !self.done.quarantined.iter().any(|kept| kept == to) {
            storage::create_dir_all(to.parent().unwrap_or(self.path))?;
            storage::link_or_copy(from, to)?;
            self.done.quarantined.push(to.to_owned());
        }
        Ok(())
    }
}
