//! An open segment: maps of its files, images with their views, vectors in place. Opening reads no vectors.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use half::f16;
use patchdex_format::{
    Element, FileEntry, FormatError, ImageRow, ImageTable, Layout, MetadataTable, SegmentEntry, ViewRow,
};

use super::file::{Depth, SegmentFile};
use super::{FileRole, Listed, OpenSegmentError, id_of};
use crate::core::{Bbox, Grid};
use crate::index::{Graph, Rows, VectorLayout, Vectors};
use crate::storage::{Residency, StorageError};

/// An open segment.
pub struct Segment {
    images: SegmentFile,
    vectors: SegmentFile,
    /// The model's own tokens, where they are kept.
    raw: Option<SegmentFile>,
    /// What the user said about the images.
    metadata: Option<SegmentFile>,
    /// The graph over the vectors.
    graph: Option<SegmentFile>,
    /// Why there is none where one is listed.
    graph_fault: Option<OpenSegmentError>,
    /// The same, read when it is first asked for.
    table: OnceLock<MetadataTable>,
    stored: VectorLayout,
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

    /// Whether its patches are its own: a copy of an image shares those of the first.
    pub fn is_original(&self) -> bool {
        self.row.same_as as usize == self.index
    }

    /// The first 16 hexadecimal digits of the content's BLAKE3: what an image is called whatever its name.
    pub fn id(&self) -> String {
        format!("{:016x}", id_of(&self.row.content))
    }

    /// Patches of all its views.
    pub fn patch_count(&self) -> usize {
        self.views.iter().map(|view| view.patches() as usize).sum()
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
    /// Maps the files of a segment in `folder`. A graph that cannot be used is none ([`Segment::graph_fault`] says why): the
    /// vectors can be scanned.
    ///
    /// # Errors
    /// Another missing file, a damaged one, or one that the manifest does not vouch for.
    pub fn open(folder: &Path, entry: &SegmentEntry, stored: VectorLayout) -> Result<Self, OpenSegmentError> {
        Self::open_as(folder, entry, stored, Residency::Mapped)
    }

    /// The same, with the vectors and the graph in memory as `residency` says.
    ///
    /// # Errors
    /// As [`Segment::open`]; the system's refusal of memory, for the graph, too.
    pub fn open_as(
        folder: &Path,
        entry: &SegmentEntry,
        stored: VectorLayout,
        residency: Residency,
    ) -> Result<Self, OpenSegmentError> {
        let open = |file: &FileEntry| SegmentFile::open(&folder.join(&file.name), file);
        let open_searched =
            |file: &FileEntry| SegmentFile::open_as(&folder.join(&file.name), file, residency);
        let listed = |role: FileRole| {
            let name = role.first_name();
            let missing = || OpenSegmentError::replaced(&folder.join(name), "the manifest does not list it");
            role.entry(entry).ok_or_else(missing)
        };
        let images = open(listed(FileRole::Images)?)?;
        // Small beside the vectors, and what every answer is named by: read whole.
        images.layout.verify(&images.map).map_err(OpenSegmentError::in_file(images.map.path()))?;
        let vectors = open_searched(listed(FileRole::Vectors)?)?;
        let raw = FileRole::Raw.entry(entry).map(&open).transpose()?;
        let metadata = FileRole::Metadata.entry(entry).map(&open).transpose()?;
        let (graph, graph_fault) = match FileRole::Graph.entry(entry).map(|file| {
            open_searched(file).and_then(|graph| check_graph(&graph, entry, stored).map(|()| graph))
        }) {
            // The graph is sound.
            Some(Err(refusal @ OpenSegmentError::Storage(StorageError::Memory { .. }))) => {
                return Err(refusal);
            }
            Some(Err(fault)) => (None, Some(fault)),
            graph => (graph.and_then(Result::ok), None),
        };
        let table = OnceLock::new();
        let segment = Self { images, vectors, raw, metadata, graph, graph_fault, table, stored };
        segment.check(entry)?;
        Ok(segment)
    }

    /// Paths that the image table of a segment lists, as far as it can be read, whatever else is damaged.
    pub fn paths(folder: &Path, entry: &SegmentEntry) -> Vec<String> {
        let Some(file) = FileRole::Images.entry(entry) else { return Vec::new() };
        let Ok(SegmentFile { map, layout }) = SegmentFile::open(&folder.join(&file.name), file) else {
            return Vec::new();
        };
        let Ok(table) = ImageTable::new(&layout, &map) else { return Vec::new() };
        let path = |index| table.image(index).and_then(|row| table.path(row)).ok();
        let paths = (0..table.len()).filter_map(path);
        paths.map(|path| String::from_utf8_lossy(path).into_owned()).collect()
    }

    /// Number of images.
    pub fn image_count(&self) -> usize {
        self.table().map(|table| table.len()).unwrap_or(0)
    }

    /// Number of stored vectors, those of removed images among them.
    pub fn patch_count(&self) -> usize {
        self.vectors().len()
    }

    /// Number of vectors that belong to an image.
    ///
    /// # Errors
    /// Damage in the tables.
    pub fn live_patch_count(&self) -> Result<u64, OpenSegmentError> {
        self.images()
            .filter(|image| image.as_ref().map_or(true, ImageView::is_original))
            .try_fold(0, |sum, image| Ok(sum + image?.views.iter().map(ViewRow::patches).sum::<u64>()))
    }

    /// Numbers in a vector.
    pub fn dim(&self) -> usize {
        self.stored.dim
    }

    /// Image `index`, with its row checked against the tables.
    ///
    /// # Errors
    /// A row that points outside the tables.
    pub fn image(&self, index: usize) -> Result<ImageView<'_>, OpenSegmentError> {
        self.image_of(&self.table()?, index)
    }

