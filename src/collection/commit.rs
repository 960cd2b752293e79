//! One writer and its commit. A new collection is drafted in an empty folder, an existing one gets its next commit;
//! either way readers see the last manifest until the next one has taken its name.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use patchdex_format::{FORMAT_VERSION, FileEntry, MANIFEST_NAME, Manifest, SegmentEntry};

use super::{
    CREATED_BY, CollectionError, GraphDemand, GraphStatus, Ungraphed, graphs, read_manifest, segment_dir,
};
use crate::segment::FileRole;
use crate::storage::{self, StorageError, WriterLock};

/// Unfinished work of an `index`, `add`, `merge` or `import` command.
const DRAFT_DIR: &str = "building";
/// Says of which inputs and options the unfinished work is.
const STAMP_NAME: &str = "source";
/// The digest of the manifest that publishes the work.
const PUBLISHED_NAME: &str = "published";
/// Lock file of the one writer.
pub(super) const LOCK_NAME: &str = "writer.lock";
/// A copy of the manifest, which `repair` falls back on.
pub(super) const BACKUP_NAME: &str = "manifest.backup.json";
/// Folder of the segments.
pub(super) const SEGMENTS_DIR: &str = "segments";
/// The preparation that a model folder brings.
pub const MODEL_PREPARATION: &str = "preparation.pdx";

/// A commit that stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Published {
    /// Its manifest, with the graphs that its segments got.
    pub manifest: Manifest,
    /// Segments that were to have a graph and have none.
    pub ungraphed: Vec<Ungraphed>,
}

/// A commit on its way. Holds the writer's lock.
pub struct Draft {
    path: PathBuf,
    /// The commit that it follows; none for a new collection.
    base: Option<Box<Manifest>>,
    _lock: WriterLock,
}

impl Draft {
    /// Takes `path` for a new collection: an empty or missing folder, or one with an unfinished build. With a finished
    /// collection of the same `source` the answer is its manifest: there is nothing to do.
    ///
    /// # Errors
    /// A folder with other things in it, another collection, or another writer at work. Nothing is changed then.
    pub fn begin(path: &Path, source: &str) -> Result<Result<Self, Box<Manifest>>, CollectionError> {
        if let Some(manifest) = finished(path, source)? {
            tidy(path, &manifest);
            return Ok(Err(manifest));
        }
        if stamp(path).is_none() {
            check_empty(path)?;
        }
        storage::create_dir_all(&path.join(DRAFT_DIR))?;
        let lock = WriterLock::acquire(path, LOCK_NAME)?;
        let draft = Self { path: path.to_owned(), base: None, _lock: lock };
        // Another process may have published between the first look and the lock.
        if let Some(manifest) = finished(path, source)? {
            draft.discard()?;
            return Ok(Err(manifest));
        }
        storage::remove_unfinished(path)?;
        draft.claim(source)?;
        // Of a commit that was never published, and whose files are about to be written anew.
        storage::remove_file(&path.join(BACKUP_NAME))?;
        Ok(Ok(draft))
    }

    /// Looks whether [`Draft::begin`] would take `path` or find it done, but for a writer at work; and changes nothing.
    ///
    /// # Errors
    /// A folder with other things in it, another collection, or unfinished work of another source.
    pub fn look(path: &Path, source: &str) -> Result<(), CollectionError> {
        if finished(path, source)?.is_some() {
            return Ok(());
        }
        match stamp(path) {
            Some(found) if found == source => Ok(()),
            Some(found) => Err(other_draft(path, &found, false)),
            None => check_empty(path),
        }
    }

    /// Takes the collection in `path` for its next commit, and removes what a killed writer left.
    ///
    /// # Errors
    /// No collection there, a damaged manifest, or another writer at work.
    pub fn change(path: &Path) -> Result<Self, CollectionError> {
        // A folder that is no collection gets no lock file.
        read_manifest(path)?;
        let lock = WriterLock::acquire(path, LOCK_NAME)?;
        let base = read_manifest(path)?;
        // The copy may be of a commit that was never published, and whose files are swept now.
        let (copy, bytes) = (path.join(BACKUP_NAME), base.to_bytes());
        if std::fs::read(&copy).is_ok_and(|found| found != bytes) {
            storage::write_atomic(&copy, &bytes)?;
        }
        sweep(path, &base)?;
        // Every writer looks: what is published is of this commit, or never will be.
        let published = std::fs::read_to_string(path.join(DRAFT_DIR).join(PUBLISHED_NAME));
        if published.is_ok_and(|digest| digest == digest_of(&bytes)) {
            storage::discard_dir(&path.join(DRAFT_DIR))?;
        }
        Ok(Self { path: path.to_owned(), base: Some(Box::new(base)), _lock: lock })
    }

