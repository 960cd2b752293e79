//! An open segment: maps of its files, images with their views, vectors in place. Opening reads no vectors.

use std::path::{Path, PathBuf};

use half::f16;
use patchdex_format::{
    Cause, Element, FileEntry, FormatError, ImageRow, ImageTable, Layout, SegmentEntry, ViewRow,
};

use super::{IMAGES_FILE, RAW_FILE, VECTORS_FILE};
use crate::core::{Bbox, Fault, Grid, Kind};
use crate::index::{RowKind, Vectors};
use crate::storage::{Map, StorageError};

/// Container kind of vector files.
pub const VECTORS_KIND: &str = "vectors";

/// Why a segment cannot be opened or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenSegmentError {
    /// A file cannot be mapped.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A file that the manifest lists is not there.
    #[error("{} is missing, though the manifest lists it; restore it from a copy, or index again into another folder", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A file's bytes are wrong.
    #[error("{}: {source}{}", path.display(), advice(source))]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        source: FormatError,
    },
    /// A file is sound, but not the one that the manifest vouches for.
    #[error("{} is not the file that the manifest lists ({what}); 'patchdex verify' lists all damage; restore it from a copy, or index again into another folder", path.display())]
    Replaced {
        /// The file.
        path: PathBuf,
        /// What differs.
        what: String,
    },
}

impl OpenSegmentError {
    /// Adds the path to what is wrong with the bytes.
    pub fn in_file(path: &Path) -> impl Fn(FormatError) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Format { path: path.clone(), source }
    }

    fn replaced(path: &Path, what: impl Into<String>) -> Self {
        Self::Replaced { path: path.to_owned(), what: what.into() }
    }
}

impl Fault for OpenSegmentError {
    fn kind(&self) -> Kind {
        match self {
            Self::Storage(error) => error.kind(),
            Self::Format { source, .. } if matches!(source.cause, Cause::Version { .. }) => {
                Kind::Incompatible
            }
            _ => Kind::Corrupt,
        }
    }
}

/// A later version already says what to do.
fn advice(source: &FormatError) -> &'static str {
    match source.cause {
        Cause::Version { .. } => "",
        _ => {
            "; 'patchdex verify' lists all damage; restore it from a copy, or index again into another folder"
        }
    }
}

/// A mapped file with its section table.
struct MappedFile {
    map: Map,
    layout: Layout,
}

/// An open segment.
pub struct Segment {
    images: MappedFile,
    vectors: MappedFile,
    /// Files that queries do not read.
    others: Vec<MappedFile>,
    rows: RowKind,
    dim: usize,
}

/// An image of a segment.
#[derive(Clone, Copy, Debug)]
pub struct ImageView<'a> {
    /// Index in the segment.
    pub index: usize,
    /// Path relative to the collection's root, bytes, `/`-separated.
    pub path: &'a [u8],
    /// The row in the table.
    pub row: &'a ImageRow,
    views: &'a [ViewRow],
}

/// A view's patches: where they are stored and where they lie in the image.
#[derive(Clone, Copy, Debug)]
pub struct PatchView {
    /// First row in the vectors.
    pub first_patch: usize,
    /// Where the patches lie.
    pub grid: Grid,
}

impl ImageView<'_> {
    /// The path for showing: bytes that are no UTF-8 become U+FFFD.
    pub fn path_text(&self) -> String {
        String::from_utf8_lossy(self.path).into_owned()
    }

    /// The image's views.
    pub fn views(&self) -> impl Iterator<Item = PatchView> + '_ {
        self.views.iter().map(|view| PatchView {
            first_patch: view.first_patch as usize,
            grid: Grid { area: Bbox::from(view.area), rows: view.rows, cols: view.cols },
        })
    }
}

impl Segment {
    /// Maps the files of a segment in `folder`.
    ///
    /// # Errors
    /// A missing file, a damaged one, or one that the manifest does not vouch for.
    pub fn open(
        folder: &Path,
        entry: &SegmentEntry,
        rows: RowKind,
        dim: usize,
    ) -> Result<Self, OpenSegmentError> {
        let open = |file: &FileEntry| map_file(&folder.join(&file.name), file);
        let named = |name: &str| {
            let missing = || OpenSegmentError::replaced(&folder.join(name), "the manifest does not list it");
            entry.files.iter().find(|file| file.name == name).ok_or_else(missing)
        };
        let images = open(named(IMAGES_FILE)?)?;
        let vectors = open(named(VECTORS_FILE)?)?;
        let raw = entry.files.iter().filter(|file| file.name == RAW_FILE);
        let others = raw.map(open).collect::<Result<_, _>>()?;
        let segment = Self { images, vectors, others, rows, dim };
        segment.check(entry)?;
        Ok(segment)
    }

    /// Number of images.
    pub fn image_count(&self) -> usize {
        self.table().map(|table| table.len()).unwrap_or(0)
    }

    /// Number of patches.
    pub fn patch_count(&self) -> usize {
        self.vectors().len(self.dim)
    }