    fn image_of<'a>(
        &'a self,
        table: &ImageTable<'a>,
        index: usize,
    ) -> Result<ImageView<'a>, OpenSegmentError> {
        let wrong = OpenSegmentError::in_file(self.images.map.path());
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
        // The table is looked up once; where it is damaged, every image says so.
        let table = self.table();
        (0..self.image_count()).map(move |index| match &table {
            Ok(table) => self.image_of(table, index),
            Err(_) => self.image(index),
        })
    }

    /// Every image as a table lists it, to be listed in another one.
    ///
    /// # Errors
    /// Damage in the tables.
    pub fn listed(&self) -> Result<Vec<Listed>, OpenSegmentError> {
        let metadata = self.metadata()?;
        let mut listed: Vec<Listed> = Vec::with_capacity(self.image_count());
        for image in self.images() {
            let image = image?;
            listed.push(Listed {
                path: image.path.to_vec(),
                row: *image.row,
                // A copy comes after the image whose views it shares.
                views: match listed.get(image.row.same_as as usize) {
                    Some(first) => Arc::clone(&first.views),
                    None => image.views.into(),
                },
                metadata: metadata.map(|table| table.row(image.index)).unwrap_or_default(),
            });
        }
        Ok(listed)
    }

    /// What the user said about the images, a row each; none where nothing was said. Read once, every byte against its
    /// checksum.
    ///
    /// # Errors
    /// Damage.
    pub fn metadata(&self) -> Result<Option<&MetadataTable>, OpenSegmentError> {
        let Some(SegmentFile { map, layout }) = &self.metadata else { return Ok(None) };
        if let Some(table) = self.table.get() {
            return Ok(Some(table));
        }
        let wrong = OpenSegmentError::in_file(map.path());
        layout.verify(map).map_err(&wrong)?;
        let table = MetadataTable::parse(layout, map).map_err(&wrong)?;
        match table.len() == self.image_count() {
            true => Ok(Some(self.table.get_or_init(|| table))),
            false => Err(OpenSegmentError::replaced(map.path(), format!("{} rows", table.len()))),
        }
    }

    /// The vectors, in place.
    pub fn vectors(&self) -> Vectors<'_> {
        let SegmentFile { map, layout } = &self.vectors;
        const CHECKED: &str = "invariant: checked in Segment::open";
        let rows = match self.stored.kind.element {
            Element::F16 => Rows::F16(layout.slice(map, "vectors", Element::F16).expect(CHECKED)),
            Element::I8 => Rows::I8(
                layout.slice(map, "vectors", Element::I8).expect(CHECKED),
                layout.slice(map, "scales", Element::F32).expect(CHECKED),
            ),
            _ => Rows::F32(layout.slice(map, "vectors", Element::F32).expect(CHECKED)),
        };
        Vectors { rows, dim: self.stored.dim, metric: self.stored.metric }
    }

    /// The graph over the vectors, in place; none where they are only scanned.
    pub fn graph(&self) -> Option<Graph<'_>> {
        let SegmentFile { map, layout } = self.graph.as_ref()?;
        Some(
            Graph::parse(layout, map, self.stored.dim, self.stored.metric)
                .expect("invariant: checked in Segment::open"),
        )
    }

    /// Why the graph that the manifest lists is not used, where it lists one that is missing or damaged.
    pub fn graph_fault(&self) -> Option<&OpenSegmentError> {
        self.graph_fault.as_ref()
    }

    /// The bytes of stored rows `first..first + count`, and their scales where they have any.
    pub fn row_bytes(&self, first: usize, count: usize) -> (&[u8], &[f32]) {
        match self.vectors().rows {
            Rows::F32(rows) => (bytes_of(rows, self.stored.dim, first, count), &[]),
            Rows::F16(rows) => (bytes_of(rows, self.stored.dim, first, count), &[]),
            Rows::I8(rows, scales) => {
                (bytes_of(rows, self.stored.dim, first, count), &scales[first..first + count])
            }
        }
    }

    /// Whether the model's own tokens are kept.
    pub fn has_raw(&self) -> bool {
        self.raw.is_some()
    }

    /// The model's own tokens, row for row, each of `hidden_size` numbers; none where they are not kept.
    ///
    /// # Errors
    /// A file that does not hold as many.
    pub fn raw(&self, hidden_size: usize) -> Result<Option<&[f32]>, OpenSegmentError> {
        self.raw.as_ref().map(|raw| raw.tokens(self.patch_count(), hidden_size)).transpose()
    }

    /// Section tables of all files: name, layout, bytes.
    pub fn files(&self) -> impl Iterator<Item = (&Path, &Layout, u64)> {
        self.mapped().map(|file| (file.map.path(), &file.layout, file.map.len() as u64))
    }

    /// Looks at each file of a segment on its own and, when all are sound, at every row of the tables. Gives the first
    /// fault of each file. With [`Depth::Full`] every byte is read back against its checksum.
    pub fn verify(
        folder: &Path,
        entry: &SegmentEntry,
        stored: VectorLayout,
        depth: Depth,
    ) -> Vec<OpenSegmentError> {
        let faults = |file: &FileEntry| SegmentFile::verify(&folder.join(&file.name), file, depth).err();
        let damage: Vec<_> = entry.files.iter().filter_map(faults).collect();
        if !damage.is_empty() {
            return damage;
        }
        match Self::open(folder, entry, stored) {
            Ok(mut segment) => {
                let graph = segment.graph_fault.take();
                segment.table_fault().into_iter().chain(graph).collect()
            }
            Err(error) => vec![error],
        }
    }

    /// The first fault of the tables, every row looked at.
    pub fn table_fault(&self) -> Option<OpenSegmentError> {
        self.images().find_map(Result::err).or_else(|| self.metadata().err())
    }

    fn mapped(&self) -> impl Iterator<Item = &SegmentFile> {
        [&self.images, &self.vectors].into_iter().chain(&self.raw).chain(&self.metadata).chain(&self.graph)
    }

    fn table(&self) -> Result<ImageTable<'_>, OpenSegmentError> {
        let SegmentFile { map, layout } = &self.images;
        ImageTable::new(layout, map).map_err(OpenSegmentError::in_file(map.path()))
    }

    /// Tables and vectors as the manifest says; after this, reading them in place cannot fail.
    fn check(&self, entry: &SegmentEntry) -> Result<(), OpenSegmentError> {
        let SegmentFile { map, layout } = &self.vectors;
        let wrong = OpenSegmentError::in_file(map.path());
        match self.stored.kind.element {
            Element::F16 => layout.slice::<f16>(map, "vectors", Element::F16).map(|_| ()),
            Element::I8 => layout.slice::<i8>(map, "vectors", Element::I8).map(|_| ()),
            _ => layout.slice::<f32>(map, "vectors", Element::F32).map(|_| ()),
        }
        .map_err(&wrong)?;
        let section = layout.section("vectors").map_err(&wrong)?;
        if section.cols as usize != self.stored.dim || section.rows != entry.patches {
            let what = format!("{} rows of {} numbers", section.rows, section.cols);
            return Err(OpenSegmentError::replaced(map.path(), what));
        }
        if self.stored.kind.element == Element::I8 {
            let scales = layout.slice::<f32>(map, "scales", Element::F32).map_err(&wrong)?;
            if scales.len() as u64 != section.rows {
                return Err(OpenSegmentError::replaced(map.path(), format!("{} scales", scales.len())));
            }
        }
        let table = self.table()?;
        table.check_shares().map_err(OpenSegmentError::in_file(self.images.map.path()))?;
        let (images, views) = (table.len() as u64, table.view_count() as u64);
        match (images, views) == (entry.images, entry.views) {
            true => Ok(()),
            false => {
                let what = format!("{images} images, {views} views");
                Err(OpenSegmentError::replaced(self.images.map.path(), what))
            }
        }
    }
}

/// The graph of `entry`; after this, reading it in place cannot fail.
fn check_graph(
    SegmentFile { map, layout }: &SegmentFile,
    entry: &SegmentEntry,
    stored: VectorLayout,
) -> Result<(), OpenSegmentError> {
    let graph = Graph::parse(layout, map, stored.dim, stored.metric)
        .map_err(OpenSegmentError::in_file(map.path()))?;
    let nodes = entry.graph.as_ref().and_then(|graph| graph.nodes).unwrap_or(entry.patches);
    match graph.len() as u64 == nodes {
        true => Ok(()),
        false => Err(OpenSegmentError::replaced(map.path(), format!("{} nodes", graph.len()))),
    }
}

fn bytes_of<T: bytemuck::Pod>(rows: &[T], dim: usize, first: usize, count: usize) -> &[u8] {
    bytemuck::cast_slice(&rows[first * dim..(first + count) * dim])
}

/// Whether a stored path stays below the collection's root: collections come from other people, too.
fn is_confined(path: &[u8]) -> bool {
    path.split(|&byte| byte == b'/').all(|part| !matches!(part, b"" | b"." | b".."))
}