    /// Takes the folder of unfinished work, for work of this `source` only.
    ///
    /// # Errors
    /// Unfinished work of another source: it is somebody's hours.
    pub fn claim(&self, source: &str) -> Result<(), CollectionError> {
        match stamp(&self.path) {
            Some(found) if found == source => Ok(()),
            Some(found) => Err(other_draft(&self.path, &found, self.base.is_some())),
            None => {
                // What is not stamped is nobody's.
                storage::remove_dir_all(&self.dir())?;
                storage::create_dir_all(&self.dir())?;
                Ok(storage::write_atomic(&self.dir().join(STAMP_NAME), source.as_bytes())?)
            }
        }
    }

    /// The command that was interrupted in `path`, if one was.
    pub fn interrupted(path: &Path) -> Option<&'static str> {
        stamp(path).map(|stamp| command_of(&stamp))
    }

    /// Throws unfinished work away.
    ///
    /// # Errors
    /// The system's refusal.
    pub fn discard(&self) -> Result<(), StorageError> {
        storage::discard_dir(&self.dir())
    }

    /// Takes back what was begun of a new collection, for a caller that cannot go on: the folder is free for any other
    /// command.
    ///
    /// # Errors
    /// The system's refusal.
    pub fn abandon(self) -> Result<(), StorageError> {
        if self.base.is_none() {
            storage::remove_dir_all(&self.path.join(SEGMENTS_DIR))?;
        }
        self.discard()
    }

    /// Where unfinished work lies.
    pub fn dir(&self) -> PathBuf {
        self.path.join(DRAFT_DIR)
    }

    /// The collection's folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The manifest of the commit that it follows; none for a new collection.
    pub(super) fn base(&self) -> Option<&Manifest> {
        self.base.as_deref()
    }

    /// The number of this commit.
    pub fn commit(&self) -> u64 {
        self.base.as_ref().map_or(0, |base| base.commit) + 1
    }

    /// Name and folder of this commit's segment number `number`, counted from 0. The folder is new and empty: what a killed
    /// process wrote there was never published.
    ///
    /// # Errors
    /// The system's refusal.
    pub fn new_segment(&self, number: usize) -> Result<(String, PathBuf), StorageError> {
        let id = match number {
            0 => Self::segment_id(self.commit()),
            _ => format!("{}-{number}", Self::segment_id(self.commit())),
        };
        let folder = self.path.join(SEGMENTS_DIR).join(&id);
        storage::remove_dir_all(&folder)?;
        storage::create_dir_all(&folder)?;
        Ok((id, folder))
    }

    /// What the segments of a commit are called, up to their number.
    pub(super) fn segment_id(commit: u64) -> String {
        format!("{commit:06}")
    }

    /// The folder of a segment.
    pub fn segment_dir(&self, segment: &SegmentEntry) -> PathBuf {
        segment_dir(&self.path, segment)
    }

    /// `manifest` as this commit's, to be changed where the commit changes it.
    pub fn next(&self, manifest: &Manifest) -> Manifest {
        Manifest {
            format_version: FORMAT_VERSION,
            created_by: CREATED_BY.to_owned(),
            commit: self.commit(),
            ..manifest.clone()
        }
    }

    /// Writes this commit's list of rejects, a JSON object a line.
    ///
    /// # Errors
    /// The system's refusal.
    pub fn write_rejects(&self, lines: &str) -> Result<FileEntry, StorageError> {
        let name = self.file_name("rejects", "jsonl");
        storage::write_atomic(&self.path.join(&name), lines.as_bytes())?;
        let digest = blake3::hash(lines.as_bytes()).to_hex().to_string();
        Ok(FileEntry { name, bytes: lines.len() as u64, digest })
    }

    /// The name of a file beside the segments in this commit: `rejects.jsonl`, later `rejects-4.jsonl`.
    pub fn file_name(&self, stem: &str, extension: &str) -> String {
        match self.commit() {
            1 => format!("{stem}.{extension}"),
            commit => format!("{stem}-{commit}.{extension}"),
        }
    }

    /// Publishes: segments get the graphs that they lack, the manifest takes its name. `finished` says that the unfinished
    /// work is in it, and may go; `demand` what becomes of a segment whose graph is worth nothing; `told` hears how far the
    /// graphs are, now and then.
    ///
    /// # Errors
    /// A graph that is required and worth nothing, or the system's refusal; the last commit is then still there, and so is
    /// the unfinished work.
    pub fn publish(
        self,
        manifest: &Manifest,
        finished: bool,
        demand: GraphDemand,
        told: &mut dyn FnMut(GraphStatus),
    ) -> Result<Published, CollectionError> {
        self.publish_unless_stopped(manifest, finished, demand, &mut |graphs| {
            told(graphs);
            ControlFlow::Continue(())
        })
    }

    /// The same; `told` may stop the commit.
    ///
    /// # Errors
    /// Those of [`Draft::publish`], and [`CollectionError::Stopped`].
    pub fn publish_unless_stopped(
        self,
        manifest: &Manifest,
        finished: bool,
        demand: GraphDemand,
        told: &mut dyn FnMut(GraphStatus) -> ControlFlow<()>,
    ) -> Result<Published, CollectionError> {
        let published = graphs::complete(&self, manifest, demand, told)?;
        let manifest = &published.manifest;
        let bytes = manifest.to_bytes();
        if finished {
            // A process that dies before the work is removed says so that it is done.
            let published = self.dir().join(PUBLISHED_NAME);
            storage::write_atomic(&published, digest_of(&bytes).as_bytes())?;
        }
        // First, so that the manifest is the last thing that can fail.
        storage::write_atomic(&self.path.join(BACKUP_NAME), &bytes)?;
        storage::write_atomic(&self.path.join(MANIFEST_NAME), &bytes)?;
        // The commit stands. What cannot be removed now is removed by the next writer.
        let _ = sweep(&self.path, manifest);
        // Last: as long as it is there, the same command knows that there is something to tidy.
        if finished {
            let _ = self.discard();
        }
        Ok(published)
    }
}

