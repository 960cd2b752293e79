//! The collections that are served, by name, each at its last commit. A new commit takes the place of the old one at once;
//! requests that hold the old one keep it to their end.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use patchdex_format::Manifest;

use super::problem::{Cause, Problem};
use super::{ServeError, ServeOptions};
use crate::collection::{Collection, CollectionError, bytes_of_path, is_imported, read_manifest};
use crate::engine::{EngineError, EngineOptions, Gallery};
use crate::model::Model;
use crate::segment::{ImageView, OpenSegmentError, id_of, parse_id};

/// All collections.
pub(super) struct Catalogue {
    entries: Vec<Entry>,
    opening: EngineOptions,
}

struct Entry {
    name: Arc<str>,
    path: PathBuf,
    current: RwLock<Arc<Commit>>,
    /// Held while a commit is opened, so that it is opened once.
    renewing: Mutex<()>,
    /// Why the last commit could not be opened when it was last tried.
    failure: Mutex<Option<String>>,
}

/// A commit of a collection, opened for requests.
pub(super) struct Commit {
    pub name: Arc<str>,
    pub collection: Arc<Collection>,
    /// With the model; none where vectors were imported.
    pub gallery: Option<Arc<Gallery>>,
    /// Segment and index of every image, in order of the bytes of its path.
    order: Vec<(u32, u32)>,
    /// Places in `order` of the images with an id; copies have the same.
    places: HashMap<u64, Vec<u32>>,
    /// Vectors that belong to an image.
    pub patches: u64,
    /// Bytes that are mapped.
    pub mapped_bytes: u64,
    /// Columns that conditions may name; none where the metadata is damaged.
    pub columns: Vec<String>,
}

impl Catalogue {
    /// Opens all collections and their models, each model once.
    pub fn open(options: &ServeOptions) -> Result<Self, ServeError> {
        // Models are only understood here: sessions are the workers'.
        let opening = EngineOptions { threads: 1, ..options.engine.clone() };
        let mut entries: Vec<Entry> = Vec::new();
        let mut loaded = Vec::new();
        for named in &options.collections {
            let (name, path) = (named.name.clone(), named.path.clone());
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            if name.is_empty() || !name.chars().all(is_plain) || name.starts_with('.') {
                return Err(ServeError::NoName { name, path });
            }
            if entries.iter().any(|entry| *entry.name == *name) {
                return Err(ServeError::SameName { name, path });
            }
            let name: Arc<str> = name.into();
            let commit = Commit::open(&name, &path, &opening, &loaded)?;
            loaded.extend(commit.gallery.iter().map(|gallery| gallery.model().clone()));
            let current = RwLock::new(Arc::new(commit));
            entries.push(Entry {
                name,
                path,
                current,
                renewing: Mutex::default(),
                failure: Mutex::default(),
            });
        }
        Ok(Self { entries, opening })
    }

    /// Every collection at its last commit.
    pub fn all(&self) -> impl Iterator<Item = Arc<Commit>> {
        self.entries.iter().map(Entry::current)
    }

    /// Names of all collections.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| &*entry.name)
    }

    /// The collection of that name; where there is one only, it needs no name.
    pub fn named(&self, name: Option<&str>) -> Result<Arc<Commit>, Problem> {
        let names = || self.names().collect::<Vec<_>>().join(", ");
        match (name, &self.entries[..]) {
            (None, [only]) => Ok(only.current()),
            (None, _) => {
                let detail = format!("'collection' is missing; name one of {}", names());
                Err(Problem::new(Cause::Invalid, detail))
            }
            (Some(name), _) => self.entry(name).map(Entry::current),
        }
    }

    fn entry(&self, name: &str) -> Result<&Entry, Problem> {
        self.entries.iter().find(|entry| *entry.name == *name).ok_or_else(|| {
            let names = self.names().collect::<Vec<_>>().join(", ");
            Problem::new(Cause::NotFound, format!("there is no collection '{name}'; there are {names}"))
        })
    }

    /// Opens the last commit of a collection where another one is served. Says whether it did.
    pub fn renew(&self, name: &str) -> Result<(Arc<Commit>, bool), Problem> {
        let entry = self.entry(name)?;
        let _one_at_a_time = entry.renewing.lock().unwrap_or_else(PoisonError::into_inner);
        let held = entry.current();
        if read_manifest(&entry.path)? == *held.collection.manifest() {
            return Ok((held, false));
        }
        let loaded: Vec<Arc<Model>> =
            self.all().filter_map(|commit| Some(commit.gallery.as_ref()?.model().clone())).collect();
        let commit = Arc::new(Commit::open(&entry.name, &entry.path, &self.opening, &loaded)?);
        *entry.current.write().unwrap_or_else(PoisonError::into_inner) = commit.clone();
        Ok((commit, true))
    }

    /// Keeps why the last commit of a collection could not be opened, or that it could; says whether that is new.
    pub fn is_news(&self, name: &str, failure: Option<&str>) -> bool {
        self.entry(name).is_ok_and(|entry| {
            let mut held = entry.failure.lock().unwrap_or_else(PoisonError::into_inner);
            let is_news = held.as_deref() != failure;
            *held = failure.map(str::to_owned);
            is_news
        })
    }

    /// A message in which folders of collections have their names: where they lie is nobody's business.
    pub fn without_paths(&self, message: &str) -> String {
        self.entries.iter().fold(message.to_owned(), |text, entry| {
            text.replace(&*entry.path.to_string_lossy(), &format!("collection '{}'", entry.name))
        })
    }
}

