//! What a collection lists beside what is on the disk: which files are new, changed, moved, copied or gone, and what the
//! segments list after that.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::finish::content_of;
use super::journal::{Outcome, PathText, Record, Reject};
use super::{IndexOptions, IngestError, Sources};
use crate::collection::{
    Collection, CollectionError, bytes_of_path, common_root, path_of_bytes, path_prefix,
};
use crate::segment::Listed;

/// What the segments list, as it is and as it will be.
pub(super) struct Listing {
    /// The folder that paths are relative to from now on.
    pub root: PathBuf,
    old_root: PathBuf,
    /// What old paths begin with below the new root.
    prefix: Vec<u8>,
    pub segments: Vec<Table>,
    /// Paths that were looked at.
    seen: HashSet<Vec<u8>>,
    /// Segment and row of each path, before anything is changed.
    places: HashMap<Vec<u8>, (usize, usize)>,
    /// Segments and rows of each content, before anything is changed.
    contents: HashMap<[u8; 32], Vec<(usize, usize)>>,
    pub copied: usize,
    pub moved: usize,
    pub gone: usize,
    /// Paths whose content is another one now.
    pub replaced: HashSet<Vec<u8>>,
    /// What was said about them.
    pub said: HashMap<Vec<u8>, Map<String, Value>>,
}

/// The images of one segment.
pub(super) struct Table {
    pub images: Vec<Listed>,
    pub changed: bool,
}

impl Listing {
    pub fn of(collection: &Collection, sources: &Sources) -> Result<Self, IngestError> {
        let old_root = PathBuf::from(&collection.manifest().root);
        let (root, prefix) = common(&old_root, &sources.root)?;
        let mut tables = Self {
            root,
            old_root,
            prefix,
            segments: Vec::new(),
            seen: HashSet::new(),
            places: HashMap::new(),
            contents: HashMap::new(),
            copied: 0,
            moved: 0,
            gone: 0,
            replaced: HashSet::new(),
            said: HashMap::new(),
        };
        for (at, segment) in collection.segments().iter().enumerate() {
            let mut images = segment.listed().map_err(CollectionError::from)?;
            for (index, image) in images.iter_mut().enumerate() {
                image.path = [&tables.prefix, image.path.as_slice()].concat();
                tables.places.insert(image.path.clone(), (at, index));
                tables.contents.entry(image.row.content).or_default().push((at, index));
            }
            tables.segments.push(Table { images, changed: !tables.prefix.is_empty() });
        }
        Ok(tables)
    }

    /// The sources that are not listed as they are now, below the new root. Counts what is gone on the way.
    pub fn outdated(&mut self, sources: &Sources) -> Sources {
        let below = |path: &Path| path.strip_prefix(&self.root).unwrap_or(path).to_owned();
        let mut seen = HashSet::new();
        let mut files = Vec::new();
        for file in &sources.files {
            let relative = below(&file.path);
            let path = bytes_of_path(&relative);
            let row = self.places.get(&path).map(|&(at, index)| self.segments[at].images[index].row);
            if row.is_none_or(|row| (row.file_bytes, row.modified_ns) != (file.bytes, file.modified_ns)) {
                files.push(super::SourceFile { relative, ..file.clone() });
            }
            seen.insert(path);
        }
        files.sort_by_cached_key(|file| bytes_of_path(&file.relative));
        let looked_at = bytes_of_path(&below(&sources.root));
        let is_gone = |path: &&Vec<u8>| {
            let inside = looked_at.is_empty()
                || path.strip_prefix(looked_at.as_slice()).is_some_and(|rest| rest.starts_with(b"/"));
            inside && !seen.contains(*path) && !self.file(path).exists()
        };
        self.gone = self.places.keys().filter(is_gone).count();
        self.seen = seen;
        let rejects = sources.rejects.iter().map(|reject| Reject {
            path: below(&sources.root.join(&reject.path)).to_string_lossy().into_owned(),
            ..reject.clone()
        });
        Sources { files, rejects: rejects.collect(), root: self.root.clone(), ..sources.clone() }
    }

    /// Contents that need no embedding, with an image of each.
    pub fn known(&self) -> HashMap<String, PathText> {
        let first = |(content, places): (&[u8; 32], &Vec<(usize, usize)>)| {
            let (at, index) = places[0];
            let digits = blake3::Hash::from(*content).to_hex().to_string();
            (digits, PathText::of(&self.segments[at].images[index].path))
        };
        self.contents.iter().map(first).collect()
    }