fn digest_of(manifest: &[u8]) -> String {
    blake3::hash(manifest).to_hex().to_string()
}

/// Of which inputs and options the unfinished work in `path` is, where there is some.
fn stamp(path: &Path) -> Option<String> {
    let stamp = path.join(DRAFT_DIR).join(STAMP_NAME);
    stamp.is_file().then(|| std::fs::read_to_string(stamp).unwrap_or_default())
}

fn other_draft(path: &Path, stamp: &str, adding: bool) -> CollectionError {
    CollectionError::OtherDraft { path: path.to_owned(), command: command_of(stamp), adding }
}

/// The command that gave unfinished work its stamp: all but `index` begin theirs with their name.
fn command_of(stamp: &str) -> &'static str {
    let name = stamp.split(' ').next();
    ["add", "merge", "import"].into_iter().find(|command| name == Some(command)).unwrap_or("index")
}

/// Removes what a process left that died right after it published `manifest`, unless another writer is at work.
fn tidy(path: &Path, manifest: &Manifest) {
    let is_left = names(path).is_ok_and(|names| names.iter().any(|name| name.starts_with(DRAFT_DIR)));
    let is_ours = stamp(path).is_none_or(|found| found == manifest.source);
    if is_left && is_ours && WriterLock::acquire(path, LOCK_NAME).is_ok() {
        let _ = sweep(path, manifest);
        let _ = storage::discard_dir(&path.join(DRAFT_DIR));
    }
}