impl Entry {
    fn current(&self) -> Arc<Commit> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Commit {
    fn open(
        name: &Arc<str>,
        path: &Path,
        opening: &EngineOptions,
        loaded: &[Arc<Model>],
    ) -> Result<Self, EngineError> {
        let collection = Arc::new(Collection::open_as(path, opening.residency)?);
        let gallery = match is_imported(collection.manifest()) {
            true => None,
            false => Some(Arc::new(Gallery::bind(collection.clone(), opening, loaded)?)),
        };
        let listing = collection.listing()?;
        let order: Vec<(u32, u32)> =
            listing.iter().map(|placed| (placed.segment as u32, placed.image.index as u32)).collect();
        let mut places: HashMap<u64, Vec<u32>> = HashMap::new();
        for (at, placed) in listing.iter().enumerate() {
            places.entry(id_of(&placed.image.row.content)).or_default().push(at as u32);
        }
        let segments = collection.segments();
        let patches = segments.iter().map(|segment| segment.live_patch_count());
        let patches = patches.sum::<Result<u64, OpenSegmentError>>().map_err(CollectionError::from)?;
        let mapped_bytes = segments.iter().flat_map(|segment| segment.files()).map(|(.., bytes)| bytes).sum();
        let columns = collection.columns().unwrap_or_default().into_iter().map(str::to_owned).collect();
        Ok(Self { name: name.clone(), collection, gallery, order, places, patches, mapped_bytes, columns })
    }

    pub fn manifest(&self) -> &Manifest {
        self.collection.manifest()
    }

    /// The stored path of a file below the root, as lists have it.
    pub fn relative(&self, file: &Path) -> Option<String> {
        let below = file.strip_prefix(&self.manifest().root).ok()?;
        Some(String::from_utf8_lossy(&bytes_of_path(below)).into_owned())
    }

    /// Number of images.
    pub fn image_count(&self) -> usize {
        self.order.len()
    }

    /// The images from place `from` on, in order of their paths, with their segments.
    pub fn images_from(
        &self,
        from: usize,
    ) -> impl Iterator<Item = Result<(usize, ImageView<'_>), CollectionError>> {
        self.order.iter().skip(from).map(|&place| self.image_at(place))
    }

    /// The first place behind a path.
    pub fn place_behind(&self, path: &[u8]) -> usize {
        let is_before = |place: &(u32, u32)| self.image_at(*place).is_ok_and(|(_, image)| image.path <= path);
        self.order.partition_point(is_before)
    }

    fn image_at(&self, (segment, index): (u32, u32)) -> Result<(usize, ImageView<'_>), CollectionError> {
        let segment = segment as usize;
        Ok((segment, self.collection.segments()[segment].image(index as usize)?))
    }

    /// All images with an id, in order of their paths, with their segments: the first, then its copies.
    pub fn with_id(&self, id: &str) -> Result<Vec<(usize, ImageView<'_>)>, Problem> {
        let none = || {
            let detail = format!(
                "collection '{}' has no image '{id}'; hits and /v1/images give ids of 16 hexadecimal digits",
                self.name
            );
            Problem::new(Cause::NotFound, detail)
        };
        let places = parse_id(id).and_then(|id| self.places.get(&id)).ok_or_else(none)?;
        places.iter().map(|&at| Ok(self.image_at(self.order[at as usize])?)).collect()
    }
}