    /// Lists what the records say. What was found to be broken keeps the patches that it had.
    pub fn apply(&mut self, records: &[Record]) {
        let mut dropped = HashSet::new();
        let mut listed: Vec<(usize, Listed)> = Vec::new();
        for record in records {
            let content = match &record.outcome {
                Outcome::Done(image) => content_of(&image.content),
                Outcome::Duplicate { content, .. } => content_of(content),
                Outcome::Rejected { .. } => continue,
            };
            let path = record.path.bytes();
            let place = self.places.get(&path).copied();
            if let Some((at, index)) = place {
                dropped.insert((at, index));
                let image = &self.segments[at].images[index];
                if image.row.content != content {
                    self.replaced.insert(path.clone());
                    self.said.insert(path.clone(), image.metadata.clone());
                }
            }
            let Some(same) = self.contents.get(&content) else { continue };
            let is_lost = |&&(at, index): &&(usize, usize)| {
                !dropped.contains(&(at, index)) && !self.file(&self.segments[at].images[index].path).exists()
            };
            // A path that was listed before has not come from elsewhere.
            let lost = if place.is_some() { None } else { same.iter().find(is_lost).copied() };
            let unchanged = place.filter(|place| same.contains(place));
            let (at, index) = lost.or(unchanged).unwrap_or(same[0]);
            let mut image = Listed { path, ..self.segments[at].images[index].clone() };
            (image.row.file_bytes, image.row.modified_ns) = (record.file_bytes, record.modified_ns);
            if lost.or(unchanged).is_none() {
                // What was said about an image is not said about its copies.
                image.metadata = self.said.get(&image.path).cloned().unwrap_or_default();
            }
            match lost {
                Some(lost) => {
                    dropped.insert(lost);
                    self.moved += 1;
                    // It was counted as gone.
                    self.gone = self.gone.saturating_sub(1);
                }
                None if place.is_none() => self.copied += 1,
                None => {}
            }
            listed.push((at, image));
        }
        for (at, table) in self.segments.iter_mut().enumerate() {
            let mut index = 0;
            let before = table.images.len();
            table.images.retain(|_| {
                index += 1;
                !dropped.contains(&(at, index - 1))
            });
            table.changed |= table.images.len() != before;
        }
        for (at, image) in listed {
            self.segments[at].images.push(image);
            self.segments[at].changed = true;
        }
    }

    /// Lists what the user says about images now.
    pub fn retell(&mut self, options: &IndexOptions) {
        for table in &mut self.segments {
            for image in &mut table.images {
                if let Some(metadata) = options.retold(&self.root, image) {
                    image.metadata = metadata;
                    table.changed = true;
                }
            }
        }
    }

    /// The collection's rejects: those of this run, and those of former ones that are still so.
    pub fn rejects(&self, before: &[Reject], new: Vec<Reject>) -> Vec<Reject> {
        let prefix = String::from_utf8_lossy(&self.prefix);
        let looked_at: HashSet<String> = self
            .seen
            .iter()
            .map(|path| String::from_utf8_lossy(path).into_owned())
            .chain(new.iter().map(|reject| reject.path.clone()))
            .collect();
        let old =
            before.iter().map(|reject| Reject { path: format!("{prefix}{}", reject.path), ..reject.clone() });
        let stays = |reject: &Reject| {
            !looked_at.contains(&reject.path) && self.root.join(&reject.path).symlink_metadata().is_ok()
        };
        let mut rejects: Vec<Reject> = old.filter(stays).collect();
        rejects.extend(new);
        rejects.sort_by(|a, b| a.path.cmp(&b.path));
        rejects
    }

    pub fn new_root(&self) -> Option<PathBuf> {
        (self.root != self.old_root).then(|| self.root.clone())
    }

    fn file(&self, path: &[u8]) -> PathBuf {
        self.root.join(path_of_bytes(path))
    }
}

/// The folder that old and new images are below, and what the old ones' paths begin with there. A root that is gone has
/// moved: its images are looked for below the new one.
fn common(old: &Path, new: &Path) -> Result<(PathBuf, Vec<u8>), IngestError> {
    if new.starts_with(old) {
        return Ok((old.to_owned(), Vec::new()));
    }
    if !old.exists() {
        return Ok((new.to_owned(), Vec::new()));
    }
    let root = common_root(&[old.to_owned(), new.to_owned()]);
    let none = || CollectionError::NoCommonRoot { first: old.to_owned(), second: new.to_owned() };
    let prefix = path_prefix(&root, old).ok_or_else(none)?;
    Ok((root, prefix))
}