/// Removes what no manifest lists: files of former commits, and of writers that died. Readers that hold them mapped keep
/// them. Only names that writers give are looked at.
fn sweep(path: &Path, manifest: &Manifest) -> Result<(), StorageError> {
    storage::remove_unfinished(path)?;
    let listed: HashSet<&str> =
        manifest.preparation.file.iter().chain([&manifest.rejects]).map(|file| file.name.as_str()).collect();
    let is_ours = |name: &str| {
        let (stem, extension) = name.split_once('.').unwrap_or_default();
        let stem = stem.split_once('-').map_or(stem, |(stem, _)| stem);
        matches!((stem, extension), ("preparation", "pdx") | ("rejects", "jsonl"))
    };
    for name in names(path)?.iter().filter(|name| is_ours(name) && !listed.contains(name.as_str())) {
        storage::remove_file(&path.join(name))?;
    }
    for id in names(&path.join(SEGMENTS_DIR))? {
        let folder = path.join(SEGMENTS_DIR).join(&id);
        let Some(segment) = manifest.segments.iter().find(|segment| segment.id == id) else {
            storage::remove_dir_all(&folder)?;
            continue;
        };
        storage::remove_unfinished(&folder)?;
        let is_listed = |name: &str| segment.files.iter().any(|file| file.name == name);
        for name in names(&folder)?.iter().filter(|name| FileRole::of(name).is_some() && !is_listed(name)) {
            storage::remove_file(&folder.join(name))?;
        }
    }
    Ok(())
}

/// What is in a folder, by name; nothing in a missing one. Names that are no UTF-8 are not ours.
fn names(folder: &Path) -> Result<Vec<String>, StorageError> {
    match std::fs::read_dir(folder) {
        Ok(entries) => {
            Ok(entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(StorageError::at("read", folder)(error)),
    }
}

/// The manifest of a finished collection of `source`, where there is one.
fn finished(path: &Path, source: &str) -> Result<Option<Box<Manifest>>, CollectionError> {
    if !path.join(MANIFEST_NAME).is_file() {
        return Ok(None);
    }
    let manifest = read_manifest(path)?;
    match manifest.source == source {
        true => Ok(Some(Box::new(manifest))),
        false => Err(CollectionError::Other { path: path.to_owned() }),
    }
}

fn check_empty(path: &Path) -> Result<(), CollectionError> {
    let occupied = |found: String| CollectionError::Occupied { path: path.to_owned(), found };
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(StorageError::at("read", path)(error).into()),
        Ok(about) if !about.is_dir() => Err(occupied("it is a file".to_owned())),
        Ok(_) => {
            for entry in std::fs::read_dir(path).map_err(StorageError::at("read", path))? {
                let name = entry.map_err(StorageError::at("read", path))?.file_name();
                // A process that died right after it began left no more than these.
                let begun = name == LOCK_NAME
                    || name == DRAFT_DIR && storage::is_unfinished_only(&path.join(&name))
                    || storage::is_discarded(&name, DRAFT_DIR);
                if !begun {
                    return Err(occupied(format!("it holds '{}'", name.to_string_lossy())));
                }
            }
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_other_things_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("thesis.txt"), "years of work").unwrap();
        match Draft::begin(folder.path(), "s") {
            Err(CollectionError::Occupied { found, .. }) => assert!(found.contains("thesis.txt")),
            _ => panic!("took an occupied folder"),
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_that_only_looks_like_an_unfinished_build_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(DRAFT_DIR)).unwrap();
        std::fs::write(folder.path().join(DRAFT_DIR).join("house.jpg"), "a building").unwrap();
        assert!(matches!(Draft::begin(folder.path(), "s"), Err(CollectionError::Occupied { .. })));
        assert!(folder.path().join(DRAFT_DIR).join("house.jpg").is_file());
        std::fs::rename(
            folder.path().join(DRAFT_DIR).join("house.jpg"),
            folder.path().join(DRAFT_DIR).join("source.tmp-1"),
        )
        .unwrap();
        assert!(Draft::begin(folder.path(), "s").is_ok(), "what a killed process left is gone on with");
    }

    #[test]
    fn an_unfinished_build_is_resumed_by_the_same_source_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new");
        drop(Draft::begin(&path, "a").unwrap());
        assert!(matches!(Draft::begin(&path, "b"), Err(CollectionError::OtherDraft { .. })));
        assert_eq!(Draft::interrupted(&path), Some("index"));
        let held = Draft::begin(&path, "a").unwrap();
        assert!(matches!(Draft::begin(&path, "a"), Err(CollectionError::Storage(StorageError::Busy { .. }))));
        drop(held);
    }
}