    /// Numbers in a vector.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Image `index`, with its row checked against the tables.
    ///
    /// # Errors
    /// A row that points outside the tables.
    pub fn image(&self, index: usize) -> Result<ImageView<'_>, OpenSegmentError> {
        let wrong = OpenSegmentError::in_file(self.images.map.path());
        let table = self.table()?;
        let row = table.image(index).map_err(&wrong)?;
        let path = table.path(row).map_err(&wrong)?;
        let views = table.views(row).map_err(&wrong)?;
        let patches = self.patch_count() as u64;
        let inside = |view: &ViewRow| {
            view.rows > 0
                && view.cols > 0
                && view.area.iter().all(|side| side.is_finite())
                && view.first_patch.checked_add(view.patches()).is_some_and(|end| end <= patches)
        };
        if !is_confined(path) {
            return Err(wrong(FormatError::structure(format!(
                "the path of image {index} leaves the folder"
            ))));
        }
        match views.iter().all(inside) && row.same_as as usize <= index {
            true => Ok(ImageView { index, path, row, views }),
            false => {
                Err(wrong(FormatError::structure(format!("image {index} has patches that do not exist"))))
            }
        }
    }

    /// Every image in order.
    pub fn images(&self) -> impl Iterator<Item = Result<ImageView<'_>, OpenSegmentError>> {
        (0..self.image_count()).map(|index| self.image(index))
    }

    /// The vectors, in place.
    pub fn vectors(&self) -> Vectors<'_> {
        let MappedFile { map, layout } = &self.vectors;
        const CHECKED: &str = "invariant: checked in Segment::open";
        match self.rows.element {
            Element::F16 => Vectors::F16(layout.slice(map, "vectors", Element::F16).expect(CHECKED)),
            Element::I8 => Vectors::I8(
                layout.slice(map, "vectors", Element::I8).expect(CHECKED),
                layout.slice(map, "scales", Element::F32).expect(CHECKED),
            ),
            _ => Vectors::F32(layout.slice(map, "vectors", Element::F32).expect(CHECKED)),
        }
    }

    /// Section tables of all files: name, layout, bytes.
    pub fn files(&self) -> impl Iterator<Item = (&Path, &Layout, u64)> {
        self.mapped().map(|file| (file.map.path(), &file.layout, file.map.len() as u64))
    }

    /// Reads every byte of a segment's files back against its checksum and, when all are sound, every row of the
    /// tables. Gives the first fault of each file.
    pub fn verify(folder: &Path, entry: &SegmentEntry, rows: RowKind, dim: usize) -> Vec<OpenSegmentError> {
        let sound = |file: &FileEntry| {
            let MappedFile { map, layout } = map_file(&folder.join(&file.name), file)?;
            map.advise_sequential();
            layout.verify(&map).map_err(OpenSegmentError::in_file(map.path()))
        };
        let damage: Vec<_> = entry.files.iter().filter_map(|file| sound(file).err()).collect();
        if !damage.is_empty() {
            return damage;
        }
        match Self::open(folder, entry, rows, dim) {
            Ok(segment) => segment.images().filter_map(Result::err).take(1).collect(),
            Err(error) => vec![error],
        }
    }

    fn mapped(&self) -> impl Iterator<Item = &MappedFile> {
        [&self.images, &self.vectors].into_iter().chain(&self.others)
    }

    fn table(&self) -> Result<ImageTable<'_>, OpenSegmentError> {
        let MappedFile { map, layout } = &self.images;
        ImageTable::new(layout, map).map_err(OpenSegmentError::in_file(map.path()))
    }

    /// Tables and vectors as the manifest says; after this, reading them in place cannot fail.
    fn check(&self, entry: &SegmentEntry) -> Result<(), OpenSegmentError> {
        let MappedFile { map, layout } = &self.vectors;
        let wrong = OpenSegmentError::in_file(map.path());
        match self.rows.element {
            Element::F16 => layout.slice::<f16>(map, "vectors", Element::F16).map(|_| ()),
            Element::I8 => layout.slice::<i8>(map, "vectors", Element::I8).map(|_| ()),
            _ => layout.slice::<f32>(map, "vectors", Element::F32).map(|_| ()),
        }
        .map_err(&wrong)?;
        let section = layout.section("vectors").map_err(&wrong)?;
        if section.cols as usize != self.dim || section.rows != entry.patches {
            let what = format!("{} rows of {} numbers", section.rows, section.cols);
            return Err(OpenSegmentError::replaced(map.path(), what));
        }
        if self.rows.element == Element::I8 {
            let scales = layout.slice::<f32>(map, "scales", Element::F32).map_err(&wrong)?;
            if scales.len() as u64 != section.rows {
                return Err(OpenSegmentError::replaced(map.path(), format!("{} scales", scales.len())));
            }
        }
        let (images, views) = (self.table()?.len() as u64, self.table()?.view_count() as u64);
        match (images, views) == (entry.images, entry.views) {
            true => Ok(()),
            false => {
                let what = format!("{images} images, {views} views");
                Err(OpenSegmentError::replaced(self.images.map.path(), what))
            }
        }
    }
}

/// The container kind of a segment's file.
fn kind_of(name: &str) -> Option<&'static str> {
    match name {
        IMAGES_FILE => Some(ImageTable::KIND),
        VECTORS_FILE | RAW_FILE => Some(VECTORS_KIND),
        _ => None,
    }
}

/// Whether a stored path stays below the collection's root: collections come from other people, too.
fn is_confined(path: &[u8]) -> bool {
    path.split(|&byte| byte == b'/').all(|part| !matches!(part, b"" | b"." | b".."))
}

fn map_file(path: &Path, entry: &FileEntry) -> Result<MappedFile, OpenSegmentError> {
    let kind = kind_of(&entry.name)
        .ok_or_else(|| OpenSegmentError::replaced(path, "this patchdex knows no such file"))?;
    let map = Map::open(path).map_err(|error| match error.kind() {
        Kind::NotFound => OpenSegmentError::Missing { path: path.to_owned() },
        _ => error.into(),
    })?;
    if map.len() as u64 != entry.bytes {
        let what = format!("{} bytes instead of {}", map.len(), entry.bytes);
        return Err(OpenSegmentError::replaced(path, what));
    }
    let layout = Layout::parse(&map, kind).map_err(OpenSegmentError::in_file(path))?;
    if layout.digest() != entry.digest {
        return Err(OpenSegmentError::replaced(path, "its digest differs"));
    }
    Ok(MappedFile { map, layout })
}
